"""The one handler: three lines at most, or one JSON document; and an exit status by class."""

from __future__ import annotations

import json
import textwrap

import pytest

from regdeploy.cli.errors import guarded, tell
from regdeploy.errors import (
    AcmeError,
    Busy,
    CertificateError,
    CheckFailed,
    EngineError,
    HostError,
    ImageError,
    NeedsConfirmation,
    NotDeployed,
    RegdeployError,
    UsageError,
    VerifyFailed,
)


def _raising(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (RegdeployError, 1, "failed"),
        (UsageError, 2, "usage"),
        (NeedsConfirmation, 2, "needs-confirmation"),
        (CheckFailed, 2, "check"),
        (NotDeployed, 3, "not-deployed"),
        (Busy, 1, "busy"),
        (HostError, 1, "host"),
        (EngineError, 1, "engine"),
        (ImageError, 1, "image"),
        (CertificateError, 1, "certificate"),
        (AcmeError, 1, "acme"),
        (VerifyFailed, 1, "verify"),
    ],
)
def test_each_class_has_its_exit_status_and_its_code(
    kind: type[RegdeployError], status: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = guarded(lambda: _raising(kind("--port", "is taken", "choose another")), as_json=True, verbose=False)

    assert ended == status
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"error": {"code": code, "message": "--port: is taken", "hint": "choose another"}}
    assert printed.err == ""


def test_a_person_gets_where_what_and_hint_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        guarded(lambda: _raising(UsageError("--port", "'x' is no port", "give a number")), as_json=False, verbose=False)
        == 2
    )

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "error: --port: 'x' is no port\nhint: give a number\n"


def test_without_a_hint_there_is_no_empty_line(capsys: pytest.CaptureFixture[str]) -> None:
    guarded(lambda: _raising(HostError("/srv", "Input/output error")), as_json=False, verbose=False)

    assert capsys.readouterr().err == "error: /srv: Input/output error\n"


def test_the_registrys_last_words_come_before_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    error = VerifyFailed("registry", "does not answer", "look at its log", log=("panic: no such file", "exit 2"))

    assert guarded(lambda: _raising(error), as_json=False, verbose=False) == 1

    expected = """\
          | panic: no such file
          | exit 2
        error: registry: does not answer
        hint: look at its log
        """
    assert capsys.readouterr().err == textwrap.dedent(expected)


def test_with_json_the_registrys_last_words_do_not_spoil_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    error = VerifyFailed("registry", "does not answer", log=("panic",))

    guarded(lambda: _raising(error), as_json=True, verbose=False)

    printed = capsys.readouterr()
    assert json.loads(printed.out)["error"]["message"] == "registry: does not answer"
    assert printed.err == "  | panic\n"


def test_words_in_any_script_stay_readable_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    tell("usage", "名字: 不对", "", as_json=True)

    assert capsys.readouterr().out == '{"error": {"code": "usage", "message": "名字: 不对", "hint": ""}}\n'


def test_an_interruption_is_130_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: _raising(KeyboardInterrupt()), as_json=False, verbose=False) == 130

    assert capsys.readouterr().err == "error: interrupted\nhint: `regdeploy up` goes on from what is there\n"


def test_a_defect_is_one_line_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: _raising(ValueError("no")), as_json=False, verbose=False) == 1

    expected = """\
        error: a defect in regdeploy: ValueError: no
        hint: run it again with --verbose and report what it prints
        """
    assert capsys.readouterr().err == textwrap.dedent(expected)


@pytest.mark.parametrize("error", [ValueError("no"), UsageError("--port", "no")])
def test_verbose_shows_the_traceback_first(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    guarded(lambda: _raising(error), as_json=False, verbose=True)

    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert any(line.startswith("error: ") for line in lines)


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (5, 5)])
def test_what_the_work_returns_is_the_exit_status(returned: int | None, status: int) -> None:
    assert guarded(lambda: returned, as_json=False, verbose=False) == status


def test_a_connection_that_breaks_is_no_reader_who_went_away(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: _raising(BrokenPipeError(32, "Broken pipe")), as_json=False, verbose=False) == 1

    assert capsys.readouterr().err.startswith("error: a defect in regdeploy: BrokenPipeError: ")
