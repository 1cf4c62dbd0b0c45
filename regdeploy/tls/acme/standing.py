"""The record of dns-persist-01 (draft-ietf-acme-dns-persist): put into the DNS once, good for every renewal. Pure.

Its text is an issue-value (RFC 8659 section 4.2): ``ISSUER; accounturi=URI; policy=wildcard; persistUntil=SECONDS``.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime

from regdeploy.errors import AcmeError
from regdeploy.frozen import frozen
from regdeploy.tls.acme.issue_value import parse_issue_value

LABEL = "_validation-persist"
_MOST_ISSUERS = 10  # the draft has a client refuse more
_PIECE = 255  # bytes of one string of a TXT record (RFC 1035 section 3.3)
_ISSUER = re.compile(r"[A-Za-z0-9.-]{1,253}")
_KNOWN = ("accounturi", "policy", "persistuntil")
_SECONDS = re.compile(r"[0-9]{1,18}")


@frozen
class Standing:
    """What a record at ``_validation-persist.NAME`` must say.

    ``issuers`` are the domain names that the CA goes by, ``accounts`` the URIs by which it knows the account: one of
    each is enough, and the first is the one to write. ``wildcard`` is for ``*.NAME``; ``now`` is in seconds since 1970.
    """

    issuers: tuple[str, ...]
    accounts: tuple[str, ...]
    wildcard: bool
    now: float


def standing(
    challenge: Mapping[str, object], name: str, *, account: str, thumbprint: str, prefix: str, now: float
) -> Standing:
    """What ``challenge`` asks for ``name``, a wildcard or not, of the account at the URL ``account``.

    A CA of the draft's -02 (``issuerDomainNames``) knows an account by a hash below ``prefix``, one of -00 and -01
    (``issuer-domain-names``) by its URL. Raises AcmeError where the CA names no issuer, or more than ten.
    """
    old, new = challenge.get("issuer-domain-names"), challenge.get("issuerDomainNames")
    named = old if new is None else new
    if not isinstance(named, list) or not 0 < len(named) <= _MOST_ISSUERS or not all(map(_is_issuer, named)):
        raise AcmeError(
            name,
            "the CA sent a dns-persist-01 challenge without one to ten issuers",
            "choose another kind: --challenge",
        )
    accounts: list[str] = []
    if new is not None and prefix:
        accounts += [prefix + _hash(of, thumbprint, account) for of in (name.removeprefix("*."), "*")]
    if old is not None or not prefix:
        said = challenge.get("accounturi")  # of -01, which may prefer another than the URL, but has to take that
        accounts += [said, account] if isinstance(said, str) and said else [account]
    return Standing(
        issuers=tuple(_plain(issuer) for issuer in named),
        accounts=tuple(dict.fromkeys(accounts)),
        wildcard=name.startswith("*."),
        now=now,
    )


def line(name: str, wanted: Standing) -> str:
    """The record to make at ``name`` (absolute), as a zone file has it."""
    policy = "; policy=wildcard" if wanted.wildcard else ""
    text = f"{wanted.issuers[0]}; accounturi={wanted.accounts[0]}{policy}"
    return f"{name} IN TXT {quoted(text)}"


def quoted(text: str) -> str:
    """A TXT record's text as a zone file has it, in strings of 255 bytes at most (RFC 1035 section 5.1)."""
    raw = text.encode()
    pieces = [raw[start : start + _PIECE] for start in range(0, len(raw), _PIECE)] or [b""]
    return " ".join(f'"{"".join(map(_escaped, piece))}"' for piece in pieces)


def fault(text: str, wanted: Standing) -> str:
    """Why a record of that ``text`` does not prove what is ``wanted``, nothing where it does.

    Held to the grammar as CAs hold it: a parameter that nobody knows is passed over, one without ``=``, an empty one
    (such as after a last semicolon) or a known one that comes twice spoils the record.
    """
    issuer, parameters = parse_issue_value(text)
    pairs = [(name, value) for name, value in parameters or () if name in _KNOWN]
    known = dict(pairs)
    if parameters is None or len(pairs) > len(known):
        return "cannot be read"
    if issuer not in wanted.issuers:
        return "is for another CA"
    if known.get("accounturi") not in wanted.accounts:
        return "is for another account" if known.get("accounturi") else "names no account"
    if wanted.wildcard and known.get("policy", "").lower() != "wildcard":
        return "has no policy=wildcard"
    return _over(known.get("persistuntil"), wanted.now)


def _over(until: str | None, now: float) -> str:
    """Whether a record is past its time, in words; nothing where it is not."""
    if until is None:
        return ""
    if not _SECONDS.fullmatch(until):
        return "has a persistUntil that is no number of seconds"
    if int(until) >= now:
        return ""
    return f"ended on {datetime.fromtimestamp(int(until), UTC):%Y-%m-%d %H:%M} UTC"


def _hash(name: str, thumbprint: str, account: str) -> str:
    """The account as the draft's -02 has it (section 4.1): known to who knows it, and no URL to be found by others."""
    digest = hashlib.sha256(bytes([len(name)]) + f"{name}{thumbprint}{account}".encode()).digest()
    return f"sha-256/{urlsafe_b64encode(digest).decode().rstrip('=')}"


def _is_issuer(value: object) -> bool:
    return isinstance(value, str) and bool(_ISSUER.fullmatch(value))


def _plain(issuer: str) -> str:
    return issuer.lower().removesuffix(".")


def _escaped(byte: int) -> str:
    sign = chr(byte)
    if sign in '"\\':
        return f"\\{sign}"
    return sign if sign.isascii() and sign.isprintable() else f"\\{byte:03d}"
