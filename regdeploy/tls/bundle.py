"""Leaf, chain and key: read as people have them, checked to belong together and to be fit to be served.

Takes values and returns values, apart from the system's trust store. cryptography is loaded by the first call, not by
the import.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from regdeploy.errors import CertificateError
from regdeploy.tls.certificate import Bundle, Certificate
from regdeploy.tls.pem import CERTIFICATE_LABELS, certificates_in, labels, read_blocks

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


def describe(der: bytes) -> Certificate:
    """What the certificate in ``der`` says. Raises CertificateError when it is none."""
    from regdeploy.tls import parsed  # noqa: PLC0415 - cryptography

    return parsed.facts(parsed.parse(der, "certificate"), "certificate")


def split_pem(data: bytes, where: str) -> list[bytes]:
    """The DER of every certificate in ``data``, in its order; ``where`` names the file.

    Raises CertificateError when it is no PEM file, or holds no certificate.
    """
    found = certificates_in(data, where)
    if not found:
        raise CertificateError(where, "holds no certificate", "give the certificate's PEM file")
    return found


def make_bundle(
    cert_data: bytes,
    key_data: bytes,
    *,
    names: tuple[str, ...],
    now: datetime,
    cert_name: str,
    key_name: str,
    complete: bool = False,
) -> Bundle:
    """The bundle in two PEM files named ``cert_name`` and ``key_name``, fit to be served for ``names`` at ``now``.

    Certificates and key may lie in either file and in any order; the chain is sorted by verified signatures, roots and
    strangers are left out. ``names`` are A-labels and IP addresses. ``complete`` says that the sender leaves out
    nothing but the root, as an ACME CA does (RFC 8555 section 9.1), and is believed unless it sent strangers alone;
    otherwise a leaf without its issuer is refused, unless a root of the system issued it. Raises CertificateError with
    the file's name as ``where``.
    """
    from regdeploy.tls import fitness  # noqa: PLC0415 - cryptography

    parts = _read(cert_data, key_data, cert_name, key_name, now)
    bundle = _bundle(parts)
    fitness.check_key(parts.key, parts.key_where)
    fitness.check_leaf(parts.leaf, bundle.leaf, names=names, now=now, where=parts.cert_where)
    whole = complete and not (parts.strangers and not parts.issuers)  # who sends others in its issuer's place errs
    fitness.check_chain(parts.leaf, parts.issuers, complete=whole, now=now, where=parts.cert_where)
    return bundle


def load_bundle(fullchain: bytes, key: bytes, *, cert_name: str, key_name: str) -> Bundle:
    """A bundle that was checked before, whatever the date is now.

    Raises CertificateError when a file is damaged, the key is another certificate's, or a certificate is not followed
    by its issuer.
    """
    from regdeploy.tls import parsed  # noqa: PLC0415 - cryptography

    leaf, *others = _in_order(fullchain, cert_name)
    for candidate, _ in parsed.private_keys(read_blocks(key, key_name), key_name):
        if parsed.belongs(candidate, leaf):
            return _bundle(_Parts(leaf, tuple(others), cert_where=cert_name, key=candidate, key_where=key_name))
    raise _stranger(key_name, cert_name)


def inspect(fullchain: bytes, key: bytes, *, cert_name: str, key_name: str) -> tuple[Certificate, bool]:
    """The leaf of a stored bundle, and whether the key is its own. Raises CertificateError when a file is damaged."""
    from regdeploy.tls import parsed  # noqa: PLC0415 - cryptography

    leaf = _in_order(fullchain, cert_name)[0]
    keys = parsed.private_keys(read_blocks(key, key_name), key_name)
    return parsed.facts(leaf, cert_name), any(parsed.belongs(candidate, leaf) for candidate, _ in keys)


@dataclass(frozen=True)
class _Parts:
    """What was found in the two files, and in which: parsed, not judged. ``issuers`` may end with the root.

    ``strangers`` says that there were certificates that have no part in it.
    """

    leaf: x509.Certificate
    issuers: tuple[x509.Certificate, ...]
    cert_where: str
    key: PrivateKeyTypes
    key_where: str
    strangers: bool = False


def _read(cert_data: bytes, key_data: bytes, cert_name: str, key_name: str, now: datetime) -> _Parts:
    from regdeploy.tls import chain, parsed  # noqa: PLC0415 - cryptography

    blocks = (*read_blocks(cert_data, cert_name), *read_blocks(key_data, key_name))
    keys = parsed.private_keys(blocks, key_name)
    pool: dict[x509.Certificate, str] = {}
    for block in blocks:
        if block.label in CERTIFICATE_LABELS:
            pool.setdefault(parsed.parse(block.der, block.where), block.where)
    if not pool:
        found = labels(block for block in blocks if block.where == cert_name)
        raise CertificateError(cert_name, f"holds no certificate, only {found}", "give the certificate's PEM file")
    for key, key_where in keys:
        leaves = [certificate for certificate in pool if parsed.belongs(key, certificate)]
        if leaves:  # a key that was kept over a renewal fits two: the one that ends last is meant
            leaf = max(leaves, key=lambda fits: (fits.not_valid_before_utc <= now, fits.not_valid_after_utc))
            way = chain.issuers(leaf, tuple(pool), now)
            strangers = len(pool) > 1 + len(way)
            return _Parts(leaf, way, cert_where=pool[leaf], key=key, key_where=key_where, strangers=strangers)
    raise _stranger(keys[0][1], next(iter(pool.values())))


def _stranger(key_file: str, cert_file: str) -> CertificateError:
    return CertificateError(
        key_file,
        f"the private key does not belong to the certificate in {cert_file}",
        f"`openssl pkey -in {shlex.quote(key_file)} -pubout` and "
        f"`openssl x509 -in {shlex.quote(cert_file)} -noout -pubkey` must print the same",
    )


def _in_order(fullchain: bytes, where: str) -> list[x509.Certificate]:
    from regdeploy.tls import parsed  # noqa: PLC0415 - cryptography

    certificates = [parsed.parse(der, where) for der in split_pem(fullchain, where)]
    for lower, upper in pairwise(certificates):
        if not parsed.issued_by(lower, upper):
            raise CertificateError(where, f"{lower.subject.rfc4514_string()} is not followed by its issuer")
    return certificates


def _bundle(parts: _Parts) -> Bundle:
    from regdeploy.tls import chain, parsed  # noqa: PLC0415 - cryptography

    above = [issuer for issuer in parts.issuers if not chain.is_root(issuer)]
    return Bundle(
        leaf=parsed.facts(parts.leaf, parts.cert_where),
        chain=tuple(parsed.facts(issuer, parts.cert_where) for issuer in above),
        fullchain_pem=b"".join(parsed.certificate_pem(certificate) for certificate in (parts.leaf, *above)),
        key_pem=parsed.key_pem(parts.key),
    )
