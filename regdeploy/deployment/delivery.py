"""What webhook and mail share: a bound in time, a secret from a file, and words for what went wrong. Never a secret."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from regdeploy.errors import HostError
from regdeploy.files import refusal
from regdeploy.secret import Secret
from regdeploy.threads import in_thread

T = TypeVar("T")

_LONGEST = 200  # characters of what a server says


def within(seconds: float, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, or TimeoutError: in a thread, because nothing interrupts a look-up of a name."""
    return in_thread(work, "notify").result(seconds)


def read_secret(path: Path) -> Secret:
    """The one line of ``path``, without blanks around it. Raises HostError where it is not that."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise refusal(path, error) from error
    except UnicodeDecodeError as error:
        raise HostError(str(path), "is not text", code="host.files") from error
    if not (text.isascii() and text.isprintable() and text):
        raise HostError(str(path), "is to hold one line of ASCII, and nothing else", code="host.files")
    return Secret(text)


def is_loopback(host: str) -> bool:
    """Whether what goes to ``host``, a name or an address, stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def one_line(said: bytes) -> str:
    """The begin of what a server says, without what a terminal would obey."""
    text = said.decode(errors="replace")
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:_LONGEST]


def words(error: object) -> str:
    """What an error of the network says of itself."""
    said = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)
    return one_line(str(said).encode()) or type(error).__name__
