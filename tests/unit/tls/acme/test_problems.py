"""A CA's refusal as text: its own words, and what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import requests
from acme import messages
from hypothesis import given
from hypothesis import strategies as st

from regdeploy.tls.acme.alpn import TlsAlpn01
from regdeploy.tls.acme.challenges import Http01, Solver
from regdeploy.tls.acme.dns.solver import Dns01
from regdeploy.tls.acme.problems import Problem, from_error, from_response, linked, refused
from regdeploy.tls.acme.settings import DnsSettings
from regdeploy.tls.acme.webroot import Webroot

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def answer(status: int, body: object, **headers: str) -> requests.Response:
    """An answer as ``requests`` has it; a body that is no bytes is written as JSON."""
    response = requests.Response()
    response.status_code = status
    response.reason = "Some Reason"
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


def document(code: str, **members: object) -> dict[str, object]:
    """A problem document of that type."""
    return {"type": f"urn:ietf:params:acme:error:{code}", **members}


def said(problem: Problem, solver: Solver | None = None, names: tuple[str, ...] = ("a.example",)) -> str:
    """The error's text as the user reads it."""
    error = refused(problem, "ca.example", NOW, names, solver)
    return f"{error}\nhint: {error.hint}" if error.hint else str(error)


def test_subproblems_are_among_the_words_with_their_names() -> None:
    parts = [
        document("malformed", detail="invalid underscore", identifier={"type": "dns", "value": "_a.example"}),
        document("rejectedIdentifier", title="not that one"),
        document("caa"),
    ]
    problem = from_response(answer(403, document("compound", detail="two errors", subproblems=parts)), NOW)
    assert problem == Problem(
        code="compound",
        words=("two errors; _a.example: invalid underscore; not that one; urn:ietf:params:acme:error:caa"),
        status=403,
    )


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"detail": "the detail", "title": "the title"}, "the detail"),
        ({"title": "the title"}, "the title"),
        ({}, "refused as urn:ietf:params:acme:error:malformed"),
    ],
)
def test_the_detail_comes_before_the_title_and_that_before_the_type(members: dict[str, object], words: str) -> None:
    assert from_response(answer(400, document("malformed", **members)), NOW).words == words


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"type": 3}',
        document("malformed", subproblems=[{"identifier": {"type": "fax", "value": "x"}}]),
        document("malformed", subproblems=3),
    ],
    ids=str,
)
def test_an_answer_that_is_no_problem_document_is_told_by_its_status(body: object) -> None:
    assert from_response(answer(418, body), NOW) == Problem(code="", words="answered HTTP 418 Some Reason", status=418)


def test_a_type_that_is_not_acmes_is_no_code() -> None:
    problem = from_response(answer(400, {"type": "https://example.com/errors/odd", "detail": "odd"}), NOW)
    assert (problem.code, problem.words) == ("", "odd")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_ca_without_words_is_a_rate_limit_and_keeps_its_retry_after(status: int) -> None:
    problem = from_response(answer(status, b"", Retry_After="90"), NOW)
    assert (problem.code, problem.retry_after, problem.is_busy) == ("rateLimited", 90, True)
    assert said(problem) == (
        f"ca.example: answered HTTP {status} Some Reason\n"
        "hint: the CA takes it again from 2026-11-24 12:01 UTC; "
        "until then --staging shows whether everything else is right"
    )


def test_the_moment_is_told_in_utc_whatever_this_hosts_zone_is() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=8)))
    problem = Problem(code="rateLimited", words="too many", status=429, retry_after=3600)
    assert "from 2026-11-24 13:00 UTC;" in refused(problem, "ca", elsewhere).hint


def test_a_server_fault_with_a_time_says_until_when_too() -> None:
    problem = from_response(answer(503, document("serverInternal", detail="maintenance"), Retry_After="60"), NOW)
    assert problem.code == "serverInternal"
    assert "from 2026-11-24 12:01 UTC" in said(problem)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("dns", "give a.example an A or AAAA record that leads to this host, and wait until the name servers have it"),
        (
            "caa",
            "change the CAA record of a.example so that it allows this CA, or choose another with --acme-directory",
        ),
        ("dnssec", "correct the DNSSEC of a.example: its signatures do not verify"),
        ("rejectedIdentifier", "this CA does not issue for a.example: choose another name, or --tls internal"),
        ("externalAccountRequired", "add --eab-kid and --eab-hmac-key-file, as the CA gave them to you"),
        ("invalidProfile", "choose another --profile, or none"),
        ("userActionRequired", "do what the CA asks there, then run the same command again"),
        ("rateLimited", "wait before the next attempt; until then --staging shows whether everything else is right"),
    ],
)
def test_the_hint_fits_the_type(code: str, hint: str) -> None:
    assert said(Problem(code=code, words="no")) == f"ca.example: no\nhint: {hint}"


