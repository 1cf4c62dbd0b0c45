"""What a power cut could undo is synced before it is relied on: seen by the system calls themselves, in their order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from regdeploy.files import append_line, make_folder, switch_link, write_whole

_CALLS: dict[Callable[..., object], str] = {
    os.write: "write",
    os.fchmod: "fchmod",
    os.chmod: "chmod",
    os.fsync: "fsync",
    os.replace: "replace",
    os.symlink: "symlink",
    os.mkdir: "mkdir",
}


@contextmanager
def calls() -> Iterator[list[str]]:
    """The calls of the operating system that change something, as they are made, without replacing any."""
    made: list[str] = []

    def note(_frame: FrameType, event: str, function: object) -> None:
        if event == "c_call" and callable(function) and function in _CALLS:
            made.append(_CALLS[function])

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield made
    finally:
        sys.setprofile(before)


def test_a_file_is_synced_before_it_takes_its_name_and_its_folder_after(tmp_path: Path) -> None:
    with calls() as made:
        write_whole(tmp_path / "file", b"text", 0o600)

    assert made == ["fchmod", "write", "fsync", "replace", "fsync"]


def test_a_link_is_made_aside_and_its_folder_synced(tmp_path: Path) -> None:
    with calls() as made:
        switch_link(tmp_path / "link", "target")

    assert made == ["symlink", "replace", "fsync"]


def test_a_folder_has_its_mode_before_it_is_synced(tmp_path: Path) -> None:
    with calls() as made:
        make_folder(tmp_path / "folder", 0o711)

    assert made == ["mkdir", "chmod", "fsync"]


def test_a_line_is_synced(tmp_path: Path) -> None:
    with calls() as made:
        append_line(tmp_path / "log", "line", 0o600)

    assert made == ["write", "fsync"]
