"""Which certificate issued which: by verified signatures, never by names alone. Imports cryptography at once."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from regdeploy.errors import CertificateError
from regdeploy.tls.parsed import BROKEN, issued_by, parse
from regdeploy.tls.pem import certificates_in


def is_root(certificate: x509.Certificate) -> bool:
    """Whether it names itself as its issuer. The signature is not looked at: roots signed with SHA-1 are roots too."""
    return certificate.subject == certificate.issuer


def issuers(leaf: x509.Certificate, pool: Sequence[x509.Certificate], now: datetime) -> tuple[x509.Certificate, ...]:
    """The way up from ``leaf`` as far as ``pool`` has it, the root included where it is there.

    Where two certificates carry the issuer's name and key, the one that is valid at ``now`` is taken, and one that
    leads further up before a root: a cross-signed certificate in a file was put there for old clients.
    """
    way: list[x509.Certificate] = []
    current = leaf
    while not issued_by(current, current):
        found = [other for other in pool if other != leaf and other not in way and issued_by(current, other)]
        if not found:
            break
        current = min(found, key=lambda other: (other.not_valid_after_utc <= now, is_root(other)))
        way.append(current)
    return tuple(way)


def system_root_of(certificate: x509.Certificate) -> x509.Certificate | None:
    """The root of the system's trust store that issued ``certificate`` directly; None when there is none."""
    for der in _system_roots():
        try:
            root = parse(der, "the system's trust store")
            if root.subject == certificate.issuer and issued_by(certificate, root):
                return root
        except (CertificateError, *BROKEN):
            continue  # an unusual root is nothing to stop for
    return None


def _system_roots() -> Iterator[bytes]:
    """DER of the roots that OpenSSL would use: its file, then its folder, which ``get_ca_certs`` does not know of."""
    yield from ssl.create_default_context().get_ca_certs(binary_form=True)
    folder = ssl.get_default_verify_paths().capath
    for path in sorted(Path(folder).glob("*.[0-9]")) if folder else ():
        try:
            yield from certificates_in(path.read_bytes(), str(path))
        except (OSError, CertificateError):
            continue  # as OpenSSL does


def issuer_url(certificate: x509.Certificate) -> str:
    """Where the CA offers the issuer's certificate (RFC 5280 section 4.2.2.1); empty when it does not say."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ""
    for entry in access:
        where = entry.access_location
        if entry.access_method == x509.oid.AuthorityInformationAccessOID.CA_ISSUERS and isinstance(
            where, x509.UniformResourceIdentifier
        ):
            return where.value
    return ""
