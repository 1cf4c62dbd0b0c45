"""Whether a CA may issue for a name by its CAA records: RFC 8659, and RFC 8657 for method and account. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from regdeploy.deployment.check import Check, ok, stop, warning
from regdeploy.deployment.observed import HostFacts, Observed
from regdeploy.deployment.spec import Spec
from regdeploy.host.names import CaaFacts
from regdeploy.tls.acme.issue_value import parse_issue_value
from regdeploy.tls.acme.standing import quoted

#: The tags that CAs know; any other that is marked critical forbids issuing (RFC 8659 section 4).
_TAGS = frozenset({"issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"})
_CRITICAL = 128
#: The methods that ``--challenge`` takes for a single name without a record that a person has to make.
_METHODS = ("http-01", "tls-alpn-01", "dns-01")
_METHOD = re.compile(r"[A-Za-z0-9-]+")


class Objection(NamedTuple):
    """Why records do not allow a CA to issue, to be said behind "does not allow this CA to issue", and what to do."""

    why: str
    hint: str


class _Property(NamedTuple):
    """An issue or issuewild record; ``parameters`` is None where it is not of the form that RFC 8659 gives it."""

    tag: str
    value: str
    issuer: str
    parameters: tuple[tuple[str, str], ...] | None

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.parameters or () if key == name]


def caa_checks(spec: Spec, observed: Observed, host: HostFacts) -> Iterator[Check]:
    """The records that govern a name must allow one of the identities that the CA goes by.

    Where there are CAs to fall back on it is no stop: each is judged by its own identities when its turn comes.
    """
    identities = host.directory.caa_identities if host.directory else ()
    method = observed.challenges[0].kind if observed.challenges else spec.challenge
    for name, facts in host.caa.items():
        if facts.error:
            yield warning("CAA", f"{name}: {facts.error}", "a CA that gets no answer either does not issue")
        elif identities:
            yield _allowed(spec, name, facts, identities, method, host.account)
        else:
            yield ok("CAA", f"{name} may be issued by {spec.acme_directory.split('/')[2]}")


def _allowed(spec: Spec, name: str, facts: CaaFacts, identities: tuple[str, ...], method: str, account: str) -> Check:
    wildcard = name.startswith("*.")
    objection = caa_objection(facts, identities, wildcard=wildcard, method=method, account=account)
    if objection is not None:
        words = f"{facts.found_at} does not allow this CA to issue for {name}{objection.why}"
        if spec.acme_fallback:
            return warning("CAA", f"{words}; another CA is asked", objection.hint)
        return stop("CAA", words, objection.hint)
    demanded = () if account else accounts_demanded(facts, identities, wildcard=wildcard, method=method)
    if demanded:
        return warning(
            "CAA",
            f"{facts.found_at} has this CA issue for {name} only to the account {' or '.join(demanded)}",
            "none is registered here yet: after the first try `regdeploy account show` says which to put there",
        )
    return ok("CAA", f"{name} may be issued by {spec.acme_directory.split('/')[2]}")


def caa_allows(facts: CaaFacts, identities: tuple[str, ...], *, wildcard: bool, method: str, account: str) -> bool:
    """Whether ``facts`` let a CA issue that goes by ``identities``, by ``method``, to the account of that URL.

    An ``account`` that is not known yet is empty, and then never in the way: see :func:`accounts_demanded`.
    """
    return caa_objection(facts, identities, wildcard=wildcard, method=method, account=account) is None


def caa_objection(
    facts: CaaFacts, identities: tuple[str, ...], *, wildcard: bool, method: str, account: str
) -> Objection | None:
    """As :func:`caa_allows`: None where one record allows it, otherwise what the first for this CA says against it."""
    for flags, tag, _ in facts.records:
        if flags & _CRITICAL and tag.lower() not in _TAGS:
            words = f": its record {tag!r} is marked critical, and known to no CA"
            return Objection(words, "remove that record, or its flag 128")
    tag, governing = _governing(facts, wildcard=wildcard)
    if not governing:
        return None
    found = [_against(one, method, account, wildcard=wildcard) for one in governing if one.issuer in identities]
    if None in found:
        return None
    add = Objection("", f'add the record: {facts.found_at}. CAA 0 {tag} "{identities[0]}"')
    return next(iter(found), add)


def accounts_demanded(facts: CaaFacts, identities: tuple[str, ...], *, wildcard: bool, method: str) -> tuple[str, ...]:
    """The URLs of accounts, one of which it must be; empty where a record allows any (RFC 8657 section 3)."""
    urls: list[str] = []
    for one in _governing(facts, wildcard=wildcard)[1]:
        if one.issuer in identities and _against(one, method, "", wildcard=wildcard) is None:
            if not one.values("accounturi"):
                return ()
            urls += one.values("accounturi")
    return tuple(urls)


def _governing(facts: CaaFacts, *, wildcard: bool) -> tuple[str, list[_Property]]:
    """The records that count, and their tag: for a wildcard issuewild where there is one (section 4.3)."""
    tags = [tag.lower() for _, tag, _ in facts.records]
    governing = "issuewild" if wildcard and "issuewild" in tags else "issue"
    values = (value for (_, _, value), tag in zip(facts.records, tags, strict=True) if tag == governing)
    return governing, [_property(governing, value) for value in values]


def _property(tag: str, value: str) -> _Property:
    alone, semicolon, rest = value.partition(";")
    bare = alone if semicolon and not rest.strip(" \t") else value  # "ISSUER;" has no parameters, and is well formed
    return _Property(tag, value, *parse_issue_value(bare))


def _against(one: _Property, method: str, account: str, *, wildcard: bool) -> Objection | None:
    """What a record for this CA says against this method and this account."""
    record = f"{one.tag} {quoted(one.value)}"
    if one.parameters is None:
        return Objection(
            f": the record {record} cannot be read", "write NAME=VALUE behind each semicolon, and none at the end"
        )
    for name in ("accounturi", "validationmethods"):
        if len(one.values(name)) > 1:
            return Objection(f": the record {record} has {name} twice, and so allows nobody", "make a record of each")
    for text in one.values("validationmethods"):
        methods = text.split(",") if text else []
        if not all(map(_METHOD.fullmatch, methods)):
            return Objection(f": the record {record} has methods that cannot be read", "write them with commas alone")
        if method not in methods:
            others = [] if wildcard else [known for known in _METHODS if known in methods]
            instead = f", or use --challenge {others[0]}" if others else ""
            return Objection(f" by {method}: the record is {record}", f"add {method} to its validationmethods{instead}")
    for url in one.values("accounturi"):
        if not url:
            return Objection(f": the record {record} names no account", "write its URL, or leave accounturi out")
        if account and url != account:
            return Objection(f" to this account: the record is {record}", f"make its accounturi {account}")
    return None
