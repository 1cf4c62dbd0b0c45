"""A registry's data in another folder: all of it, once it has stopped, and nothing of the old one touched."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regdeploy.errors import HostError
from regdeploy.registry.inventory import differences, read_inventory
from regdeploy.registry.layout import is_digest
from regdeploy.registry.transfer import DamagedImages, Progress, Transfer
from tests.fakes.death import dying_before, full_disk_at
from tests.fakes.mortal import Killed
from tests.rig.parts.images import digest as digest_of
from tests.stored import Stored, tree

MEMORY = Path("/dev/shm")  # another file system than the temporary folder's


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """A registry's folder with some of everything."""
    made = Stored(tmp_path / "old")
    images = [made.image("team/app", tag, layers=2, size=3000) for tag in ("1", "2")]
    made.index("team/app", images, "all", "latest")
    referrer = {"layers": [made.described(made.layer("team/app"))], "subject": made.described(images[0])}
    made.manifest("team/app", referrer)
    made.image("five/levels/of/names/here", "1", layers=0)
    made.repository("emptied/_manifests/tags").mkdir(parents=True)
    made.repository("emptied/_layers/sha256").mkdir(parents=True)
    made.link("team/app/_layers", f"sha256:{'0' * 64}")  # left over
    made.blob()
    made.upload("team/app", "some-uuid", b"x" * 200_000)
    made.write(made.data / "scheduler-state.json", b"{}")
    return made


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="regdeploy-test-") as folder:
        yield Path(folder) / "new"


@pytest.fixture(params=["linked", "copied"])
def target(request: pytest.FixtureRequest, tmp_path: Path, elsewhere: Path) -> Path:
    if request.param == "linked":
        return tmp_path / "new"
    assert elsewhere.parent.stat().st_dev != tmp_path.stat().st_dev
    return elsewhere


def contents(folder: Path) -> dict[str, object]:
    """What every file of a registry's folder holds, by its path."""
    return {path: facts[-1] for path, facts in tree(folder).items() if facts[-1]}


def holds_whole_blobs_only(target: Path) -> bool:
    blobs = [path for path in target.rglob("data") if "_uploads" not in path.parts]
    return all(digest_of(path.read_bytes()) == f"sha256:{path.parent.name}" for path in blobs)


def test_all_of_it_is_in_the_target_and_the_source_is_as_it_was(stored: Stored, target: Path) -> None:
    before = tree(stored.data)
    outcome = Transfer(stored.data, target).run()
    assert contents(target) == contents(stored.data)
    assert differences(read_inventory(stored.data), read_inventory(target)) == ()
    assert (target / "docker/registry/v2/repositories/emptied/_layers").is_dir()
    assert tree(stored.data) == before
    blobs = read_inventory(stored.data).blobs
    assert outcome.linked_files + outcome.copied_files == len(blobs)
    assert outcome.linked_bytes + outcome.copied_bytes == sum(blobs.values()) + 200_000
    assert outcome.damaged == ()


def test_blobs_are_linked_on_one_file_system_and_nothing_else_is(stored: Stored, tmp_path: Path) -> None:
    Transfer(stored.data, tmp_path / "new").run()
    for path in (tmp_path / "new").rglob("*"):
        old = stored.data / path.relative_to(tmp_path / "new")
        if path.is_file():
            assert path.samefile(old) == (path.parent.parent.parent.parent.name == "blobs"), path


def test_folders_and_copies_are_ours_whatever_the_umask_and_keep_their_time(stored: Stored, elsewhere: Path) -> None:
    for path in stored.data.rglob("*"):
        path.chmod(0o770 if path.is_dir() else 0o604)
    before = os.umask(0o077)
    try:
        Transfer(stored.data, elsewhere).run()
    finally:
        os.umask(before)
    modes = {(path.is_dir(), path.stat().st_mode & 0o7777) for path in elsewhere.rglob("*")}
    assert modes == {(True, 0o755), (False, 0o644)}
    blob = next(path for path in (stored.top / "blobs").rglob("data"))
    assert (elsewhere / blob.relative_to(stored.data)).stat().st_mtime_ns == blob.stat().st_mtime_ns


