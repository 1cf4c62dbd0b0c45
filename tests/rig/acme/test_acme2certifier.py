"""Another real CA, by other authors: what Pebble cannot show, and the rest of an account's and a certificate's life."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.account_life import change_account
from regdeploy.tls.acme.directory import directory_facts
from regdeploy.tls.acme.renewal_info import certificate_id, renewal_info
from regdeploy.tls.acme.revoke import revoke
from regdeploy.tls.acme.settings import Issued
from tests.rig.acme.conftest import Client
from tests.rig.parts.acme2certifier import Acme2certifier
from tests.rig.parts.flaky import Flaky
from tests.rig.parts.processes import free_ports

_MAIL = "anna@example.com"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acme2certifier]:
    made = Acme2certifier(tmp_path_factory.mktemp("ca") / "a2c", profiles=("server", "short"), window=60)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def other(authority: Acme2certifier, tmp_path: Path) -> Client:
    return Client(authority, tmp_path / "state")


def issue(client: Client, *names: str, **settings: Any) -> Issued:
    return client.issue(*names, **{"email": _MAIL, **settings})


@pytest.mark.parametrize("names", [("a.example.com",), ("b.example.com", "a.example.com"), ("127.0.0.1",)])
def test_the_certificate_is_for_the_names_and_its_chain_leads_to_the_root(
    other: Client, authority: Acme2certifier, names: tuple[str, ...]
) -> None:
    bundle = issue(other, *names).bundle
    assert set(bundle.leaf.names) == set(names)
    leaf, *chain = x509.load_pem_x509_certificates(bundle.fullchain_pem)
    assert len(chain) == 1
    assert chain[0].issuer == authority.root.certificate.subject
    assert leaf.issuer == chain[0].subject


def test_the_window_is_where_the_ca_was_told_to_put_it(other: Client, authority: Acme2certifier) -> None:
    bundle = issue(other).bundle
    info = renewal_info(
        directory_facts(authority.directory, authority.ca_bundle), authority.ca_bundle, bundle.fullchain_pem
    )
    assert info is not None
    assert abs(info.start - (bundle.leaf.not_before + bundle.leaf.lifetime * 0.6)) < timedelta(minutes=1)
    assert bundle.leaf.not_before < info.start < info.end <= bundle.leaf.not_after
    assert info.retry_after == 24 * 3600


def test_an_order_says_what_it_replaces_and_is_issued(authority: Acme2certifier, tmp_path: Path) -> None:
    proxy = Flaky(tmp_path, authority.directory, authority.ca_bundle).start()
    proxy.directory = proxy.directory.replace("/dir", "/directory")
    client = Client(proxy, tmp_path / "state")
    try:
        first = issue(client).bundle
        second = issue(client, replaces=first.fullchain_pem).bundle
    finally:
        proxy.stop()
    assert second.leaf.serial != first.leaf.serial
    asked = [said.get("replaces") for request, said in proxy.said if "neworder" in request.lower() and said]
    assert asked == [None, certificate_id(first.fullchain_pem)]
    assert not [words for words in client.reports if "renewal" in words]


def test_its_profiles_are_known_and_one_of_them_is_taken(other: Client, authority: Acme2certifier) -> None:
    assert directory_facts(authority.directory, authority.ca_bundle).profiles == ("server", "short")
    assert issue(other, profile="short").bundle


def test_a_profile_that_it_does_not_have_is_refused_in_its_words(other: Client) -> None:
    with pytest.raises(AcmeError, match="Invalid profile specified") as caught:
        issue(other, profile="nonsense")
    assert (caught.value.code, caught.value.hint) == ("acme.invalidProfile", "choose another --profile, or none")


def test_the_accounts_key_and_address_are_changed_and_the_account_is_the_same(other: Client) -> None:
    first = issue(other).account
    old = (other.accounts[0] / "account.key").read_bytes()
    change_account(other.errand(), "rollover")
    change_account(other.errand(email="bert@example.com"), "contact")
    assert (other.accounts[0] / "account.key").read_bytes() != old
    assert issue(other, email="bert@example.com").account == first
    (other.accounts[0] / "account.json").unlink()
    assert issue(other, email="bert@example.com").account == first


def test_an_ended_account_is_followed_by_another(other: Client) -> None:
    first = issue(other).account
    change_account(other.errand(), "deactivate")
    assert issue(other).account != first


def test_a_certificate_is_revoked_once(other: Client) -> None:
    bundle = issue(other).bundle
    revoked = [revoke(other.errand(), bundle.fullchain_pem, key=None, reason="superseded") for _ in range(2)]
    assert revoked == [True, False]


def test_a_no_is_heard_though_its_order_stays_pending(authority: Acme2certifier, tmp_path: Path) -> None:
    proxy = Flaky(tmp_path, authority.directory, authority.ca_bundle).start()
    proxy.directory = proxy.directory.replace("/dir", "/directory")
    try:
        with pytest.raises(AcmeError) as caught:
            issue(Client(proxy, tmp_path / "state"), http_01_port=free_ports(1)[0])
    finally:
        proxy.stop()
    assert caught.value.where == "a.example.com"
    assert caught.value.what == "the CA calls its authorization invalid"
    assert proxy.count("POST /acme/order/") == 0
