"""An account's key changed, its address, its end: at a real CA, with answers lost and the process killed anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.account_life import change_account
from tests.fakes.death import dying_before
from tests.fakes.mortal import Killed
from tests.rig.acme.conftest import Client
from tests.rig.acme.test_account import at_the_ca, files
from tests.rig.parts.flaky import Answer, Flaky, problem
from tests.rig.parts.pebble import Pebble

_KEYS = {"account.key", "account.json"}
_ANOTHER = "the CA does not know the account any more: registering another"


def act(client: Client, what: str, **settings: Any) -> None:
    """Do that with the client's account."""
    change_account(client.errand(**settings), what)


def key(client: Client) -> bytes:
    """The one account's key."""
    return (client.accounts[0] / "account.key").read_bytes()


def test_a_new_key_is_the_accounts_from_then_on_and_the_old_one_no_more(client: Client, flaky: Flaky) -> None:
    first = client.issue().account
    old = key(client)
    act(client, "rollover")
    new = key(client)
    assert new != old
    assert files(client) == {"account.key": 0o600, "account.json": 0o600}
    assert client.issue().account == first
    assert flaky.count("POST /sign-me-up") == 1
    (client.accounts[0] / "account.key").write_bytes(old)
    (client.accounts[0] / "account.json").unlink()
    assert client.issue().account != first  # nobody's: the CA made another account for it


def test_a_new_key_for_an_account_whose_facts_are_lost(client: Client) -> None:
    first = client.issue().account
    (client.accounts[0] / "account.json").unlink()
    act(client, "rollover")
    client.reports.clear()
    assert client.issue("b.example.com").account == first
    assert client.reports[0] == "order: 1 name to prove"


def test_a_new_key_that_is_refused_leaves_the_old_one(client: Client, flaky: Flaky) -> None:
    first = client.issue().account
    old = key(client)
    flaky.on("POST /rollover", problem(403, "unauthorized", "not today"))
    with pytest.raises(AcmeError, match="not today"):
        act(client, "rollover")
    assert key(client) == old
    assert "account.key.next" not in files(client)
    assert client.issue().account == first


def test_a_yes_that_is_lost_once_is_found_out_at_once(client: Client, flaky: Flaky) -> None:
    first = client.issue().account
    old = key(client)
    flaky.on("POST /rollover", lose=True)
    act(client, "rollover")
    assert key(client) != old
    assert set(files(client)) == _KEYS
    assert client.issue().account == first


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_yes_that_never_comes_is_found_out_by_the_next_order(
    client: Client, flaky: Flaky, *, carried_out: bool
) -> None:
    first = client.issue().account
    old = key(client)
    flaky.on("POST /rollover", None if carried_out else Answer(200), lose=True)
    flaky.on("POST /rollover", Answer(200), lose=True, first=2, last=99)
    with pytest.raises(AcmeError, match="the connection failed"):
        act(client, "rollover")
    assert key(client) == old
    assert "account.key.next" in files(client)
    assert client.issue().account == first
    assert (key(client) != old) == carried_out
    assert "account.key.next" not in files(client)
    assert _ANOTHER not in client.reports


def test_a_ca_that_cannot_say_which_key_it_knows_costs_neither(client: Client, flaky: Flaky) -> None:
    client.issue()
    flaky.on("POST /rollover", Answer(200), lose=True, last=99)
    with pytest.raises(AcmeError):
        act(client, "rollover")
    flaky.on("POST /sign-me-up", problem(400, "malformed", "out of order"))
    with pytest.raises(AcmeError, match="out of order"):
        client.issue()
    assert set(files(client)) == {*_KEYS, "account.key.next"}


def test_killed_before_any_write_of_a_change_of_keys_the_account_is_the_same(
    pebble: Pebble, make_client: Callable[[Pebble], Client]
) -> None:
    client = make_client(pebble)
    first, killed = client.issue().account, 0
    while True:
        try:
            with dying_before(killed + 1):
                act(client, "rollover")
            break
        except Killed:
            killed += 1
        assert client.issue().account == first
        assert "account.key.next" not in files(client)
    assert killed >= 4  # the new key's two, the request, its taking over
    assert client.issue().account == first
    assert _ANOTHER not in client.reports


def test_an_account_that_was_ended_is_put_away_and_the_next_order_has_another(client: Client) -> None:
    first = client.issue().account
    act(client, "deactivate")
    assert set(files(client)) == {"account.key.old-1"}
    assert client.reports[-1] == "account deactivated"
    assert client.issue().account != first
    assert _ANOTHER not in client.reports


def test_an_account_that_has_ended_already_is_put_away_all_the_same(client: Client, flaky: Flaky) -> None:
    client.issue()
    flaky.on("POST /my-account", lose=True)
    act(client, "deactivate")
    assert set(files(client)) == {"account.key.old-1"}


def test_an_end_that_is_refused_changes_nothing(client: Client, flaky: Flaky) -> None:
    first = client.issue().account
    flaky.on("POST /my-account", problem(403, "unauthorized", "not today"))
    with pytest.raises(AcmeError, match="not today"):
        act(client, "deactivate")
    assert client.issue().account == first


def test_an_address_is_told_without_an_order(client: Client, flaky: Flaky) -> None:
    client.issue()
    act(client, "contact", email="bert@example.com")
    assert at_the_ca(client)["contact"] == ["mailto:bert@example.com"]
    assert flaky.count("POST /order-plz") == 1


@pytest.mark.parametrize("what", ["contact", "rollover", "deactivate"])
def test_without_an_account_none_is_made(client: Client, flaky: Flaky, what: str) -> None:
    with pytest.raises(AcmeError, match="has no account of this registry"):
        act(client, what)
    assert flaky.count("POST") == 0
    assert not client.state.exists()


def test_an_account_that_the_ca_forgot_is_not_made_anew_only_to_be_changed(
    start_pebble: Callable[..., Pebble], make_client: Callable[[Pebble], Client]
) -> None:
    first = start_pebble()
    client = make_client(first)
    client.issue()
    first.stop()
    client.authority = start_pebble(directory_port=first.port)
    (client.accounts[0] / "account.json").unlink()
    with pytest.raises(AcmeError) as caught:
        act(client, "rollover")
    assert caught.value.problem == "accountDoesNotExist"


def test_cancelled_it_ends_at_once_and_costs_no_account(client: Client, flaky: Flaky) -> None:
    first = client.issue().account
    flaky.on("POST /rollover", delay=1)
    threading.Timer(0.2, client.cancel.set).start()
    with pytest.raises(AcmeError, match="cancelled"):
        act(client, "rollover")
    client.cancel.clear()
    assert client.issue().account == first


def test_a_key_that_shall_follow_and_is_none_is_named(client: Client) -> None:
    client.issue()
    path: Path = client.accounts[0] / "account.key.next"
    path.write_text("no key")
    with pytest.raises(AcmeError) as caught:
        client.issue()
    assert caught.value.where == str(path)
