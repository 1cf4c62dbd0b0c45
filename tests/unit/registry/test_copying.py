"""Blobs in several threads, and the order in which a copy gets its name."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from regdeploy.registry.copying import in_parallel
from regdeploy.registry.hashing import Damaged, copy_blob
from regdeploy.registry.transfer import Transfer
from tests.rig.parts.images import digest as digest_of
from tests.stored import Stored

_CALLS: dict[Callable[..., object], str] = {os.fsync: "sync", os.replace: "name", os.unlink: "remove"}


@contextmanager
def calls() -> Iterator[list[str]]:
    """The calls in this thread that make something last, in their order, each once in a row."""
    made: list[str] = []

    def note(_frame: FrameType, event: str, function: object) -> None:
        if event == "c_call" and callable(function) and function in _CALLS and made[-1:] != [_CALLS[function]]:
            made.append(_CALLS[function])

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield made
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize(("move", "order"), [(False, ["sync", "name"]), (True, ["sync", "name", "sync", "remove"])])
def test_a_copy_is_on_the_disk_before_it_has_its_name_and_its_original_goes_last(
    tmp_path: Path, move: bool, order: list[str]
) -> None:
    stored = Stored(tmp_path)
    for _ in range(3):
        stored.blob()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, calls() as made:
        Transfer(tmp_path, Path(folder), move=move).run()
    assert made[: len(order)] == order


def test_a_linked_blob_has_its_name_for_good_before_the_other_one_goes(tmp_path: Path) -> None:
    stored = Stored(tmp_path / "old")
    stored.blob()
    with calls() as made:
        Transfer(tmp_path / "old", tmp_path / "new", move=True).run()
    assert made == ["sync", "remove", "sync"]


def test_link_files_last_when_it_is_over(tmp_path: Path) -> None:
    stored = Stored(tmp_path / "old")
    stored.layer("app")
    with calls() as made:
        Transfer(tmp_path / "old", tmp_path / "new").run()
    assert made == ["name", "sync"]


def test_what_was_done_when_one_fails_counts_and_no_thread_goes_on() -> None:
    begun: list[str] = []
    settled: list[tuple[str, str]] = []
    failed = threading.Event()

    def work(digest: str) -> tuple[str, str]:
        begun.append(digest)
        if digest == "bad":
            failed.set()
            raise OSError(28, "No space left on device")
        assert failed.wait(10)
        time.sleep(0.3)  # after the failure was seen
        return digest, ""

    stop = threading.Event()
    with pytest.raises(OSError, match="No space left"):
        in_parallel(["good", "bad", *map(str, range(100))], work, settled.extend, lambda: None, stop)
    assert stop.is_set()
    assert ("good", "") in settled
    assert {digest for digest, _ in settled} == set(begun) - {"bad"}
    assert len(begun) < 10
    before = len(begun)
    time.sleep(0.1)
    assert len(begun) == before


def test_hashing_can_have_a_thread_of_its_own_and_finds_the_same(tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    (tmp_path / "blob").write_bytes(content)
    names: set[str] = set()
    counted: list[int] = []

    def count(size: int) -> None:
        counted.append(size)
        names.update(thread.name for thread in threading.enumerate())

    def copy(digest: str) -> None:
        stop = threading.Event()
        copy_blob(str(tmp_path / "blob"), str(tmp_path / "copy"), digest, count, stop, beside=True)

    copy(digest_of(content))
    assert (tmp_path / "copy").read_bytes() == content
    assert sum(counted) == len(content)
    assert "hash" in names
    with pytest.raises(Damaged, match="its content has another digest"):
        copy(digest_of(content[1:]))
    assert not (tmp_path / "copy").exists()
    assert "hash" not in {thread.name for thread in threading.enumerate()}


def test_nothing_to_do_is_done_at_once() -> None:
    in_parallel([], lambda digest: (digest, ""), lambda _found: None, lambda: None, threading.Event())
