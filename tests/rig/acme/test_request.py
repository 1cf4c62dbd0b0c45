"""What is asked for: addresses, kinds of keys, a chain; and an order that is not what was asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.settings import Issued
from regdeploy.tls.certificate import Bundle
from regdeploy.tls.keys import KEY_TYPES
from tests.rig.acme.conftest import Client
from tests.rig.parts.flaky import Answer, Flaky
from tests.rig.parts.pebble import Pebble


def kind(bundle: Bundle) -> str:
    """The kind of the key, read from the key itself."""
    key = serialization.load_pem_private_key(bundle.key_pem.reveal().encode(), None)
    if isinstance(key, rsa.RSAPrivateKey):
        return f"rsa-{key.key_size}"
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return f"ecdsa-p{key.key_size}"


@pytest.mark.parametrize("asked", KEY_TYPES)
def test_the_key_is_of_the_kind_that_was_asked_for(client: Client, asked: str) -> None:
    assert kind(client.issue(key_type=asked).bundle) == asked


def test_a_key_can_be_used_again(client: Client) -> None:
    first = client.issue(key_type="rsa-2048").bundle
    second = client.issue(reuse_key=first.key_pem).bundle
    assert second.key_pem == first.key_pem
    assert second.leaf.serial != first.leaf.serial


def test_addresses_are_certified_beside_names(client: Client) -> None:
    names = ("127.0.0.1", "a.example.com", "::1")
    assert set(client.issue(*names).bundle.leaf.names) == set(names)


def test_an_order_that_lacks_a_name_or_has_another_is_refused_before_anything_is_proved(
    client: Client, flaky: Flaky
) -> None:
    def without(answer: Answer) -> Answer:
        return answer.with_json(identifiers=[{"type": "dns", "value": "evil.example.com"}])

    flaky.on("POST /order-plz", rewrite=without)
    with pytest.raises(AcmeError) as caught:
        client.issue("a.example.com")
    assert caught.value.what == ("took the order without a.example.com and with evil.example.com, not asked for")
    assert flaky.count("authZ") == 0


def test_an_order_may_write_names_in_capitals(client: Client, flaky: Flaky) -> None:
    capitals = [{"type": "dns", "value": "A.Example.COM"}]
    flaky.on("POST /order-plz", rewrite=lambda answer: answer.with_json(identifiers=capitals))
    assert client.issue("a.example.com").bundle.leaf.names == ("a.example.com",)


def test_the_chain_that_is_preferred_is_taken(
    start_pebble: Callable[..., Pebble], make_client: Callable[..., Client]
) -> None:
    client = make_client(start_pebble(alternate_roots=2))
    tops = {top(client.issue())}
    assert len(tops) == 1
    own = tops.pop()
    others = {name for name in _roots(client) if name != own}
    wanted = min(others)
    assert top(client.issue(preferred_chain=wanted)) == wanted
    assert top(client.issue(preferred_chain=own)) == own
    client.reports.clear()
    assert top(client.issue(preferred_chain="No Such Root")) == own
    assert any("offers no chain from 'No Such Root'" in words for words in client.reports)


def top(issued: Issued) -> str:
    """The common name of the root above the chain."""
    return issued.bundle.chain[-1].issuer_common_name


def _roots(client: Client) -> list[str]:
    """The names of all roots of that CA."""
    assert isinstance(client.authority, Pebble)
    roots = [x509.load_pem_x509_certificate(client.authority.root_pem(number)) for number in range(3)]
    return [str(root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value) for root in roots]


def test_a_chain_that_nobody_prefers_is_not_fetched(client: Client, flaky: Flaky) -> None:
    client.issue()
    assert flaky.count("POST /certZ") == 1
