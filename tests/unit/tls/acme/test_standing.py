"""The record of dns-persist-01: what is asked for, what is written, and what one that is there is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from dns.rdtypes.ANY.TXT import TXT

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.standing import Standing, fault, line, quoted, standing

_NOW = 1_800_000_000
_ACCOUNT = "https://ca.example/acct/123"
_THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
_PREFIX = "https://ca.example/account-hash/"
#: The draft's own example (-02, section 10.2).
_HASHED = f"{_PREFIX}sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"
_WANTED = Standing(issuers=("ca.example", "authority.example"), accounts=(_ACCOUNT,), wildcard=False, now=_NOW)
_ANY = replace(_WANTED, wildcard=True)
_MINE = f"accounturi={_ACCOUNT}"


def asked(challenge: Mapping[str, object], name: str = "example.com", prefix: str = "") -> Standing:
    return standing(challenge, name, account=_ACCOUNT, thumbprint=_THUMBPRINT, prefix=prefix, now=_NOW)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"ca.example; {_MINE}", _WANTED),
        (f"authority.example; {_MINE}", _WANTED),
        (f"CA.Example.; AccountURI={_ACCOUNT}", _WANTED),
        (f"ca.example;{_MINE}", _WANTED),
        (f" ca.example\t;  accounturi = {_ACCOUNT} ", _WANTED),
        (f"ca.example; policy=wildcard; {_MINE}", _WANTED),
        (f"ca.example; policy=other; {_MINE}", _WANTED),
        (f"ca.example; POLICY=WildCard; {_MINE}", _ANY),
        (f"ca.example; x-new=1; {_MINE}; x-new=2; empty=", _WANTED),
        (f"ca.example; persistUntil={_NOW}; {_MINE}", _WANTED),
        (f"ca.example; {_MINE}; PERSISTUNTIL={_NOW + 1}; policy=wildcard", _ANY),
    ],
)
def test_a_record_is_right_in_any_order_and_case_that_cas_take(text: str, wanted: Standing) -> None:
    assert not fault(text, wanted)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is for another CA"),
        ("v=spf1 -all", "is for another CA"),
        (f"other.example; {_MINE}", "is for another CA"),
        (f"; {_MINE}", "is for another CA"),
        ("ca.example", "names no account"),
        ("ca.example; accounturi=", "names no account"),
        ("ca.example;", "cannot be read"),
        (f"ca.example; {_MINE};", "cannot be read"),
        (f"ca.example;; {_MINE}", "cannot be read"),
        (f"ca.example; {_MINE} policy=wildcard", "cannot be read"),
        (f"ca.example; {_MINE}; policy", "cannot be read"),
        (f"ca.example; {_MINE}; pol_icy=wildcard", "cannot be read"),
        (f"ca.example; {_MINE}; AccountURI={_ACCOUNT}", "cannot be read"),
        (f"ca.example; {_MINE}4", "is for another account"),
        (f"ca.example; accounturi={_ACCOUNT.replace('acct', 'Acct')}", "is for another account"),
        (f"ca.example; {_MINE}", "has no policy=wildcard"),
        (f"ca.example; {_MINE}; policy=wildcards", "has no policy=wildcard"),
        (f"ca.example; {_MINE}; policy=wildcard; persistUntil={_NOW - 60}", "ended on 2027-01-15 07:59 UTC"),
        (f"ca.example; {_MINE}; policy=wildcard; persistUntil=0", "ended on 1970-01-01 00:00 UTC"),
        *(
            (
                f"ca.example; {_MINE}; policy=wildcard; persistUntil={until}",
                "has a persistUntil that is no number of seconds",
            )
            for until in ("", "never", "-1", "2027-01-15T08:00:00Z", "1.8e9", "9" * 5000)
        ),
    ],
)
def test_a_record_that_is_not_right_says_why(text: str, words: str) -> None:
    assert fault(text, _ANY) == words


def test_a_ca_that_takes_urls_is_told_the_one_that_it_names_and_takes_the_accounts_own() -> None:
    names = {"issuer-domain-names": ["CA.example.", "authority.example"]}
    assert asked(names, prefix=_PREFIX) == _WANTED
    assert asked(names, "*.example.com") == _ANY
    assert asked({**names, "accounturi": "https://ca.example/other"}).accounts == ("https://ca.example/other", _ACCOUNT)


def test_a_ca_that_takes_hashes_is_told_the_one_of_the_name_and_takes_the_one_of_all_names() -> None:
    names = {"issuerDomainNames": ["ca.example"]}
    hashed, any_name = asked(names, prefix=_PREFIX).accounts
    assert hashed == _HASHED
    assert asked(names, "*.example.com", _PREFIX).accounts == (hashed, any_name)
    assert asked(names, "other.example.com", _PREFIX).accounts[1] == any_name
    assert asked(names, "other.example.com", _PREFIX).accounts[0] not in (hashed, any_name)
    assert asked(names).accounts == (_ACCOUNT,)
    both = {**names, "issuer-domain-names": ["ca.example"]}
    assert asked(both, prefix=_PREFIX).accounts == (hashed, any_name, _ACCOUNT)


@pytest.mark.parametrize("issuers", [None, [], ["ca.example"] * 11, [7], ["ca.example; policy=wildcard"], "ca.example"])
def test_a_challenge_without_one_to_ten_issuers_is_refused(issuers: object) -> None:
    with pytest.raises(AcmeError, match="without one to ten issuers"):
        asked({"issuer-domain-names": issuers})


def test_the_record_is_written_as_a_zone_file_has_it() -> None:
    name = "_validation-persist.example.com."
    assert line(name, _WANTED) == f'{name} IN TXT "ca.example; {_MINE}"'
    assert line(name, _ANY) == f'{name} IN TXT "ca.example; {_MINE}; policy=wildcard"'


@pytest.mark.parametrize("text", ["", "a", "a" * 255, "a" * 256, "b" * 700, '"\\\n\x00 é'])
def test_a_text_in_strings_of_255_bytes_is_read_as_the_same_text(text: str) -> None:
    read = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.TXT, quoted(text))
    assert isinstance(read, TXT)
    assert b"".join(read.strings).decode() == text
    assert len(read.strings) == max(1, -(-len(text.encode()) // 255))


def test_what_is_written_is_right() -> None:
    for wanted in (_WANTED, _ANY, replace(_ANY, accounts=(_ACCOUNT + "4" * 300,))):
        text = line("x.", wanted).removeprefix('x. IN TXT "').removesuffix('"').replace('" "', "")
        assert not fault(text, wanted)
