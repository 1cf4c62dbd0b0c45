"""Reads a blob, checks its digest on the way and writes it elsewhere: at the speed of the disk, in several threads."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from regdeploy.registry.layout import open_to_read
from regdeploy.registry.progress import cancelled_error

_PIECE = 256 * 1024  # stays in a core's own cache between reading, hashing and writing
_AHEAD = 4  # pieces that are read before they are hashed


class Damaged(Exception):  # noqa: N818 - a finding that is passed on, not a failure
    """The blob is not what its name says, or cannot be read: the text says which, and follows "it"."""


class Gone(Exception):  # noqa: N818 - as above
    """The blob was deleted meanwhile."""


class Hasher(Protocol):
    """What hashlib makes."""

    def update(self, data: memoryview, /) -> None: ...  # noqa: D102 - the class says it
    def hexdigest(self) -> str: ...  # noqa: D102


def check_blob(path: str, digest: str, count: Callable[[int], None], stop: threading.Event) -> None:
    """Read the file to its end. Raises Damaged, Gone, and HostError ``host.cancelled`` soon after ``stop`` is set."""
    source = _open(path)
    try:
        _check(source, None, digest, count, stop, beside=False)
    finally:
        os.close(source)


def copy_blob(
    path: str, copy: str, digest: str, count: Callable[[int], None], stop: threading.Event, *, beside: bool = False
) -> None:
    """Copy a blob to the new file ``copy``, with mode 0644 and its time, not synced; one that lies there is replaced.

    With ``beside`` hashing has a thread of its own: quicker for one blob, if no other is copied meanwhile. ``count``
    is called from this thread with the bytes as they are written. Raises Damaged, Gone, HostError ``host.cancelled``
    soon after ``stop`` is set, and OSError where ``copy`` cannot be written: then it is not there.
    """
    source = _open(path)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        sink = os.open(copy, flags, 0o600)
        try:
            _check(source, sink, digest, count, stop, beside=beside)
            os.fchmod(sink, 0o644)
            facts = os.fstat(source)
            os.utime(sink, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
        except BaseException:
            with suppress(OSError):
                os.unlink(copy)  # noqa: PTH108 - as its fellows here
            raise
        finally:
            os.close(sink)
    finally:
        os.close(source)


def _open(path: str) -> int:
    try:
        return open_to_read(path)
    except FileNotFoundError:
        raise Gone from None
    except OSError as error:
        raise Damaged(f"cannot be read: {error.strerror}") from error


def _check(
    source: int,
    sink: int | None,
    digest: str,
    count: Callable[[int], None],
    stop: threading.Event,
    *,
    beside: bool,
) -> None:
    algorithm, _, digits = digest.partition(":")
    hasher = hashlib.new(algorithm)
    if beside:
        _stream_beside(source, sink, hasher, count, stop)
    else:
        _stream(source, sink, hasher.update, count, stop)
    if hasher.hexdigest() != digits:
        raise Damaged("is damaged: its content has another digest")


def _stream(
    source: int,
    sink: int | None,
    update: Callable[[memoryview], None],
    count: Callable[[int], None],
    stop: threading.Event,
) -> None:
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    while size := _read(source, buffer, stop):
        update(view[:size])
        _write(sink, view[:size])
        count(size)


def _stream_beside(
    source: int, sink: int | None, hasher: Hasher, count: Callable[[int], None], stop: threading.Event
) -> None:
    """As ``_stream``, with the hashing in a second thread: both give up Python's lock while they work."""
    free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
    full: queue.SimpleQueue[tuple[bytearray, int] | None] = queue.SimpleQueue()
    for _ in range(_AHEAD):
        free.put(bytearray(_PIECE))

    def hash_all() -> None:
        while (piece := full.get()) is not None:
            hasher.update(memoryview(piece[0])[: piece[1]])
            free.put(piece[0])

    beside = threading.Thread(target=hash_all, name="hash", daemon=True)
    beside.start()
    try:
        while size := _read(source, buffer := free.get(), stop):
            full.put((buffer, size))  # both only read it from here on
            _write(sink, memoryview(buffer)[:size])
            count(size)
    finally:
        full.put(None)
        beside.join()


def _read(source: int, buffer: bytearray, stop: threading.Event) -> int:
    if stop.is_set():
        raise cancelled_error("blobs")
    try:
        return os.readv(source, [buffer])
    except OSError as error:
        raise Damaged(f"cannot be read: {error.strerror}") from error


def _write(sink: int | None, view: memoryview) -> None:
    while sink is not None and view:
        view = view[os.write(sink, view) :]
