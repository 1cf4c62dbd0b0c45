"""One check, as a value: what was looked at, and how it came out."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """How a check came out. ``stop`` means that ``up`` would fail, or would do harm."""

    OK = "ok"
    WARNING = "warning"
    STOP = "stop"


class Check(NamedTuple):
    """One check: what was looked at, how it came out, in which words, and what to do."""

    item: str
    verdict: Verdict
    message: str
    hint: str = ""


def ok(item: str, message: str) -> Check:
    """All is well."""
    return Check(item, Verdict.OK, message)


def warning(item: str, message: str, hint: str = "") -> Check:
    """Something to know; ``up`` goes on."""
    return Check(item, Verdict.WARNING, message, hint)


def stop(item: str, message: str, hint: str = "") -> Check:
    """``up`` stops before it touches anything."""
    return Check(item, Verdict.STOP, message, hint)
