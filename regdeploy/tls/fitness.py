"""What makes clients refuse a certificate, found before one of them does. Imports cryptography at once.

Every check raises CertificateError with the file's name, one sentence, and what to do.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from regdeploy.errors import CertificateError
from regdeploy.tls.certificate import Certificate, covers
from regdeploy.tls.chain import is_root, issuer_url, system_root_of
from regdeploy.tls.parsed import issued_by, key_type

_RSA_BITS = 2048  # OpenSSL's default security level refuses less
_CURVES = ("secp256r1", "secp384r1", "secp521r1")  # what Go's crypto/tls knows, and so Docker and the registry
_WEAK_HASHES = ("md5", "sha1")


def check_key(key: PrivateKeyTypes, where: str) -> None:
    """Refuse keys that the registry cannot load or clients do not accept."""
    kind = key_type(key.public_key())
    strong = (
        (isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _RSA_BITS)
        or (isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES)
        or isinstance(key, ed25519.Ed25519PrivateKey)
    )
    if not strong:
        what = f"clients do not accept its key ({kind})"
        hint = "get a certificate for a key that is RSA of 2048 bits or more, ECDSA P-256, P-384 or P-521, or Ed25519"
        raise CertificateError(where, what, hint)


def check_leaf(
    leaf: x509.Certificate, facts: Certificate, *, names: tuple[str, ...], now: datetime, where: str
) -> None:
    """Refuse a leaf that is weak, not valid at ``now``, not for servers, or not for every one of ``names``."""
    _check_signature(leaf, "the certificate", where)
    _check_dates(leaf, "the certificate", now, where)
    if not _is_for_servers(leaf):
        what = "the certificate is not for servers (its extended key usage lacks serverAuth)"
        raise CertificateError(where, what, "ask the CA for a TLS server certificate")
    missing = [name for name in names if not covers(facts, name)]
    if missing and not facts.names:
        what = f"the certificate names no host (clients ignore its subject {facts.subject})"
        hint = f"get one with the subject alternative name {', '.join(missing)}"
        raise CertificateError(where, what, hint)
    if missing:
        what = f"the certificate is for {', '.join(facts.names)}, not for {', '.join(missing)}"
        hint = "get one that names every --domain, or give --domain as the certificate has it"
        raise CertificateError(where, what, hint)


def check_chain(
    leaf: x509.Certificate, issuers: Sequence[x509.Certificate], *, complete: bool, now: datetime, where: str
) -> None:
    """Refuse intermediates that are missing, weak, not valid at ``now``, or no CA at all.

    Unless ``complete`` says that only a root is left out, a leaf without ``issuers`` must be one that the system's
    trust store can prove, or its own issuer. A root among ``issuers`` is not served, so it is not judged.
    """
    if not issuers and not complete and not issued_by(leaf, leaf) and system_root_of(leaf) is None:
        raise _missing(leaf, where)
    for issuer in issuers:
        if is_root(issuer):
            continue
        words = f"the intermediate {_name(issuer.subject)}"
        _check_signature(issuer, words, where)
        _check_dates(issuer, words, now, where)
        if not _is_authority(issuer):
            what = f"{_name(issuer.subject)} signed the certificate below it, but is no CA"
            raise CertificateError(where, what, "get a certificate from a CA: clients refuse this one")


def _missing(leaf: x509.Certificate, where: str) -> CertificateError:
    what = f"the intermediate {_name(leaf.issuer)} is missing"
    url, file = issuer_url(leaf), shlex.quote(where)
    if url:
        return CertificateError(
            where, what, f"`curl -s {shlex.quote(url)} | openssl x509 -inform DER >> {file}` appends it"
        )
    return CertificateError(where, what, f"append the CA's certificate to {where}: `cat INTERMEDIATE.pem >> {file}`")


def _name(name: x509.Name) -> str:
    """A name for a person: the common name where there is one."""
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return f'"{common[0].value!s}"' if common else f'"{name.rfc4514_string()}"'


def _check_signature(certificate: x509.Certificate, words: str, where: str) -> None:
    try:
        algorithm = certificate.signature_hash_algorithm
        weak = algorithm.name if algorithm is not None and algorithm.name in _WEAK_HASHES else ""
    except UnsupportedAlgorithm:
        weak = certificate.signature_algorithm_oid.dotted_string
    if weak:
        what = f"{words} is signed with {weak.upper()}, which clients refuse"
        raise CertificateError(where, what, "get one signed with SHA-256")


def _check_dates(certificate: x509.Certificate, words: str, now: datetime, where: str) -> None:
    if certificate.not_valid_after_utc <= now:
        what = f"{words} expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        raise CertificateError(where, what, "get a new one from the CA")
    if certificate.not_valid_before_utc > now:
        what = f"{words} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise CertificateError(where, what, f"if that is past, set this host's clock: it says {now:%Y-%m-%d %H:%M} UTC")


def _is_for_servers(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
