"""What is printed while work is done, where there is no terminal and where there is one."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from regdeploy.cli.screen import Screen, columns, document
from regdeploy.deployment.checks import Check, Verdict
from regdeploy.deployment.plan import Plan
from regdeploy.deployment.reporting import Event
from regdeploy.deployment.steps import FetchImage, IssueCertificate, SaveSpec, StopWorkload, VerifyServing
from regdeploy.errors import NeedsConfirmation

FETCH = FetchImage(reference="registry:3", archive=None, why="the engine does not have it")
ISSUE = IssueCertificate(names=("registry.example.com",), why="there is none")
VERIFY = VerifyServing(why="only a handshake shows it")
SAVE = SaveSpec(why="so that no flag needs repeating")
STOP = StopWorkload(why="it holds port 80", interrupts=True)


def _screen(*, as_json: bool = False, verbose: bool = False, yes: bool = False) -> Screen:
    return Screen("registry.example.com", as_json=as_json, verbose=verbose, no_color=True, yes=yes)


def test_the_title_comes_once_and_only_with_the_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    with _screen() as screen:
        assert capsys.readouterr().out == ""
        screen.line("one")
        screen.line("two")

    assert capsys.readouterr().out == "registry.example.com\none\ntwo\n"


def test_a_label_and_its_aside_stand_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with _screen() as screen:
        screen.labelled("image", "registry:3 (3.1.1)", "2.1 s")
        screen.labelled("container", "registry started")

    expected = f"""\
        registry.example.com
          image        registry:3 (3.1.1){" " * 45}  2.1 s
          container    registry started
        """
    assert capsys.readouterr().out == textwrap.dedent(expected)


def test_good_checks_share_a_line_and_warnings_have_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    with _screen() as screen:
        screen.checked(
            [
                Check("engine", Verdict.OK, "docker 28.2.2"),
                Check("DNS", Verdict.WARNING, "registry.example.com has no address", "make an A record"),
                Check("ports", Verdict.OK, "443 is free"),
                Check("clock", Verdict.WARNING, "is 90 s behind"),
                Check("disk", Verdict.STOP, "0 B free"),
            ]
        )

    expected = """\
        registry.example.com
          checks       docker 28.2.2 · 443 is free
          warning      DNS: registry.example.com has no address (make an A record)
          warning      clock: is 90 s behind
        """
    assert capsys.readouterr().out == textwrap.dedent(expected)


def test_no_checks_are_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with _screen() as screen:
        screen.checked([])

    assert capsys.readouterr().out == ""


def _work(screen: Screen) -> None:
    screen.event(Event(step=FETCH, phase="began"))
    screen.event(Event(step=FETCH, phase="progress", words="downloading", done_bytes=1, total_bytes=2))
    screen.event(Event(step=FETCH, phase="done", words="registry:3 (3.1.1)", seconds=2.14))
    screen.event(Event(step=ISSUE, phase="progress", words="validated"))
    screen.event(Event(step=ISSUE, phase="done", words="Let's Encrypt", seconds=1.4))
    screen.event(Event(step=VERIFY, phase="done", seconds=0.31))
    screen.event(Event(step=SAVE, phase="done", seconds=0.01))


def test_without_a_terminal_there_is_a_line_for_each_thing_that_took_time(capsys: pytest.CaptureFixture[str]) -> None:
    with _screen() as screen:
        _work(screen)

    expected = f"""\
        registry.example.com
          image        registry:3 (3.1.1){" " * 45}  2.1 s
          certificate  Let's Encrypt{" " * 50}  1.4 s
          container    done{" " * 59}  0.3 s
        """
    assert capsys.readouterr().out == textwrap.dedent(expected)


def test_verbose_tells_every_step_and_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    with _screen(verbose=True) as screen:
        _work(screen)

    expected = f"""\
        registry.example.com
          image        registry:3 (3.1.1){" " * 45}  2.1 s
          certificate  validated
          certificate  Let's Encrypt{" " * 50}  1.4 s
          container    done{" " * 59}  0.3 s
          save regdeploy.toml done{" " * 52}  0.0 s
        """
    assert capsys.readouterr().out == textwrap.dedent(expected)


def test_with_json_all_this_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with _screen(as_json=True) as screen:
        screen.line("one")

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "registry.example.com\none\n"


def test_without_a_terminal_nobody_can_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with _screen() as screen, pytest.raises(NeedsConfirmation) as refused:
        screen.confirm(Plan((STOP,)), "https://registry.example.com: clients are refused for a moment. Go on?")

    question = "https://registry.example.com: clients are refused for a moment. Go on?"
    assert str(refused.value) == f"{question} There is no terminal to ask"
    assert refused.value.hint == "--yes says yes"
    assert refused.value.exit_status == 2
    expected = """\
        registry.example.com
         1. stop the container           it holds port 80 [interrupts]
        """
    assert capsys.readouterr().out == textwrap.dedent(expected)


def test_yes_is_not_asked_and_not_shown_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    with _screen(yes=True) as screen:
        screen.confirm(Plan((STOP,)), "Go on?")

    assert capsys.readouterr().out == ""


@dataclass
class _Typed(io.StringIO):
    """A terminal at which somebody types."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def isatty(self) -> bool:
        return True


