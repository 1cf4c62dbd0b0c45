"""What is asked for: the key of the certificate, the names as ACME writes them, and the request that holds both."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from acme import messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from regdeploy.errors import CertificateError
from regdeploy.secret import Secret

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_EXPONENT = 65537


def make_key(kind: str) -> PrivateKey:
    """A new key of a kind of :data:`regdeploy.tls.acme.settings.KEY_TYPES`."""
    match kind.split("-"):
        case "ecdsa", "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "rsa", bits:
            return rsa.generate_private_key(_EXPONENT, int(bits))
        case _:
            return ec.generate_private_key(ec.SECP256R1())


def load_key(pem: Secret) -> PrivateKey:
    """The key in ``pem``, to be used again. Raises CertificateError for one that no CA takes."""
    try:
        key = serialization.load_pem_private_key(pem.reveal().encode(), None)
    except (ValueError, TypeError) as error:
        raise CertificateError("--reuse-key", f"the key in use cannot be read: {error}", "leave it out once") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateError("--reuse-key", "the key in use is of a kind that no CA takes", "leave it out once")
    return key


def key_pem(key: PrivateKey) -> bytes:
    """The key as it is stored: PKCS 8, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def identifiers(names: Iterable[str]) -> list[messages.Identifier]:
    """The names as an order has them (RFC 8555 section 7.1.3; addresses: RFC 8738 section 3)."""
    return [
        messages.Identifier(typ=messages.IDENTIFIER_IP if _address(name) else messages.IDENTIFIER_FQDN, value=name)
        for name in names
    ]


def names_of(found: Sequence[messages.Identifier]) -> frozenset[str]:
    """The names of an order, in the form that ours have, to be compared with them."""
    return frozenset(str(_address(one.value) or one.value.lower()) for one in found)


def signing_request(key: PrivateKey, names: Iterable[str]) -> x509.CertificateSigningRequest:
    """A request without a subject: CAs read the names alone, and newer profiles refuse a common name."""
    general: list[x509.GeneralName] = []
    for name in names:
        address = _address(name)
        general.append(x509.IPAddress(address) if address else x509.DNSName(name))
    builder = x509.CertificateSigningRequestBuilder(
        subject_name=x509.Name([]),
        extensions=[
            x509.Extension(
                x509.SubjectAlternativeName.oid,
                critical=True,  # as RFC 5280 section 4.2.1.6 wants it where the subject is empty
                value=x509.SubjectAlternativeName(general),
            )
        ],
    )
    return builder.sign(key, hashes.SHA256())


def top_issuer(pem: bytes) -> str:
    """The common name of who issued the last certificate of a chain; empty where nothing can be read."""
    try:
        last = x509.load_pem_x509_certificates(pem)[-1]
    except ValueError:
        return ""
    found = last.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
