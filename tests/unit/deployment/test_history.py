from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from regdeploy.deployment.history import Entry, record
from tests.builders import NOW

DONE = Entry(
    at=NOW + timedelta(microseconds=7),
    operation="up",
    by="张伟",
    seconds=1.23456,
    steps=(("start-workload", "it is stopped (exited, exit 0)"), ("verify-serving", "only a handshake shows")),
    image="registry:3 (3.1.1, sha256:a1a1a1a1a1a1)",
    version="0.1.0",
)


def test_an_operation_is_one_line_that_a_person_can_read_too(tmp_path: Path) -> None:
    record(tmp_path / "history.jsonl", DONE)

    assert (tmp_path / "history.jsonl").read_text() == (
        '{"at": "2026-11-24T12:00:00+00:00", "operation": "up", "by": "张伟", "outcome": "done", "seconds": 1.235, '
        '"steps": [{"step": "start-workload", "why": "it is stopped (exited, exit 0)"}, '
        '{"step": "verify-serving", "why": "only a handshake shows"}], '
        '"image": "registry:3 (3.1.1, sha256:a1a1a1a1a1a1)", "regdeploy": "0.1.0"}\n'
    )
    assert (tmp_path / "history.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_failure_says_why_and_an_error_of_two_lines_stays_on_one(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    record(path, DONE)
    failed = Entry(
        at=NOW,
        operation="down",
        by="root",
        seconds=0,
        steps=(),
        image="registry:3",
        version="0.1.0",
        error="no\nengine",
    )
    record(path, failed)

    lines = path.read_text().splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["done", "failed"]
    assert json.loads(lines[1]) == {
        "at": "2026-11-24T12:00:00+00:00",
        "operation": "down",
        "by": "root",
        "outcome": "failed",
        "seconds": 0,
        "steps": [],
        "image": "registry:3",
        "regdeploy": "0.1.0",
        "error": "no\nengine",
    }


def test_what_a_kill_tore_costs_its_own_line_only(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"at": "2026')
    record(path, DONE)

    torn, whole = path.read_text().splitlines()
    assert torn == '{"at": "2026'
    assert json.loads(whole)["operation"] == "up"
