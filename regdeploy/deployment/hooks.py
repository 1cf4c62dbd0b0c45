"""Programs of the user's own around a renewal: ``before`` it, to ``deploy`` what is new elsewhere, ``after`` it.

A hook is one executable, called without arguments. Beside regdeploy's own environment it gets

====================================  ==================================================================
``REGDEPLOY_HOOK``                    ``before``, ``deploy`` or ``after``
``REGDEPLOY_HOOK_NAME``               the deployment's name
``REGDEPLOY_HOOK_DOMAIN``             the registry's name
``REGDEPLOY_HOOK_DOMAINS``            every name of the certificate, the same one first, with blanks between
``REGDEPLOY_HOOK_ROOT``               the root folder
``REGDEPLOY_HOOK_CERTIFICATE``        the file with the certificate and its chain, PEM
``REGDEPLOY_HOOK_KEY``                the file with its private key, PEM
``REGDEPLOY_HOOK_FINGERPRINT``        SHA-256 of the certificate's DER, lower hex
``REGDEPLOY_HOOK_NOT_AFTER``          its last moment, RFC 3339 in UTC
``REGDEPLOY_HOOK_OUTCOME``            for ``after``: what came of it; for the others empty
====================================  ==================================================================

The certificate's four are empty where there is none yet. They are not called ``REGDEPLOY_KEY`` and so on, because that
is a setting, and ``regdeploy status`` in a hook would take it for one. Exit status 0 is success. Input is empty, the
folder is ``/``; after 60 s its process group gets SIGKILL, and so does at its end what it left running there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from regdeploy.errors import UsageError
from regdeploy.files import write_whole
from regdeploy.frozen import frozen
from regdeploy.host.programs import LIMIT, check_program, run_program

_MODE = 0o600


class Hook(StrEnum):
    """When a program of the user's is called."""

    BEFORE = "before"
    DEPLOY = "deploy"
    AFTER = "after"


@frozen
class HookContext:
    """What a hook is told; ``domains`` are A-labels, ``not_after`` is aware, None and empty are what is not known."""

    name: str
    domains: tuple[str, ...]
    root: Path
    certificate: Path | None = None
    key: Path | None = None
    fingerprint: str = ""
    not_after: datetime | None = None
    outcome: str = ""


@frozen
class HookFailure:
    """A hook that has not succeeded for the certificate ``fingerprint``, and is to be called again.

    ``at`` is when it was last called, aware; ``attempts`` counts the calls, 0 for one whose end nobody has seen.
    ``status``, ``words`` and ``lines`` are those of :class:`~regdeploy.host.programs.Ended`.
    """

    hook: Hook
    program: Path
    fingerprint: str
    at: datetime
    attempts: int = 1
    status: int | None = None
    words: str
    lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One sentence, with the last of what it said."""
        return f"the {self.hook} hook {self.program} {self.words}" + (f": {self.lines[-1]}" if self.lines else "")


def environment(hook: Hook, context: HookContext) -> dict[str, str]:
    """The variables that ``hook`` gets, as the module tells. Pure."""
    end = context.not_after
    values = {
        "NAME": context.name,
        "DOMAIN": context.domains[0] if context.domains else "",
        "DOMAINS": " ".join(context.domains),
        "ROOT": str(context.root),
        "CERTIFICATE": str(context.certificate or ""),
        "KEY": str(context.key or ""),
        "FINGERPRINT": context.fingerprint,
        "NOT_AFTER": end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if end else "",
        "OUTCOME": context.outcome if hook is Hook.AFTER else "",
    }
    return {"REGDEPLOY_HOOK": str(hook), **{f"REGDEPLOY_HOOK_{name}": value for name, value in values.items()}}


def run_hook(
    hook: Hook, program: Path, context: HookContext, now: datetime, *, limit: float = LIMIT
) -> HookFailure | None:
    """Call ``program`` as ``hook``; None when it succeeded. Never raises for what the program does or has become.

    It is checked again each time: a renewal in a year must not run what somebody has put there meanwhile.
    """
    try:
        check_program(program, f"the {hook} hook")
    except UsageError as error:
        words = f"was not run: {error.what}"
        return HookFailure(hook=hook, program=program, fingerprint=context.fingerprint, at=now, words=words)
    ended = run_program(program, environment(hook, context), limit)
    if not ended.words:
        return None
    return HookFailure(
        hook=hook,
        program=program,
        fingerprint=context.fingerprint,
        at=now,
        status=ended.status,
        words=ended.words,
        lines=ended.lines,
    )


def begun(hook: Hook, program: Path, context: HookContext, now: datetime) -> HookFailure:
    """What to write down before the call, so that a hook is called again when regdeploy is killed meanwhile. Pure."""
    words = "was called, and nobody saw it end"
    return HookFailure(hook=hook, program=program, fingerprint=context.fingerprint, at=now, attempts=0, words=words)


def remembered(failures: Iterable[HookFailure], hook: Hook, failure: HookFailure | None) -> tuple[HookFailure, ...]:
    """``failures`` after ``hook`` was called: with its ``failure``, or without any of it when that is None. Pure.

    One a hook: what failed for an older certificate is of no use any more. Attempts for the same certificate add up.
    """
    failures = tuple(failures)
    others = tuple(one for one in failures if one.hook is not hook)
    if failure is None:
        return others
    before = pending(failures, hook, failure.fingerprint)
    return (*others, replace(failure, attempts=failure.attempts + (before.attempts if before else 0)))


def pending(failures: Iterable[HookFailure], hook: Hook, fingerprint: str) -> HookFailure | None:
    """The failure of ``hook`` that is to be made good for the certificate ``fingerprint``, or None. Pure."""
    return next((one for one in failures if (one.hook, one.fingerprint) == (hook, fingerprint)), None)


def write_failures(path: Path, failures: Iterable[HookFailure]) -> None:
    """Write what is to be called again, whole (0600). Raises HostError."""
    values = [{**asdict(one), "program": str(one.program), "at": one.at.isoformat()} for one in failures]
    write_whole(path, (json.dumps({"failures": values}, ensure_ascii=False, indent=2) + "\n").encode(), _MODE)


def read_failures(path: Path) -> tuple[HookFailure, ...]:
    """What :func:`write_failures` wrote. Never raises: at worst a hook is not called again; no renewal fails.

    A file that is missing or unreadable holds none; a failure of a shape that this version does not know is left out.
    """
    try:
        values = json.loads(path.read_bytes())["failures"]
        return tuple(failure for value in values if (failure := _failure(value)) is not None)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()


def _failure(value: Any) -> HookFailure | None:  # noqa: ANN401 - anything that JSON can hold
    try:
        at = datetime.fromisoformat(value["at"])
        texts = (value["program"], value["fingerprint"], value["words"], *value["lines"])
        numbers = (value["attempts"], 0 if value["status"] is None else value["status"])
        hook = Hook(value["hook"])
    except (KeyError, TypeError, ValueError):
        return None
    if at.tzinfo is None or not all(isinstance(text, str) for text in texts):
        return None
    if not all(isinstance(number, int) for number in numbers):
        return None
    return HookFailure(
        hook=hook,
        program=Path(texts[0]),
        fingerprint=texts[1],
        at=at,
        attempts=numbers[0],
        status=value["status"],
        words=texts[2],
        lines=tuple(texts[3:]),
    )
