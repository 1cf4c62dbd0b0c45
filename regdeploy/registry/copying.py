"""Brings blobs from one registry's folder into another: linked, or copied in parallel with their digests checked.

A blob has its name in the target only once all of it is on the disk: batches are written beside, synced and named.
"""

# ruff: noqa: PTH108 - system calls by their names, on paths that are text

from __future__ import annotations

import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, wait
from contextlib import suppress
from pathlib import Path

from regdeploy.registry.hashing import Damaged, Gone, check_blob, copy_blob
from regdeploy.registry.layout import BLOBS, blob_path, has_holes
from regdeploy.registry.placing import Target
from regdeploy.registry.space import readable
from regdeploy.threads import in_thread

#: What is synced and named at once, in bytes and in blobs: as much is done again after a kill.
BATCH_BYTES = 128 * 1024 * 1024
_BATCH = 256
_LARGE = 16 * 1024 * 1024  # a blob that is larger, and than all others together, has two threads
_WORKERS = max(2, min(4, os.cpu_count() or 1))
_TICK = 0.1  # seconds between two reports
_RETRIES = 2
_YOUNG_NS = 2_000_000_000  # a blob that changed later may still be being written

_Verdict = tuple[str, str]  # a digest, and what is wrong with it or ""


class Brought:
    """What came of it. ``damaged`` are digests with what is wrong; those that were deleted meanwhile are nowhere."""

    def __init__(self) -> None:
        self.linked: dict[str, int] = {}
        self.copied: dict[str, int] = {}
        self.damaged: dict[str, str] = {}


class Copier:
    """Brings blobs from ``source``. Those in ``suspects`` are read before they are linked.

    With ``links`` blobs become further names of the same files where a container's root can read them; with ``move``
    a blob leaves the source once the target has it for good.
    """

    def __init__(self, source: Path, target: Target, *, links: bool, move: bool) -> None:
        self.suspects: Collection[str] = ()
        self._source = source
        self._target = target
        self._links = links
        self._move = move
        self._read_bytes = 0
        self._lock = threading.Lock()
        self._folders = threading.Lock()  # for the target, which remembers the folders that it made

    def links(self, digest: str) -> bool:
        """Whether the blob can have a second name in the target. Raises OSError."""
        return self._links and readable(os.lstat(blob_path(self._source, digest)))

    def lacks(self, digest: str, size: int) -> bool:
        """Whether the target has no such blob, or one of another size, which cannot be right."""
        return self._target.size(place(digest)) != size

    def bring(self, blobs: Mapping[str, int], tick: Callable[[int], None], brought: Brought, *, live: bool) -> None:
        """Bring ``blobs`` (sizes by digest), and add what came of it to ``brought`` as it happens.

        ``tick`` is called in this thread, ten times a second, with the bytes that are done; what it raises ends the
        work. Of a ``live`` source a blob that is just being written is looked at again. Raises OSError. However it
        ends, what was copied by then has its name.
        """
        self._read_bytes = done = 0
        tick(done)
        checked: list[str] = []
        copied: list[str] = []
        for digest, size in blobs.items():
            if self._link(digest, size, brought, checked, copied):
                done += size
                if len(brought.linked) % _BATCH == 0:
                    tick(done)
        try:
            self._check(checked, copied, blobs, lambda: tick(done + self._read_bytes), brought)
            self._copy(copied, blobs, lambda: tick(done + self._read_bytes), brought)
            for _ in range(_RETRIES if live else 0):
                young = [digest for digest in brought.damaged if digest in blobs and self._is_young(digest)]
                if not young:
                    break
                time.sleep(2 * _TICK)
                for digest in young:
                    del brought.damaged[digest]
                self._copy(young, blobs, lambda: tick(done), brought)
        finally:
            if self._move:
                self._remove_linked(brought)

    def _link(self, digest: str, size: int, brought: Brought, checked: list[str], copied: list[str]) -> bool:
        """Link a blob, or add it to those that are to be checked before, or copied; whether it is done."""
        path = blob_path(self._source, digest)
        try:
            facts = os.lstat(path)
        except FileNotFoundError:
            return True
        there = not self.lacks(digest, size)
        if there and not self._move:
            return True
        if there and not os.path.samestat(facts, os.lstat(self._target.path(place(digest)))):
            checked.append(digest)  # before the other one is removed
        elif there:
            brought.linked[digest] = size
        elif not (self._links and stat.S_ISREG(facts.st_mode) and readable(facts)):
            copied.append(digest)
        elif digest in self.suspects or self._is_holed(path, facts):
            checked.append(digest)
        elif self._linked(path, digest):
            brought.linked[digest] = size
        else:
            copied.append(digest)
        return digest in brought.linked

    def _is_holed(self, path: str, facts: os.stat_result) -> bool:
        try:
            return facts.st_blocks * 512 < facts.st_size and has_holes(path, facts.st_size)
        except OSError:
            return True  # which reading it will tell

    def _linked(self, path: str, digest: str) -> bool:
        try:
            self._target.link(path, place(digest))
        except FileNotFoundError:
            return not os.path.lexists(path)
        except OSError:
            return False  # a file system without links, or a file with too many: if it is something else, copying tells
        return True

    def _check(
        self,
        checked: list[str],
        copied: list[str],
        sizes: Mapping[str, int],
        tick: Callable[[], None],
        brought: Brought,
    ) -> None:
        """Read blobs and link them where they are whole; those for which that does not do are added to ``copied``."""
        stop = threading.Event()

        def check(digest: str) -> _Verdict | None:
            there = not self.lacks(digest, sizes[digest])
            path = self._target.path(place(digest)) if there else blob_path(self._source, digest)
            return _verdict(digest, lambda: check_blob(path, digest, self._count, stop))

        def settle(verdicts: Iterable[_Verdict]) -> None:
            for digest, why in verdicts:
                there = not self.lacks(digest, sizes[digest])
                if why and not there:
                    brought.damaged[digest] = why
                elif not why and (there or self._linked(blob_path(self._source, digest), digest)):
                    brought.linked[digest] = sizes[digest]
                else:
                    copied.append(digest)

        in_parallel(checked, check, settle, tick, stop)

    def _copy(
        self, copied: Collection[str], sizes: Mapping[str, int], tick: Callable[[], None], brought: Brought
    ) -> None:
        stop = threading.Event()
        pending: list[str] = []
        total = sum(sizes[digest] for digest in copied)

        def copy(digest: str) -> _Verdict | None:
            path, temporary = blob_path(self._source, digest), self._temporary(digest)
            beside = sizes[digest] > _LARGE and sizes[digest] * _WORKERS > total
            return _verdict(digest, lambda: copy_blob(path, temporary, digest, self._count, stop, beside=beside))

        def settle(verdicts: Iterable[_Verdict]) -> None:
            for digest, why in verdicts:
                if why:
                    brought.damaged[digest] = why
                else:
                    pending.append(digest)
            if len(pending) >= _BATCH or sum(sizes[digest] for digest in pending) >= BATCH_BYTES:
                self._name(pending, sizes, brought)

        try:
            in_parallel(sorted(copied, key=sizes.__getitem__, reverse=True), copy, settle, tick, stop)
        finally:
            self._name(pending, sizes, brought)

    def _name(self, pending: list[str], sizes: Mapping[str, int], brought: Brought) -> None:
        """Give copies their names, once they are on the disk; with ``move`` take the originals away after that."""
        self._target.sync([self._temporary(digest) for digest in pending])
        for digest in pending:
            with self._folders:
                self._target.name(place(digest))
            brought.copied[digest] = sizes[digest]
        if self._move:
            self._target.sync([self._target.path(place(digest)) for digest in pending])
            for digest in pending:
                self._remove(digest)
        pending.clear()

    def _remove_linked(self, brought: Brought) -> None:
        there = [digest for digest in brought.linked if os.path.lexists(blob_path(self._source, digest))]
        self._target.sync([self._target.path(place(digest)) for digest in there])
        for digest in there:
            self._remove(digest)

    def _remove(self, digest: str) -> None:
        """The folder stays, with its owner, for the way back."""
        with suppress(FileNotFoundError):
            os.unlink(blob_path(self._source, digest))

    def _temporary(self, digest: str) -> str:
        with self._folders:
            return self._target.temporary(place(digest))

    def _is_young(self, digest: str) -> bool:
        try:
            return os.lstat(blob_path(self._source, digest)).st_ctime_ns > time.time_ns() - _YOUNG_NS
        except OSError:
            return True  # gone, as the next reading finds out

    def _count(self, size: int) -> None:
        with self._lock:
            self._read_bytes += size


