"""What a registry's folder holds, and what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regdeploy.errors import HostError
from regdeploy.registry.inventory import (
    Inventory,
    Kind,
    Problem,
    Progress,
    Repository,
    Upload,
    differences,
    missing,
    read_inventory,
)
from regdeploy.registry.layout import has_holes
from regdeploy.registry.manifests import ManifestFacts
from tests.stored import Stored, tree

GONE = f"sha256:{'0' * 64}"


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return Stored(tmp_path / "data")


def problems(stored: Stored) -> list[tuple[str, str, str]]:
    """Kind, place and words, the place below the registry's own folder."""
    found = read_inventory(stored.data).problems
    return [(one.kind, str(one.path.relative_to(stored.top)), one.what) for one in found]


def test_a_folder_that_is_not_there_or_empty_holds_nothing(tmp_path: Path) -> None:
    nothing = Inventory(repositories={}, blobs={})
    assert read_inventory(tmp_path / "none") == nothing
    assert read_inventory(tmp_path) == nothing


def test_repositories_tags_manifests_and_blobs_are_all_there(stored: Stored) -> None:
    first = stored.image("app", "1", "latest", layers=1)
    second = stored.image("app/deeper/than/most/are")
    top = stored.index("app", [first], "all")
    orphan = stored.blob(size=10)
    stored.upload("app", "some-uuid", b"x" * 17)
    stored.upload("only/pushed", "other", b"")
    before = tree(stored.data)

    found = read_inventory(stored.data)

    assert found.problems == ()
    assert list(found.repositories) == ["app", "app/deeper/than/most/are"]
    app = found.repositories["app"]
    assert app.tags == {"1": first, "latest": first, "all": top}
    assert set(app.manifests) == {first, top}
    assert app.manifests[top].children == (first,)
    assert app.layers == frozenset(app.manifests[first].blobs)
    assert found.repositories["app/deeper/than/most/are"].tags == {}
    assert set(found.repositories["app/deeper/than/most/are"].manifests) == {second}
    assert found.blobs[orphan] == 10
    assert (
        len(found.blobs) == 3 + 4 + 1 + 1
    )  # an image of one layer and its configuration, one of two, the index, the orphan
    assert found.uploads == (
        Upload(repository="app", uuid="some-uuid", size=17),
        Upload(repository="only/pushed", uuid="other", size=0),
    )
    assert tree(stored.data) == before


def test_a_manifest_in_many_repositories_is_read_once_and_held_once(stored: Stored) -> None:
    digest = stored.image("first", "1")
    for number in range(5):
        for layer in read_inventory(stored.data).repositories["first"].layers:
            stored.link(f"more/{number}/_layers", layer)
        stored.link(f"more/{number}/_manifests/revisions", digest)
    found = read_inventory(stored.data)
    assert found.problems == ()
    assert len({id(one.manifests[digest]) for one in found.repositories.values()}) == 1


