"""What a later look at a registry's folder finds, by what a registry does to it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from regdeploy.registry.walk import Look, Walk
from tests.stored import Stored

REPOSITORIES = "docker/registry/v2/repositories"


class Watched:
    """A folder with images in it, and the memory of it after a first look."""

    def __init__(self, data: Path) -> None:
        self.stored = Stored(data)
        self.first = self.stored.image("team/app", "1", "2")
        self.other = self.stored.image("team/app")
        self.stored.index("team/app", [self.first, self.other], "all")
        self.stored.image("alone", "1")
        self.uploaded = self.stored.upload("team/app", "uuid", b"some")
        self.deleted = self.stored.blob()
        self.stored.path(self.deleted).unlink()  # its folder stays
        self.walk = Walk(data, coarse_ns=0)
        self.seen = self.walk.look()
        time.sleep(0.02)  # the clock of older file systems ticks every 10 ms

    def tag(self, name: str, what: str = "current/link") -> Path:
        return self.stored.repository(f"team/app/_manifests/tags/{name}") / what

    def revision(self, digest: str) -> Path:
        return self.stored.repository("team/app/_manifests/revisions") / digest.replace(":", "/") / "link"


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def found(look: Look) -> dict[str, set[str]]:
    """What a look found, by kind, without what is empty."""
    kinds = {
        "files": {path.removeprefix(f"{REPOSITORIES}/") for path in look.files},
        "gone": {path.removeprefix(f"{REPOSITORIES}/") for path in look.gone},
        "blobs": set(look.blobs),
        "gone_blobs": set(look.gone_blobs),
        "odd": set(look.odd),
    }
    return {kind: paths for kind, paths in kinds.items() if paths}


def hexa(digest: str) -> str:
    return digest.partition(":")[2]


def test_the_first_look_finds_every_file_and_blob_and_the_next_nothing(watched: Watched) -> None:
    data = watched.stored.data
    files = {str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()}
    blobs = {path for path in files if path.startswith("docker/registry/v2/blobs/")}
    assert set(watched.seen.files) == watched.walk.files == files - blobs
    assert {watched.stored.path(digest) for digest in watched.seen.blobs} == {data / path for path in blobs}
    assert all(size == watched.stored.path(digest).stat().st_size for digest, size in watched.seen.blobs.items())
    assert found(watched.walk.look()) == {}


def test_the_folders_without_which_a_repository_is_none_are_told(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    for folder in ("a/_layers/sha256", "a/_manifests/tags", "a/_manifests/revisions/sha256", "a/b/_uploads", "c"):
        stored.repository(folder).mkdir(parents=True)
    parts = ("a/_layers", "a/_manifests", "a/_manifests/tags", "a/_manifests/revisions", "a/b/_uploads")
    assert set(Walk(tmp_path).look().folders) == {f"{REPOSITORIES}/{part}" for part in parts}


def _push(watched: Watched) -> dict[str, set[str]]:
    before = set(watched.stored.data.rglob("*"))
    watched.stored.image("team/app", "3", layers=1)
    new = [path for path in set(watched.stored.data.rglob("*")) - before if path.is_file()]
    below = watched.stored.top / "repositories"
    files = {str(path.relative_to(below)) for path in new if path.is_relative_to(below)}
    return {"files": files, "blobs": {f"sha256:{path.parent.name}" for path in new if path.name == "data"}}


def _new_repository(watched: Watched) -> dict[str, set[str]]:
    watched.stored.tag("team/app/deeper", "1", watched.first)
    tag = "team/app/deeper/_manifests/tags/1"
    return {"files": {f"{tag}/current/link", f"{tag}/index/sha256/{hexa(watched.first)}/link"}}


def _tag_again(watched: Watched) -> dict[str, set[str]]:
    watched.stored.tag("team/app", "1", watched.other)
    tag = "team/app/_manifests/tags/1"
    return {"files": {f"{tag}/current/link", f"{tag}/index/sha256/{hexa(watched.other)}/link"}}


def _tag_by_another_algorithm(watched: Watched) -> dict[str, set[str]]:
    digest = f"sha512:{'a' * 128}"
    watched.stored.tag("team/app", "1", digest)
    tag = "team/app/_manifests/tags/1"
    return {"files": {f"{tag}/current/link", f"{tag}/index/sha512/{hexa(digest)}/link"}}


def _tag_cut_short(watched: Watched) -> dict[str, set[str]]:
    watched.stored.link("team/app/_manifests/tags/1/index", watched.other)
    return {"files": {f"team/app/_manifests/tags/1/index/sha256/{hexa(watched.other)}/link"}}


def _tag_in_place(watched: Watched) -> dict[str, set[str]]:
    watched.tag("1").write_text(watched.other)
    return {"files": {"team/app/_manifests/tags/1/current/link"}}


def _untag(watched: Watched) -> dict[str, set[str]]:
    shutil.rmtree(watched.tag("1", "."))
    tag = "team/app/_manifests/tags/1"
    return {"gone": {f"{tag}/current/link", f"{tag}/index/sha256/{hexa(watched.first)}/link"}}


def _untag_and_tag(watched: Watched) -> dict[str, set[str]]:
    gone = _untag(watched)["gone"]
    watched.stored.tag("team/app", "1", watched.other)
    tag = "team/app/_manifests/tags/1"
    files = {f"{tag}/current/link", f"{tag}/index/sha256/{hexa(watched.other)}/link"}
    return {"files": files, "gone": gone - files}


def _delete_manifest(watched: Watched) -> dict[str, set[str]]:
    watched.revision(watched.other).unlink()
    return {"gone": {f"team/app/_manifests/revisions/sha256/{hexa(watched.other)}/link"}}


def _delete_and_push_again(watched: Watched) -> dict[str, set[str]]:
    link = watched.revision(watched.other)
    link.unlink()
    assert found(watched.walk.look()) == {"gone": _delete_manifest_paths(watched)}
    time.sleep(0.02)
    link.write_text(watched.other)
    return {"files": _delete_manifest_paths(watched)}


def _delete_manifest_paths(watched: Watched) -> set[str]:
    return {f"team/app/_manifests/revisions/sha256/{hexa(watched.other)}/link"}


def _collect_a_blob(watched: Watched) -> dict[str, set[str]]:
    shutil.rmtree(watched.stored.path(watched.other).parent)
    return {"gone_blobs": {watched.other}}


def _collect_a_group(watched: Watched) -> dict[str, set[str]]:
    group = watched.stored.path(watched.other).parent.parent
    shutil.rmtree(group)
    return {"gone_blobs": {blob for blob in watched.seen.blobs if hexa(blob).startswith(group.name)}}


def _finish_a_blob(watched: Watched) -> dict[str, set[str]]:
    watched.stored.path(watched.deleted).write_bytes(b"here again")
    return {"blobs": {watched.deleted}}


def _go_on_pushing(watched: Watched) -> dict[str, set[str]]:
    with watched.uploaded.open("ab") as data:
        data.write(b" more")
    watched.stored.write(watched.uploaded.parent / "hashstates/sha256/9", b"state")
    upload = "team/app/_uploads/uuid"
    return {"files": {f"{upload}/data", f"{upload}/hashstates/sha256/9"}}


def _end_a_push(watched: Watched) -> dict[str, set[str]]:
    shutil.rmtree(watched.uploaded.parent)
    upload = "team/app/_uploads/uuid"
    return {"gone": {f"{upload}/data", f"{upload}/startedat", f"{upload}/hashstates/sha256/4"}}


def _remove_a_repository(watched: Watched) -> dict[str, set[str]]:
    shutil.rmtree(watched.stored.repository("alone"))
    return {"gone": {path.removeprefix(f"{REPOSITORIES}/") for path in watched.seen.files if "/alone/" in path}}


def _remove_everything(watched: Watched) -> dict[str, set[str]]:
    shutil.rmtree(watched.stored.top)
    return {
        "gone": {path.removeprefix(f"{REPOSITORIES}/") for path in watched.seen.files},
        "gone_blobs": set(watched.seen.blobs),
    }


def _keep_a_schedule(watched: Watched) -> dict[str, set[str]]:
    watched.stored.write(watched.stored.data / "scheduler-state.json", b"{}")
    return {"files": {"scheduler-state.json"}}


def _link_elsewhere(watched: Watched) -> dict[str, set[str]]:
    (watched.stored.repository("team") / "link").symlink_to("/etc")
    return {"odd": {f"{REPOSITORIES}/team/link"}}


def _replace_a_file_by_a_link(watched: Watched) -> dict[str, set[str]]:
    link = watched.tag("1")
    link.unlink()
    link.symlink_to("/etc/passwd")
    return {
        "gone": {"team/app/_manifests/tags/1/current/link"},
        "odd": {f"{REPOSITORIES}/team/app/_manifests/tags/1/current/link"},
    }


@pytest.mark.parametrize(
    "act",
    [
        *(
            _push,
            _new_repository,
            _tag_again,
            _tag_by_another_algorithm,
            _tag_cut_short,
            _tag_in_place,
            _untag,
            _untag_and_tag,
        ),
        *(_delete_manifest, _delete_and_push_again, _collect_a_blob, _collect_a_group, _finish_a_blob),
        *(_go_on_pushing, _end_a_push, _remove_a_repository, _remove_everything, _keep_a_schedule),
        *(_link_elsewhere, _replace_a_file_by_a_link),
    ],
)
def test_a_later_look_finds_just_what_changed(watched: Watched, act: Callable[[Watched], dict[str, set[str]]]) -> None:
    expected = act(watched)
    assert found(watched.walk.look()) == expected
    time.sleep(0.02)
    assert found(watched.walk.look()) == {}


def test_what_was_just_written_is_looked_at_again_since_its_time_may_not_change(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.image("app", "1")
    walk = Walk(tmp_path)
    first = walk.look()
    assert set(walk.look().files) == set(first.files)
    assert walk.look().blobs == {}, "blobs never change"


def test_what_a_killed_transfer_left_half_written_is_nothing(watched: Watched, tmp_path: Path) -> None:
    for path in (watched.tag("1"), watched.stored.path(watched.other)):
        path.with_name(".regdeploy-link").write_text("half")
    assert found(watched.walk.look()) == {}
    assert set(Walk(tmp_path).look().files) == watched.walk.files


def test_a_folder_that_became_something_else_is_told_and_takes_nothing_away(watched: Watched, tmp_path: Path) -> None:
    group = watched.stored.path(watched.other).parent.parent
    group.rename(tmp_path / "away")
    group.symlink_to(tmp_path / "away")
    assert found(watched.walk.look()) == {"odd": {str(group.relative_to(watched.stored.data))}}


@pytest.mark.parametrize("folder", ["blobs", "repositories", "blobs/sha256", "repositories/team"])
def test_no_symbolic_link_is_followed_at_the_first_look_either(tmp_path: Path, folder: str) -> None:
    stored = Stored(tmp_path / "data")
    stored.image("team/app", "1")
    (stored.top / folder).rename(tmp_path / "away")
    (stored.top / folder).symlink_to(tmp_path / "away")
    look = Walk(tmp_path / "data").look()
    assert set(look.odd) == {f"docker/registry/v2/{folder}"}
    assert not (look.blobs if folder.startswith("blobs") else look.files)