def place(digest: str) -> str:
    """A blob's path below a data folder."""
    algorithm, _, digits = digest.partition(":")
    return f"{BLOBS}/{algorithm}/{digits[:2]}/{digits}/data"


def in_parallel(
    digests: Collection[str],
    work: Callable[[str], _Verdict | None],
    settle: Callable[[list[_Verdict]], None],
    tick: Callable[[], None],
    stop: threading.Event,
) -> None:
    """Do ``work`` for each in a few threads; ``settle`` gets what came of it, and ``tick`` is called, in this one.

    Raises the first that any of them raised; then ``stop`` is set, and what was done until the threads have ended is
    settled first.
    """
    waiting, done = deque(digests), deque[_Verdict]()

    def run() -> None:
        while not stop.is_set():
            try:
                digest = waiting.popleft()
            except IndexError:
                return
            verdict = work(digest)
            if verdict is not None:
                done.append(verdict)

    def drain() -> list[_Verdict]:
        return [done.popleft() for _ in range(len(done))]

    running = {in_thread(run, "copy") for _ in range(min(_WORKERS, len(digests)))}
    try:
        while running:
            finished, running = wait(running, _TICK, FIRST_EXCEPTION)
            settle(drain())
            for future in finished:
                future.result()
            tick()
    except BaseException:
        stop.set()
        wait(running)
        settle(drain())
        raise


def _verdict(digest: str, work: Callable[[], None]) -> _Verdict | None:
    try:
        work()
    except Damaged as damage:
        return digest, str(damage)
    except Gone:
        return None
    return digest, ""
