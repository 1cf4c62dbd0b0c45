"""What a CA is asked with, and what comes of it, as values. Pure, and nothing heavy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import field
from datetime import datetime
from pathlib import Path

from regdeploy.frozen import frozen
from regdeploy.secret import Secret
from regdeploy.tls.certificate import Bundle
from regdeploy.tls.keys import KEY_TYPES


@frozen
class DnsSettings:
    """How dns-01 writes its records: ``provider`` is ``rfc2136``, ``hook`` or ``lexicon:NAME``.

    ``server`` takes rfc2136's updates (``ADDR``, ``ADDR:PORT``, ``[V6]:PORT``), the zone's own primary where it is
    empty; ``tsig_key_file`` signs them (BIND's syntax); ``hook`` is the program of that provider; ``timeout`` is in
    seconds, for the records to reach every name server of the zone; ``resolvers`` (written like ``server``) are asked
    where zones and their servers are, the system's where there are none.
    """

    provider: str
    server: str = ""
    tsig_key_file: Path | None = None
    hook: Path | None = None
    timeout: float = 120.0
    resolvers: tuple[str, ...] = ()


@frozen
class AcmeSettings:
    """One order: for whom, from whom, and how control is proved.

    ``names`` are A-labels, wildcards and IP addresses, the first is the registry's; ``challenge`` is the kind as ACME
    spells it; ``http_01_port`` and ``tls_alpn_01_port`` are ports of this host on which the answer is given, on every
    address; ``webroot`` is the folder of another program that answers http-01 instead; ``dns`` is needed for dns-01;
    ``replaces`` is the certificate that is renewed, PEM, or empty; ``key_type`` is one of :data:`KEY_TYPES`, unless
    ``reuse_key``, PEM, is used again; ``preferred_chain`` is the common name of the issuer at a chain's top, or empty;
    ``timeout`` is in seconds, from the order to the certificate.
    """

    directory: str
    names: tuple[str, ...]
    ca_bundle: Path | None = None
    email: str = ""
    profile: str = ""
    eab_kid: str = ""
    eab_hmac_key: Secret | None = None
    challenge: str = "http-01"
    http_01_port: int = 80
    webroot: Path | None = None
    tls_alpn_01_port: int = 443
    dns: DnsSettings | None = None
    replaces: bytes = b""
    key_type: str = KEY_TYPES[0]
    reuse_key: Secret | None = None
    preferred_chain: str = ""
    timeout: float = 180.0


@frozen
class Errand:
    """What everything that is asked of a CA as an account has in common: an order, a revocation, a change of it.

    ``state`` keeps accounts; ``now`` is aware; ``report`` gets short phrases, from another thread; ``cancel`` ends the
    errand within a tenth of a second.
    """

    settings: AcmeSettings
    state: Path
    now: Callable[[], datetime]
    report: Callable[[str], None]
    cancel: threading.Event


@frozen
class Issued:
    """A certificate as the CA gave it, checked; ``account`` is the account's URL."""

    bundle: Bundle
    account: str
    challenge: str


@frozen
class RenewalInfo:
    """When a CA wants a certificate renewed (RFC 9773), aware, as it was sent: it may be reversed or long past.

    ``explanation`` is the address of a page, or empty; ``retry_after`` is in seconds.
    """

    start: datetime
    end: datetime
    explanation: str = ""
    retry_after: float | None = None


@frozen
class DirectoryFacts:
    """What a CA says of itself (RFC 8555 section 7.1.1).

    ``caa_identities`` are lower case; ``profiles`` are the names of those offered; ``date`` is the answer's Date
    header, aware, for the clock check; ``endpoints`` are the resources' URLs by name, so that the order need not ask
    again; ``account_hash_prefix`` is how the URIs begin by which dns-persist-01 knows accounts, empty for their URLs.
    """

    url: str
    caa_identities: tuple[str, ...] = ()
    terms: str = ""
    eab_required: bool = False
    profiles: tuple[str, ...] = ()
    date: datetime | None = None
    endpoints: dict[str, object] = field(default_factory=dict, repr=False)
    account_hash_prefix: str = ""
