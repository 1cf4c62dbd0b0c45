"""Brings a registry's data into another folder, while it serves and then, quickly, after it has stopped.

Nothing is written in the source, but with ``move``, which takes away blobs that the target has for good.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal

from regdeploy.files import refusal
from regdeploy.registry.copying import BATCH_BYTES, Brought, Copier, place
from regdeploy.registry.inventory import Inventory, Kind, read_inventory
from regdeploy.registry.layout import BLOBS, blob_path, check_way, open_to_read
from regdeploy.registry.outcome import Damage, DamagedImages, Outcome
from regdeploy.registry.placing import SMALL, Target
from regdeploy.registry.progress import Pace, Progress, never, no_report
from regdeploy.registry.space import BLOCK, BLOCKS_OF_A_LINK, Space, free, refuse_overlap, same_disk, same_mount
from regdeploy.registry.walk import Look, Walk

__all__ = ["Damage", "DamagedImages", "Outcome", "Progress", "Space", "Transfer"]

_SUSPECT = (Kind.UNREADABLE, Kind.SPARSE, Kind.SIZE, Kind.DIGEST)
_ROUNDS = 5  # of a first pass, while more than this comes in each, so that little is left for the second
_MUCH = 16 * 1024 * 1024

_Report = Callable[[Progress], None]


class Transfer:
    """Brings all that the registry in ``source`` stores into ``target``, another data folder, which it makes.

    Blobs are linked where both are on one file system, and copied otherwise, each digest checked on the way; the rest
    is copied. What ``target`` had besides stays. ``damaged`` says what becomes of blobs that are not what their name
    says: ``"stop"`` raises DamagedImages at the end of a pass, when all else is done, ``"leave-out"`` goes on. With
    ``move`` the source must have stopped, and its blobs leave it one by one: a transfer the other way brings them
    back. ``inventory`` is that of the source, for who has it. Raises HostError where one lies within the other's
    images.

    A kill or power cut at any moment leaves whole blobs only; the same again does what is left. One object is for one
    thread. Every method raises HostError: ``host.full`` where the disk is, and what was copied stays;
    ``host.cancelled`` soon after ``cancelled()`` says so.
    """

    def __init__(
        self,
        source: Path,
        target: Path,
        *,
        damaged: Literal["stop", "leave-out"] = "stop",
        move: bool = False,
        inventory: Inventory | None = None,
    ) -> None:
        refuse_overlap(source, target)
        self._source = source
        self._stops = damaged == "stop"
        self._move = move
        self._inventory = inventory
        self._root = target
        self._target = Target(target)
        self._links = same_mount(source / BLOBS, target / BLOBS)
        self._copier = Copier(source, self._target, links=self._links, move=move)
        self._walk: Walk | None = None
        self._our_files: set[str] = set()  # what this object put there
        self._our_blobs: set[str] = set()
        self._grown: dict[str, int] = {}
        self._damages: dict[str, Damage] = {}  # by digest or path
        self._named: dict[str, tuple[str, ...]] = {}
        self._marks: dict[str, tuple[int, int, int]] = {}

    def needs(self) -> Space:
        """What :meth:`run` would write now, and what room there is. Writes nothing."""
        with self._refusals():
            _check(self._source)
            look = Walk(self._source).look()
            copied, linked = [], 0
            for digest, size in look.blobs.items():
                if self._copier.lacks(digest, size):
                    with suppress(FileNotFoundError):  # deleted meanwhile
                        if self._copier.links(digest):
                            linked += size
                        else:
                            copied.append(size)
            small = (len(look.files) + len(look.blobs)) * BLOCKS_OF_A_LINK
            uploads = sum(self._size(path) for path in look.files if _grows(path))
            shared = self._move and same_disk(self._source, self._root)
            needed = min(sum(copied), max(copied, default=0) + BATCH_BYTES) if shared else sum(copied)
            free_bytes, free_files = free(self._root)
        return Space(
            bytes=needed + uploads + small * BLOCK,
            linked_bytes=linked,
            free_bytes=free_bytes,
            links=self._links and not copied,
            files=small,
            free_files=free_files,
        )

    def run(self, report: _Report = no_report, cancelled: Callable[[], bool] = never) -> Outcome:
        """Bring all that is there, while the source serves; what comes meanwhile follows until little is left."""
        with self._refusals():
            outcome = self._pass(report, cancelled, live=not self._move)
            for _ in range(_ROUNDS):
                if outcome.copied_bytes < _MUCH or self._move:
                    break
                more = self._pass(report, cancelled, live=True)
                outcome = outcome + more
                if more.copied_bytes < _MUCH:
                    break
        return self._judged(outcome)

    def catch_up(self, report: _Report = no_report, cancelled: Callable[[], bool] = never) -> Outcome:
        """Bring what changed since this object's :meth:`run`, or all where there was none: the source has stopped.

        What :meth:`run` had put there and the source has no more is removed.
        """
        with self._refusals():
            return self._judged(self._pass(report, cancelled, live=False))

    def _pass(self, report: _Report, cancelled: Callable[[], bool], *, live: bool) -> Outcome:
        try:
            return self._carry(self._look(cancelled), Pace(report, cancelled, self._source), live=live)
        except BaseException:
            self._walk = None  # what it has seen was not all brought
            raise

    def _look(self, cancelled: Callable[[], bool]) -> Look:
        if self._walk is not None:
            return self._walk.look()
        _check(self._source)
        self._target.folder("")
        self._target.tidy()
        self._find_suspects(cancelled)
        self._walk = Walk(self._source)
        look = self._walk.look()
        look.gone = list(self._our_files - self._walk.files)
        look.gone_blobs = list(self._our_blobs - look.blobs.keys())
        return look

    def _find_suspects(self, cancelled: Callable[[], bool]) -> None:
        """Of blobs that are linked only these are read."""
        if self._links:
            inventory = self._inventory or read_inventory(self._source, cancelled=cancelled)
            self._copier.suspects = {one.digest for one in inventory.problems if one.kind in _SUSPECT}

    def _carry(self, look: Look, pace: Pace, *, live: bool) -> Outcome:
        blobs = look.blobs | self._changed_damages()
        pace.total = sum(blobs.values()) + sum(self._size(path) for path in look.files if _grows(path))
        pace.words = "linking images" if self._links else "copying images"
        brought = self._bring(blobs, pace, live=live)
        self._note_damages(brought, look, blobs)
        pace.begin(sum(blobs.values()), "copying tags")
        written = self._put_files(look, pace)
        removed = 0 if self._move else self._remove(look)
        placed = [self._target.path(place(digest)).removesuffix("/data") for digest in brought.linked]
        self._target.sync([*placed, *written])
        pace.end()
        return Outcome(
            linked_files=len(brought.linked),
            linked_bytes=sum(brought.linked.values()),
            copied_files=len(brought.copied),
            copied_bytes=sum(brought.copied.values()) + pace.grown,
            written_files=len(written),
            removed_files=removed,
        )

    def _bring(self, blobs: dict[str, int], pace: Pace, *, live: bool) -> Brought:
        brought = Brought()
        try:
            self._copier.bring(blobs, pace.at, brought, live=live)
        finally:
            self._our_blobs.update(brought.linked, brought.copied)
        return brought

    def _put_files(self, look: Look, pace: Pace) -> list[str]:
        for folder in look.folders:
            self._target.folder(folder)
        written = []
        for path in look.files:
            pace.at()
            if self._put_file(path, pace.grow):
                written.append(self._target.path(path))
                self._our_files.add(path)
        return written

    def _put_file(self, path: str, count: Callable[[int], None]) -> bool:
        """Copy one file; whether there was something to be written."""
        name = f"{self._source}/{path}"
        try:
            origin = open_to_read(name)
        except FileNotFoundError:
            return False  # the next look tells
        except OSError as error:
            self._odd(path, error.strerror or str(error))
            return False
        try:
            facts = os.fstat(origin)
            if facts.st_size > SMALL:
                start = self._grown.get(path, 0)
                end = self._target.put_grown(origin, path, start, count)
                if _grows(path):
                    self._grown[path] = end
                return end != start or not start
            content = os.read(origin, SMALL + 1)
            return self._target.put_small(path, content, facts.st_mtime_ns)
        finally:
            os.close(origin)

    def _remove(self, look: Look) -> int:
        paths = [path for path in look.gone if path in self._our_files]
        digests = [digest for digest in look.gone_blobs if digest in self._our_blobs]
        self._our_files.difference_update(paths)
        self._our_blobs.difference_update(digests)
        for path in look.gone:
            self._grown.pop(path, None)
        still = partial(_is_folder, f"{self._source}/")
        return sum(self._target.remove(path, still) for path in [*paths, *map(place, digests)])

    def _changed_damages(self) -> dict[str, int]:
        """Damaged blobs whose file is not the one that was read: they may be whole now."""
        changed = {}
        for digest, mark in list(self._marks.items()):
            now = self._mark(digest)
            if now != mark:
                del self._marks[digest], self._damages[digest]
                if now is not None:
                    changed[digest] = now[0]
        return changed

    def _note_damages(self, brought: Brought, look: Look, blobs: dict[str, int]) -> None:
        for digest, why in brought.damaged.items():
            mark = self._mark(digest)
            if mark is not None:
                self._marks[digest] = mark
                path = Path(blob_path(self._source, digest))
                self._damages[digest] = Damage(path=path, what=why, digest=digest)
        for digest in blobs.keys() - brought.damaged.keys():
            self._damages.pop(digest, None)
        for place_of_it, why in look.odd.items():
            self._odd(place_of_it, why)

    def _odd(self, path: str, why: str) -> None:
        self._damages[path] = Damage(path=self._source / path, what=f"cannot be brought: {why}")

    def _judged(self, outcome: Outcome) -> Outcome:
        if not self._damages:
            return outcome
        unnamed = [key for key in self._damages if key not in self._named]
        if unnamed:
            inventory = self._inventory or read_inventory(self._source)
            self._named.update((key, inventory.names(self._damages[key].digest)) for key in unnamed)
        damages = tuple(
            Damage(path=one.path, what=one.what, digest=one.digest, names=self._named[key])
            for key, one in self._damages.items()
        )
        if self._stops:
            raise DamagedImages(self._source, damages)
        return outcome + Outcome(damaged=damages)

    def _mark(self, digest: str) -> tuple[int, int, int] | None:
        try:
            facts = os.lstat(blob_path(self._source, digest))
        except OSError:
            return None
        return facts.st_size, facts.st_ctime_ns, facts.st_ino

    def _size(self, path: str) -> int:
        try:
            return os.lstat(f"{self._source}/{path}").st_size
        except OSError:
            return 0

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            refused = refusal(Path(str(error.filename or self._root)), error)
            raise refusal(self._root, error) if refused.code == "host.full" else refused from error


def _check(source: Path) -> None:
    check_way(source)
    with os.scandir(source):
        pass


def _grows(path: str) -> bool:
    return "/_uploads/" in path and path.endswith("/data")


def _is_folder(base: str, path: str) -> bool:
    return os.path.isdir(base + path)  # noqa: PTH112 - the paths are text