def test_the_second_pass_brings_what_came_and_takes_away_what_went(stored: Stored, target: Path) -> None:
    transfer = Transfer(stored.data, target)
    transfer.run()
    stored.image("team/app", "3", layers=1)
    stored.image("new/one", "1")
    stored.tag("team/app", "latest", read_inventory(stored.data).repositories["team/app"].tags["1"])
    shutil.rmtree(stored.repository("team/app/_manifests/tags/2"))
    shutil.rmtree(stored.repository("five"))
    shutil.rmtree(stored.repository("team/app/_uploads/some-uuid"))
    orphan = next(iter(read_inventory(stored.data).blobs))
    shutil.rmtree(stored.path(orphan).parent)
    before = tree(stored.data)

    outcome = transfer.catch_up()

    assert contents(target) == contents(stored.data)
    assert differences(read_inventory(stored.data), read_inventory(target)) == ()
    repositories = target / "docker/registry/v2/repositories"
    assert not (repositories / "five").exists(), "an empty folder would be listed"
    assert not (repositories / "team/app/_manifests/tags/2").exists()
    assert tree(stored.data) == before
    assert outcome.removed_files == 2 + (1 + 1 + 2) + 3 + 1  # the tag, the repository, the push, the blob


def test_a_second_pass_without_a_first_brings_all(stored: Stored, target: Path) -> None:
    Transfer(stored.data, target).catch_up()
    assert contents(target) == contents(stored.data)


def test_what_the_target_had_before_stays(stored: Stored, target: Path) -> None:
    here = Stored(target, seed=7)
    here.image("team/app", "2", "own")
    here.image("of/its/own", "1")
    shared = stored.layer("team/app")
    here.layer("team/app", stored.path(shared).read_bytes())
    transfer = Transfer(stored.data, target)
    transfer.run()
    (stored.repository("team/app/_layers") / shared.replace(":", "/") / "link").unlink()
    shutil.rmtree(stored.path(shared).parent)
    transfer.catch_up()
    old, new = read_inventory(stored.data), read_inventory(target)
    assert new.repositories["team/app"].tags["2"] == old.repositories["team/app"].tags["2"], "the source's"
    assert set(new.repositories["team/app"].tags) == {*old.repositories["team/app"].tags, "own"}
    assert "of/its/own" in new.repositories
    assert shared in new.repositories["team/app"].layers, "this was there before the transfer"
    assert shared in new.blobs


def test_a_repository_that_was_emptied_meanwhile_is_still_one(stored: Stored, target: Path) -> None:
    transfer = Transfer(stored.data, target)
    transfer.run()
    for link in stored.repository("five").rglob("link"):
        link.unlink()
    for folder in stored.repository("five/levels/of/names/here/_manifests/tags").iterdir():
        shutil.rmtree(folder)
    transfer.catch_up()
    here = target / "docker/registry/v2/repositories/five/levels/of/names/here"
    assert list((here / "_manifests/tags").iterdir()) == []
    assert (here / "_layers").is_dir()
    assert read_inventory(target).repositories["five/levels/of/names/here"].tags == {}


def test_a_blob_of_another_size_in_the_target_is_replaced(stored: Stored, target: Path) -> None:
    digest = stored.blob(size=1000)
    spoiled = Stored(target).write(Stored(target).path(digest), b"short")
    with spoiled.open("rb") as open_one:
        Transfer(stored.data, target).run()
        assert open_one.read() == b"short", "who has it open keeps it"
    assert spoiled.read_bytes() == stored.path(digest).read_bytes()
    assert spoiled.samefile(stored.path(digest)) == (target.parent == stored.data.parent)


def test_what_a_killed_run_left_half_written_goes(stored: Stored, target: Path) -> None:
    Stored(target).write(Stored(target).path(stored.blob()).with_name(".regdeploy-data"), b"half")
    Stored(target).write(Stored(target).repository("gone/_layers/.regdeploy-link"), b"half")
    Transfer(stored.data, target).run()
    assert not list(target.rglob(".regdeploy-*"))


def test_it_can_be_run_again_and_finds_nothing_to_do(stored: Stored, target: Path) -> None:
    Transfer(stored.data, target).run()
    before = tree(target)
    outcome = Transfer(stored.data, target).run()
    assert (outcome.linked_files, outcome.copied_files, outcome.written_files) == (0, 0, 1)  # the push under way
    assert {path: facts for path, facts in tree(target).items() if "_uploads" not in path} == {
        path: facts for path, facts in before.items() if "_uploads" not in path
    }


