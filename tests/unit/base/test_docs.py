"""What docs/ say is true: every test that they name is there, every command can be typed, every example runs."""

from __future__ import annotations

import ast
import json
import re
import shlex
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
import typer

from regdeploy.cli.app import build
from regdeploy.deployment.hooks import Hook, HookContext, environment, run_hook
from regdeploy.deployment.notify import Kind, notification
from regdeploy.deployment.request import Request, resolve_request
from regdeploy.deployment.settings import SETTINGS
from tests.builders import NOW

TREE = Path(__file__).parents[3]
DOCUMENTS = sorted((TREE / "docs").glob("*.md"))
FAULTS = TREE / "docs" / "faults.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def names_in(path: Path) -> frozenset[str]:
    """The tests of a module, by name."""
    body = ast.parse(path.read_text()).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def rows(document: Path) -> list[str]:
    """The lines of its tables, without their heads."""
    lines = [line for line in document.read_text().splitlines() if line.startswith("| ")]
    return [line for line in lines if not line.startswith("| what goes wrong ")]


def test_every_test_in_the_table_of_faults_exists() -> None:
    named = _TEST.findall(FAULTS.read_text())
    assert len(named) > 90
    missing = [f"{path}::{name}" for path, name in named if name not in names_in(TREE / path)]
    assert missing == []


@pytest.mark.parametrize("row", rows(FAULTS), ids=lambda row: row.split("|")[1].strip()[:40])
def test_every_fault_has_four_cells_and_a_test(row: str) -> None:
    cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
    assert len(cells) == 4
    assert all(cells)
    assert _TEST.sub("", cells[3]).strip(", ") == "", "something else than tests"


def commands() -> list[tuple[str, str]]:
    """Every line of a code block that runs regdeploy, with its document; lines that end with a backslash go on."""
    found = []
    for document in (TREE / "README.md", TREE / "README.zh-CN.md", *DOCUMENTS):
        for block in re.findall(r"^```\w*\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            found += [(document.name, line) for line in lines if line.startswith("regdeploy ")]
    return found


@pytest.mark.parametrize(("document", "line"), commands(), ids=lambda text: text[:60])
def test_every_command_shown_can_be_typed_and_fits_together(document: str, line: str, tmp_path: Path) -> None:
    program = tmp_path / "file"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    words = [str(program) if word.startswith("/etc/") else word for word in shlex.split(line, comments=True)[1:]]
    group = typer.main.get_command(build())
    command = group.commands[words[0]]  # type: ignore[attr-defined]  # typer's group
    given = command.make_context(words[0], words[1:]).params
    flags = {setting.name: given[setting.field] for setting in SETTINGS if given.get(setting.field) not in (None, [])}
    request = Request(flags={**flags, "root": str(tmp_path / "root")}, environ={}, config=None, folder=tmp_path)
    assert resolve_request(request).spec.name, document


def block(document: str, language: str) -> str:
    """The first code block of a document in that language."""
    found = re.search(rf"^```{language}\n(.*?)^```", (TREE / "docs" / document).read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_deploy_hook_of_the_documents_runs_and_copies_the_pair(tmp_path: Path) -> None:
    current = tmp_path / "current"
    current.mkdir()
    (current / "fullchain.pem").write_text("chain")
    (current / "privkey.pem").write_text("key")
    target = tmp_path / "mail"
    hook = tmp_path / "hook"
    hook.write_text(block("hooks.md", "sh").replace("/etc/mail/tls", str(target)).replace("systemctl reload", "true"))
    hook.chmod(0o755)
    context = HookContext(
        name="registry",
        domains=("registry.example.com",),
        root=tmp_path,
        certificate=current / "fullchain.pem",
        key=current / "privkey.pem",
        fingerprint="ab" * 32,
        not_after=NOW + timedelta(days=60),
    )
    for _ in range(2):
        assert run_hook(Hook.DEPLOY, hook, context, NOW) is None
    assert {path.name: path.read_text() for path in target.iterdir()} == {"cert.pem": "chain", "key.pem": "key"}
    assert (target / "key.pem").stat().st_mode & 0o777 == 0o600


def test_every_variable_of_a_hook_is_in_its_document_and_none_else() -> None:
    context = HookContext(name="registry", domains=(), root=Path("/"))
    named = set(re.findall(r"^\| `(REGDEPLOY_\w+)`", (TREE / "docs/hooks.md").read_text(), re.MULTILINE))
    assert named == set(environment(Hook.AFTER, context))


def test_the_webhooks_keys_are_those_of_the_document() -> None:
    message = notification(Kind.FAILED, name="", domain="", host="", now=NOW, leaf=None)
    assert list(json.loads(block("renewal.md", "json"))) == list(message.facts)
