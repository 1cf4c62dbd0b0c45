"""``upgrade`` in memory: another image under the same tag or another one, undone where it fails, killed anywhere."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from regdeploy.deployment import operations, rollback
from regdeploy.deployment import upgrade as work
from regdeploy.deployment.history import read
from regdeploy.deployment.migration import Migration
from regdeploy.deployment.upgrade import Upgrade
from regdeploy.errors import (
    CheckFailed,
    EngineError,
    ImageError,
    NeedsConfirmation,
    NotDeployed,
    UsageError,
    VerifyFailed,
)
from tests.fakes.death import dying_before
from tests.fakes.engine import FakeEngine, registry_image
from tests.fakes.mortal import Killed
from tests.stored import Stored
from tests.unit.spine.host import ACME, INTERNAL, LOCAL, OTHER_PORT, Host, copy_of

OLD, NEWER = registry_image(), registry_image("3.1.2")
V2, V2_PATCH = registry_image("2.8.3", generation=2), registry_image("2.8.4", generation=2)
SCHEMA1 = {"schemaVersion": 1, "name": "old/app", "fsLayers": [{"blobSum": f"sha256:{'0' * 64}"}], "signatures": []}
Flags = dict[str, object]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host that runs registry:3, under which there is another image by now."""
    made = Host(tmp_path / "root")
    made.up(INTERNAL)
    made.engine.available["registry:3"] = NEWER
    return made


def up_to_date(host: Host, image: str = "", *, ignore: Sequence[str] = ()) -> Upgrade:
    """``regdeploy upgrade --yes``."""
    flags: Flags = {"image": image} if image else {}
    return work.upgrade(host.request(flags), host.world(), host.reporter, ignore=ignore)


def planned(host: Host, image: str = "") -> Upgrade:
    """``regdeploy upgrade --dry-run``."""
    flags: Flags = {"image": image} if image else {}
    return work.plan_upgrade(host.request(flags), host.world())


def image(host: Host) -> str:
    container = host.serving()
    return container.image_id if container else ""


def tagged(host: Host, reference: str = "registry:3") -> str:
    """The id of the image that the tag names."""
    found = host.engine.image(reference)
    return found.id if found else ""


def settled(host: Host) -> bool:
    return host.plan({}).plan.text() == "" and host.serves({})


def test_a_patch_under_the_same_tag_is_pulled_and_runs(host: Host) -> None:
    host.image_pushed()

    done = up_to_date(host)

    assert (image(host), tagged(host), settled(host)) == (NEWER.id, NEWER.id, True)
    old, new = "sha256:ffffffffffff", "sha256:ffffffffffff"
    assert done.words == (f"https://registry.example.com:28443: registry:3 (3.1.1, {old}) → registry:3 (3.1.2, {new})")
    entry = read(host.root / "history.jsonl")[-1]
    assert (entry.operation, entry.state.image_id if entry.state else "") == ("upgrade", NEWER.id)
    assert host.image_is_there()
    told = [event.words for event in host.reporter.events if event.phase == "done" and "pulled" in event.words]
    assert told[-1] == f"registry:3 (3.1.2, {new}) pulled 18 MB"


def test_where_nothing_new_came_nothing_is_touched(host: Host) -> None:
    up_to_date(host)
    container = host.serving()

    done = up_to_date(host)

    assert done.planned.plan.steps == ()
    assert done.words.endswith("registry:3 (3.1.2, sha256:ffffffffffff) is what runs already: nothing to do")
    assert host.serving() == container
    assert [entry.operation for entry in read(host.root / "history.jsonl")] == ["up", "upgrade"]


