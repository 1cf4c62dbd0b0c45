"""Death before the n-th write, in this process: files, the fake engine and the fake CA alike.

Killed is raised from an audit hook (PEP 578), so nothing in regdeploy knows of it. A hook cannot be taken away again;
this one does nothing unless :func:`dying_before` is active.
"""

from __future__ import annotations

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
        self.lock = threading.Lock()

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "tests.fakes.write" or is_write(event, arguments):
            with self.lock:
                self.count += 1
                dead = self.last and self.count >= self.last
            if dead:  # and everything after it: the other lane is dead too
                raise Killed(f"before write {self.last}: {event} {arguments[0]}")


_counter = _Counter()
sys.addaudithook(_counter.hook)


@contextmanager
def dying_before(write: int) -> Iterator[_Counter]:
    """Raise Killed at the ``write``-th write and at all after it; with 0 only count them (``.count``)."""
    _counter.count, _counter.last, _counter.active = 0, write, True
    try:
        yield _counter
    finally:
        _counter.active = False