def test_a_push_goes_on_where_it_was_and_only_the_rest_is_copied(stored: Stored, target: Path) -> None:
    path = stored.repository("team/app/_uploads/some-uuid/data")
    copy = target / path.relative_to(stored.data)
    transfer = Transfer(stored.data, target)
    transfer.run()
    inode = copy.stat().st_ino
    with path.open("ab") as data:
        data.write(b"y" * 1000)
    assert transfer.catch_up().copied_bytes == 1000
    assert copy.read_bytes() == path.read_bytes()
    assert copy.stat().st_ino == inode
    path.unlink()
    path.write_bytes(b"z" * 300_000)  # another one under the same name
    transfer.catch_up()
    assert copy.read_bytes() == path.read_bytes()
    for kept, added in ((7, b""), (None, b"longer" * 100)):
        copy.write_bytes(copy.read_bytes()[:kept] + added)
        with path.open("ab") as data:
            data.write(b"end")
        transfer.catch_up()
        assert copy.read_bytes() == path.read_bytes()


def test_a_tag_written_in_place_at_once_is_not_missed(stored: Stored, target: Path) -> None:
    transfer = Transfer(stored.data, target)
    link = stored.repository("team/app/_manifests/tags/1/current/link")
    copy = target / link.relative_to(stored.data)
    for number in range(20):
        link.write_text(f"sha256:{number:064}")
        transfer.run()
        assert copy.read_text() == link.read_text()


def test_a_large_blob_is_copied_and_checked_in_two_threads(stored: Stored, elsewhere: Path) -> None:
    digest = stored.blob(size=40_000_001)  # larger than all others together
    Transfer(stored.data, elsewhere).run()
    assert Stored(elsewhere).path(digest).read_bytes() == stored.path(digest).read_bytes()
    shutil.rmtree(elsewhere)
    with stored.path(digest).open("r+b") as data:
        data.seek(39_999_999)
        data.write(b"\0\0")
    outcome = Transfer(stored.data, elsewhere, damaged="leave-out").run()
    assert [one.digest for one in outcome.damaged] == [digest]
    assert not Stored(elsewhere).path(digest).exists()


def test_a_blob_of_another_algorithm_is_checked_by_it(stored: Stored, elsewhere: Path) -> None:
    good, bad = f"sha512:{hashlib.sha512(b'').hexdigest()}", f"sha384:{'0' * 96}"
    for digest in (good, bad):
        stored.write(stored.path(digest), b"")
    outcome = Transfer(stored.data, elsewhere, damaged="leave-out").run()
    assert [one.digest for one in outcome.damaged] == [bad]
    assert Stored(elsewhere).path(good).read_bytes() == b""


def test_what_is_copied_has_its_name_after_a_while_and_not_only_at_the_end(tmp_path: Path, elsewhere: Path) -> None:
    stored = Stored(tmp_path / "old")
    for number in range(4000):
        stored.blob(number.to_bytes(2))
    seen = set()
    Transfer(stored.data, elsewhere).run(lambda _progress: seen.add(len(list(elsewhere.rglob("data")))))
    assert 256 <= min(seen - {0}) < 4000


# What is damaged


def _other_content(stored: Stored, digest: str) -> None:
    path = stored.path(digest)
    path.write_bytes(bytes(path.stat().st_size))


def _cut_short(stored: Stored, digest: str) -> None:
    os.truncate(stored.path(digest), 100)


def _sparse(stored: Stored, digest: str) -> None:
    os.truncate(stored.path(digest), 0)
    os.truncate(stored.path(digest), 3000)


def _damage(stored: Stored, act: Callable[[Stored, str], None]) -> str:
    inventory = read_inventory(stored.data)
    image = inventory.repositories["team/app"].tags["1"]
    digest = inventory.repositories["team/app"].manifests[image].blobs[1]
    act(stored, digest)
    return digest


@pytest.mark.parametrize("act", [_cut_short, _sparse, _other_content])
def test_a_damaged_blob_stops_it_when_all_else_is_done_and_is_named(
    stored: Stored, elsewhere: Path, act: Callable[[Stored, str], None]
) -> None:
    digest = _damage(stored, act)
    transfer = Transfer(stored.data, elsewhere)
    for attempt in (transfer.run, transfer.catch_up, Transfer(stored.data, elsewhere).run):
        with pytest.raises(DamagedImages) as caught:
            attempt()
        assert str(caught.value) == (
            f"{stored.data}: 1 damaged: {stored.path(digest)} is damaged: its content has another digest"
            " (part of team/app:1, team/app:all, team/app:latest)"
        )
        assert caught.value.hint == "push these images again, or go on without what is damaged: --leave-damaged"
        assert caught.value.code == "registry.damaged"
        assert [one.digest for one in caught.value.damages] == [digest]
    lacking = {str(stored.path(digest).relative_to(stored.data))}
    assert set(contents(elsewhere)) == set(contents(stored.data)) - lacking