@pytest.mark.parametrize("code", ["connection", "unauthorized", "incorrectResponse", "tls"])
def test_a_challenge_that_failed_is_about_the_port_that_the_ca_asks_at_and_a_request_is_not(code: str) -> None:
    problem = Problem(code=code, words="no")
    rest = ": look at firewall, router, other web servers"
    assert said(problem) == "ca.example: no"
    assert said(problem, Http01(80)) == (
        f"ca.example: no\nhint: port 80 of a.example must lead the CA to this host{rest}"
    )
    assert said(problem, Http01(8080)).endswith(f"port 80 of a.example must lead the CA to this host's port 8080{rest}")
    tls = ": look at firewall, router, proxies that answer TLS themselves"
    assert said(problem, TlsAlpn01(443)).endswith(f"hint: port 443 of a.example must lead the CA to this host{tls}")
    assert said(problem, TlsAlpn01(8443)).endswith(f"this host's port 8443{tls}")
    assert said(problem, Webroot(Path("/srv"))).endswith(
        "hint: port 80 of a.example must lead the CA to the web server of --http-01-webroot's folder"
    )


@pytest.mark.parametrize(
    ("page", "link", "hint"),
    [
        ("", "", "do what the CA asks there"),
        ("https://ca.example/agree", "", "agree at https://ca.example/agree"),
        (
            "https://ca.example/agree",
            '<https://ca.example/dir>;rel="index", <https://ca.example/t2>; rel="terms-of-service"',
            "the CA's terms of service are now https://ca.example/t2: agree at https://ca.example/agree",
        ),
        (
            "",
            '<https://ca.example/t2>;rel="terms-of-service"',
            "the CA's terms of service are now https://ca.example/t2: agree as the CA says",
        ),
    ],
)
def test_new_terms_are_named_with_the_page_where_a_person_agrees_to_them(page: str, link: str, hint: str) -> None:
    no = document("userActionRequired", detail="Terms of service have changed", instance=page or None)
    problem = from_response(answer(403, no, Link=link), NOW)
    assert said(problem) == f"ca.example: Terms of service have changed\nhint: {hint}, then run the same command again"


def test_a_link_of_another_relation_or_a_broken_one_leads_nowhere() -> None:
    for link in ('<https://ca.example/x>;rel="up"', "https://ca.example/x", "<>;rel", ";;,"):
        assert linked(answer(200, b"", Link=link), "terms-of-service") == []


def test_several_names_or_none_are_named_in_the_hint() -> None:
    problem = Problem(code="dnssec", words="no")
    assert "DNSSEC of a.example, b.example:" in said(problem, names=("a.example", "b.example"))
    assert "DNSSEC of that name:" in said(problem, names=())


def test_a_challenges_error_has_no_status_and_is_not_busy() -> None:
    problem = from_error(messages.Error.from_json(document("dns", detail="NXDOMAIN")))
    assert problem == Problem(code="dns", words="NXDOMAIN")
    assert not problem.is_busy


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_MEMBERS = st.sampled_from(["type", "detail", "title", "subproblems", "identifier", "status"])


@given(body=st.dictionaries(_MEMBERS, _JSON, max_size=5) | _JSON, status=st.integers(400, 599))
def test_no_answer_is_too_odd_to_be_told(body: object, status: int) -> None:
    problem = from_response(answer(status, body), NOW)
    assert problem.status == status
    assert str(refused(problem, "ca.example", NOW, ("a.example",), Http01(80))).startswith("ca.example: ")


@pytest.mark.parametrize("code", ["dns", "unauthorized", "incorrectResponse"])
def test_a_record_that_the_ca_did_not_find_is_what_the_hint_is_about(code: str) -> None:
    text = said(Problem(code=code, words="no TXT record found"), Dns01(DnsSettings(provider="rfc2136")))
    assert "hint: the CA did not find the TXT record for a.example: look at the zone's name servers" in text
    assert "TXT" not in said(Problem(code=code, words="no"), None)
