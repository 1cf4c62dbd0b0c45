"""What an order is asked with, what a bad binding's key file gets, and which challenge comes after one that failed."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from regdeploy.deployment.challenge import Challenge
from regdeploy.deployment.obtain import Obtained, acme_settings, obtain
from regdeploy.errors import AcmeError, UsageError
from regdeploy.host.names import CaaFacts
from regdeploy.tls.acme.account import folder_of
from regdeploy.tls.acme.settings import AcmeSettings, DirectoryFacts, DnsSettings, Errand, Issued
from regdeploy.tls.attempts import Attempt, Attempts
from tests.builders import acme, bare, deployed, store, stored
from tests.fakes.engine import FakeEngine
from tests.fakes.world import FakeAuthority, FakeClock, FakeNames, fake_world
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
        def issue(self, errand: Errand, directory: DirectoryFacts | None) -> Issued:
            tried.append(errand.settings.challenge)
            if len(tried) == 1:
                raise AcmeError("registry.example.com", "no", problem=problem)
            return authority.issue(errand, directory)

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
            note=lambda _attempt: None,
        )
    return authority, tried, reports


HTTP = Challenge(kind="http-01", port=80, why="")
ALPN = Challenge(kind="tls-alpn-01", port=443, why="")
FIRST = acme().spec.acme_directory
IDENTITIES = {FIRST: ("first.example",), "https://other.example/dir": ("other.example",)}


def test_where_the_ca_did_not_find_the_proof_the_next_kind_is_tried() -> None:
    authority, tried, reports = order((HTTP, ALPN), "connection")
    assert (authority.issued, tried) == (1, ["http-01", "tls-alpn-01"])
    assert reports[0] == "http-01 failed (registry.example.com: no): trying tls-alpn-01"


@pytest.mark.parametrize(("kinds", "problem"), [((HTTP,), "connection"), ((HTTP, ALPN), "rateLimited")])
def test_any_other_no_is_final(kinds: tuple[Challenge, ...], problem: str) -> None:
    authority, tried, reports = order(kinds, problem)
    assert (authority.issued, tried, reports) == (0, ["http-01"], [])


OTHER = "https://other.example/dir"


@dataclass
class Authorities(FakeAuthority):
    """CAs by URL. Each of ``answers`` is what one order gets: a problem, or empty for a certificate.

    ``identities`` are what a CA goes by in CAA records; ``silent`` those whose directory does not answer.
    """

    answers: list[str] = field(default_factory=list)
    identities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    silent: tuple[str, ...] = ()
    tried: list[AcmeSettings] = field(default_factory=list)

    def issue(self, errand: Errand, directory: DirectoryFacts | None) -> Issued:
        self.tried.append(errand.settings)
        problem = self.answers.pop(0) if self.answers else ""
        if problem:
            raise AcmeError("ca.example", "HTTP 503", problem=problem, retry_after=60.0)
        return super().issue(errand, directory)

    def directory(self, url: str, ca_bundle: Path | None) -> DirectoryFacts:
        if url in self.silent:
            raise AcmeError("ca.example", "no answer within 10 s")
        return replace(super().directory(url, ca_bundle), caa_identities=self.identities.get(url, ()))

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """What was asked for, by CA and kind of challenge."""
        return [(one.directory, one.challenge) for one in self.tried]


@dataclass
class Records(FakeNames):
    """Every name has these CAA records of the tag ``issue``, or they cannot be had for that reason."""

    values: tuple[str, ...] = ()
    error: str = ""
    asked: list[str] = field(default_factory=list)

    def caa(self, name: str) -> CaaFacts:
        self.asked.append(name)
        records = tuple((0, "issue", value) for value in self.values)
        return CaaFacts(records=records, found_at="example.com" if records else "", error=self.error)


@dataclass
class Asked:
    """What came of it."""

    found: Obtained | None = None
    error: AcmeError | None = None
    notes: list[Attempt] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)


def ask(
    authority: Authorities,
    records: Records | None = None,
    *,
    kinds: tuple[Challenge, ...] = (HTTP,),
    attempts: Attempts | None = None,
    **flags: Any,
) -> Asked:
    """Order at the first CA, with OTHER to fall back on."""
    asked, outcome = acme(acme_fallback=[OTHER], **flags), Asked()
    world = replace(fake_world(FakeEngine(), FakeClock(), authority), names=records or Records())
    try:
        outcome.found = obtain(
            asked.spec,
            bare(asked, challenges=kinds, attempts=attempts),
            world,
            acme=acme_settings(asked.spec),
            directory=None,
            report=outcome.reports.append,
            cancel=threading.Event(),
            note=outcome.notes.append,
        )
    except AcmeError as error:
        outcome.error = error
    return outcome


def test_where_a_ca_gives_none_the_next_is_asked_without_what_was_for_the_first() -> None:
    authority = Authorities(answers=["serverInternal"])
    outcome = ask(authority, profile="short")
    assert outcome.found is not None
    assert outcome.found.directory == OTHER
    assert [(one.directory, one.profile) for one in authority.tried] == [(FIRST, "short"), (OTHER, "")]
    assert outcome.reports[0] == f"{FIRST} gave none (ca.example: HTTP 503): asking {OTHER}"


def test_each_kind_at_each_ca_that_failed_is_noted_with_its_words() -> None:
    authority = Authorities(answers=["connection", "dns", "rateLimited"])
    outcome = ask(authority, kinds=(HTTP, ALPN))
    assert authority.kinds == [(FIRST, "http-01"), (FIRST, "tls-alpn-01"), (OTHER, "http-01")]
    assert [(one.directory, one.challenge, one.problem, one.words, one.retry_after) for one in outcome.notes] == [
        ("", "http-01", "connection", "ca.example: HTTP 503", 60.0),
        ("", "tls-alpn-01", "dns", "ca.example: HTTP 503", 60.0),
        (OTHER, "http-01", "rateLimited", "ca.example: HTTP 503", 60.0),
    ]
    assert outcome.error is not None
    assert outcome.error.problem == "dns", "the first CA's own is told"


def test_an_order_that_was_cancelled_is_no_attempt() -> None:
    authority = Authorities(answers=["cancelled"])
    assert ask(authority).notes == []
    assert len(authority.tried) == 1


@pytest.mark.parametrize("values", [("other.example",), ("other.example", "first.example; validationmethods=dns-01")])
def test_a_ca_that_the_records_forbid_is_passed_over_for_one_that_they_allow(values: tuple[str, ...]) -> None:
    authority = Authorities(identities=IDENTITIES)
    outcome = ask(authority, Records(values=values))
    assert authority.kinds == [(OTHER, "http-01")]
    words = f"{FIRST}: CAA: example.com does not allow first.example to issue for registry.example.com"
    assert [one.words.startswith(words) for one in outcome.notes] == [True]
    assert (outcome.notes[0].problem, outcome.notes[0].directory) == ("forbidden", "")


def test_a_ca_to_fall_back_on_is_judged_by_its_own_name_and_not_asked_where_the_records_forbid_it() -> None:
    authority = Authorities(answers=["serverInternal"], identities=IDENTITIES)
    records = Records(values=("first.example",))
    outcome = ask(authority, records)
    assert authority.kinds == [(FIRST, "http-01")]
    assert [(one.directory, one.problem) for one in outcome.notes] == [("", "serverInternal"), (OTHER, "forbidden")]
    assert outcome.error is not None
    assert outcome.error.problem == "serverInternal"
    assert records.asked == ["registry.example.com"], "one look is enough"


def test_where_all_are_forbidden_nobody_is_asked_and_the_record_to_add_is_said() -> None:
    authority = Authorities(identities=IDENTITIES)
    outcome = ask(authority, Records(values=("third.example",)))
    assert authority.tried == []
    assert outcome.error is not None
    assert outcome.error.hint == 'add the record: example.com. CAA 0 issue "first.example"'


def test_of_the_kinds_only_those_are_tried_that_the_records_allow_that_ca() -> None:
    authority = Authorities(answers=["connection"], identities=IDENTITIES)
    values = ("first.example", "other.example; validationmethods=tls-alpn-01")
    outcome = ask(authority, Records(values=values), kinds=(HTTP, ALPN), challenge="auto")
    assert authority.kinds == [(FIRST, "http-01"), (FIRST, "tls-alpn-01")]
    assert outcome.found is not None
    authority = Authorities(answers=["connection", "connection"], identities=IDENTITIES)
    ask(authority, Records(values=values), kinds=(HTTP, ALPN))
    assert authority.kinds[2:] == [(OTHER, "tls-alpn-01")]


@pytest.mark.parametrize(
    ("identities", "records"),
    [({}, Records(values=("third.example",))), (IDENTITIES, Records(values=("third.example",), error="SERVFAIL"))],
    ids=["a CA without a name", "records that cannot be had"],
)
def test_what_is_not_known_is_left_to_the_ca(identities: Mapping[str, tuple[str, ...]], records: Records) -> None:
    authority = Authorities(identities=identities)
    assert ask(authority, records).found is not None
    assert authority.kinds == [(FIRST, "http-01")]


def test_the_account_that_a_record_demands_is_the_one_at_that_ca(tmp_path: Path) -> None:
    url = "https://other.example/account/1"
    values = ("first.example", f"other.example; accounturi={url}")
    folder = folder_of(tmp_path / "acme", OTHER)
    folder.mkdir(parents=True)
    for known, asked in ((url, [FIRST, OTHER]), (f"{url}0", [FIRST])):
        (folder / "account.json").write_text(json.dumps({"url": known}))
        authority = Authorities(answers=["serverInternal"], identities=IDENTITIES)
        ask(authority, Records(values=values), root=str(tmp_path))
        assert [one.directory for one in authority.tried] == asked


def test_a_directory_that_does_not_answer_is_an_attempt_and_the_next_ca_is_asked() -> None:
    authority = Authorities(silent=(FIRST,))
    outcome = ask(authority)
    assert authority.kinds == [(OTHER, "http-01")]
    assert [(one.problem, one.words) for one in outcome.notes] == [("failed", "ca.example: no answer within 10 s")]


def test_a_ca_to_fall_back_on_that_asked_to_wait_is_not_asked_before() -> None:
    clock = FakeClock()
    noted = Attempt(at=clock(), problem="rateLimited", words="too many", retry_after=3600.0, directory=OTHER)
    record = Attempts(names=("registry.example.com",), directory=FIRST, attempts=(noted,))
    authority = Authorities(answers=["serverInternal"])
    outcome = ask(authority, attempts=record)
    assert authority.kinds == [(FIRST, "http-01")]
    assert [one.directory for one in outcome.notes] == [""]


def test_a_certificate_of_a_fallback_is_as_good_as_one_of_the_first() -> None:
    asked = acme(acme_fallback=["https://other.example/dir"])
    there = deployed(asked, certificates=store(stored(directory="https://other.example/dir")))
    assert planned(asked, there) == ""
    assert "it came from https://other.example/dir" in planned(acme(), there)