def test_what_was_deleted_is_no_problem(stored: Stored) -> None:
    digest = stored.image("app", "1")
    layer = stored.layer("app")
    for folder, name in (("_manifests/revisions", digest), ("_layers", layer)):
        (stored.repository(f"app/{folder}") / name.replace(":", "/") / "link").unlink()
    (stored.repository("app/_manifests/tags/1/current") / "link").unlink()
    for path in sorted(stored.repository("app/_manifests/tags/1").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    stored.repository("app/_manifests/tags/1").rmdir()
    found = read_inventory(stored.data)
    assert found.problems == ()
    assert found.repositories["app"].tags == {}
    assert found.repositories["app"].manifests == {}
    assert layer not in found.repositories["app"].layers


def test_a_sha512_name_of_a_blob_leads_to_its_content(stored: Stored) -> None:
    digest = stored.blob(size=20)
    alias = f"sha512:{'a' * 128}"
    stored.link("app/_layers", alias, holds=digest)
    long = stored.path(f"sha512:{'b' * 128}")
    stored.write(long, b"12345")
    value = {"layers": [{"digest": alias, "size": 20}]}
    stored.manifest("app", value, "1")
    found = read_inventory(stored.data)
    assert found.problems == ()
    assert found.repositories["app"].layers == {alias}
    assert found.repositories["app"].aliases == {alias: digest}
    assert found.blobs[f"sha512:{'b' * 128}"] == 5
    assert found.names(digest) == ("app:1",)


@pytest.mark.parametrize("content", [b"", b"\n", b"garbage", b"sha256:" + b"0" * 63, b"\xff" * 71, b"x" * 5000])
def test_a_link_that_holds_no_digest_is_named(stored: Stored, content: bytes) -> None:
    digest = stored.image("app", "1", layers=0)
    layer = stored.layer("app")
    places = [f"_layers/{layer}", f"_manifests/revisions/{digest}", "_manifests/tags/1/current"]
    for place in places:
        stored.write(stored.repository("app") / place.replace(":", "/") / "link", content)
    found = problems(stored)
    assert [kind for kind, _, _ in found] == [Kind.LINK] * 3
    assert [path for _, path, _ in found] == [f"repositories/app/{place.replace(':', '/')}/link" for place in places]
    said = "cannot be read: is larger than 1024 bytes" if len(content) > 1024 else "holds no digest"
    assert [what for _, _, what in found] == [
        f"the link of blob {layer} {said}",
        f"the link of manifest {digest} {said}",
        f"tag 1 {said}",
    ]


def test_blanks_around_a_digest_do_not_count_as_in_the_registry(stored: Stored) -> None:
    digest = stored.image("app", "1")
    stored.link("app/_manifests/revisions", digest, holds=f" {digest}\n")
    assert problems(stored) == []


def test_a_link_that_leads_to_another_blob_is_named(stored: Stored) -> None:
    layer, other = stored.layer("app"), stored.blob()
    stored.link("app/_layers", layer, holds=other)
    path = f"repositories/app/_layers/{layer.replace(':', '/')}/link"
    assert problems(stored) == [(Kind.LINK, path, f"the link of blob {layer} leads to {other}")]


def test_links_to_what_is_gone_are_named_and_leftovers_are_harmless(stored: Stored) -> None:
    digest = stored.image("app", "1", layers=0)
    config = read_inventory(stored.data).repositories["app"].manifests[digest].blobs[0]
    leftover = stored.layer("app")
    lost = stored.manifest("app", {"layers": []}, "2")
    for blob in (config, leftover, lost):
        stored.path(blob).unlink()
    stored.tag("app", "3", GONE)
    folder = "repositories/app/_manifests"
    assert sorted(problems(stored)) == sorted(
        [
            (
                Kind.MISSING,
                f"{folder}/revisions/{lost.replace(':', '/')}/link",
                f"manifest {lost} is not there any more",
            ),
            (Kind.MISSING, "repositories/app", f"blob {config}, which manifest {digest} needs, is not there"),
            (
                Kind.STALE,
                f"repositories/app/_layers/{leftover.replace(':', '/')}/link",
                f"the link of blob {leftover} is left over, the blob is gone",
            ),
            (Kind.MISSING, f"{folder}/tags/2/current/link", f"tag 2 names manifest {lost}, which cannot be had"),
            (Kind.MISSING, f"{folder}/tags/3/current/link", f"tag 3 names manifest {GONE}, which cannot be had"),
        ]
    )
    found = read_inventory(stored.data)
    assert [one.kind for one in found.problems if one.harmless] == [Kind.STALE]
    assert found.repositories["app"].tags == {"1": digest}
    assert found.repositories["app"].layers == frozenset()


def test_what_a_manifest_needs_and_its_repository_does_not_link_is_named(stored: Stored) -> None:
    blob, child = stored.blob(), stored.manifest("other", {"layers": []})
    image = stored.manifest("app", {"layers": [stored.described(blob)]})
    index = stored.manifest("app", {"manifests": [{"digest": child}, {"digest": GONE}]})
    assert sorted(what for kind, _, what in problems(stored) if kind == Kind.MISSING) == sorted(
        [
            f"blob {blob}, which manifest {image} needs, is stored, and the repository has no link to it",
            f"manifest {child}, which the index {index} names, is stored, and the repository has no link to it",
            f"manifest {GONE}, which the index {index} names, is not there",
        ]
    )


def test_an_index_of_layers_is_a_build_cache_and_a_subject_need_not_be_there(stored: Stored) -> None:
    layer = stored.layer("cache")
    stored.manifest("cache", {"manifests": [stored.described(layer)], "subject": {"digest": GONE}}, "1")
    assert problems(stored) == []


def test_a_manifest_that_is_damaged_is_no_json_or_too_large_is_named(stored: Stored) -> None:
    damaged = stored.manifest("app", {"layers": []}, "damaged")
    stored.path(damaged).write_bytes(b'{"layers": [ ]}')
    text = stored.manifest("app", b"<html>", "text")
    large = stored.manifest("app", b" " * (4 * 1024 * 1024 + 1), "large")
    found = {what: kind for kind, _, what in problems(stored)}
    assert found == {
        f"manifest {damaged} is damaged: its content has another digest": Kind.DIGEST,
        f"manifest {text} is no JSON": Kind.MANIFEST,
        f"manifest {large} cannot be read: is larger than 4194304 bytes": Kind.MANIFEST,
        f"tag damaged names manifest {damaged}, which cannot be had": Kind.MISSING,
        f"tag text names manifest {text}, which cannot be had": Kind.MISSING,
        f"tag large names manifest {large}, which cannot be had": Kind.MISSING,
    }


def test_a_blob_of_another_size_than_its_manifest_says_is_named_once(stored: Stored) -> None:
    digest = stored.image("app", "1", "2", layers=0)
    stored.manifest("app", stored.path(digest).read_bytes() + b" ", "3")  # names the same blob
    config = read_inventory(stored.data).repositories["app"].manifests[digest].blobs[0]
    os.truncate(stored.path(config), 299)
    found = read_inventory(stored.data)
    sizes = [one for one in found.problems if one.kind is Kind.SIZE]
    assert {one.path for one in sizes} == {stored.path(config)}
    assert sizes[0].what.startswith(f"blob {config} has 299 bytes, and manifest sha256:")
    assert sizes[0].what.endswith(" says 300")
    assert (sizes[0].digest, sizes[0].repository) == (config, "app")
    assert len(sizes) == 1


def test_a_blob_with_holes_is_named_and_one_without_is_not(stored: Stored) -> None:
    whole, holed = stored.blob(size=100_000), stored.blob(size=100_000)
    stored.path(holed).unlink()
    stored.path(holed).touch()
    os.truncate(stored.path(holed), 100_000)
    path = str(stored.path(holed).relative_to(stored.top))
    assert problems(stored) == [(Kind.SPARSE, path, f"blob {holed} has holes in its file")]
    assert read_inventory(stored.data).blobs == {whole: 100_000, holed: 100_000}


def test_fewer_blocks_than_bytes_are_no_holes_where_the_file_system_compresses(tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(b"x" * 100_000)
    assert not has_holes(str(tmp_path / "whole"), 100_000)


def test_a_folder_in_the_place_of_a_blob_or_a_link_is_named(stored: Stored) -> None:
    blob = stored.blob()
    stored.path(blob).unlink()
    stored.path(blob).mkdir()
    link = stored.link("app/_layers", GONE)
    link.unlink()
    os.mkfifo(link)
    assert problems(stored) == [
        (
            Kind.UNREADABLE,
            str(stored.path(blob).relative_to(stored.top)),
            f"blob {blob} cannot be read: is no regular file",
        ),
        (
            Kind.LINK,
            f"repositories/app/_layers/{GONE.replace(':', '/')}/link",
            f"the link of blob {GONE} cannot be read: is no regular file",
        ),
    ]


def test_symbolic_links_are_named_and_not_followed(stored: Stored, tmp_path: Path) -> None:
    elsewhere = Stored(tmp_path / "elsewhere")
    digest = elsewhere.image("secret", "1")
    stored.image("app", "1")
    blob = stored.blob()
    before = read_inventory(stored.data)
    (stored.top / "repositories/other").symlink_to(elsewhere.top / "repositories/secret")
    (stored.repository("app/_manifests/tags/2")).symlink_to(stored.repository("app/_manifests/tags/1"))
    stored.path(blob).unlink()
    stored.path(blob).symlink_to(elsewhere.path(digest))
    found = read_inventory(stored.data)
    assert found.repositories == before.repositories
    assert blob not in found.blobs
    assert {(one.kind, one.path) for one in found.problems} == {
        (Kind.FOREIGN, stored.top / "repositories/other"),
        (Kind.FOREIGN, stored.repository("app/_manifests/tags/2")),
        (Kind.UNREADABLE, stored.path(blob)),
    }
    assert {one.what for one in found.problems if one.kind is Kind.FOREIGN} == {
        "is a symbolic link, and is not followed"
    }


@pytest.mark.parametrize("part", ["docker", "docker/registry", "docker/registry/v2"])
def test_a_symbolic_link_on_the_way_is_refused(tmp_path: Path, part: str) -> None:
    Stored(tmp_path / "elsewhere").image("app", "1")
    way = tmp_path / "data" / part
    way.parent.mkdir(parents=True)
    way.symlink_to(tmp_path / "elsewhere" / part)
    with pytest.raises(HostError, match="is a symbolic link, and is not followed") as caught:
        read_inventory(tmp_path / "data")
    assert caught.value.where == str(way)


def test_strangers_in_the_tree_are_passed_over_as_the_registry_does(stored: Stored) -> None:
    stored.image("app", "1")
    before = read_inventory(stored.data)
    for place in (
        "blobs/.DS_Store",
        "blobs/sha256/ab/README",
        "repositories/app/note",
        "repositories/app/_manifests/x",
    ):
        stored.write(stored.top / place, b"")
    stored.write(stored.top / f"blobs/sha256/ff/{'0' * 64}/data", b"")  # in the wrong place
    stored.write(stored.top / "blobs/md5/00/0000/data", b"")
    (stored.top / "repositories/empty/folder").mkdir(parents=True)
    assert read_inventory(stored.data) == before


def test_a_tag_without_a_file_is_named(stored: Stored) -> None:
    stored.repository("app/_manifests/tags/1/current").mkdir(parents=True)
    what = "tag 1 names nothing: its push or its deletion was cut short"
    assert problems(stored) == [(Kind.LINK, "repositories/app/_manifests/tags/1", what)]


def test_a_problem_is_a_sentence_with_its_place() -> None:
    path = Path("/data/link")
    assert Problem(kind=Kind.LINK, path=path, what="tag 1 holds no digest", repository="team/app").words == (
        "team/app: tag 1 holds no digest (/data/link)"
    )
    assert Problem(kind=Kind.UNREADABLE, path=path, what="blob x cannot be read").words == (
        "blob x cannot be read (/data/link)"
    )


def test_what_a_blob_is_part_of_is_told_by_the_names_that_people_use(stored: Stored) -> None:
    arm, intel = stored.image("app", "intel"), stored.image("app")
    stored.index("app", [arm, intel], "all", "latest")
    alone = stored.image("app")
    linked = stored.layer("app")
    found = read_inventory(stored.data)
    manifests = found.repositories["app"].manifests
    assert found.names(manifests[arm].blobs[0]) == ("app:all", "app:intel", "app:latest")
    assert found.names(manifests[intel].blobs[1]) == ("app:all", "app:latest")
    assert found.names(intel) == ("app:all", "app:latest")
    assert found.names(manifests[alone].blobs[0]) == (f"app@{alone}",)
    assert found.names(linked) == (f"app@{linked}",)
    assert found.names(GONE) == ()


def test_images_of_old_are_listed(stored: Stored) -> None:
    digest = stored.manifest("old/app", {"schemaVersion": 1, "fsLayers": [], "tag": "1"}, "1")
    stored.image("app", "1")
    assert read_inventory(stored.data).schema1 == (("old/app", digest),)


def test_reading_tells_how_far_it_is_and_stops_when_told(stored: Stored) -> None:
    for number in range(600):
        stored.layer("app", size=number)
    said: list[Progress] = []
    read_inventory(stored.data, report=said.append)
    assert [one.words for one in said] == ["reading blobs", "reading app"]
    with pytest.raises(HostError, match="cancelled") as caught:
        read_inventory(stored.data, cancelled=lambda: True)
    assert caught.value.code == "host.cancelled"


def _inventory(tags: dict[str, str], layers: set[str], blobs: dict[str, int], name: str = "app") -> Inventory:
    manifests = {digest: ManifestFacts(digest=digest, media_type="", size=1) for digest in tags.values()}
    repository = Repository(name=name, tags=tags, manifests=manifests, layers=frozenset(layers), aliases={})
    return Inventory(repositories={name: repository}, blobs=blobs)


def test_differences_are_told_one_by_one() -> None:
    old = _inventory({"1": "m1", "2": "m2"}, {"a", "b"}, {"a": 1, "b": 2, "m1": 1})
    new = _inventory({"1": "m3", "3": "m2"}, {"a", "c"}, {"a": 9, "m1": 1, "c": 3})
    assert differences(old, old) == ()
    lacking = (
        "tag app:1 is m3, not m1",
        "tag app:2 is missing",
        "manifest app@m1 is missing",
        "blob b of app is missing",
        "blob a has 9 bytes, not 1",
        "blob b is missing",
    )
    besides = (
        "tag app:3 was not there before",
        "manifest app@m3 was not there before",
        "blob c of app was not there before",
        "blob c was not there before",
    )
    assert sorted(differences(old, new)) == sorted(lacking + besides)
    assert missing(old, new) == lacking


def test_a_repository_that_one_of_them_lacks_is_told_as_a_whole() -> None:
    old, new = _inventory({}, set(), {}), _inventory({}, set(), {}, "other")
    assert differences(old, new) == ("repository app is missing", "repository other was not there before")
    assert missing(old, new) == ("repository app is missing",)