@pytest.mark.parametrize("act", [_cut_short, _sparse])
def test_a_suspicious_blob_is_read_before_it_is_linked(
    stored: Stored, tmp_path: Path, act: Callable[[Stored, str], None]
) -> None:
    digest = _damage(stored, act)
    outcome = Transfer(stored.data, tmp_path / "new", damaged="leave-out").run()
    assert [one.digest for one in outcome.damaged] == [digest]
    assert not Stored(tmp_path / "new").path(digest).exists()


def test_a_blob_with_holes_that_came_last_is_read_before_it_is_linked(stored: Stored, tmp_path: Path) -> None:
    transfer = Transfer(stored.data, tmp_path / "new", damaged="leave-out")
    transfer.run()
    digest = stored.blob(size=3000)
    _sparse(stored, digest)
    assert [one.digest for one in transfer.catch_up().damaged] == [digest]
    assert not Stored(tmp_path / "new").path(digest).exists()


def test_a_damaged_manifest_is_not_linked(stored: Stored, tmp_path: Path) -> None:
    digest = read_inventory(stored.data).repositories["team/app"].tags["1"]
    _other_content(stored, digest)
    outcome = Transfer(stored.data, tmp_path / "new", damaged="leave-out").run()
    assert [one.digest for one in outcome.damaged] == [digest]


def test_a_blob_with_holes_that_is_whole_is_brought(stored: Stored, target: Path) -> None:
    digest = stored.blob(bytes(1_000_000))
    stored.path(digest).unlink()
    stored.path(digest).touch()
    os.truncate(stored.path(digest), 1_000_000)
    assert Transfer(stored.data, target).run().damaged == ()
    assert Stored(target).path(digest).read_bytes() == bytes(1_000_000)


def test_a_manifest_that_says_another_size_than_a_whole_blob_has_stops_nothing(stored: Stored, target: Path) -> None:
    digest = stored.layer("team/app")
    stored.manifest("team/app", {"layers": [{"digest": digest, "size": 5}]}, "wrong")
    assert Transfer(stored.data, target).run().damaged == ()
    assert Stored(target).path(digest).exists()


def test_a_damaged_blob_that_is_pushed_again_is_brought_by_the_second_pass(stored: Stored, target: Path) -> None:
    whole = stored.blob(size=3000)
    content = stored.path(whole).read_bytes()
    stored.manifest("team/app", {"layers": [{"digest": whole, "size": 3000}]}, "again")
    _cut_short(stored, whole)
    transfer = Transfer(stored.data, target, damaged="leave-out")
    assert [one.digest for one in transfer.run().damaged] == [whole]
    assert [one.digest for one in transfer.catch_up().damaged] == [whole]
    stored.path(whole).write_bytes(content)
    assert transfer.catch_up().damaged == ()
    assert Stored(target).path(whole).read_bytes() == content


def test_links_and_strange_things_in_the_tree_are_damage_too(stored: Stored, target: Path) -> None:
    link = stored.top / "repositories/elsewhere"
    link.symlink_to("/etc")
    blob = stored.path(stored.blob())
    blob.unlink()
    blob.mkdir()
    fifo = stored.repository("team/app/_layers/sha256/fifo")
    os.mkfifo(fifo)
    outcome = Transfer(stored.data, target, damaged="leave-out").run()
    assert {one.words for one in outcome.damaged} == {
        f"{link} cannot be brought: is a symbolic link",
        f"{blob} cannot be brought: is no regular file",
    }
    assert not (target / "docker/registry/v2/repositories/elsewhere").exists()


def test_many_damages_are_counted(stored: Stored, elsewhere: Path) -> None:
    for number in range(12):
        stored.path(stored.blob(size=100 + number)).write_bytes(b"")
    with pytest.raises(DamagedImages, match=r"^\S+: 12 damaged: .*; and 2 more$") as caught:
        Transfer(stored.data, elsewhere).run()
    assert len(caught.value.damages) == 12