@contextmanager
def _typing(text: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, _Typed(text)
    try:
        yield
    finally:
        sys.stdin = before


@pytest.mark.parametrize(("typed", "wanted"), [("y\n", "y"), (" YES \n", "y"), ("registry\n", "registry")])
def test_the_wanted_answer_goes_on(typed: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    with _screen() as screen, _typing(typed):
        screen.ask("Go on?", wanted=wanted)

    assert capsys.readouterr().out == ("Go on? [y/N] " if wanted == "y" else "Go on? ")


@pytest.mark.parametrize(
    ("typed", "wanted"), [("", "y"), ("\n", "y"), ("n\n", "y"), ("yes\n", "registry"), ("Registry\n", "registry")]
)
def test_any_other_answer_stops_before_anything_is_touched(typed: str, wanted: str) -> None:
    with _screen() as screen, _typing(typed), pytest.raises(NeedsConfirmation) as refused:
        screen.ask("Go on?", wanted=wanted)

    assert str(refused.value) == "the answer was not yes: nothing was touched"


def test_a_document_is_readable_in_any_script() -> None:
    printed = io.StringIO()
    with redirect_stdout(printed):
        document({"名字": [1]})

    assert printed.getvalue() == '{\n  "名字": [\n    1\n  ]\n}\n'
    assert json.loads(printed.getvalue()) == {"名字": [1]}


def test_columns_line_up() -> None:
    lines: list[str] = []

    columns([("image", "registry:3"), ("", "until 2027")], lines.append)

    assert lines == ["  image        registry:3", "               until 2027"]


_ON_A_TERMINAL = textwrap.dedent("""\
    import sys
    sys.path.insert(0, sys.argv[1])
    from tests.unit.cli.test_screen import FETCH, ISSUE, Event, Screen
    plain = sys.argv[2] == "plain"
    with Screen("registry.example.com", as_json=False, verbose=False, no_color=plain, yes=True) as screen:
        for step in (FETCH, ISSUE):
            screen.event(Event(step=step, phase="began", words="begun"))
        screen.event(Event(step=FETCH, phase="progress", words="downloading", done_bytes=5, total_bytes=18))
        screen.event(Event(step=FETCH, phase="done", words="[registry:3] (3.1.1)", seconds=2.1))
        screen.event(Event(step=ISSUE, phase="done", words="Let's Encrypt", seconds=1.4))
    """)


def _on_a_terminal(colours: str) -> str:
    top = str(Path(__file__).parents[3])
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, "-c", _ON_A_TERMINAL, top, colours], stdout=theirs, stderr=subprocess.STDOUT, env=environment
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # EIO: the other end is closed
                break
            if not chunk:
                break
            seen += chunk
    os.close(ours)
    assert process.returncode == 0, seen.decode()
    return seen.decode()


def test_on_a_terminal_a_bar_comes_and_goes_and_the_lines_stay() -> None:
    seen = _on_a_terminal("plain")

    assert "registry.example.com\r\n" in seen
    assert f"  image        [registry:3] (3.1.1){' ' * 43}  2.1 s" in seen
    assert f"  certificate  Let's Encrypt{' ' * 50}  1.4 s" in seen
    assert "━" in seen, "no bar was shown"


def test_no_colours_where_none_are_wanted() -> None:
    assert "\033[38" not in _on_a_terminal("plain")
    assert "\033[3" in _on_a_terminal("coloured"), "there is nothing to leave out: this test proves nothing"


def test_redirected_output_is_never_a_terminal() -> None:
    printed, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(printed), redirect_stderr(errors), _screen() as screen:
        _work(screen)

    assert "\033" not in printed.getvalue() + errors.getvalue()