def test_from_2_to_3_the_config_is_where_that_generation_looks_and_the_name_is_saved(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up({**INTERNAL, "image": "registry:2.8"})
    host.image_pushed()

    done = up_to_date(host, "registry:3")

    container = host.serving()
    assert container is not None
    assert "/etc/distribution" in {mount.target for mount in container.mounts}
    assert host.has_read_its_config()
    assert (host.plan({}).spec.image, image(host), settled(host)) == ("registry:3", OLD.id, True)
    assert "registry:2.8 (2.8.3, " in done.words
    assert host.image_is_there()
    up_to_date(host, "registry:2.8")
    assert (image(host), host.has_read_its_config(), settled(host)) == (V2.id, True, True)


def test_an_image_that_does_not_serve_leaves_container_and_tag_as_they_were(host: Host) -> None:
    before = host.serving()
    host.engine.broken[NEWER.id] = ("panic: no such driver",)

    with pytest.raises(VerifyFailed):
        up_to_date(host)

    after = host.serving()
    assert (before and before.id, image(host), tagged(host)) == (after and after.id, OLD.id, OLD.id)
    assert settled(host)


def test_one_that_is_no_registry_is_refused_and_the_tag_is_back(host: Host) -> None:
    host.engine.available["registry:3"] = replace(NEWER, entrypoint=(), command=("sh",))

    with pytest.raises(ImageError, match="is not a registry as regdeploy knows them: it runs `sh`"):
        up_to_date(host)

    assert (image(host), tagged(host), settled(host)) == (OLD.id, OLD.id, True)


def test_a_no_puts_the_tag_back(host: Host) -> None:
    host.reporter.yes = False

    with pytest.raises(NeedsConfirmation):
        up_to_date(host)

    assert (image(host), tagged(host), settled(host)) == (OLD.id, OLD.id, True)


def test_another_image_that_fails_leaves_the_saved_one(host: Host) -> None:
    host.engine.broken[V2.id] = ("panic",)

    with pytest.raises(VerifyFailed):
        up_to_date(host, "registry:2.8")

    assert (host.plan({}).spec.image, image(host), settled(host)) == ("registry:3", OLD.id, True)


def test_a_tag_that_cannot_be_given_back_is_said(host: Host) -> None:
    host.reporter.yes = False

    class Refusing(FakeEngine):
        """An engine that gives no tag back."""

        def tag(self, image_id: str, reference: str) -> None:
            raise EngineError(f"image {reference}", "read-only")

    world = replace(host.world(), engine=Refusing(host=host.engine.host))
    with pytest.raises(NeedsConfirmation) as caught:
        work.upgrade(host.request({}), world, host.reporter)

    assert caught.value.hint == (
        f"registry:3 still names the new image (image registry:3: read-only): `docker tag {OLD.id} registry:3`"
    )


def test_what_cannot_be_pulled_is_an_error_in_the_registrys_words(host: Host) -> None:
    host.engine.refused["registry:3"] = "toomanyrequests: You have reached your pull rate limit"

    with pytest.raises(ImageError, match="toomanyrequests: You have reached your pull rate limit"):
        up_to_date(host)

    assert (image(host), tagged(host), settled(host)) == (OLD.id, OLD.id, True)


def test_a_pull_that_fails_does_not_touch_a_tag_that_was_moved_before(host: Host) -> None:
    host.engine.images[OLD.id] = host.engine.images["registry:3"]
    host.engine.images["registry:3"] = NEWER  # docker pull, by hand
    host.engine.refused["registry:3"] = "no such host"

    with pytest.raises(ImageError):
        up_to_date(host)

    assert tagged(host) == NEWER.id


def test_an_image_that_was_named_and_is_there_is_used_where_no_pull_is_possible(host: Host) -> None:
    host.engine.images["registry:2.8"] = V2
    host.engine.refused["registry:2.8"] = "dial tcp: no such host"

    done = up_to_date(host, "registry:2.8")

    words = "it could not be pulled, and the one that is there is used: image registry:2.8: dial tcp: no such host"
    assert done.notes == (words,)
    assert (image(host), settled(host)) == (V2.id, True)
    host.engine.refused["registry:9"] = "no such host"
    with pytest.raises(ImageError, match="no such host"):
        up_to_date(host, "registry:9")


@pytest.mark.parametrize("reference", [OLD.repo_digests[0], OLD.id])
def test_a_saved_image_that_never_changes_asks_for_another_name(tmp_path: Path, reference: str) -> None:
    host = Host(tmp_path / "root")
    host.engine.images[OLD.id] = OLD
    host.up({**LOCAL, "image": reference})

    with pytest.raises(UsageError, match=f"--image: is missing: {reference} names one image for good"):
        up_to_date(host)

    assert up_to_date(host, "registry:2.8").planned.spec.image == "registry:2.8"
    assert settled(host)


def test_nothing_deployed_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotDeployed):
        up_to_date(Host(tmp_path / "root"))


