"""What was tried for one certificate, and what the CA said of its renewal: the record that outlives a run.

One JSON file. A record is of one set of names at one CA and those to fall back on: with other names, or another CA, it
starts anew. A certificate is noted once it is kept: a crash in between loses the note alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from regdeploy.files import write_whole
from regdeploy.frozen import frozen

_KEPT = timedelta(days=30)
_AHEAD = timedelta(days=1)  # what was noted further ahead than this was noted with a wrong clock
_MOST = 200
_WORDS = 1000
#: The problem of an order that gave a certificate which could not be kept: the CA counts it all the same.
LOST = "lost"


@frozen
class Attempt:
    """A CA that was asked.

    ``problem`` is empty where a certificate came of it, else ACME's type, ``lost`` or ``failed``; ``words`` are the
    error's; ``retry_after`` is in seconds from ``at``, 0 where the CA named no time. ``challenge`` is the kind by which
    the names were to be proved, empty where it did not come to that. ``directory`` is the CA, empty for the record's
    own. ``again`` says that the one before was made in the same run: another kind, or another CA.
    """

    at: datetime
    problem: str = ""
    words: str = ""
    retry_after: float = 0.0
    challenge: str = ""
    directory: str = ""
    again: bool = False


@frozen
class Window:
    """When the CA wants the certificate with this ``fingerprint`` renewed (RFC 9773): a ``moment`` of it was chosen.

    ``ask_again`` is when it wants to be asked again; ``reason`` the page that explains the window, or empty.
    """

    fingerprint: str
    start: datetime
    end: datetime
    moment: datetime
    ask_again: datetime
    reason: str = ""


@frozen
class Attempts:
    """The record. ``problem`` says why what was on disk could not be read, if so.

    ``attempts`` are in the order in which they were made. Their times are mostly ascending: a clock can be set back,
    and what came after a certificate must then not be taken for what came before it.
    """

    names: tuple[str, ...]
    directory: str
    attempts: tuple[Attempt, ...] = ()
    window: Window | None = None
    problem: str = ""

    def with_attempt(self, attempt: Attempt) -> Attempts:
        """The record with one more, its words shortened, and without what is too old to matter."""
        kept = [one for one in self.attempts if attempt.at - one.at < _KEPT][-_MOST + 1 :]
        return replace(self, attempts=(*kept, replace(attempt, words=attempt.words[:_WORDS])), problem="")

    def until(self, now: datetime) -> Attempts:
        """The record without what a clock that was far ahead noted: it would count for as long as that clock erred."""
        return replace(self, attempts=tuple(one for one in self.attempts if one.at - now <= _AHEAD))

    def failures(self) -> tuple[Attempt, ...]:
        """Those since the last that gave a certificate."""
        failed: list[Attempt] = []
        for attempt in reversed(self.attempts):
            if not attempt.problem:
                break
            failed.append(attempt)
        return tuple(reversed(failed))


def read_attempts(path: Path, names: Iterable[str], directory: str) -> Attempts:
    """The record for ``names`` at ``directory``; an empty one where there is none, or none that can be read."""
    fresh = Attempts(names=tuple(sorted(names)), directory=directory)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return fresh
    except OSError as error:
        return replace(fresh, problem=f"{path}: {error.strerror or error}")
    try:
        found = _record(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return replace(fresh, problem=f"{path} is broken: what was tried before is forgotten")
    return found if (found.names, found.directory) == (fresh.names, directory) else fresh


def write_attempts(path: Path, record: Attempts) -> None:
    """Keep ``record``, whole or not at all. Raises HostError."""
    values: dict[str, Any] = {
        "names": record.names,
        "directory": record.directory,
        "attempts": [vars(attempt) for attempt in record.attempts],
        "window": vars(record.window) if record.window else None,
    }
    write_whole(path, json.dumps(values, indent=2, default=datetime.isoformat).encode() + b"\n", 0o600)


def _record(values: dict[str, Any]) -> Attempts:
    window = values["window"]
    attempts = tuple(
        Attempt(
            at=_time(one["at"]),
            problem=str(one["problem"]),
            words=str(one["words"]),
            retry_after=float(one["retry_after"]),
            challenge=str(one.get("challenge", "")),
            directory=str(one.get("directory", "")),
            again=bool(one.get("again")),
        )
        for one in values["attempts"]
    )
    return Attempts(
        names=tuple(values["names"]),
        directory=str(values["directory"]),
        attempts=attempts,
        window=_window(window) if window else None,
    )


def _window(values: dict[str, Any]) -> Window:
    return Window(
        fingerprint=str(values["fingerprint"]),
        start=_time(values["start"]),
        end=_time(values["end"]),
        moment=_time(values["moment"]),
        ask_again=_time(values["ask_again"]),
        reason=str(values["reason"]),
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(text)
    return time
