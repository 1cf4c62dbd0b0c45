"""What is asked for, as values: names in one spelling, and a request that says no more than it must."""

from __future__ import annotations

import ipaddress

import pytest
from acme import messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from regdeploy.errors import CertificateError
from regdeploy.secret import Secret
from regdeploy.tls.acme.request import canonical, identifiers, load_key, make_key, names_of, signing_request
from tests.certs import key_bytes
from tests.certs import make_key as key_of


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (("B.Example.COM", "a.example.com."), ("b.example.com", "a.example.com")),
        (("a.example.com", "A.example.com", "a.example.com."), ("a.example.com",)),
        (("*.Example.com", "example.com"), ("*.example.com", "example.com")),
        (("2001:DB8:0:0::1", "2001:db8::1", "192.0.2.1"), ("2001:db8::1", "192.0.2.1")),
    ],
)
def test_a_name_is_written_in_one_way_and_once(given: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert canonical(given) == names


@given(names=st.lists(st.ip_addresses().map(str) | st.sampled_from(["A.example.com", "*.b.example", "c."])))
def test_what_is_canonical_stays_and_is_what_an_order_is_read_as(names: list[str]) -> None:
    once = canonical(names)
    assert canonical(once) == once
    assert names_of(identifiers(once)) == frozenset(once)


def test_addresses_are_asked_for_as_addresses() -> None:
    asked = [one.to_json() for one in identifiers(("a.example.com", "*.b.example", "192.0.2.1", "2001:db8::1"))]
    assert asked == [
        {"type": "dns", "value": "a.example.com"},
        {"type": "dns", "value": "*.b.example"},
        {"type": "ip", "value": "192.0.2.1"},
        {"type": "ip", "value": "2001:db8::1"},
    ]


def test_an_order_is_read_whatever_way_it_is_written_in() -> None:
    found = [
        messages.Identifier(typ=messages.IDENTIFIER_IP, value="2001:DB8:0::1"),
        messages.Identifier(typ=messages.IDENTIFIER_FQDN, value="A.Example.com"),
    ]
    assert names_of(found) == {"2001:db8::1", "a.example.com"}


@pytest.mark.parametrize(
    ("kind", "digest"), [("ecdsa-p256", "sha256"), ("ecdsa-p384", "sha384"), ("rsa-2048", "sha256")]
)
def test_a_request_has_the_names_alone(kind: str, digest: str) -> None:
    request = signing_request(make_key(kind), ("a.example.com", "*.a.example.com", "192.0.2.1", "2001:db8::1"))
    (extension,) = request.extensions
    assert isinstance(extension.value, x509.SubjectAlternativeName)
    assert extension.critical
    assert [one.value for one in extension.value] == [
        "a.example.com",
        "*.a.example.com",
        ipaddress.ip_address("192.0.2.1"),
        ipaddress.ip_address("2001:db8::1"),
    ]
    assert list(request.subject) == []
    assert request.is_signature_valid
    assert request.signature_hash_algorithm is not None
    assert request.signature_hash_algorithm.name == digest


@pytest.mark.parametrize("kind", ["ecdsa-p521", "ecdsa", "rsa-1024", "rsa-x", ""])
def test_a_kind_that_the_settings_do_not_know_is_nobodys_key(kind: str) -> None:
    with pytest.raises(AssertionError, match=f"^{kind}$"):
        make_key(kind)


def test_a_key_is_read_in_any_form_and_one_that_nobody_can_read_is_not_shown() -> None:
    key = key_of("P-256")
    again = load_key(Secret(key_bytes(key).decode()))
    assert isinstance(again, ec.EllipticCurvePrivateKey)
    assert again.private_numbers() == key.private_numbers()
    locked = key_bytes(key, password=b"sesame").decode()
    for text in (locked, "junk", key_bytes(key_of("Ed25519")).decode(), key_bytes(key_of("DSA 2048")).decode()):
        with pytest.raises(CertificateError) as caught:
            load_key(Secret(text))
        assert text not in str(caught.value)
