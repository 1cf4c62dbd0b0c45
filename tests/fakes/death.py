"""Death, or a full disk, before the n-th write, in this process: files, the fake engine and the fake CA alike.

Killed is raised from an audit hook (PEP 578), so nothing in regdeploy knows of it. A hook cannot be taken away again;
this one does nothing unless :func:`dying_before` is active.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.fakes.mortal import Killed
from tests.rig.parts.mortal import is_write


class _Counter:
    def __init__(self) -> None:
        self.active = False
        self.count = 0
        self.last = 0
        self.full = False
        self.lock = threading.Lock()

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if self.full:
            self._refuse(event, arguments)
        elif event == "tests.fakes.write" or is_write(event, arguments):
            with self.lock:
                self.count += 1
                dead = self.last and self.count >= self.last
            if dead:  # and everything after it: the other lane is dead too
                raise Killed(f"before write {self.last}: {event} {arguments[0]}")

    def _refuse(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The disk is full from one write on: nothing new fits.

        What is there can be renamed and removed, and written where it has its room.
        """
        new = event == "open" and is_write(event, arguments) and bool(arguments[2] & os.O_CREAT)
        if event in {"os.mkdir", "os.symlink"} or new:
            with self.lock:
                self.count += 1
                full = self.last and self.count >= self.last
            if full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))


_counter = _Counter()
sys.addaudithook(_counter.hook)


@contextmanager
def full_disk_at(write: int) -> Iterator[_Counter]:
    """Answer ENOSPC to the ``write``-th thing that needs room and to all after it; with 0 only count them."""
    _counter.full = True
    try:
        with dying_before(write) as counter:
            yield counter
    finally:
        _counter.full = False


@contextmanager
def dying_before(write: int) -> Iterator[_Counter]:
    """Raise Killed at the ``write``-th write and at all after it; with 0 only count them (``.count``)."""
    _counter.count, _counter.last, _counter.active = 0, write, True
    try:
        yield _counter
    finally:
        _counter.active = False
