"""What a CA says when it refuses (RFC 8555 section 6.7), kept in its own words, and what the user can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import requests
from acme import messages
from josepy.errors import Error as JoseError

from regdeploy.errors import AcmeError
from regdeploy.frozen import frozen
from regdeploy.tls.acme.challenges import Solver
from regdeploy.tls.acme.directory import retry_after

_URN = "urn:ietf:params:acme:error:"
_BUSY = (429, 503)
_OTHER_NAME = "this CA does not issue for {name}: choose another name, or --tls internal"
_BINDING = "add --eab-kid and --eab-hmac-key-file, as the CA gave them to you"
_HINTS = {
    "caa": "change the CAA record of {name} so that it allows this CA, or choose another with --acme-directory",
    "dns": "give {name} an A or AAAA record that leads to this host, and wait until the name servers have it",
    "dnssec": "correct the DNSSEC of {name}: its signatures do not verify",
    "externalAccountRequired": _BINDING,
    "invalidContact": "correct --email",
    "invalidProfile": "choose another --profile, or none",
    "rejectedIdentifier": _OTHER_NAME,
    "serverInternal": "the CA has a fault of its own: run the same command again later",
    "unsupportedContact": "correct --email",
    "unsupportedIdentifier": _OTHER_NAME,
    "userActionRequired": "do what the CA asks there, then run the same command again",
    "badRevocationReason": "give another reason: this CA does not take that one",
}
_NOT_REACHED = ("connection", "unauthorized", "incorrectResponse", "tls")  # at a challenge; of a request they say else
_NOT_IN_DNS = ("dns", "unauthorized", "incorrectResponse")
_ASKED_AT = {  # RFC 8555 section 8.3, RFC 8737 section 3
    "http-01": (80, "other web servers"),
    "tls-alpn-01": (443, "proxies that answer TLS themselves"),
}


@frozen
class Problem:
    """A refusal: ``code`` is its type without the urn prefix or empty, ``words`` are the CA's own.

    ``status`` is the HTTP status, 0 where it came inside a resource; ``retry_after`` is in seconds or None; ``terms``
    and ``page`` are where new terms of service stand and where a person agrees to them (RFC 8555 section 7.3.3).
    """

    code: str
    words: str
    status: int = 0
    retry_after: float | None = None
    terms: str = ""
    page: str = ""

    @property
    def is_busy(self) -> bool:
        """Whether the CA may take the same request later (429 and 503)."""
        return self.status in _BUSY


def from_error(error: messages.Error, status: int = 0, wait: float | None = None) -> Problem:
    """The problem that a resource or an answer holds, its subproblems among the words."""
    words = [error.detail or error.title or f"refused as {error.typ}"]
    for part in error.subproblems or ():
        named = f"{part.identifier.value}: " if part.identifier else ""
        words.append(f"{named}{part.detail or part.title or part.typ}")
    code = error.typ.removeprefix(_URN) if error.typ.startswith(_URN) else ""
    return Problem(code=code, words="; ".join(words), status=status, retry_after=wait)


def from_response(response: requests.Response, now: datetime) -> Problem:
    """The problem of an answer that is an error, whatever its body is, with its Retry-After (``acme`` loses that)."""
    wait = retry_after(response.headers, now)
    try:
        document = response.json()
        error = messages.Error.from_json(document) if isinstance(document["type"], str) else None
    except (JoseError, LookupError, ValueError, TypeError, AttributeError):
        error = None
    if error is not None:
        page = document.get("instance")
        return replace(
            from_error(error, response.status_code, wait),
            terms=next(iter(linked(response, "terms-of-service")), ""),
            page=page if isinstance(page, str) else "",
        )
    words = f"answered HTTP {response.status_code} {response.reason}"
    code = "rateLimited" if response.status_code in _BUSY else ""
    return Problem(code=code, words=words, status=response.status_code, retry_after=wait)


def linked(response: requests.Response, relation: str) -> list[str]:
    """The URLs to which an answer's Link headers lead with that relation (RFC 8288), as they were written."""
    links = requests.utils.parse_header_links(response.headers.get("Link", ""))  # .links keeps one of a kind
    return [str(link["url"]) for link in links if relation in link.get("rel", "").lower().split()]


def refused(
    problem: Problem, where: str, now: datetime, names: Sequence[str] = (), solver: Solver | None = None
) -> AcmeError:
    """The AcmeError for a problem.

    ``names`` are those it is about; ``solver`` is the one whose proof the CA did not accept, None elsewhere.
    """
    return AcmeError(
        where,
        problem.words,
        _hint(problem, now, names, solver),
        problem=problem.code,
        retry_after=problem.retry_after,
    )


def _hint(problem: Problem, now: datetime, names: Sequence[str], solver: Solver | None) -> str:
    if problem.code == "rateLimited" or (problem.is_busy and problem.retry_after is not None):
        staging = "until then --staging shows whether everything else is right"
        if problem.retry_after is None:
            return f"wait before the next attempt; {staging}"
        until = now.astimezone(UTC) + timedelta(seconds=problem.retry_after)
        return f"the CA takes it again from {until:%Y-%m-%d %H:%M} UTC; {staging}"
    name = ", ".join(names) or "that name"
    if solver is not None and solver.kind in _ASKED_AT and problem.code in _NOT_REACHED:
        return _reach(name, solver)
    if solver is not None and solver.kind.startswith("dns-") and problem.code in _NOT_IN_DNS:
        return f"the CA did not find the TXT record for {name}: look at the zone's name servers, and at a CNAME there"
    if problem.code == "userActionRequired" and (problem.terms or problem.page):
        return _agree(problem)
    return _HINTS.get(problem.code, "").format(name=name)


def _agree(problem: Problem) -> str:
    """Nobody but a person can agree to new terms, and only there."""
    new = f"the CA's terms of service are now {problem.terms}: " if problem.terms else ""
    where = f"at {problem.page}" if problem.page else "as the CA says"
    return f"{new}agree {where}, then run the same command again"


def _reach(name: str, solver: Solver) -> str:
    port, in_the_way = _ASKED_AT[solver.kind]
    if not solver.port:
        return f"port {port} of {name} must lead the CA to the web server of --http-01-webroot's folder"
    here = "" if solver.port == port else f"'s port {solver.port}"
    return f"port {port} of {name} must lead the CA to this host{here}: look at firewall, router, {in_the_way}"
