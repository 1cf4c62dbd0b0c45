"""The account: kept, found again, kept up to date, bound to another, and replaced when the CA has lost it."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme import messages

from regdeploy.errors import AcmeError, HostError, UsageError
from regdeploy.secret import Secret
from regdeploy.tls.acme.account import Account
from regdeploy.tls.acme.connection import session
from regdeploy.tls.acme.directory import directory_facts
from regdeploy.tls.acme.network import Network
from regdeploy.tls.acme.patience import Patience
from regdeploy.tls.acme.settings import AcmeSettings
from tests.rig.acme.conftest import Client
from tests.rig.parts.flaky import Flaky, problem
from tests.rig.parts.pebble import Pebble


@pytest.fixture
def bound(start_pebble: Callable[..., Pebble], make_client: Callable[[Pebble], Client]) -> Client:
    """A client of a CA that wants an external account binding."""
    return make_client(start_pebble(eab=True))


def binding(client: Client, **changes: Any) -> dict[str, Any]:
    """The right binding, but for the changes."""
    assert isinstance(client.authority, Pebble)
    right = {"eab_kid": client.authority.eab_kid, "eab_hmac_key": Secret(client.authority.eab_hmac_key)}
    return {**right, **changes}


def at_the_ca(client: Client, message: Any = None) -> dict[str, Any]:
    """What the CA holds of the client's account, after ``message`` if one is given."""
    settings = AcmeSettings(
        directory=client.authority.directory, names=(), ca_bundle=client.authority.ca_bundle, timeout=5
    )
    facts = directory_facts(settings.directory, settings.ca_bundle)
    ca = Network(session(settings.ca_bundle), facts, Patience(5, client.cancel), lambda: 0, ())  # type: ignore[arg-type,return-value]
    assert Account(ca, replace(client.errand(), settings=settings)).load()
    answer: dict[str, Any] = ca.post(ca.account, message).json()
    return answer


def files(client: Client) -> dict[str, int]:
    """The names in the one account's folder with their modes."""
    (folder,) = client.accounts
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_its_files_are_for_their_owner_alone(client: Client) -> None:
    client.issue()
    assert files(client) == {"account.key": 0o600, "account.json": 0o600}
    (folder,) = client.accounts
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent, client.state)] == [0o700] * 3
    facts = json.loads((folder / "account.json").read_text())
    assert facts["directory"] == client.authority.directory
    assert facts["terms_agreed"] == "data:text/plain,Do%20what%20thou%20wilt"


def test_the_key_is_on_disk_before_the_ca_has_seen_it(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /sign-me-up", problem(403, "unauthorized", "no more accounts today"))
    with pytest.raises(AcmeError, match="no more accounts today"):
        client.issue()
    assert files(client) == {"account.key": 0o600}
    key = (client.accounts[0] / "account.key").read_bytes()
    client.issue()
    assert (client.accounts[0] / "account.key").read_bytes() == key


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b'{"contact": 1, "url": "x"}', b"\xff"])
def test_the_key_finds_the_account_whose_facts_are_lost_or_damaged(client: Client, content: bytes | None) -> None:
    first = client.issue(email="anna@example.com")
    facts = client.accounts[0] / "account.json"
    before = facts.read_text()
    facts.unlink()
    if content is not None:
        facts.write_bytes(content)
    assert client.issue(email="anna@example.com").account == first.account
    assert "account found" in client.reports
    assert "account's e-mail address updated" not in client.reports
    assert facts.read_text() == before


def test_a_changed_address_is_told_to_the_ca_once(client: Client, flaky: Flaky) -> None:
    client.issue(email="anna@example.com")
    assert at_the_ca(client)["contact"] == ["mailto:anna@example.com"]
    client.issue(email="bert@example.com")
    assert at_the_ca(client)["contact"] == ["mailto:bert@example.com"]
    flaky.asked.clear()
    client.issue(email="bert@example.com")
    assert flaky.count("my-account") == 0


def test_a_changed_address_is_told_as_well_where_the_account_had_to_be_found(client: Client) -> None:
    client.issue(email="anna@example.com")
    (client.accounts[0] / "account.json").unlink()
    client.issue(email="bert@example.com")
    assert at_the_ca(client)["contact"] == ["mailto:bert@example.com"]


