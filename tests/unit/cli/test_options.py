"""Every setting is an option of ``up``; every command has its help; bad usage is exit 2 and says so in either form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

import regdeploy
from regdeploy.cli.app import build
from regdeploy.deployment.settings import SETTINGS

COMMANDS = (
    *("up", "plan", "migrate-to-https", "status", "renew", "agent", "upgrade", "rollback", "history", "down", "doctor"),
    *("init", "logs", "trust", "cert", "account"),
)
#: Commands that are a group of others.
GROUPS = {
    "cert": ("show", "list", "use", "import", "revoke"),
    "account": ("show", "rollover", "contact", "deactivate"),
}
#: Every command that does something, those of a group with the group's name before theirs.
WORDS = (
    *(name for name in COMMANDS if name not in GROUPS),
    *(f"{group} {name}" for group, names in GROUPS.items() for name in names),
)
COMMON = ("--root", "--name", "--config", "--docker-host", "--json", "--verbose", "--no-color")


@cache
def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGDEPLOY_")}
    command = [sys.executable, "-m", "regdeploy", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**clean, "COLUMNS": "120", **environment}, cwd="/"
    )
    assert "Traceback" not in done.stderr
    return done


def _command(name: str) -> Any:
    found: Any = typer.main.get_command(build())
    for word in name.split():
        found = found.commands[word]
    return found


def _options(name: str) -> dict[str, Any]:
    """What can be written after the command, and the keyword it leads to."""
    return {
        word: parameter.name
        for parameter in _command(name).params
        for word in (*parameter.opts, *parameter.secondary_opts)
    }


def test_these_are_all_commands() -> None:
    group = typer.main.get_command(build())

    assert tuple(group.commands) == COMMANDS  # type: ignore[attr-defined]  # typer's group


@pytest.mark.parametrize("command", ["up", "plan", "doctor", "init"])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_an_option(command: str, setting: Any) -> None:
    assert _options(command)[f"--{setting.name}"] == setting.field


@pytest.mark.parametrize("command", WORDS)
def test_every_command_takes_the_common_options(command: str) -> None:
    assert set(COMMON) <= set(_options(command))


def test_a_setting_that_is_true_or_false_can_be_said_both_ways() -> None:
    assert {"--auth", "--no-auth", "--selinux-relabel", "--no-selinux-relabel"} <= set(_options("up"))


def test_only_commands_that_work_out_a_whole_spec_take_the_settings() -> None:
    settings = {f"--{setting.name}" for setting in SETTINGS}

    for command in ("status", "renew", "down", "logs", "trust"):
        assert settings & set(_options(command)) == {"--name", "--root"}


@pytest.mark.parametrize("command", WORDS)
def test_help_of_every_command_says_what_it_does(command: str) -> None:
    done = _run(*command.split(), "--help")

    assert done.returncode == 0
    assert done.stderr == ""
    first = _command(command).help
    assert first is not None
    usage, _, rest = done.stdout.partition("\n\n")
    takes_arguments = any(not word.startswith("-") for word in _options(command))
    assert usage.startswith(f"Usage: python -m regdeploy {command} [OPTIONS]")
    assert usage.endswith("[OPTIONS]") is not takes_arguments
    assert " ".join(rest.partition("\n\n")[0].split()) == " ".join(first.split())
    for option in _options(command):
        assert option in done.stdout or not option.startswith("-")


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_its_commands(group: str) -> None:
    listed = _run(group, "--help").stdout.partition("Commands:\n")[2].splitlines()

    assert tuple(line.split()[0] for line in listed if line[2:3] != " ") == GROUPS[group]


def test_without_a_command_the_commands_are_listed() -> None:
    done = _run("-h")

    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.partition("Commands:\n")[2].splitlines() if line[2:3] != " "] == [
        *COMMANDS
    ]


def test_version() -> None:
    done = _run("--version")

    assert (done.returncode, done.stdout, done.stderr) == (0, f"regdeploy {regdeploy.__version__}\n", "")


def test_an_unknown_option_is_exit_2_with_the_nearest_one() -> None:
    done = _run("up", "--domian", "registry.example.com")

    error, hint = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert error.startswith("error: No such option: --domian ")  # the rest is typer's, and changes with it
    assert "--domain" in error
    assert hint == "hint: `python -m regdeploy up --help` lists the options"


def test_an_unknown_option_with_json_is_one_document() -> None:
    done = _run("up", "--domian", "registry.example.com", "--json")

    error = json.loads(done.stdout)["error"]
    assert (done.returncode, done.stderr) == (2, "")
    assert error["code"] == "usage"
    assert error["message"].startswith("No such option: --domian ")
    assert error["hint"] == "`python -m regdeploy up --help` lists the options"


@pytest.mark.parametrize("typed", [("up", "--port"), ("logs", "--tail"), ("cert", "show", "--root")])
def test_an_option_without_its_value_leads_to_the_help_of_what_was_typed(typed: tuple[str, ...]) -> None:
    *words, option = typed
    done = _run(*typed)

    assert (done.returncode, done.stdout) == (2, "")
    hint = f"`regdeploy {' '.join(words)} --help` lists the options"
    assert done.stderr == f"error: Option '{option}' requires an argument.\nhint: {hint}\n"


@pytest.mark.parametrize("typed", [(), ("cert",)])
def test_a_group_alone_prints_its_help_and_no_error(typed: tuple[str, ...]) -> None:
    done = _run(*typed)

    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == _run(*typed, "--help").stdout


def test_an_unknown_command_is_exit_2() -> None:
    done = _run("deploy")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: No such command 'deploy'.\nhint: `python -m regdeploy --help` lists the options\n"


def test_a_number_that_is_none_is_exit_2() -> None:
    done = _run("logs", "--tail", "many")

    error, hint = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert error.startswith("error: Invalid value for '--tail' / '-n': ")
    assert hint == "hint: `python -m regdeploy logs --help` lists the options"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (
            ("plan", "--domain", "https://registry.example.com"),
            "--domain: 'https://registry.example.com' has a scheme",
            "write 'registry.example.com': HTTPS is implied",
        ),
        (("init", "--port", "0", "--stdout"), "--port: '0' is not a whole number from 1 to 65535", ""),
        (
            ("status", "--watch"),
            "--watch: and --json contradict each other: --json is one document",
            "leave one out",
        ),
        (
            ("logs", "--follow"),
            "--follow: and --json contradict each other: --json is one document",
            "leave one out",
        ),
    ],
)
def test_bad_input_with_json_is_one_document_and_exit_2(arguments: tuple[str, ...], message: str, hint: str) -> None:
    done = _run(*arguments, "--root", "/nonexistent/registry", "--docker-host", "unix:///nonexistent", "--json")

    assert done.returncode == 2
    assert done.stderr == ""
    assert json.loads(done.stdout) == {"error": {"code": "usage", "message": message, "hint": hint}}


def test_staging_beside_another_ca_is_exit_2_in_either_form() -> None:
    both = ("init", "--stdout", "--staging", "--acme-directory", "https://ca.example/dir")
    words = "--staging: and --acme-directory contradict each other"
    plain, document = _run(*both), _run(*both, "--json")
    assert (plain.returncode, plain.stderr) == (2, f"error: {words}\nhint: leave one of the two out\n")
    assert (document.returncode, json.loads(document.stdout)["error"]["message"]) == (2, words)


def test_staging_is_lets_encrypts_other_directory() -> None:
    told = _run("init", "--stdout", "--staging").stdout
    assert 'acme-directory = "https://acme-staging-v02.api.letsencrypt.org/directory"' in told.splitlines()


def test_a_value_from_the_environment_is_named_by_its_variable() -> None:
    done = _run("plan", "--root", "/nonexistent/registry", REGDEPLOY_PORT="https")

    assert done.returncode == 2
    assert done.stderr == "error: REGDEPLOY_PORT: 'https' is not a whole number from 1 to 65535\n"


def test_init_prints_what_it_was_given_and_the_rest_as_comments() -> None:
    done = _run("init", "--stdout", "--domain", "名字.example", "--no-auth")

    assert done.returncode == 0
    settings = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
    assert settings == ['domain = ["xn--eqro3o.example"]', "auth = false"]


def test_init_refuses_to_replace_a_file_and_does_when_forced(tmp_path: Path) -> None:
    file = tmp_path / "regdeploy.toml"
    command = [sys.executable, "-m", "regdeploy", "init"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False, cwd=tmp_path)

    first = run("--port", "8443")
    written = file.read_text()
    again = run("--port", "9443")

    assert first.stdout == f"{file} is written. Edit it, then run `regdeploy plan` in this folder.\n"
    assert again.returncode == 2
    assert again.stderr == f"error: {file}: is there already\nhint: --force replaces it; --stdout prints a new one\n"
    assert file.read_text() == written
    assert json.loads(run("--port", "9443", "--force", "--json").stdout) == {"written": str(file)}
    assert "port = 9443" in file.read_text().splitlines()


def test_init_prints_the_schema_for_editors() -> None:
    done = _run("init", "--schema")

    assert set(json.loads(done.stdout)["properties"]) == {setting.name for setting in SETTINGS}
