"""The record of attempts: what is kept, and that no file on disk stops a renewal."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regdeploy.tls.attempts import Attempt, Attempts, Window, read_attempts, write_attempts

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NAMES = ("a.example.com", "b.example.com")
CA = "https://ca.example/dir"
EMPTY = Attempts(names=NAMES, directory=CA)
FULL = Attempts(
    names=NAMES,
    directory=CA,
    attempts=(
        Attempt(at=NOW - timedelta(days=1), problem="rateLimited", words="näh", retry_after=7.5),
        Attempt(at=NOW, challenge="dns-01", directory="https://other.example/dir", again=True),
    ),
    window=Window(
        fingerprint="ab", start=NOW, end=NOW + timedelta(days=2), moment=NOW, ask_again=NOW, reason="https://x"
    ),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "attempts.json"
    for record in (EMPTY, FULL):
        write_attempts(path, record)
        assert read_attempts(path, reversed(NAMES), CA) == record
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_notes_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    path = tmp_path / "attempts.json"
    write_attempts(path, FULL)
    found = json.loads(path.read_bytes())
    for one in found["attempts"]:
        for key in ("challenge", "directory", "again"):
            del one[key]
    path.write_text(json.dumps(found))
    assert read_attempts(path, NAMES, CA).attempts == (FULL.attempts[0], Attempt(at=NOW))


def test_other_names_and_another_ca_start_anew(tmp_path: Path) -> None:
    path = tmp_path / "attempts.json"
    write_attempts(path, FULL)
    assert read_attempts(path, NAMES[:1], CA) == Attempts(names=NAMES[:1], directory=CA)
    assert read_attempts(path, NAMES, "https://other.example/dir").attempts == ()


def test_without_a_file_it_is_empty(tmp_path: Path) -> None:
    assert read_attempts(tmp_path / "nothing", NAMES, CA) == EMPTY


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 300,
        b"{",
        b"[]",
        b"{}",
        b'{"names": 1, "directory": "", "attempts": [], "window": null}',
        b'{"names": [], "directory": "", "attempts": [{"at": "2026-11-24T12:00:00"}], "window": null}',
        b'{"names": [], "directory": "", "attempts": [], "window": {"start": "soon"}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_broken_file_is_said_and_forgotten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "attempts.json"
    path.write_bytes(content)
    found = read_attempts(path, NAMES, CA)
    assert (found.attempts, found.window) == ((), None)
    assert found.problem == f"{path} is broken: what was tried before is forgotten"
    write_attempts(path, found.with_attempt(Attempt(at=NOW)))
    assert read_attempts(path, NAMES, CA).attempts == (Attempt(at=NOW),)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert read_attempts(tmp_path, NAMES, CA).problem == f"{tmp_path}: Is a directory"


def test_what_is_too_old_to_matter_goes() -> None:
    record = EMPTY
    for day in range(400):
        record = record.with_attempt(Attempt(at=NOW + timedelta(days=day)))
    assert len(record.attempts) == 30
    for minute in range(400):
        record = record.with_attempt(Attempt(at=NOW + timedelta(days=400, minutes=minute)))
    assert len(record.attempts) == 200


def test_the_order_is_that_of_the_notes_and_not_of_a_clock_that_was_set_back(tmp_path: Path) -> None:
    record = EMPTY.with_attempt(Attempt(at=NOW)).with_attempt(Attempt(at=NOW - timedelta(hours=9), problem="dns"))
    write_attempts(tmp_path / "attempts.json", record)
    found = read_attempts(tmp_path / "attempts.json", NAMES, CA)
    assert [one.problem for one in found.attempts] == ["", "dns"]
    assert len(found.failures()) == 1


def test_the_words_of_an_error_do_not_make_the_file_grow() -> None:
    (kept,) = EMPTY.with_attempt(Attempt(at=NOW, problem="failed", words="x" * 10**6)).attempts
    assert kept.words == "x" * 1000


def test_failures_are_those_since_the_last_certificate() -> None:
    first, second = Attempt(at=NOW, problem="dns"), Attempt(at=NOW + timedelta(hours=1), problem="tls")
    assert FULL.failures() == ()
    assert FULL.with_attempt(first).with_attempt(second).failures() == (first, second)
