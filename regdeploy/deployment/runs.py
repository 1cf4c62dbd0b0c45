"""What ``renew`` did when nobody watched: when it ran, started by what, whether it failed, and what was told of it.

The last hundred runs, in one JSON file. What cannot be read is as if it had not been: no renewal fails for a log.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from regdeploy.deployment.notify import Event, Kind
from regdeploy.files import write_whole
from regdeploy.frozen import frozen

_MOST = 100
#: Twice a day with an hour of chance, and some hours for a host that was off.
_REGULAR = timedelta(hours=26)
BY_HAND = "hand"


@frozen
class Run:
    """One run. ``by`` is ``systemd``, ``agent``, ``cron`` (any script) or ``hand``; ``words`` is what came of it.

    ``waited`` says that what failed before was put off: it says nothing of whether it works again.
    """

    at: datetime
    by: str
    failed: bool
    words: str
    told: Kind | None = None
    waited: bool = False


def read_runs(path: Path) -> tuple[Run, ...]:
    """The runs, oldest first; none where the file is missing or broken."""
    try:
        return tuple(
            Run(
                at=datetime.fromisoformat(one["at"]),
                by=str(one["by"]),
                failed=bool(one["failed"]),
                words=str(one["words"]),
                told=Kind(one["told"]) if one["told"] else None,
                waited=bool(one.get("waited")),
            )
            for one in json.loads(path.read_bytes())
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()


def write_runs(path: Path, runs: Sequence[Run]) -> None:
    """Keep the last of ``runs``, whole or not at all. Raises HostError."""
    values = [{**vars(run), "at": run.at.isoformat()} for run in runs[-_MOST:]]
    write_whole(path, json.dumps(values, ensure_ascii=False, indent=1).encode() + b"\n", 0o600)


def events(runs: Sequence[Run]) -> tuple[Event, ...]:
    """The runs as ``notify`` judges them. One that waited is there only where it told something, as the one before."""
    found: list[Event] = []
    for run in runs:
        if not run.waited:
            found.append(Event(at=run.at, failed=run.failed, told=run.told))
        elif run.told is not None:
            found.append(Event(at=run.at, failed=bool(found) and found[-1].failed, told=run.told))
    return tuple(found)


def tried(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Those that did not merely wait."""
    return tuple(run for run in runs if not run.waited)


def regular(runs: Sequence[Run], now: datetime) -> str:
    """What ran without a person lately, and so will again; empty where nothing did."""
    lately = [run.by for run in runs if run.by != BY_HAND and timedelta() <= now - run.at < _REGULAR]
    return lately[-1] if lately else ""
