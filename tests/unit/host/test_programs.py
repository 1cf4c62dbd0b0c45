"""Programs of the user's own: which are refused, and what becomes of those that misbehave; all of them really run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from regdeploy.host.programs import Ended, _Said, check_program, run_program
from tests.unit.said import said

Script = Callable[..., Path]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def write(text: str, mode: int = 0o755) -> Path:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(mode)
        return path

    return write


def alive(pid: int) -> bool:
    """Whether it still runs, a zombie that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def test_a_program_of_ours_is_taken(script: Script, tmp_path: Path) -> None:
    check_program(script("true"), "--hook")
    (tmp_path / "link").symlink_to(tmp_path / "program")
    check_program(tmp_path / "link", "--hook")
    check_program(Path("/bin/sh"), "--hook")


def test_what_cannot_be_run_is_refused(script: Script, tmp_path: Path) -> None:
    program = script("true", 0o644)
    (tmp_path / "circle").symlink_to("circle")
    assert said(lambda: check_program(program, "--hook")) == (
        f"--hook: {program} is not executable\nhint: chmod +x {program}"
    )
    assert said(lambda: check_program(tmp_path / "none", "--hook")) == (
        f"--hook: {tmp_path}/none: No such file or directory\nhint: name a program that is there"
    )
    assert said(lambda: check_program(tmp_path, "--hook")) == (
        f"--hook: {tmp_path} is not a file\nhint: name the program itself"
    )
    assert said(lambda: check_program(tmp_path / "circle", "--hook")).endswith("hint: name a program that is there")


def test_what_others_could_change_is_refused(script: Script, tmp_path: Path) -> None:
    program = script("true", 0o757)
    assert said(lambda: check_program(program, "--hook")) == (
        f"--hook: {program} can be written by others (mode 0757)\nhint: chmod go-w {program}"
    )
    program.chmod(0o755)
    loose = tmp_path / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    (loose / "link").symlink_to(program)
    assert said(lambda: check_program(loose / "link", "--hook")) == (
        f"--hook: {loose}/link lies in {loose}, where others could replace it\n"
        f"hint: chmod go-w {loose}, or move the program"
    )
    (loose / "program").write_bytes(program.read_bytes())
    (loose / "program").chmod(0o755)
    (tmp_path / "link").symlink_to(loose / "program")
    assert f"{loose}/program lies in {loose}" in said(lambda: check_program(tmp_path / "link", "--hook"))


def test_a_program_gets_its_variables_no_input_and_a_folder_that_is_always_there(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "kept")
    monkeypatch.setenv("ALSO", "ours")
    ended = run_program(script('cat; echo "$OURS $ALSO"; pwd; echo $#'), {"ALSO": "given"})
    assert ended == Ended(status=0, lines=("kept given", "/", "0"))


def test_the_last_lines_of_both_outputs_are_kept_and_obey_no_terminal(script: Script) -> None:
    ended = run_program(
        script("for i in 1 2 3 4 5 6 7 8 9 10 11; do echo $i; done\nprintf '\\033[2J\\377\\n\\n' >&2\nexit 3"), {}
    )
    assert (ended.status, ended.words) == (3, "ended with exit status 3")
    assert ended.lines == (*"3456789", "10", "11", "[2J\ufffd")


def test_much_that_is_said_neither_blocks_nor_fills_the_memory(script: Script) -> None:
    ended = run_program(script("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end"), {})
    assert ended.status == 0
    assert [len(line) for line in ended.lines] == [300, 3]


def test_of_a_pipe_only_the_end_is_kept_and_a_closed_one_is_not_asked_again() -> None:
    reading, writing = os.pipe()
    said = _Said(reading)
    for number in range(5):
        os.write(writing, f"{number}\n".encode() * 20_000)
        said.drain()
    assert len(said._kept) == 65536
    assert said.lines() == ("4",) * 10
    os.close(writing)
    said.listen(0)
    assert not said._open  # a closed pipe is always ready: looking at it would take all of a processor
    os.close(reading)


def test_a_program_that_takes_too_long_is_ended_with_its_children(script: Script, tmp_path: Path) -> None:
    ended = run_program(script(f"sleep 60 & echo $! > {tmp_path}/child; echo begun; wait"), {}, limit=0.5)
    assert ended.words == "took longer than 0.5 s and was ended"
    assert (ended.status, ended.lines) == (-signal.SIGKILL, ("begun",))
    assert gone(int((tmp_path / "child").read_text()))


def test_what_a_program_leaves_running_does_not_keep_us_and_ends_with_it(script: Script, tmp_path: Path) -> None:
    began = time.monotonic()
    ended = run_program(script(f"sleep 60 & echo $! > {tmp_path}/child; echo done"), {})
    assert ended == Ended(status=0, lines=("done",))
    assert time.monotonic() - began < 30
    assert gone(int((tmp_path / "child").read_text()))


def test_one_that_leaves_its_group_and_talks_on_does_not_keep_us(script: Script, tmp_path: Path) -> None:
    ended = run_program(script(f"setsid yes & echo $! > {tmp_path}/child; sleep 0.2"), {})
    child = int((tmp_path / "child").read_text())
    try:
        assert ended.status == 0
    finally:
        if alive(child):
            os.kill(child, signal.SIGKILL)
    assert gone(child)


def test_a_program_that_closes_its_outputs_is_waited_for(script: Script, tmp_path: Path) -> None:
    assert run_program(script(f"exec >&- 2>&-; sleep 0.2; touch {tmp_path}/late"), {}).words == ""
    assert (tmp_path / "late").exists()


@pytest.mark.parametrize(("number", "words"), [(15, "was ended by SIGTERM"), (40, "was ended by signal 40")])
def test_a_signal_is_told_by_its_name(script: Script, number: int, words: str) -> None:
    ended = run_program(script(f"kill -{number} $$"), {})
    assert (ended.status, ended.words) == (-number, words)


def test_what_could_not_be_run_is_told_and_not_raised(script: Script, tmp_path: Path) -> None:
    program = script("")
    program.write_text("#!/no/such/shell\n")
    assert run_program(program, {}) == Ended(status=None, words="could not be run: No such file or directory")
    assert run_program(program, {"A": "\0"}) == Ended(status=None, words="could not be run: embedded null byte")
