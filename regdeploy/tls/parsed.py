"""Certificates and private keys as cryptography has them, and the facts they state.

Imports cryptography at once (70 ms): so this module and those built on it are themselves imported only where needed.
"""

from __future__ import annotations

import ipaddress
import shlex
import warnings
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from regdeploy.errors import CertificateError
from regdeploy.secret import Secret
from regdeploy.tls.certificate import Certificate
from regdeploy.tls.pem import KEY_LABELS, Block, labels

#: What cryptography raises for certificates that break the rules.
BROKEN = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def parse(der: bytes, where: str) -> x509.Certificate:
    """The certificate in ``der``. Raises CertificateError, and warns of nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old roots have serial numbers of zero: not the user's business
            return x509.load_der_x509_certificate(der)
    except BROKEN as error:
        raise _broken(where, error) from error


def facts(certificate: x509.Certificate, where: str) -> Certificate:
    """What ``certificate`` says. Raises CertificateError where a part of it breaks the rules."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as above
            return Certificate(
                names=tuple(dict.fromkeys(_names(certificate))),
                subject=certificate.subject.rfc4514_string(),
                issuer=certificate.issuer.rfc4514_string(),
                serial=certificate.serial_number,
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                fingerprint_sha256=certificate.fingerprint(SHA256()).hex(),
                key_type=_key_type(certificate),
            )
    except BROKEN as error:
        raise _broken(where, error) from error


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether ``issuer``'s name stands in ``certificate`` and its key signed it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, *BROKEN):
        return False
    return True


def private_keys(blocks: Sequence[Block], where: str) -> list[tuple[PrivateKeyTypes, str]]:
    """Every private key among ``blocks`` with its file's name; ``where`` is the file that should hold one.

    Raises CertificateError when there is none, or one is encrypted or broken.
    """
    keys = []
    for block in blocks:
        if block.encrypted:
            raise _encrypted(block.where)
        if block.label in KEY_LABELS:
            try:
                keys.append((load_der_private_key(block.der, None), block.where))
            except (ValueError, TypeError, UnsupportedAlgorithm) as error:
                what = f"the private key is broken: {_first_line(error)}"
                raise CertificateError(block.where, what, "copy the file again, whole") from error
    if not keys:
        found = labels(block for block in blocks if block.where == where)
        raise CertificateError(where, f"holds no private key, only {found}", "give the private key's PEM file")
    return keys


def belongs(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    """Whether ``certificate`` is about the public half of ``key``."""
    try:
        return _spki(certificate.public_key()) == _spki(key.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return False  # a key of an unknown kind is nobody's


def key_type(key: PublicKeyTypes) -> str:
    """A key for a person: ``RSA 2048``, ``ECDSA P-256``, ``Ed25519``."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {_CURVES.get(key.curve.name, key.curve.name)}"
    return type(key).__name__.removesuffix("PublicKey")


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """The certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def key_pem(key: PrivateKeyTypes) -> Secret:
    """The key as unencrypted PKCS#8 PEM, which every server reads."""
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def _names(certificate: x509.Certificate) -> Iterator[str]:
    try:
        entries = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for entry in entries:
        if isinstance(entry, x509.IPAddress):
            yield str(entry.value)
        elif isinstance(entry, x509.DNSName) and not _is_ip(entry.value):  # clients match addresses with iPAddress only
            yield entry.value.lower().removesuffix(".")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _key_type(certificate: x509.Certificate) -> str:
    try:
        return key_type(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _encrypted(where: str) -> CertificateError:
    # Never into the same file: openssl empties it before it reads it (seen with 3.0: the key was gone).
    command = f"openssl pkey -in {shlex.quote(where)} -out {shlex.quote(f'{where}.plain')}"
    return CertificateError(
        where,
        "the private key is encrypted, and nobody is there to type its password when the registry starts",
        f"`{command}` makes {where}.plain without a password; give that",
    )


def _broken(where: str, error: Exception) -> CertificateError:
    return CertificateError(where, f"holds a broken certificate: {_first_line(error)}", "copy the file again, whole")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
