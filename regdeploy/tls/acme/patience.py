"""How long an order may take, when to look again, and how it ends at once when nobody wants it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from typing import TypeVar

from regdeploy.errors import AcmeError
from regdeploy.threads import in_thread

T = TypeVar("T")

_NOTICE = 0.05  # a cancelled order ends within this
_GRACE = 5.0  # for a last look after the deadline; what takes longer hangs in the resolver
_FIRST_LOOK, _LONGEST_PAUSE, _GROWTH = 0.005, 2.0, 1.6  # a CA nearby is done in 5 ms; 11 looks in the first second


class Patience:
    """The time that is left, in seconds, of ``seconds`` from now, unless ``cancel`` is set."""

    def __init__(self, seconds: float, cancel: threading.Event) -> None:
        self.seconds = seconds
        self._until = time.monotonic() + seconds
        self._cancel = cancel

    @property
    def left(self) -> float:
        """Seconds until the deadline, negative after it."""
        return self._until - time.monotonic()

    def check(self) -> None:
        """Raise AcmeError ``acme.cancelled`` when nobody wants the certificate any more."""
        if self._cancel.is_set():
            raise AcmeError(
                "certificate", "cancelled: the order is left to the CA, which forgets it", problem="cancelled"
            )

    def sleep(self, seconds: float) -> None:
        """Sleep, though not beyond the deadline. Raises AcmeError at once when cancelled."""
        self._cancel.wait(max(0.0, min(seconds, self.left)))
        self.check()

    def run_out(self, where: str, what: str) -> AcmeError:
        """The error for what has not come in time."""
        return AcmeError(
            where,
            f"{what} within {self.seconds:.0f} s",
            "run the same command again later; the CA's status page may say what is wrong",
        )


class Pace:
    """When to look at the CA again: soon, then ever later up to 2 s, and never before the moment that it named."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._pause = _FIRST_LOOK

    def wait(self, asked: float | None, where: str, what: str) -> None:
        """Wait for the next look; ``asked`` is the CA's Retry-After in seconds.

        The deadline bounds it, and one look is made there. Raises AcmeError with ``where`` and ``what`` after that, or
        when cancelled.
        """
        if self._patience.left <= 0:
            raise self._patience.run_out(where, what)
        self._patience.sleep(max(self._pause, asked or 0.0))
        self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE)


def supervised(work: Callable[[], T], patience: Patience, where: str) -> T:
    """Return what ``work`` returns or raise what it raises, or AcmeError at once when cancelled or long overdue.

    It runs in a thread of its own, because nothing interrupts a system call such as a look-up or a read; when it is
    given up, it ends by itself, with its request.
    """
    future = in_thread(work, "acme")
    while not wait([future], timeout=_NOTICE).done:
        patience.check()
        if patience.left < -_GRACE:
            raise patience.run_out(where, "no answer")
    return future.result()