def test_an_address_that_is_given_up_is_told_too(client: Client) -> None:
    client.issue(email="anna@example.com")
    client.issue()
    assert client.reports.count("account's e-mail address updated") == 1
    assert json.loads((client.accounts[0] / "account.json").read_text())["contact"] == []


def test_an_address_that_the_ca_refuses_is_named_by_its_option(client: Client) -> None:
    with pytest.raises(AcmeError) as caught:
        client.issue(email="anna@example.com,bert@example.com")
    assert caught.value.problem in {"invalidContact", "unsupportedContact"}
    assert caught.value.hint == "correct --email"


def test_an_account_that_the_ca_has_lost_is_replaced_and_its_key_kept(
    start_pebble: Callable[..., Pebble], make_client: Callable[[Pebble], Client]
) -> None:
    first = start_pebble()
    client = make_client(first)
    client.issue()
    old = (client.accounts[0] / "account.key").read_bytes()
    first.stop()
    client.authority = start_pebble(directory_port=first.port)
    assert client.issue().bundle
    assert client.reports.count("the CA does not know the account any more: registering another") == 1
    assert files(client) == {"account.key": 0o600, "account.key.old-1": 0o600, "account.json": 0o600}
    assert (client.accounts[0] / "account.key.old-1").read_bytes() == old
    assert (client.accounts[0] / "account.key").read_bytes() != old
    client.reports.clear()
    client.issue("b.example.com")
    assert client.reports[0] == "order: 1 name to prove"


def test_a_lost_account_is_replaced_also_where_the_address_is_told_first(client: Client, flaky: Flaky) -> None:
    client.issue()
    flaky.on("POST /my-account", problem(400, "accountDoesNotExist", "who are you?"))
    assert client.issue(email="anna@example.com").bundle
    assert "account.key.old-1" in files(client)


def test_a_deactivated_account_is_replaced(client: Client) -> None:
    client.issue()
    at_the_ca(client, messages.UpdateRegistration(status=messages.Status("deactivated")))
    assert client.issue().bundle
    assert "account.key.old-1" in files(client)


def test_a_deactivated_account_is_replaced_also_where_the_key_had_to_find_it(client: Client) -> None:
    client.issue()
    at_the_ca(client, messages.UpdateRegistration(status=messages.Status("deactivated")))
    (client.accounts[0] / "account.json").unlink()
    client.issue()
    assert "account.key.old-1" in files(client)


