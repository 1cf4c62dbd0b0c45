"""A certificate revoked at a real CA: by its account, by its key, twice, and by somebody who may not."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from regdeploy.errors import AcmeError, CertificateError, UsageError
from regdeploy.secret import Secret
from regdeploy.tls.acme.revoke import REASONS, revoke
from tests.certs import make_key, make_leaf, make_root
from tests.rig.acme.conftest import Client
from tests.rig.parts.flaky import Flaky, problem
from tests.rig.parts.pebble import Pebble


def revoked(client: Client, pem: bytes, *, key: Secret | None = None, reason: str = "unspecified") -> bool:
    """Revoke that certificate."""
    return revoke(client.errand(), pem, key=key, reason=reason)


@pytest.mark.parametrize("reason", list(REASONS))
def test_the_account_revokes_what_it_ordered_for_any_reason(client: Client, pebble: Pebble, reason: str) -> None:
    bundle = client.issue().bundle
    assert revoked(client, bundle.fullchain_pem, reason=reason)
    status = pebble.status_of(bundle.leaf.serial)
    assert (status["Status"], int(status.get("Reason") or 0)) == ("Revoked", REASONS[reason])
    assert client.reports[-1] == f"certificate revoked: {reason}"


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ecdsa-p384", "rsa-2048"])
def test_the_certificates_own_key_revokes_where_there_is_no_account(
    client: Client, pebble: Pebble, flaky: Flaky, key_type: str
) -> None:
    bundle = client.issue(key_type=key_type).bundle
    shutil.rmtree(client.state)
    accounts = flaky.count("POST /sign-me-up")
    assert revoked(client, bundle.fullchain_pem, key=bundle.key_pem, reason="keyCompromise")
    assert pebble.status_of(bundle.leaf.serial)["Status"] == "Revoked"
    assert flaky.count("POST /sign-me-up") == accounts
    assert not client.state.exists()


def test_the_certificates_own_key_revokes_where_another_account_ordered_it(client: Client, pebble: Pebble) -> None:
    bundle = client.issue().bundle
    shutil.rmtree(client.state)
    client.issue("b.example.com")
    with pytest.raises(AcmeError) as caught:
        revoked(client, bundle.fullchain_pem)
    assert caught.value.problem == "unauthorized"
    assert caught.value.hint == "another account ordered it: give the certificate's private key"
    assert pebble.status_of(bundle.leaf.serial)["Status"] == "Valid"
    assert revoked(client, bundle.fullchain_pem, key=bundle.key_pem)


def test_the_certificates_own_key_revokes_where_the_ca_lost_the_account(client: Client, flaky: Flaky) -> None:
    bundle = client.issue().bundle
    (client.accounts[0] / "account.json").unlink()
    flaky.on("POST /sign-me-up", problem(400, "accountDoesNotExist", "who are you?"))
    assert revoked(client, bundle.fullchain_pem, key=bundle.key_pem)


def test_what_was_revoked_before_is_success_and_said(client: Client) -> None:
    pem = client.issue().bundle.fullchain_pem
    assert revoked(client, pem)
    assert not revoked(client, pem)
    assert client.reports[-1] == "the certificate was revoked already"


def test_a_yes_that_is_lost_is_success(client: Client, flaky: Flaky) -> None:
    pem = client.issue().bundle.fullchain_pem
    flaky.on("POST /revoke-cert", lose=True)
    assert not revoked(client, pem)


def test_a_reason_that_the_ca_does_not_take_is_said(client: Client, flaky: Flaky) -> None:
    bundle = client.issue().bundle
    flaky.on("POST /revoke-cert", problem(400, "badRevocationReason", "not that one"))
    with pytest.raises(AcmeError, match="not that one") as caught:
        revoked(client, bundle.fullchain_pem, key=bundle.key_pem, reason="superseded")
    assert caught.value.hint == "give another reason: this CA does not take that one"
    assert flaky.count("POST /revoke-cert") == 1


def test_without_account_and_key_nothing_is_asked(client: Client, flaky: Flaky) -> None:
    pem = client.issue().bundle.fullchain_pem
    shutil.rmtree(client.state)
    flaky.said.clear()
    with pytest.raises(AcmeError, match="has no account of this registry that could revoke"):
        revoked(client, pem)
    assert flaky.said == []


_REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"reason": "boredom"}, UsageError, "'boredom' is no reason to revoke"),
    ({"key": Secret("no key")}, CertificateError, "is not PEM"),
    ({"key": Secret(make_leaf(make_root(), "a.example.com").key_pem.decode())}, CertificateError, "does not belong to"),
]


@pytest.mark.parametrize(("given", "kind", "words"), _REFUSED, ids=["reason", "no key", "another key"])
def test_what_cannot_be_is_refused_before_anything_is_asked(
    client: Client, flaky: Flaky, given: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        revoked(client, make_leaf(make_root(), "a.example.com").pem, **given)
    assert flaky.asked == []


def test_a_key_that_acme_does_not_sign_with_is_refused(client: Client) -> None:
    made = make_leaf(make_root(), "a.example.com", key=make_key("Ed25519"))
    with pytest.raises(CertificateError, match="of a kind that ACME does not sign with"):
        revoked(client, made.pem, key=Secret(made.key_pem.decode()))


def test_a_certificate_of_another_ca_is_refused_in_the_cas_words(client: Client) -> None:
    made = make_leaf(make_root(), "a.example.com")
    with pytest.raises(AcmeError) as caught:
        revoked(client, made.pem, key=Secret(made.key_pem.decode()))
    assert caught.value.problem
