"""How far long work with a registry's data is, and its end before its time."""

from __future__ import annotations

from regdeploy.errors import HostError
from regdeploy.frozen import frozen


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
