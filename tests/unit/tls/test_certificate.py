from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from regdeploy.tls.certificate import Certificate, covers

_BEGIN = datetime(2026, 11, 24, tzinfo=UTC)
_CERTIFICATE = Certificate(
    names=("registry.example.com", "*.example.org", "203.0.113.7", "2001:db8::1"),
    subject="CN=registry.example.com",
    issuer="CN=R3,O=Let's Encrypt,C=US",
    serial=1,
    not_before=_BEGIN,
    not_after=_BEGIN + timedelta(days=90),
    fingerprint_sha256="ab" * 32,
    key_type="ECDSA P-256",
)


@pytest.mark.parametrize(
    "name",
    [
        "registry.example.com",
        "REGISTRY.Example.com.",
        "a.example.org",
        "*.example.org",
        "xn--bcher-kva.example.org",
        "203.0.113.7",
        "2001:db8::1",
    ],
)
def test_a_certificate_covers_its_names(name: str) -> None:
    assert covers(_CERTIFICATE, name)


@pytest.mark.parametrize(
    "name",
    [
        "example.com",
        "a.registry.example.com",
        "example.org",
        "a.b.example.org",
        ".example.org",
        "203.0.113.8",
        "",
        "org",
    ],
)
def test_a_wildcard_stands_for_one_label_and_nothing_else_is_covered(name: str) -> None:
    assert not covers(_CERTIFICATE, name)


def test_a_wildcard_never_covers_a_part_of_an_address() -> None:
    certificate = replace(_CERTIFICATE, names=("*.0.113.7", "*.db8::1"))
    assert not covers(certificate, "203.0.113.7")
    assert not covers(certificate, "2001.db8::1")


def test_a_common_name_covers_nothing() -> None:
    assert not covers(replace(_CERTIFICATE, names=()), "registry.example.com")


def test_a_lifetime_is_from_the_first_to_the_last_moment() -> None:
    assert _CERTIFICATE.lifetime == timedelta(days=90)


@pytest.mark.parametrize(
    ("issuer", "words"),
    [
        ("CN=R3,O=Let's Encrypt,C=US", "Let's Encrypt R3"),
        ("CN=Only", "Only"),
        ("O=Both,CN=Both", "Both"),
        ("OU=Neither", "OU=Neither"),
    ],
)
def test_an_issuer_is_named_by_organization_and_common_name(issuer: str, words: str) -> None:
    assert replace(_CERTIFICATE, issuer=issuer).issuer_name == words
