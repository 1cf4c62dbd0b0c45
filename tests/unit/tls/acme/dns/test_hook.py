"""A program of the user's: what it is told, how long it may take, and what is shown when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.dns.hook import Hook
from regdeploy.tls.acme.dns.provider import Place, Record
from regdeploy.tls.acme.patience import Patience
from tests.rig.parts.processes import alive
from tests.unit.said import said
from tests.unit.tls.acme.dns.conftest import patience, record

_HAND = "\nhint: run it by hand, as docs/dns-hook.md shows"


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    def write(script: str) -> Path:
        path = tmp_path / "hook"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return path

    return write


def test_it_is_told_all_by_arguments_and_environment(program: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    place = Place(name="x.acme.example.net.", zone="example.net.", primary="ns.example.net.")
    given = Record(domain="a.example.com", asked="_acme-challenge.a.example.com.", place=place, value="-v_1")
    hook = Hook(program(f'{{ echo "$@"; pwd; cat; env | grep ^REGDEPLOY_ACME_ | sort; }} >> {out}'))
    hook.add(given, patience())
    hook.remove(given, patience())
    environment = (
        "REGDEPLOY_ACME_CHALLENGE=_acme-challenge.a.example.com.\n"
        "REGDEPLOY_ACME_DOMAIN=a.example.com\n"
        "REGDEPLOY_ACME_RECORD=x.acme.example.net.\n"
        "REGDEPLOY_ACME_TTL=60\n"
        "REGDEPLOY_ACME_VALUE=-v_1\n"
        "REGDEPLOY_ACME_ZONE=example.net.\n"
    )
    assert out.read_text() == "".join(
        f"{action} a.example.com x.acme.example.net. -v_1\n/\n{environment}" for action in ("present", "cleanup")
    )


def test_what_regdeploy_itself_is_given_on_standard_input_is_not_the_programs(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    path = program(f"cat > {tmp_path}/out")
    code = (
        "from pathlib import Path\n"
        "from regdeploy.tls.acme.dns.hook import Hook\n"
        "from tests.unit.tls.acme.dns.conftest import patience, record\n"
        f"Hook(Path({str(path)!r})).add(record(), patience())"
    )
    folder = Path(__file__).parents[5]
    subprocess.run([sys.executable, "-c", code], input=b"a password", cwd=folder, timeout=20, check=True)
    assert (tmp_path / "out").read_bytes() == b""


def test_its_last_lines_and_status_are_shown_when_it_fails(program: Callable[[str], Path]) -> None:
    path = program('for n in 1 2 3 4 5 6 7; do echo "line $n"; done; printf "no \\033[1mway\\n" >&2; exit 3')
    assert said(lambda: Hook(path).add(record(), patience())) == (
        f"{path} present: ended with exit status 3: line 4 | line 5 | line 6 | line 7 | no  [1mway{_HAND}"
    )


def test_one_that_says_nothing_or_is_killed_is_shown_by_its_status(program: Callable[[str], Path]) -> None:
    path = program("exit 1")
    assert said(lambda: Hook(path).remove(record(), patience())) == f"{path} cleanup: ended with exit status 1{_HAND}"
    path = program("kill -TERM $$")
    assert said(lambda: Hook(path).add(record(), patience())) == f"{path} present: was ended by SIGTERM{_HAND}"


def test_one_that_says_very_much_is_not_held_up_by_it(program: Callable[[str], Path]) -> None:
    path = program("head -c 3000000 /dev/zero | tr '\\0' x; exit 1")
    words = said(lambda: Hook(path).add(record(), patience(30)))
    assert len(words) < 2000


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    path = program(f"sleep 600 & echo $! > {tmp_path}/child; echo waiting; wait")
    assert said(lambda: Hook(path, limit=0.5).add(record(), patience())) == (
        f"{path} present: took longer than it may and was ended: waiting\n"
        "hint: make it faster, or see what it waits for"
    )
    assert _gone(int((tmp_path / "child").read_text()))


def test_what_it_leaves_running_is_ended_too(program: Callable[[str], Path], tmp_path: Path) -> None:
    Hook(program(f"sleep 600 & echo $! > {tmp_path}/child")).add(record(), patience())
    assert _gone(int((tmp_path / "child").read_text()))


def _gone(pid: int) -> bool:
    until = time.monotonic() + 5
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not alive(pid)


def test_cancelled_it_is_ended_at_once(program: Callable[[str], Path], tmp_path: Path) -> None:
    path = program(f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; sleep 600")
    cancel = threading.Event()
    errors: list[AcmeError] = []

    def add() -> None:
        with pytest.raises(AcmeError) as caught:
            Hook(path).add(record(), Patience(600, cancel))
        errors.append(caught.value)

    thread = threading.Thread(target=add)
    thread.start()
    while not (tmp_path / "pid").exists():
        assert thread.is_alive()
    cancel.set()
    thread.join(5)
    assert [error.code for error in errors] == ["acme.cancelled"]
    assert _gone(int((tmp_path / "pid").read_text()))


def test_one_without_an_interpreter_is_an_error_in_words(program: Callable[[str], Path]) -> None:
    path = program("")
    path.write_text("#!/nowhere/sh\n")
    assert said(lambda: Hook(path).add(record(), patience())) == (
        f"{path} present: could not be run: No such file or directory\n"
        "hint: its first line must name a program that is there, such as #!/bin/sh"
    )


def test_one_that_is_not_executable_or_that_others_can_write_is_refused_before_anything(
    program: Callable[[str], Path],
) -> None:
    path = program("")
    path.chmod(0o600)
    assert said(lambda: Hook(path)) == f"{path}: is not executable\nhint: chmod +x {path}"
    path.chmod(0o707)
    assert said(lambda: Hook(path)) == f"{path}: can be written by others (mode 0707)\nhint: chmod go-w {path}"


def test_a_relative_path_is_one_from_where_regdeploy_was_called(program: Callable[[str], Path]) -> None:
    Hook(Path(os.path.relpath(program("exit 0")))).add(record(), patience())
