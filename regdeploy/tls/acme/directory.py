"""A CA's directory (RFC 8555 section 7.1.1): where its resources are and what it says of itself."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.connection import session, unreachable
from regdeploy.tls.acme.patience import Patience, supervised
from regdeploy.tls.acme.settings import DirectoryFacts

_TIMEOUT = 10.0
_LONGEST_WAIT = 366 * 24 * 3600.0  # of a Retry-After: more is a mistake, and no date can be reckoned from it
_NEEDED = ("newNonce", "newAccount", "newOrder")
_HINT = "give the directory's own address, such as https://acme-v02.api.letsencrypt.org/directory"


def directory_facts(url: str, ca_bundle: Path | None) -> DirectoryFacts:
    """Ask the CA at ``url``, whose HTTPS ``ca_bundle`` (else the system's store) proves, for its directory, once.

    Raises AcmeError that says how far it got. Takes 10 s at most, 15 when the resolver hangs.
    """
    patience = Patience(_TIMEOUT, threading.Event())
    return supervised(lambda: read_directory(session(ca_bundle), url, _TIMEOUT), patience, url)


def read_directory(connection: requests.Session, url: str, timeout: float) -> DirectoryFacts:
    """Ask once over ``connection``; ``timeout`` is in seconds, for connecting and for the answer each."""
    try:
        response = connection.get(url, timeout=timeout)
    except requests.RequestException as error:
        raise unreachable(error, url, timeout) from error
    if not response.ok:
        wait = retry_after(response.headers, datetime.now(UTC))
        raise AcmeError(
            url,
            f"answered HTTP {response.status_code} {response.reason}",
            _HINT if wait is None else f"the CA asks to come back in {wait:.0f} s",
            problem="rateLimited" if wait is not None else "",
            retry_after=wait,
        )
    return _facts(url, _object(url, response), response)


def _object(url: str, response: requests.Response) -> Mapping[str, object]:
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict) or not all(isinstance(content.get(name), str) for name in _NEEDED):
        raise AcmeError(url, "is not an ACME directory", _HINT)
    return content


def _facts(url: str, content: Mapping[str, object], response: requests.Response) -> DirectoryFacts:
    meta = content.get("meta")
    said: Mapping[str, object] = meta if isinstance(meta, dict) else {}
    identities, profiles = said.get("caaIdentities"), said.get("profiles")
    return DirectoryFacts(
        url=url,
        caa_identities=tuple(str(name).lower() for name in identities) if isinstance(identities, list) else (),
        terms=str(said.get("termsOfService") or ""),
        eab_required=said.get("externalAccountRequired") is True,
        profiles=tuple(profiles) if isinstance(profiles, dict) else (),
        date=http_date(response.headers.get("Date", "")),
        endpoints={name: value for name, value in content.items() if name != "meta"},
        account_hash_prefix=str(said.get("accountHashPrefix") or ""),
    )


def http_date(text: str) -> datetime | None:
    """The moment of an HTTP date (RFC 9110 section 5.6.7), aware; None for anything else."""
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds from ``now`` to the header's Retry-After (seconds or a date), None where there is no such moment.

    A date is read against the answer's own Date, so that this host's clock does not matter.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT)
    when = http_date(text)
    if when is None:
        return None
    seconds = (when - (http_date(headers.get("Date", "")) or now)).total_seconds()
    return min(max(0.0, seconds), _LONGEST_WAIT)
