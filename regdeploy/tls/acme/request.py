"""What is asked for: the key of the certificate, the names as ACME writes them, and the request that holds both."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from acme import messages
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from regdeploy.errors import CertificateError
from regdeploy.secret import Secret
from regdeploy.tls.keys import KEY_TYPES

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_EXPONENT = 65537


def make_key(kind: str) -> PrivateKey:
    """A new key of a kind of :data:`regdeploy.tls.acme.settings.KEY_TYPES`. The spec lets no other kind through."""
    if kind not in KEY_TYPES:
        raise AssertionError(kind)
    match kind.split("-"):
        case "rsa", bits:
            return rsa.generate_private_key(_EXPONENT, int(bits))
        case _, "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            return ec.generate_private_key(ec.SECP256R1())


def load_key(pem: Secret) -> PrivateKey:
    """The key in ``pem``, to be used again. Raises CertificateError for one that no CA takes."""
    try:
        key = serialization.load_pem_private_key(pem.reveal().encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError("--reuse-key", f"the key in use cannot be read: {error}", "leave it out once") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateError("--reuse-key", "the key in use is of a kind that no CA takes", "leave it out once")
    return key


def canonical(names: Iterable[str]) -> tuple[str, ...]:
    """``names`` in lower case and without a final dot, addresses in their short form (RFC 5952), each once."""
    return tuple(dict.fromkeys(str(_address(name) or name.lower().removesuffix(".")) for name in names))


def identifiers(names: Iterable[str]) -> list[messages.Identifier]:
    """Canonical names as an order has them (RFC 8555 section 7.1.3; addresses: RFC 8738 section 3)."""
    return [
        messages.Identifier(typ=messages.IDENTIFIER_IP if _address(name) else messages.IDENTIFIER_FQDN, value=name)
        for name in names
    ]


def names_of(found: Sequence[messages.Identifier]) -> frozenset[str]:
    """The names of an order, in the form that ours have, to be compared with them."""
    return frozenset(canonical(one.value for one in found))


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
    big = isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256  # noqa: PLR2004 - P-384 and above
    return builder.sign(key, hashes.SHA384() if big else hashes.SHA256())


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