# What is asked before, said meanwhile, and refused


def test_what_is_needed_is_known_before_and_nothing_is_written_for_it(stored: Stored, target: Path) -> None:
    before = tree(stored.data)
    space = Transfer(stored.data, target).needs()
    assert not target.exists()
    assert tree(stored.data) == before
    blobs = sum(read_inventory(stored.data).blobs.values())
    links = target.parent.stat().st_dev == stored.data.stat().st_dev
    assert space.links == links
    assert space.linked_bytes == (blobs if links else 0)
    Transfer(stored.data, target).run()
    used = sum(path.lstat().st_blocks * 512 for path in target.rglob("*") if links <= ("blobs" not in path.parts))
    assert used * 0.5 < space.bytes < used * 3
    found = os.statvfs(target)
    assert abs(space.free_bytes - found.f_bavail * found.f_frsize) < 1e9
    assert space.missing_bytes == 0
    assert Transfer(stored.data, target).needs().linked_bytes == 0, "it is there"


def test_what_does_not_fit_is_told() -> None:
    from regdeploy.registry.space import Space  # noqa: PLC0415 - beside what it is about

    space = Space(bytes=10, linked_bytes=0, free_bytes=7, links=False, files=5, free_files=2)
    assert (space.missing_bytes, space.missing_files) == (3, 3)
    assert Space(bytes=1, linked_bytes=0, free_bytes=7, links=False, files=5, free_files=None).missing_files == 0


def test_progress_is_told_in_bytes_that_grow_to_the_total(stored: Stored, elsewhere: Path) -> None:
    said: list[Progress] = []
    Transfer(stored.data, elsewhere).run(said.append)
    total = sum(read_inventory(stored.data).blobs.values()) + 200_000
    assert {one.total_bytes for one in said} == {total}
    done = [one.done_bytes for one in said]
    assert done == sorted(done)
    assert done[-1] == total
    assert (said[0].words, said[-1].words) == ("copying images", "copying tags")
    assert said[0].done_bytes < total


def test_it_ends_when_told_to_and_goes_on_later(stored: Stored, target: Path) -> None:
    transfer = Transfer(stored.data, target)
    with pytest.raises(HostError, match="cancelled") as caught:
        transfer.run(cancelled=lambda: True)
    assert caught.value.code == "host.cancelled"
    assert list(target.iterdir()) == []
    transfer.run()
    assert contents(target) == contents(stored.data)
    stored.image("team/app", "3")
    shutil.rmtree(stored.repository("team/app/_manifests/tags/2"))
    with pytest.raises(HostError, match="cancelled"):
        transfer.catch_up(cancelled=lambda: True)
    transfer.catch_up()
    assert contents(target) == contents(stored.data)


@pytest.mark.parametrize("inside", ["data", "certs/deeper"])
def test_a_target_inside_the_source_is_no_part_of_it(stored: Stored, inside: str) -> None:
    before = contents(stored.data)
    target = stored.data / inside
    transfer = Transfer(stored.data, target)
    transfer.run()
    transfer.catch_up()
    assert contents(target) == before


def test_a_source_inside_the_target_works_too(tmp_path: Path) -> None:
    source = Stored(tmp_path / "old")
    source.image("app", "1")
    Transfer(source.data, tmp_path).run()
    assert differences(read_inventory(source.data), read_inventory(tmp_path)) == ()


def test_images_within_images_are_refused(stored: Stored, tmp_path: Path) -> None:
    for source, target in (
        (stored.data, stored.top / "repositories/new"),
        (stored.data, stored.top),
        (stored.repository("team"), stored.data),
    ):
        with pytest.raises(HostError, match=f"lies within the images of {stored.data}"):
            Transfer(source, target)
    (tmp_path / "same").symlink_to(stored.data)
    for same in (stored.data, tmp_path / "same"):
        with pytest.raises(HostError, match="is the same folder as") as caught:
            Transfer(stored.data, same)
        assert caught.value.code == "host.same"


def test_a_source_that_is_not_there_is_refused_and_an_empty_one_is_not(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="No such file or directory"):
        Transfer(tmp_path / "none", tmp_path / "new").run()
    (tmp_path / "empty").mkdir()
    Transfer(tmp_path / "empty", tmp_path / "new").run()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_symbolic_link_in_the_target_is_not_written_through(stored: Stored, tmp_path: Path) -> None:
    (tmp_path / "new/docker/registry").mkdir(parents=True)
    (tmp_path / "victim").mkdir()
    (tmp_path / "new/docker/registry/v2").symlink_to(tmp_path / "victim")
    with pytest.raises(HostError):
        Transfer(stored.data, tmp_path / "new").run()
    assert list((tmp_path / "victim").iterdir()) == []


