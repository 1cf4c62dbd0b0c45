"""What the documents say of the command line is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from regdeploy.cli.app import build

TREE = Path(__file__).parents[3]
DOCUMENTS = (
    *("README.md", "README.zh-CN.md", "examples/README.md", "CONTRIBUTING.md"),
    *("docs/faults.md", "docs/hooks.md", "docs/renewal.md"),
)


def _options() -> dict[str, set[str]]:
    """Every command with its options."""
    root = typer.main.get_command(build())
    commands: dict[str, set[str]] = {}
    for name, command in root.commands.items():  # type: ignore[attr-defined]  # a group, as it has several commands
        parts = getattr(command, "commands", {"": command}).values()
        parameters = [parameter for part in parts for parameter in part.params]
        commands[name] = {word for parameter in parameters for word in (*parameter.opts, *parameter.secondary_opts)}
    commands[""] = {"--install-completion", "--version"}
    return commands


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_and_option_in_a_document_exists(document: str) -> None:
    text = (TREE / document).read_text()
    commands = _options()
    named = re.findall(r"`regdeploy ([a-z-]+)", text) + re.findall(r"^regdeploy ([a-z-]+)", text, re.MULTILINE)
    assert [name for name in named if name not in commands and not name.startswith("--")] == []
    everything = set().union(*commands.values()) | {"--help", "--name"}
    written = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
    assert written - everything == set()


def test_the_table_of_commands_is_complete() -> None:
    for document in ("README.md", "README.zh-CN.md"):
        table = set(re.findall(r"^\| `regdeploy ([a-z-]+)`", (TREE / document).read_text(), re.MULTILINE))
        assert table == set(_options()) - {""}, document


def test_the_examples_use_commands_and_options_that_exist() -> None:
    commands = _options()
    for script in (TREE / "examples").glob("*/run.sh"):
        for line in script.read_text().splitlines():
            if line.startswith("regdeploy "):
                _, name, *rest = line.split()
                assert {word for word in rest if word.startswith("--")} <= commands[name], script