def test_a_second_account_that_is_lost_too_is_an_error(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", problem(400, "accountDoesNotExist", "who are you?"), last=99)
    with pytest.raises(AcmeError, match="who are you") as caught:
        client.issue()
    assert caught.value.problem == "accountDoesNotExist"
    assert flaky.count("POST /order-plz") == 2
    assert flaky.count("POST /sign-me-up") == 2


def test_a_refused_name_costs_no_account(client: Client, flaky: Flaky) -> None:
    client.issue()
    flaky.on("POST /order-plz", problem(403, "unauthorized", "not for that name"))
    with pytest.raises(AcmeError, match="not for that name"):
        client.issue()
    assert "account.key.old-1" not in files(client)


def test_a_new_key_that_is_refused_is_not_replaced_for_ever(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /sign-me-up", problem(403, "unauthorized", "members only"), last=99)
    with pytest.raises(AcmeError, match="members only"):
        client.issue()
    assert flaky.count("POST /sign-me-up") == 1


def test_the_accounts_of_two_directories_are_two(client: Client, pebble: Pebble) -> None:
    client.issue()
    client.authority = pebble
    client.issue()
    assert len(client.accounts) == 2


def test_the_terms_are_not_mentioned_where_there_are_none(client: Client, flaky: Flaky) -> None:
    flaky.on("GET /dir", rewrite=lambda answer: answer.with_json(meta=None))
    client.issue()
    assert client.reports[0] == "account registered"


def test_an_account_without_a_url_is_an_error(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /sign-me-up", rewrite=lambda answer: answer.without("Location"))
    with pytest.raises(AcmeError, match="registered an account and did not say where"):
        client.issue()


def test_another_kind_of_key_in_its_place_is_refused_not_replaced(client: Client) -> None:
    client.issue()
    path = client.accounts[0] / "account.key"
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(AcmeError) as caught:
        client.issue()
    assert caught.value.where == str(path)
    assert caught.value.what == "is no EC P-256 private key in PEM"
    assert path.read_bytes().startswith(b"-----BEGIN")


def test_a_folder_that_cannot_be_made_is_named(client: Client) -> None:
    client.state.write_text("a file in the way")
    with pytest.raises(HostError) as caught:
        client.issue()
    assert caught.value.where.startswith(str(client.state))


def test_a_binding_makes_the_account(bound: Client) -> None:
    issued = bound.issue(**binding(bound))
    assert issued.bundle
    assert json.loads((bound.accounts[0] / "account.json").read_text())["eab_kid"] == "kid-rig"
    assert bound.issue().account == issued.account  # needed once only


def test_a_key_without_or_with_padding_and_blanks_is_the_same_key(bound: Client) -> None:
    assert isinstance(bound.authority, Pebble)
    padded = Secret(f"  {bound.authority.eab_hmac_key.rstrip('=')}==\n")
    assert bound.issue(**binding(bound, eab_hmac_key=padded)).bundle


def test_no_binding_where_one_is_needed_is_an_error_before_anything_is_asked(bound: Client) -> None:
    with pytest.raises(AcmeError) as caught:
        bound.issue()
    assert caught.value.code == "acme.externalAccountRequired"
    assert caught.value.what == "wants an external account binding, and none was given"
    assert caught.value.hint == "add --eab-kid and --eab-hmac-key-file, as the CA gave them to you"


@pytest.mark.parametrize(
    "changes",
    [
        {"eab_kid": "kid-nobody"},
        {"eab_hmac_key": Secret("d3JvbmctIGtleS0gd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc")},
    ],
    ids=["kid", "key"],
)
def test_a_wrong_binding_is_the_cas_no_with_the_options_names(bound: Client, changes: dict[str, Any]) -> None:
    with pytest.raises(AcmeError) as caught:
        bound.issue(**binding(bound, **changes))
    assert caught.value.problem
    assert caught.value.where == bound.authority.directory.split("/")[2]
    assert caught.value.hint == (
        "check --eab-kid and --eab-hmac-key-file: a binding holds for one CA, and at some for one account"
    )
    assert "account.key.old-1" not in files(bound)


@pytest.mark.parametrize("text", ["", "a+b/", "abcde", "not a key"])
def test_a_key_that_is_not_base64url_is_refused_and_not_shown(bound: Client, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        bound.issue(**binding(bound, eab_hmac_key=Secret(text)))
    assert caught.value.where == "--eab-hmac-key-file"
    assert not text or text not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("changes", [{"eab_kid": ""}, {"eab_hmac_key": None}], ids=["kid", "key"])
def test_half_a_binding_is_refused(bound: Client, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="one was given without the other"):
        bound.issue(**binding(bound, **changes))


def test_a_lost_accounts_key_that_cannot_be_put_aside_is_named_and_stays(client: Client, flaky: Flaky) -> None:
    client.issue()
    path = client.accounts[0] / "account.key"
    flaky.on("POST /order-plz", problem(400, "accountDoesNotExist", "who are you?"))
    with immovable(path), pytest.raises(HostError) as caught:
        client.issue()
    assert caught.value.where == str(path)
    assert client.issue().bundle  # by the same key, whose account is found again
    assert files(client) == {"account.key": 0o600, "account.json": 0o600}


@contextmanager
def immovable(path: Path) -> Iterator[None]:
    """Nobody can rename the file, root included: it is mounted on itself."""
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def test_state_that_cannot_be_read_is_named(client: Client, tmp_path: Path) -> None:
    client.issue()
    path = client.accounts[0] / "account.key"
    path.unlink()
    path.mkdir()
    with pytest.raises(HostError) as caught:
        client.issue()
    assert caught.value.where == str(path)