def test_a_migration_half_way_is_ended_first(host: Host) -> None:
    noted = Migration(container="f0", name="old", restart_policy="always", source=None)
    (host.root / "secrets/migration.json").write_bytes(noted.to_json())

    with pytest.raises(CheckFailed, match="the registry old is being taken over"):
        up_to_date(host)


def test_dry_run_pulls_nothing(host: Host) -> None:
    writes = list(host.engine.writes)

    found = planned(host)

    assert found.planned.plan.text() == " 1. fetch the image              there may be another registry:3 by now"
    assert (host.engine.writes, tagged(host)) == ([], OLD.id)
    assert writes
    text = planned(host, "registry:2.8").planned.plan.text()
    assert text.splitlines()[0] == " 1. fetch the image              the engine does not have registry:2.8"
    assert text.count("fetch the image") == 1
    assert "the image is to be registry:2.8" in text


# What 3.x serves no more.


@pytest.fixture
def second(tmp_path: Path) -> Host:
    """A host that runs registry:2.8."""
    host = Host(tmp_path / "root")
    host.up({**INTERNAL, "image": "registry:2.8"})
    return host


def schema1(host: Host, *images: str) -> None:
    """Have images of schema 1, by repository and tag; without a tag it is its digest alone."""
    stored = Stored(host.root / "data")
    for number, name in enumerate(images):
        repository, _, tag = name.partition(":")
        value = {**SCHEMA1, "tag": str(number)}
        stored.manifest(repository, value, *((tag,) if tag else ()))


def test_images_of_schema_1_stop_it_with_the_list_and_the_tag_is_as_it_was(second: Host) -> None:
    schema1(second, "old/app:1", "old/app", "b:x")
    Stored(second.root / "data", seed=1).image("new", "1")
    container = second.serving()

    with pytest.raises(CheckFailed) as caught:
        up_to_date(second, "registry:3")

    said = str(caught.value)
    assert said.startswith(
        "schema1: 3.x serves no images of schema 1, and there are 3: b:x, old/app:1, old/app@sha256:"
    )
    assert "--ignore schema1" in caught.value.hint
    assert (second.serving(), settled(second)) == (container, True)
    assert up_to_date(second, "registry:3", ignore=["schema1"]).planned.plan.steps
    assert settled(second)


def test_a_long_list_is_cut_and_counted(second: Host) -> None:
    schema1(second, *(f"app:{number:02}" for number in range(12)))

    with pytest.raises(CheckFailed, match=r"there are 12: app:00, .*, app:09, and 2 more"):
        up_to_date(second, "registry:3")


def test_dry_run_names_them_where_the_image_is_there(second: Host) -> None:
    schema1(second, "app:1")
    second.engine.images["registry:3"] = OLD

    assert planned(second, "registry:3").notes == ("3.x serves no images of schema 1, and there are 1: app:1",)


def test_up_to_another_generation_is_stopped_too(second: Host) -> None:
    schema1(second, "app:1")
    second.engine.images["registry:3"] = OLD

    with pytest.raises(CheckFailed, match="there are 1: app:1"):
        second.up({"image": "registry:3"})

    assert settled(second)


def test_and_where_that_comes_with_the_pull_before_anything_is_stopped(second: Host) -> None:
    schema1(second, "app:1")
    container = second.serving()

    with pytest.raises(ImageError, match=r"registry:3: 3\.x serves no images of schema 1, .* 1: app:1"):
        second.up({"image": "registry:3"})

    assert (second.serving(), settled(second)) == (container, True)
    second.engine.host.images = {name: one for name, one in second.engine.images.items() if one.id != OLD.id}
    operations.up(second.request({"image": "registry:3"}), second.world(), second.reporter, ignore=["Schema1"])
    assert (image(second), settled(second)) == (OLD.id, True)


