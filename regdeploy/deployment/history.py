"""``history.jsonl``: one line an operation, what was done, when, by whom, with what outcome."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from regdeploy.files import append_line
from regdeploy.frozen import frozen

MODE = 0o600


@frozen
class Entry:
    """One operation. ``steps`` are (step, why) in order; ``error`` is empty when it was done."""

    at: datetime
    operation: str
    by: str
    seconds: float
    steps: tuple[tuple[str, str], ...]
    image: str
    version: str
    error: str = ""


def record(path: Path, entry: Entry) -> None:
    """Append ``entry``. Raises HostError. A kill leaves at most a torn last line, which readers skip."""
    line = {
        "at": entry.at.isoformat(timespec="seconds"),
        "operation": entry.operation,
        "by": entry.by,
        "outcome": "failed" if entry.error else "done",
        "seconds": round(entry.seconds, 3),
        "steps": [{"step": step, "why": why} for step, why in entry.steps],
        "image": entry.image,
        "regdeploy": entry.version,
    }
    if entry.error:
        line["error"] = entry.error
    append_line(path, json.dumps(line, ensure_ascii=False), MODE)
