"""What an order is asked with, what a bad binding's key file gets, and which challenge comes after one that failed."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from regdeploy.deployment.challenge import Challenge
from regdeploy.deployment.obtain import acme_settings, obtain
from regdeploy.errors import AcmeError, UsageError
from regdeploy.tls.acme.settings import AcmeSettings, DnsSettings, Issued
from tests.builders import acme, bare, deployed, store, stored
from tests.fakes.engine import FakeEngine
from tests.fakes.world import FakeAuthority, FakeClock, fake_world
from tests.unit.deployment.sheet import planned


def test_an_order_is_asked_with_what_the_spec_says(tmp_path: Path) -> None:
    key = tmp_path / "eab.key"
    key.write_text("c2VjcmV0\n")

    asked = acme(**{"eab-kid": "kid-1", "eab-hmac-key-file": str(key), "email": "ops@example.com", "profile": "short"})
    settings = acme_settings(asked.spec)

    assert settings.eab_hmac_key is not None
    assert settings.eab_hmac_key.reveal() == "c2VjcmV0"
    assert (settings.eab_kid, settings.email, settings.profile) == ("kid-1", "ops@example.com", "short")
    assert (settings.names, settings.directory) == (asked.spec.domains, asked.spec.acme_directory)
    assert acme_settings(acme().spec).eab_hmac_key is None


@pytest.mark.parametrize(("content", "words"), [(None, "No such file or directory"), (b"\xff\xfe", "is not text")])
def test_a_key_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    key = tmp_path / "eab.key"
    if content is not None:
        key.write_bytes(content)

    with pytest.raises(UsageError) as caught:
        acme_settings(acme(**{"eab-kid": "kid-1", "eab-hmac-key-file": str(key)}).spec)

    assert str(caught.value) == f"--eab-hmac-key-file: {key}: {words}"


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        ({"dns_provider": "hetzner"}, DnsSettings(provider="lexicon:hetzner")),
        ({"dns_hook": "/h", "dns_timeout": 9}, DnsSettings(provider="hook", hook=Path("/h"), timeout=9.0)),
        (
            {"dns_server": "192.0.2.53", "dns_key_file": "/k"},
            DnsSettings(provider="rfc2136", server="192.0.2.53", tsig_key_file=Path("/k")),
        ),
    ],
)
def test_dns_is_written_by_the_provider_that_was_named(flags: dict[str, object], asked: DnsSettings) -> None:
    settings = acme_settings(acme(**flags).spec)
    assert settings.dns == asked
    assert settings.timeout == acme_settings(acme().spec).timeout + asked.timeout


def order(kinds: tuple[Challenge, ...], problem: str) -> tuple[FakeAuthority, list[str], list[str]]:
    """Order where the first kind fails with that problem: the CA, the kinds tried, and the reports."""
    clock = FakeClock()
    authority = FakeAuthority(clock=clock)
    tried: list[str] = []
    reports: list[str] = []

    class Refusing(FakeAuthority):
        def issue(self, settings: AcmeSettings, *args: Any, **kwargs: Any) -> Issued:
            tried.append(settings.challenge)
            if len(tried) == 1:
                raise AcmeError("registry.example.com", "no", problem=problem)
            return authority.issue(settings, *args, **kwargs)

    asked = acme()
    with suppress(AcmeError):
        obtain(
            asked.spec,
            bare(asked, challenges=kinds),
            fake_world(FakeEngine(), clock, Refusing(clock=clock)),
            acme=acme_settings(asked.spec),
            directory=None,
            report=reports.append,
            cancel=threading.Event(),
        )
    return authority, tried, reports


HTTP = Challenge(kind="http-01", port=80, why="")
ALPN = Challenge(kind="tls-alpn-01", port=443, why="")


def test_where_the_ca_did_not_find_the_proof_the_next_kind_is_tried() -> None:
    authority, tried, reports = order((HTTP, ALPN), "connection")
    assert (authority.issued, tried) == (1, ["http-01", "tls-alpn-01"])
    assert reports[0] == "http-01 failed (registry.example.com: no): trying tls-alpn-01"


@pytest.mark.parametrize(("kinds", "problem"), [((HTTP,), "connection"), ((HTTP, ALPN), "rateLimited")])
def test_any_other_no_is_final(kinds: tuple[Challenge, ...], problem: str) -> None:
    authority, tried, reports = order(kinds, problem)
    assert (authority.issued, tried, reports) == (0, ["http-01"], [])


def test_where_a_ca_gives_none_the_next_is_asked_without_what_was_for_the_first() -> None:
    clock = FakeClock()
    tried: list[AcmeSettings] = []
    reports: list[str] = []
    authority = FakeAuthority(clock=clock)

    class Down(FakeAuthority):
        def issue(self, settings: AcmeSettings, *args: Any, **kwargs: Any) -> Issued:
            tried.append(settings)
            if len(tried) == 1:
                raise AcmeError("ca.example", "HTTP 503", problem="serverInternal")
            return authority.issue(settings, *args, **kwargs)

    asked = acme(acme_fallback=["https://other.example/dir"], profile="short")
    found = obtain(
        asked.spec,
        bare(asked, challenges=(HTTP,)),
        fake_world(FakeEngine(), clock, Down(clock=clock)),
        acme=acme_settings(asked.spec),
        directory=None,
        report=reports.append,
        cancel=threading.Event(),
    )
    assert found.directory == "https://other.example/dir"
    assert [(one.directory, one.profile) for one in tried] == [
        (asked.spec.acme_directory, "short"),
        ("https://other.example/dir", ""),
    ]
    assert (
        reports[0] == f"{asked.spec.acme_directory} gave none (ca.example: HTTP 503): asking https://other.example/dir"
    )


def test_a_certificate_of_a_fallback_is_as_good_as_one_of_the_first() -> None:
    asked = acme(acme_fallback=["https://other.example/dir"])
    there = deployed(asked, certificates=store(stored(directory="https://other.example/dir")))
    assert planned(asked, there) == ""
    assert "it came from https://other.example/dir" in planned(acme(), there)
