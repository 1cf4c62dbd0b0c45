"""``history`` as it is printed: a line an operation, or one document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from regdeploy.deployment.history import Entry, State, record
from tests.builders import NOW

ENTRY = Entry(
    at=NOW,
    operation="up",
    by="ops",
    seconds=1.25,
    steps=(("activate-workload", "nothing runs yet"), ("save-spec", "so that no flag needs repeating")),
    image="registry:3",
    version="0.1.0",
    state=State(saved={"port": 5001}, image_id="sha256:a1", certificate=None),
)
FAILED = replace(ENTRY, operation="upgrade", error="container registry: does not\nanswer\x1b[31m", state=None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with three entries."""
    for entry in (ENTRY, FAILED, replace(ENTRY, operation="rollback --to 1")):
        record(tmp_path / "history.jsonl", entry)
    (tmp_path / "regdeploy.toml").write_text("port = 5001\n")
    return tmp_path


def run(root: Path, *arguments: str, code: int = 0) -> str:
    """What ``regdeploy history`` prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGDEPLOY_")}
    command = [sys.executable, "-m", "regdeploy", "history", "--root", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean, cwd="/")
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_line_an_operation_the_newest_last(root: Path) -> None:
    assert run(root) == (
        "   1  2026-11-24 12:00  ops         up                done       1.2 s  "
        "start it in its place: nothing runs yet, and 1 more\n"
        "   2  2026-11-24 12:00  ops         upgrade           failed     1.2 s  "
        "container registry: does not answer?[31m\n"
        "   3  2026-11-24 12:00  ops         rollback --to 1   done       1.2 s  "
        "start it in its place: nothing runs yet, and 1 more\n"
    )


def test_so_many_from_the_end_as_are_asked_for(root: Path) -> None:
    assert [line.split()[0] for line in run(root, "-n", "2").splitlines()] == ["2", "3"]
    assert "0 is not in the range" in run(root, "-n", "0", code=2)


def test_json_is_one_document_with_all_that_a_line_keeps(root: Path) -> None:
    found = json.loads(run(root, "--json", "-n", "2"))

    assert (found["name"], found["url"]) == ("registry", "http://127.0.0.1:5001")
    failed, done = found["entries"]
    assert (failed["number"], failed["outcome"], "spec" in failed) == (2, "failed", False)
    assert failed["error"] == "container registry: does not\nanswer\x1b[31m"
    assert (done["number"], done["spec"], done["image_id"], done["certificate"]) == (
        3,
        {"port": 5001},
        "sha256:a1",
        None,
    )
    assert done["steps"] == [
        {"step": "activate-workload", "why": "nothing runs yet"},
        {"step": "save-spec", "why": "so that no flag needs repeating"},
    ]


def test_long_words_are_cut_unless_all_is_asked_for(root: Path) -> None:
    record(root / "history.jsonl", replace(ENTRY, steps=(("save-spec", "x" * 200),)))

    assert run(root, "-n", "1").endswith("xxx…\n")
    assert run(root, "-n", "1", "--verbose").endswith("xxx\n")


def test_nothing_deployed_and_nothing_done_yet(tmp_path: Path) -> None:
    assert "nothing is deployed" in run(tmp_path, code=3)
    (tmp_path / "regdeploy.toml").write_text("port = 5001\n")
    assert run(tmp_path) == "Nothing was done yet.\n"
    (tmp_path / "regdeploy.toml").unlink()
    record(tmp_path / "history.jsonl", ENTRY)
    assert len(run(tmp_path).splitlines()) == 1, "what was done is told although nothing is deployed any more"
