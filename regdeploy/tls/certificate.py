"""A certificate and a bundle as values. Pure, and without ``cryptography``: ``status`` must start fast."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from regdeploy.frozen import frozen
from regdeploy.secret import Secret


@frozen
class Certificate:
    """What one X.509 certificate says. Times are aware UTC.

    ``names`` are the subject alternative names (DNS as A-labels in lower case, IP addresses in their short form), never
    the common name; ``fingerprint_sha256`` is of the DER, lower hex; ``issuer`` and ``subject`` are RFC 4514 strings.
    """

    names: tuple[str, ...]
    subject: str
    issuer: str
    serial: int
    not_before: datetime
    not_after: datetime
    fingerprint_sha256: str
    key_type: str

    @property
    def lifetime(self) -> timedelta:
        """From the first to the last moment at which it is valid."""
        return self.not_after - self.not_before

    @property
    def issuer_name(self) -> str:
        """The issuer for a person: its organization and common name."""
        parts = self._issuer_parts()
        return " ".join(dict.fromkeys(filter(None, (parts.get("O"), parts.get("CN"))))) or self.issuer

    @property
    def issuer_common_name(self) -> str:
        """The issuer's common name; the whole issuer where it has none."""
        return self._issuer_parts().get("CN") or self.issuer

    def _issuer_parts(self) -> dict[str, str]:
        pairs = (part.partition("=") for part in re.split(r"(?<!\\),", self.issuer))  # RFC 4514 section 2.4
        return {name: re.sub(r"\\(.)", r"\1", value) for name, _, value in pairs}


@frozen
class Bundle:
    """Leaf, chain and private key, checked to belong together. Built by :func:`regdeploy.tls.bundle.make_bundle`.

    ``fullchain_pem`` is leaf first, each certificate followed by its issuer, the root left out.
    """

    leaf: Certificate
    chain: tuple[Certificate, ...]
    fullchain_pem: bytes
    key_pem: Secret


def covers(certificate: Certificate, name: str) -> bool:
    """Whether clients that ask for ``name`` (A-labels, a wildcard, or an IP address) accept ``certificate``.

    A wildcard stands for exactly one label, the first (RFC 6125 section 6.4.3), and never for a part of an address.
    """
    wanted = name.lower().removesuffix(".")
    if wanted in certificate.names:
        return True
    first, dot, rest = wanted.partition(".")
    is_address = ":" in wanted or rest.rpartition(".")[2].isdecimal()
    return bool(first and dot) and not is_address and f"*.{rest}" in certificate.names
