"""``cert`` on real parts: what is shown is what is served, and a version gone back to stays the one that is served."""

from __future__ import annotations

import itertools
import signal
import ssl
from pathlib import Path

import pytest

from tests.certs import make_intermediate, make_leaf, make_root
from tests.rig.parts.command import Command
from tests.rig.parts.deployed import current_fingerprint, served
from tests.rig.parts.pebble import Pebble


@pytest.fixture
def two(command: Command, domain: str, acme: tuple[str, ...]) -> tuple[str, str]:
    """A registry with two versions; the leaf of the first, and that of the second, which is served."""
    command("up", "--domain", domain, *acme, "--no-auth")
    first = served()
    command("renew", "--force")
    return first, served()


def test_what_is_shown_and_listed_is_what_is_stored_and_served(
    command: Command, two: tuple[str, str], domain: str, acme: tuple[str, ...]
) -> None:
    shown = command("cert", "show", "--json").document
    pem = (command.root / "certs/current/fullchain.pem").read_text()
    leaf, *chain = (part + "-----END CERTIFICATE-----\n" for part in pem.split("-----END CERTIFICATE-----\n")[:-1])
    assert (shown["version"], shown["current"], shown["served"]) == (2, True, True)
    assert (shown["fingerprint_sha256"], shown["names"], shown["source"]) == (two[1], [domain], "acme")
    assert (shown["directory"], shown["key_type"], shown["problem"]) == (acme[1], "ECDSA P-256", None)
    assert len(shown["chain"]) == len(chain) == 1
    assert f"{int(shown['serial'], 16):x}" == shown["serial"]
    assert ssl.PEM_cert_to_DER_cert(leaf).find(int(shown["serial"], 16).to_bytes(8)) > 0
    assert shown["deployed_at"] >= shown["issued_at"]
    listed = command("cert", "list", "--json").document["versions"]
    assert [(one["version"], one["fingerprint_sha256"], one["served"]) for one in listed] == [
        (1, two[0], False),
        (2, two[1], True),
    ]
    assert [line.split("  ")[1:3] for line in command("cert", "list").out.splitlines()] == [
        ["0001", "stored"],
        ["0002", "current, served"],
    ]
    assert two[0] in command("cert", "show", "1").out


def test_a_version_gone_back_to_is_served_and_stays_so(
    command: Command, two: tuple[str, str], domain: str, acme: tuple[str, ...]
) -> None:
    refused = command("cert", "use", "1", code=2)
    assert "There is no terminal to ask" in refused.err
    assert served() == two[1]
    command("cert", "use", "1", "--yes")
    assert served() == current_fingerprint(command.root) == two[0]
    command("renew")
    assert "nothing to do" in command("up", "--domain", domain, *acme, "--no-auth").out
    assert served() == two[0]
    assert "set aside" in command("cert", "list").out.splitlines()[1]
    done = command("cert", "use", "2", "--yes", "--json").document
    assert (done["changed"], served()) == (True, two[1])
    assert not command("cert", "use", "2", "--json").document["changed"]
    command("cert", "use", "1", "--yes")
    command("renew", "--force")
    assert served() not in two
    assert command("status", "--json").document["drift"] == []


def test_killed_during_it_one_of_the_two_is_served_and_the_same_call_ends_it(
    command: Command, two: tuple[str, str]
) -> None:
    numbers = itertools.cycle("12")
    for write in range(3, 100, 4):  # before every one: in memory
        number = next(numbers)
        result = command.mortal(write, "cert", "use", number, "--yes")
        command("renew")
        assert served() in two
        command("cert", "use", number, "--yes")
        assert served() == two[int(number) - 1]
        if result.code == 0:
            break
        assert result.code == -signal.SIGKILL, result.err
    assert write > 3, "it was never killed: it proves nothing"


def test_a_pair_of_the_users_own_is_brought_in_and_all_else_stays(
    command: Command, two: tuple[str, str], domain: str, tmp_path: Path
) -> None:
    authority = make_intermediate(make_root())
    leaf, other = make_leaf(authority, domain), make_leaf(authority, "other.example.com")
    for name, made in (("own", leaf), ("other", other)):
        (tmp_path / f"{name}.crt").write_bytes(made.pem + authority.pem)
        (tmp_path / f"{name}.key").write_bytes(made.key_pem)
    pair = ("--cert", str(tmp_path / "own.crt"), "--key", str(tmp_path / "own.key"))
    assert "--key: is missing" in command("cert", "import", *pair[:2], code=2).err
    assert "other.example.com" in command("cert", "import", *_pair(tmp_path / "other"), "--yes", code=2).err
    assert served() == two[1]
    done = command("cert", "import", *pair, "--yes")
    assert f"for {domain}" in done.out
    assert served() == leaf.fingerprint
    assert "it is in use already: nothing to do" in command("cert", "import", *pair).out
    assert "`regdeploy cert import` brings" in command("cert", "use", "2", "--yes", code=1).err
    saved = (command.root / "regdeploy.toml").read_text().splitlines()
    assert {'tls = "files"', "auth = false"} <= set(saved)


def _pair(stem: Path) -> tuple[str, ...]:
    return ("--cert", f"{stem}.crt", "--key", f"{stem}.key")


def test_the_one_in_use_is_replaced_and_its_ca_revokes_it(
    command: Command, two: tuple[str, str], pebble: Pebble
) -> None:
    first, second = (int(command("cert", "show", number, "--json").document["serial"], 16) for number in "12")
    assert "There is no terminal to ask" in command("cert", "revoke", code=2).err
    assert pebble.status_of(second)["Status"] == "Valid"
    done = command("cert", "revoke", "--reason", "keyCompromise", "--yes", "--json").document
    assert (done["version"], done["newly_revoked"], done["replaced"]) == (2, True, True)
    status = pebble.status_of(second)
    assert (status["Status"], status["Reason"]) == ("Revoked", 1)
    assert served() not in two
    assert pebble.status_of(first)["Status"] == "Valid"
    assert "it was revoked on" in command("cert", "use", "2", "--yes", code=1).err
    command("cert", "use", "1", "--yes")
    command("cert", "use", "3", "--yes")
    command("cert", "revoke", "1", "--yes")
    assert pebble.status_of(first)["Status"] == "Revoked"
    assert "was revoked already" in command("cert", "revoke", "1", "--yes").out
    assert command("status", "--json").document["drift"] == []


def test_errors_say_what_there_is(command: Command, domain: str, acme: tuple[str, ...]) -> None:
    assert "nothing is deployed" in command("cert", "show", code=3).err
    command("up", "--domain", domain, *acme, "--no-auth")
    assert "version 7: is not stored; there are: 1" in command("cert", "use", "7", code=2).err
    assert "version 7: is not stored; there are: 1" in command("cert", "show", "7", code=2).err
