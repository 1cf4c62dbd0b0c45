"""What CAA records allow: by the tables of RFC 8659 and RFC 8657, and in which words they are in the way."""

from __future__ import annotations

import pytest

from regdeploy.deployment.caa import accounts_demanded, caa_allows, caa_objection
from regdeploy.host.names import CaaFacts

OURS, THEIRS = "https://ca.example/account/1", "https://ca.example/account/2"
TWICE = f"letsencrypt.org; accounturi={OURS}; accounturi={THEIRS}"
US = ("letsencrypt.org",)


def _allows(facts: CaaFacts, *, wildcard: bool = False, method: str = "http-01", account: str = OURS) -> bool:
    return caa_allows(facts, US, wildcard=wildcard, method=method, account=account)


def _facts(*values: str) -> CaaFacts:
    return CaaFacts(records=tuple((0, "issue", value) for value in values), found_at="example.com")


@pytest.mark.parametrize(
    ("records", "one_name", "wildcard"),
    [
        ((), True, True),
        (((0, "issue", "letsencrypt.org"),), True, True),
        (((0, "ISSUE", " LetsEncrypt.org. ; validationmethods=http-01"),), True, True),
        (((0, "issue", "letsencrypt.org ; "),), True, True),
        (((0, "issue", ";"),), False, False),
        (((0, "issue", ""),), False, False),
        (((0, "issue", "%%%%%"),), False, False),
        (((0, "issue", "digicert.com"), (0, "issue", "letsencrypt.org")), True, True),
        (((0, "issue", "digicert.com"),), False, False),
        (((0, "issue", "notletsencrypt.org"),), False, False),
        # section 4.3: issuewild alone governs wildcards, and nothing else
        (((0, "issue", "letsencrypt.org"), (0, "issuewild", ";")), True, False),
        (((0, "issue", ";"), (0, "issuewild", "letsencrypt.org")), False, True),
        (((0, "issuewild", "digicert.com"),), True, False),
        # records of other kinds restrict nobody
        (((0, "iodef", "mailto:ops@example.com"),), True, True),
        (((0, "issuemail", "digicert.com"),), True, True),
        # section 4.1: what is critical and not understood forbids; what is not critical does not
        (((0, "tbs", "unknown"),), True, True),
        (((128, "tbs", "unknown"), (0, "issue", "letsencrypt.org")), False, False),
        (((128, "issue", "letsencrypt.org"),), True, True),
    ],
)
def test_caa_as_in_rfc_8659(records: tuple[tuple[int, str, str], ...], one_name: bool, wildcard: bool) -> None:
    facts = CaaFacts(records=records, found_at="example.com")

    assert _allows(facts) is one_name
    assert _allows(facts, wildcard=True) is wildcard


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        # RFC 8657 section 4: the method must be among those listed
        (("letsencrypt.org; validationmethods=http-01",), True),
        (("letsencrypt.org; validationmethods=dns-01,http-01,ca-letter",), True),
        (("letsencrypt.org; ValidationMethods = http-01",), True),
        (("letsencrypt.org; validationmethods=dns-01",), False),
        (("letsencrypt.org; validationmethods=http-011",), False),
        (("letsencrypt.org; validationmethods=",), False),
        (("letsencrypt.org; validationmethods=http-01,",), False),
        (("letsencrypt.org; validationmethods=http_01,http-01",), False),
        (("letsencrypt.org; validationmethods=http-01; validationmethods=http-01",), False),
        # section 3: the account must be the one named
        ((f"letsencrypt.org; accounturi={OURS}",), True),
        ((f"letsencrypt.org; accounturi={THEIRS}",), False),
        ((f"letsencrypt.org; accounturi={OURS}0",), False),
        (("letsencrypt.org; accounturi=",), False),
        ((f"letsencrypt.org; accounturi={OURS}; accounturi={OURS}",), False),
        ((f"letsencrypt.org; accounturi={OURS}; validationmethods=http-01",), True),
        ((f"letsencrypt.org; accounturi={OURS}; validationmethods=dns-01",), False),
        ((f"letsencrypt.org; accounturi={THEIRS}; validationmethods=http-01",), False),
        # parameters that nobody knows restrict nobody
        (("letsencrypt.org; policy=strict",), True),
        # RFC 8659 section 4.2: what is not of its form allows nobody
        (("letsencrypt.org; http-01",), False),
        (("letsencrypt.org; =http-01",), False),
        (("letsencrypt.org; validationmethods=http-01;",), False),
        (("letsencrypt.org; validationmethods=http-01, dns-01",), False),
        (("letsencrypt.org;;",), False),
        (("letsencrypt.org; note=\xe9",), False),
        # one record that allows it is enough, and it must be this CA's
        (("letsencrypt.org; validationmethods=dns-01", "letsencrypt.org; validationmethods=http-01"), True),
        (("letsencrypt.org; junk", "letsencrypt.org"), True),
        (("digicert.com; validationmethods=http-01", "letsencrypt.org; validationmethods=dns-01"), False),
        (("digicert.com", "letsencrypt.org; validationmethods=dns-01", f"letsencrypt.org; accounturi={THEIRS}"), False),
    ],
)
def test_caa_as_in_rfc_8657(values: tuple[str, ...], allowed: bool) -> None:
    assert _allows(_facts(*values)) is allowed


