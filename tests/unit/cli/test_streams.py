"""Streams that are closed, that nobody reads, that are full: what the user asked for is done, and nothing is defect."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

_NOWHERE = ("--root", "/nonexistent/registry", "--docker-host", "unix:///nonexistent")
_WITH_USER = ("up", "--domain", "registry.example.com", "--tls", "internal", "--user", "ana", *_NOWHERE)


class _Done(NamedTuple):
    code: int
    out: str
    err: str


def _run(*arguments: str, closed: str = "", folder: Path = Path("/")) -> _Done:
    """Regdeploy started by a shell that closes streams: ``<&- >&-``."""
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "regdeploy", *arguments]
    done = subprocess.run(shell, capture_output=True, text=True, check=False, cwd=folder)
    return _Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(params=["buffered", "unbuffered"])
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    """Python writes at the end, or at once: the user must see no difference."""
    return {**os.environ, "PYTHONUNBUFFERED": "1" if request.param == "unbuffered" else ""}


@pytest.fixture
def unread() -> Iterator[int]:
    """The end of a pipe to write to; whoever read at the other went away."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("closed", ["<&-", "</dev/null"])
def test_a_question_without_stdin_is_one_without_a_terminal(closed: str) -> None:
    words = "error: --user: there is no terminal to ask for ana's password\nhint: --password-stdin reads it\n"

    assert _run(*_WITH_USER, closed=closed) == (2, "", words)


def test_a_password_that_a_closed_stdin_cannot_give_is_empty() -> None:
    done = _run(*_WITH_USER, "--password-stdin", closed="<&-")

    assert (done.code, done.err.splitlines()[0]) == (2, "error: --password-stdin: is empty")


@pytest.mark.parametrize("closed", [">&-", ">/dev/null"])
def test_without_stdout_the_work_is_done_and_its_words_go_nowhere(tmp_path: Path, closed: str) -> None:
    assert _run("init", "--port", "8443", closed=closed, folder=tmp_path) == (0, "", "")
    assert "port = 8443" in (tmp_path / "regdeploy.toml").read_text()


def test_without_stderr_an_error_is_its_exit_status_alone() -> None:
    assert _run("up", "--port", "0", closed="2>&-") == (2, "", "")


def test_without_any_stream_no_file_is_taken_for_one(tmp_path: Path) -> None:
    assert _run("init", "--json", closed="<&- >&- 2>&-", folder=tmp_path).code == 0
    written = (tmp_path / "regdeploy.toml").read_text()
    assert written == _run("init", "--stdout").out


@pytest.mark.parametrize("arguments", [("init", "--stdout"), ("init", "--schema"), ("up", "--help"), ("--version",)])
def test_a_reader_who_went_away_changes_nothing(
    arguments: tuple[str, ...], environ: dict[str, str], unread: int
) -> None:
    command = [sys.executable, "-m", "regdeploy", *arguments]

    done = subprocess.run(command, stdout=unread, stderr=subprocess.PIPE, env=environ, cwd="/", check=False)

    assert (done.returncode, done.stderr) == (0, b"")


def test_an_error_that_nobody_reads_is_its_exit_status(environ: dict[str, str], unread: int) -> None:
    command = [sys.executable, "-m", "regdeploy", "up", "--port"]

    assert subprocess.run(command, stdout=unread, stderr=unread, env=environ, check=False).returncode == 2


def test_work_goes_on_when_the_reader_of_its_words_goes_away(tmp_path: Path, unread: int) -> None:
    code = textwrap.dedent("""\
        import sys
        from pathlib import Path
        from regdeploy.cli.errors import guarded
        from regdeploy.cli.screen import Screen
        from regdeploy.cli.streams import finish, steady, unread
        stdout = steady()
        def work():
            screen = Screen("title", as_json=False, verbose=False, no_color=True, yes=True)
            for _ in range(100):
                screen.line("word " * 1000)
            Path(sys.argv[1]).write_text(f"done, unread: {unread()}")
            return 4
        sys.exit(finish(stdout, guarded(work, as_json=False, verbose=False)))
        """)
    command = [sys.executable, "-c", code, str(tmp_path / "told")]

    done = subprocess.run(command, stdout=unread, stderr=subprocess.PIPE, check=False)

    assert (done.returncode, done.stderr) == (4, b"")
    assert (tmp_path / "told").read_text() == "done, unread: True"
    subprocess.run(command, stdout=subprocess.PIPE, check=False)
    assert (tmp_path / "told").read_text() == "done, unread: False"


def test_a_full_disk_below_stdout_is_said_in_one_line(environ: dict[str, str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "regdeploy", "init", "--stdout"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environ,
            cwd="/",
            check=False,
        )

    assert (done.returncode, done.stderr) == (1, b"error: stdout: No space left on device\n")
