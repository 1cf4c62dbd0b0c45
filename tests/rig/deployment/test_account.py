"""The account at the CA, from the command line: looked at, and changed, with no certificate touched."""

from __future__ import annotations

import json
from pathlib import Path

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask


def files(command: Command) -> dict[str, bytes]:
    """What is kept of the account."""
    (folder,) = (command.root / "acme/accounts").iterdir()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_account_is_shown_changed_and_ended_and_another_takes_its_place(
    command: Command, domain: str, acme: tuple[str, ...]
) -> None:
    command("up", "--domain", domain, *acme, "--no-auth", "--email", "ops@example.com")
    leaf = ask("/v2/", port=443)[2]
    shown = command("account", "show", "--json").document
    assert (shown["directory"], shown["contact"]) == (acme[1], ["mailto:ops@example.com"])
    assert shown["url"] in command("account", "show").out

    before = files(command)
    command("account", "rollover")
    assert files(command)["account.key"] != before["account.key"]
    assert json.loads(files(command)["account.json"])["url"] == shown["url"]
    command("account", "contact", "--email", "more@example.com")
    assert command("account", "show", "--json").document["contact"] == ["mailto:more@example.com"]
    assert ask("/v2/", port=443)[2] == leaf
    command("renew", "--force")  # the new key signs

    command("account", "deactivate", code=2)  # asked about, and nobody is there to answer
    command("account", "deactivate", "--yes")
    assert "has no account" in command("account", "show", code=3).err
    command("renew", "--force")
    assert command("account", "show", "--json").document["url"] != shown["url"]


def test_where_no_ca_is_asked_there_is_no_account(command: Command, tmp_path: Path) -> None:
    assert "nothing is deployed" in command("account", "show", code=3).err
    command("up", "--domain", "r.example.test", "--tls", "internal", "--no-auth")
    assert "with --tls internal there is no account at a CA" in command("account", "rollover", code=2).err