def test_an_account_that_is_not_known_is_not_in_the_way() -> None:
    assert _allows(_facts(f"letsencrypt.org; accounturi={THEIRS}"), account="")
    assert not _allows(_facts(f"letsencrypt.org; accounturi={THEIRS}; validationmethods=dns-01"), account="")


@pytest.mark.parametrize(
    ("values", "accounts"),
    [
        ((f"letsencrypt.org; accounturi={THEIRS}", f"letsencrypt.org; accounturi={OURS}"), (THEIRS, OURS)),
        ((f"letsencrypt.org; accounturi={THEIRS}", "letsencrypt.org"), ()),
        (("letsencrypt.org",), ()),
        ((f"letsencrypt.org; accounturi={THEIRS}", "letsencrypt.org; validationmethods=dns-01"), (THEIRS,)),
        ((f"digicert.com; accounturi={THEIRS}", f"letsencrypt.org; accounturi={OURS}"), (OURS,)),
        ((), ()),
    ],
)
def test_the_accounts_that_are_demanded_are_those_of_the_records_that_allow_the_rest(
    values: tuple[str, ...], accounts: tuple[str, ...]
) -> None:
    assert accounts_demanded(_facts(*values), US, wildcard=False, method="http-01") == accounts


@pytest.mark.parametrize(
    ("record", "why", "hint"),
    [
        (
            "letsencrypt.org; validationmethods=dns-01",
            ' by http-01: the record is issue "letsencrypt.org; validationmethods=dns-01"',
            "add http-01 to its validationmethods, or use --challenge dns-01",
        ),
        (
            "letsencrypt.org; validationmethods=ca-letter",
            ' by http-01: the record is issue "letsencrypt.org; validationmethods=ca-letter"',
            "add http-01 to its validationmethods",
        ),
        (
            f"letsencrypt.org; accounturi={THEIRS}",
            f' to this account: the record is issue "letsencrypt.org; accounturi={THEIRS}"',
            f"make its accounturi {OURS}",
        ),
        (
            "letsencrypt.org; validationmethods=http-01;",
            ': the record issue "letsencrypt.org; validationmethods=http-01;" cannot be read',
            "write NAME=VALUE behind each semicolon, and none at the end",
        ),
        (
            "letsencrypt.org; validationmethods=http-01,,dns-01",
            ': the record issue "letsencrypt.org; validationmethods=http-01,,dns-01" has methods that cannot be read',
            "write them with commas alone",
        ),
        (
            "letsencrypt.org; accounturi=",
            ': the record issue "letsencrypt.org; accounturi=" names no account',
            "write its URL, or leave accounturi out",
        ),
        (
            TWICE,
            f': the record issue "{TWICE}" has accounturi twice, and so allows nobody',
            "make a record of each",
        ),
        (
            'letsencrypt.org; "\x1b[31m',
            ': the record issue "letsencrypt.org; \\"\\027[31m" cannot be read',
            "write NAME=VALUE behind each semicolon, and none at the end",
        ),
        ("digicert.com", "", 'add the record: example.com. CAA 0 issue "letsencrypt.org"'),
    ],
)
def test_the_record_that_is_in_the_way_is_shown_with_what_to_change(record: str, why: str, hint: str) -> None:
    facts = _facts("other.example", record)

    assert caa_objection(facts, US, wildcard=False, method="http-01", account=OURS) == (why, hint)


def test_a_wildcard_is_sent_to_no_other_method_and_to_the_record_that_governs_it() -> None:
    def said(value: str) -> tuple[str, str] | None:
        facts = CaaFacts(records=((0, "issuewild", value), (0, "issue", "letsencrypt.org")), found_at="example.com")
        return caa_objection(facts, US, wildcard=True, method="dns-01", account=OURS)

    assert said(";") == ("", 'add the record: example.com. CAA 0 issuewild "letsencrypt.org"')
    assert said("letsencrypt.org; validationmethods=http-01") == (
        ' by dns-01: the record is issuewild "letsencrypt.org; validationmethods=http-01"',
        "add dns-01 to its validationmethods",
    )


def test_a_critical_record_that_no_ca_knows_is_named_and_no_other_can_help() -> None:
    facts = CaaFacts(records=((0, "issue", "letsencrypt.org"), (128, "tbs", "unknown")), found_at="example.com")

    assert caa_objection(facts, US, wildcard=False, method="http-01", account=OURS) == (
        ": its record 'tbs' is marked critical, and known to no CA",
        "remove that record, or its flag 128",
    )
