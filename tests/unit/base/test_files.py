"""Files are written whole or not at all: whatever the umask, whatever is in the way, and killed at any moment."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from regdeploy.errors import HostError
from regdeploy.files import TEMPORARY_PREFIX, append_line, make_folder, refusal, switch_link, sync_folder, write_whole
from tests.unit.tls.ends import as_nobody, file_size_limit, killed_everywhere, open_folder


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


UMASKS = pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])


@UMASKS
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_files_mode_is_the_one_asked_for(mask: int, mode: int, tmp_path: Path) -> None:
    with _umask(mask):
        write_whole(tmp_path / "file", b"content", mode)

    assert _mode(tmp_path / "file") == mode
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_file_that_is_replaced_takes_the_new_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"old", 0o644)
    write_whole(tmp_path / "file", b"", 0o600)

    assert (tmp_path / "file").read_bytes() == b""
    assert _mode(tmp_path / "file") == 0o600
    assert _names(tmp_path) == ["file"]


def test_a_large_file_is_written_to_its_end(tmp_path: Path) -> None:
    data = os.urandom(3_000_001)

    write_whole(tmp_path / "file", data, 0o600)

    assert (tmp_path / "file").read_bytes() == data


def test_a_link_in_place_of_the_file_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "file").symlink_to("elsewhere")

    write_whole(tmp_path / "file", b"content", 0o600)

    assert (tmp_path / "elsewhere").read_text() == "precious"
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_folder_in_place_of_the_file_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()

    with pytest.raises(HostError) as refused:
        write_whole(tmp_path / "file", b"content", 0o600)

    assert str(refused.value) == f"{tmp_path}/file: Is a directory"
    assert _names(tmp_path) == ["file"]


def test_a_file_that_grows_too_large_leaves_the_old_one_and_no_temporary_one(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"old", 0o600)

    with file_size_limit(10), pytest.raises(HostError) as refused:
        write_whole(tmp_path / "file", b"x" * 11, 0o600)

    assert str(refused.value) == f"{tmp_path}/file: File too large"
    assert _names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def _old_or_new(act: Callable[[Path], object], tmp_path: Path) -> set[str]:
    """What is read after a kill at each moment; beside it there may be temporary files and nothing else."""

    def prepared(step: int) -> Path:
        folder = tmp_path / str(step)
        folder.mkdir()
        (folder / "file").write_text("old")
        return folder

    seen = set()
    for folder in killed_everywhere(prepared, act):
        seen.add((folder / "file").read_text())
        beside = [name for name in _names(folder) if name != "file"]
        assert all(name.startswith(TEMPORARY_PREFIX) for name in beside)
        act(folder)
        assert (folder / "file").read_text() == "new content"
    return seen


def test_killed_at_any_moment_a_file_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    seen = _old_or_new(lambda folder: write_whole(folder / "file", b"new content", 0o600), tmp_path)

    assert seen == {"old", "new content"}


def test_a_link_is_switched_as_given(tmp_path: Path) -> None:
    switch_link(tmp_path / "current", "versions/0001")
    switch_link(tmp_path / "current", "versions/0002")

    assert (tmp_path / "current").readlink() == Path("versions/0002")
    assert _names(tmp_path) == ["current"]


def test_killed_at_any_moment_a_link_leads_to_the_old_or_to_the_new(tmp_path: Path) -> None:
    def prepared(step: int) -> Path:
        folder = tmp_path / str(step)
        folder.mkdir()
        (folder / "current").symlink_to("old")
        return folder

    seen = {
        str((folder / "current").readlink())
        for folder in killed_everywhere(prepared, lambda folder: switch_link(folder / "current", "new"))
    }

    assert seen == {"old", "new"}


def test_a_link_cannot_take_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()

    with pytest.raises(HostError) as refused:
        switch_link(tmp_path / "current", "new")

    assert str(refused.value) == f"{tmp_path}/current: Is a directory"
    assert _names(tmp_path) == ["current"]


@UMASKS
def test_a_folders_mode_is_the_one_asked_for_and_its_parents_are_0755(mask: int, tmp_path: Path) -> None:
    with _umask(mask):
        make_folder(tmp_path / "a/b/c", 0o700)

    assert [_mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o755, 0o755, 0o700]


def test_a_folder_that_is_there_keeps_its_mode_and_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o750)
    (tmp_path / "data/blob").write_text("precious")

    make_folder(tmp_path / "data", 0o755)

    assert _mode(tmp_path / "data") == 0o750
    assert (tmp_path / "data/blob").read_text() == "precious"


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    for path in (tmp_path / "data", tmp_path / "data/below"):
        with pytest.raises(HostError) as refused:
            make_folder(path, 0o755)

        assert str(refused.value) == f"{path}: Not a directory"
        assert refused.value.hint == "a file is in the way: move it, or choose another folder with --root"


def test_lines_are_appended_and_the_first_one_makes_the_file(tmp_path: Path) -> None:
    append_line(tmp_path / "log", "one", 0o600)
    append_line(tmp_path / "log", "二", 0o644)

    assert (tmp_path / "log").read_text() == "one\n二\n"
    assert _mode(tmp_path / "log") == 0o600


def test_a_torn_last_line_does_not_take_the_next_one_with_it(tmp_path: Path) -> None:
    (tmp_path / "log").write_text('one\n{"half')

    append_line(tmp_path / "log", "two", 0o600)

    assert (tmp_path / "log").read_text() == 'one\n{"half\ntwo\n'


def test_a_line_is_not_appended_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "log").symlink_to("elsewhere")

    with pytest.raises(HostError) as refused:
        append_line(tmp_path / "log", "one", 0o600)

    assert str(refused.value) == f"{tmp_path}/log: Too many levels of symbolic links"
    assert refused.value.hint == "a symbolic link is in the way: use the real path"
    assert (tmp_path / "elsewhere").read_text() == "precious"


def test_syncing_what_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sync_folder(tmp_path)

    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")


@pytest.mark.parametrize(
    "act",
    [
        lambda folder: write_whole(folder / "file", b"new", 0o600),
        lambda folder: switch_link(folder / "file", "new"),
        lambda folder: make_folder(folder / "file", 0o700),
        lambda folder: append_line(folder / "file", "new", 0o600),
    ],
    ids=["write_whole", "switch_link", "make_folder", "append_line"],
)
def test_who_may_not_write_there_is_told_what_to_do(act: Callable[[Path], object]) -> None:
    with open_folder() as folder:
        with as_nobody(folder), pytest.raises(HostError) as refused:
            act(folder)

        assert str(refused.value) == f"{folder}/file: Permission denied"
        assert refused.value.hint == "run regdeploy as root, or choose a folder of your own with --root"
        assert _names(folder) == []


@pytest.mark.parametrize(
    ("number", "code", "hint"),
    [
        (errno.ENOSPC, "host.full", "free some space on that disk, then run the same command again"),
        (
            errno.EDQUOT,
            "host.full",
            "the disk quota is used up: raise it or free some space, then run the same command again",
        ),
        (
            errno.EROFS,
            "host.files",
            "that disk is mounted read-only: remount it, or choose another folder with --root",
        ),
        (errno.EACCES, "host.files", "run regdeploy as root, or choose a folder of your own with --root"),
        (errno.EPERM, "host.files", "run regdeploy as root, or choose a folder of your own with --root"),
        (errno.ENOTDIR, "host.files", "a file is in the way: move it, or choose another folder with --root"),
        (errno.ELOOP, "host.files", "a symbolic link is in the way: use the real path"),
        (errno.EIO, "host.files", ""),
    ],
)
def test_a_refusal_keeps_the_systems_words_and_says_what_to_do(number: int, code: str, hint: str) -> None:
    error = refusal(Path("/srv/file"), OSError(number, os.strerror(number)))

    assert str(error) == f"/srv/file: {os.strerror(number)}"
    assert (error.code, error.hint, error.exit_status) == (code, hint, 1)


def test_a_refusal_without_a_number_has_its_own_words() -> None:
    assert str(refusal(Path("/srv/file"), OSError("odd"))) == "/srv/file: odd"