# Where there is no room for two


def test_moved_blobs_leave_the_source_and_come_back_the_other_way(stored: Stored, target: Path) -> None:
    before = contents(stored.data)
    inventory = read_inventory(stored.data)
    transfer = Transfer(stored.data, target, move=True)
    transfer.run()
    transfer.catch_up()
    assert contents(target) == before
    left = {path for path in contents(stored.data) if "/blobs/" in path}
    assert left == set()
    Transfer(target, stored.data, move=True).run()
    assert contents(stored.data) == before
    assert differences(inventory, read_inventory(stored.data)) == ()


def test_a_moved_blob_that_is_damaged_stays(stored: Stored, target: Path) -> None:
    digest = _damage(stored, _cut_short)
    Transfer(stored.data, target, move=True, damaged="leave-out").run()
    assert {path for path in contents(stored.data) if "/blobs/" in path} == {
        str(stored.path(digest).relative_to(stored.data))
    }


def test_a_copy_that_was_there_is_read_before_the_original_is_removed(stored: Stored, elsewhere: Path) -> None:
    good, bad = stored.blob(size=1000), stored.blob(size=1000)
    content = stored.path(bad).read_bytes()
    there = Stored(elsewhere)
    there.blob(stored.path(good).read_bytes())
    there.write(there.path(bad), bytes(1000))
    Transfer(stored.data, elsewhere, move=True).run()
    assert there.path(bad).read_bytes() == content
    assert not stored.path(good).exists()
    assert not stored.path(bad).exists()


# Death at any moment


def _everything(stored: Stored, target: Path, move: bool) -> dict[str, object]:
    """What source and target hold together, apart from what is half written."""
    both = contents(target) | contents(stored.data) if move else contents(stored.data)
    return {path: content for path, content in both.items() if not Path(path).name.startswith(".regdeploy-")}


@pytest.mark.parametrize("move", [False, True])
def test_killed_before_any_write_it_leaves_whole_blobs_and_does_the_rest_later(
    stored: Stored, tmp_path: Path, target: Path, move: bool
) -> None:
    original = contents(stored.data)
    pristine = tmp_path / "pristine"
    shutil.copytree(stored.data, pristine)

    def begin() -> None:
        shutil.rmtree(target, ignore_errors=True)
        shutil.rmtree(stored.data)
        shutil.copytree(pristine, stored.data)

    with dying_before(0) as counter:
        Transfer(stored.data, target, move=move).run()
        writes = counter.count
    assert writes > 100
    for write in range(1, writes + 1, 7):
        begin()
        with dying_before(write), pytest.raises(Killed):
            Transfer(stored.data, target, move=move).run()
        assert holds_whole_blobs_only(target), write
        assert _everything(stored, target, move) == original, write
        Transfer(stored.data, target, move=move).run()
        assert contents(target) == original, write


def test_a_disk_that_is_full_is_told_and_what_was_copied_stays(stored: Stored, elsewhere: Path) -> None:
    with full_disk_at(0) as counter:
        Transfer(stored.data, elsewhere).run()
        needs = counter.count
    shutil.rmtree(elsewhere)
    for write in range(1, needs + 1, 5):
        with full_disk_at(write), pytest.raises(HostError) as caught:
            Transfer(stored.data, elsewhere).run()
        assert (caught.value.code, caught.value.where) == ("host.full", str(elsewhere))
        assert holds_whole_blobs_only(elsewhere)
        assert not [path for path in elsewhere.rglob(".regdeploy-*") if "blobs" in path.parts], write
        shutil.rmtree(elsewhere, ignore_errors=True)
    with full_disk_at(needs // 3), pytest.raises(HostError):
        Transfer(stored.data, elsewhere).run()
    copied = [path for path in elsewhere.rglob("data") if is_digest(f"sha256:{path.parent.name}")]
    assert copied
    outcome = Transfer(stored.data, elsewhere).run()
    assert outcome.copied_files == len(read_inventory(stored.data).blobs) - len(copied)
    assert contents(elsewhere) == contents(stored.data)
