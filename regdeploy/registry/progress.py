"""How far long work with a registry's data is, and its end before its time."""

from __future__ import annotations

import time
from collections.abc import Callable

from regdeploy.errors import HostError
from regdeploy.frozen import frozen

_TICK = 0.1  # seconds between two reports


@frozen
class Progress:
    """``words`` say what is being done; ``total_bytes`` is 0 where nobody knows it."""

    words: str
    done_bytes: int = 0
    total_bytes: int = 0


def no_report(_progress: Progress) -> None:
    """Tell nobody."""


def never() -> bool:
    """Go on to the end."""
    return False


def cancelled_error(where: object) -> HostError:
    """The error that work ends with when it was told to: what was done stays."""
    return HostError(str(where), "cancelled", "run the same command again: it goes on from here", code="host.cancelled")


class Pace:
    """Tells how far one pass is, ten times a second at most, and ends it when it is to end."""

    def __init__(self, report: Callable[[Progress], None], cancelled: Callable[[], bool], where: object) -> None:
        self.words = ""
        self.total = 0
        self.grown = 0
        self._done = 0
        self._report = report
        self._cancelled = cancelled
        self._where = where
        self._next = 0.0

    def begin(self, done: int, words: str) -> None:
        """From here on it is about something else; ``done`` bytes came before it."""
        self._done = done
        self.words = words

    def at(self, done: int | None = None) -> None:
        """So many bytes are done, or as many as before."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _TICK
            if self._cancelled():
                raise cancelled_error(self._where)
            self._tell(self._done + self.grown if done is None else done)

    def end(self) -> None:
        """All of it is done."""
        self._tell(self.total)

    def _tell(self, done: int) -> None:
        self._report(Progress(words=self.words, done_bytes=min(done, self.total), total_bytes=self.total))

    def grow(self, size: int) -> None:
        """So many bytes more are done."""
        self.grown += size
        self.at()