def test_within_a_generation_nothing_is_looked_for(second: Host) -> None:
    schema1(second, "app:1")
    second.engine.available["registry:2.8"] = V2_PATCH

    up_to_date(second)

    assert (image(second), settled(second)) == (V2_PATCH.id, True)


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("REGISTRY_STORAGE_OSS_BUCKET", "storage: the images lie in oss, and a registry of 3.x has no driver for that"),
        ("REGISTRY_STORAGE_SWIFT_CONTAINER", "storage: the images lie in swift, and a registry of 3.x has no driver"),
    ],
)
def test_a_storage_driver_that_is_gone_stops_it(second: Host, variable: str, words: str) -> None:
    runs_with(second, variable)

    with pytest.raises(CheckFailed, match=words):
        up_to_date(second, "registry:3")


def runs_with(host: Host, variable: str) -> None:
    """Have the container that runs have that variable."""
    container = host.serving()
    assert container is not None
    changed = replace(container, environment={**container.environment, variable: "images"})
    host.engine.host.containers["registry"] = changed


def test_where_the_images_lie_elsewhere_schema_1_is_a_warning(second: Host) -> None:
    runs_with(second, "REGISTRY_STORAGE_S3_BUCKET")

    up_to_date(second, "registry:3")

    said = [check.message for check in second.reporter.checks if check.item == "schema1"]
    assert said == ["the images lie in s3: those of schema 1, should there be any, are not served by 3.x"]


# Killed anywhere.


def sweep(start: Host, run: Callable[[Host], object]) -> Iterator[tuple[int, Host]]:
    """Yield the host after each way to be killed before a write of ``run``, with that write's number."""
    for write in itertools.count(1):
        host = copy_of(start, start.root.parent / f"killed-{write}")
        host.engine.host.broken |= start.engine.host.broken
        killed = True
        with dying_before(write):
            try:
                run(host)
            except Killed:
                pass
            except VerifyFailed:
                killed = False
            else:
                killed = False
        if killed:
            yield write, host
        shutil.rmtree(host.root)
        if not killed:
            return


@pytest.mark.parametrize("name", ["", "registry:2.8"])
def test_killed_before_any_write_up_converges_and_so_does_the_same_call(tmp_path: Path, name: str) -> None:
    host = Host(tmp_path / "root")
    host.up(ACME)
    host.engine.available["registry:3"] = NEWER
    host.image_pushed()
    count = 0
    for write, left in sweep(host, lambda host: up_to_date(host, name)):
        twin = copy_of(left, left.root.parent / "twin")
        left.up({})
        assert settled(left), f"killed before write {write}, then up"
        assert image(left) in (OLD.id, NEWER.id, V2.id)
        up_to_date(twin, name)
        assert (image(twin), settled(twin)) == (V2.id if name else NEWER.id, True), f"before write {write}, then again"
        assert left.image_is_there()
        shutil.rmtree(twin.root)
        count = write
    assert count > 7, "the sweep saw hardly any write: it proves nothing"


def test_killed_while_a_bad_image_is_undone_the_old_one_can_always_be_had_back(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up(INTERNAL)
    host.engine.available["registry:3"] = NEWER
    host.engine.broken[NEWER.id] = ("panic",)
    host.image_pushed()
    count = 0
    for write, left in sweep(host, up_to_date):
        twin = copy_of(left, left.root.parent / "twin")
        twin.engine.host.broken |= left.engine.host.broken
        with pytest.raises(VerifyFailed):  # the same call fails as before, and gives the tag back
            up_to_date(twin)
        twin.up({})
        assert (image(twin), settled(twin)) == (OLD.id, True), f"killed before write {write}, then again and up"
        found = rollback.plan_rollback(left.request({}), left.world(), 1)
        assert isinstance(found, rollback.Rollback)
        rollback.rollback(left.request({}), left.world(), left.reporter, 1)
        assert (image(left), settled(left)) == (OLD.id, True), f"killed before write {write}, then rollback"
        assert left.image_is_there()
        shutil.rmtree(twin.root)
        count = write
    assert count > 7, "the sweep saw hardly any write: it proves nothing"


def test_what_an_edited_file_asks_for_comes_along(host: Host) -> None:
    path = host.root / "regdeploy.toml"
    path.write_text(path.read_text().replace("port = 28443", f"port = {OTHER_PORT}"))

    up_to_date(host)

    assert (host.plan({}).spec.port, settled(host)) == (OTHER_PORT, True)
    assert json.loads((host.root / "history.jsonl").read_text().splitlines()[-1])["spec"]["port"] == OTHER_PORT
