"""Keys and certificates for tests, made at run time: every key type, any chain, and any rule broken on request."""

from __future__ import annotations

import functools
import ipaddress
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

_CURVES: dict[str, ec.EllipticCurve] = {
    "P-224": ec.SECP224R1(),
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}


@functools.cache
def _slow_key(kind: str) -> Any:
    name, bits = kind.split()
    if name == "RSA":
        return rsa.generate_private_key(65537, int(bits))
    return dsa.generate_private_key(int(bits))


def make_key(kind: str = "P-256") -> Any:
    """A private key: ``P-256`` and other curves, ``Ed25519``, ``Ed448``; ``RSA 2048`` and ``DSA 2048`` are kept."""
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return _slow_key(kind)


@dataclass(frozen=True)
class Made:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def key_pem(self) -> bytes:
        return key_bytes(self.key)


def key_bytes(
    key: Any,
    encoding: Encoding = Encoding.PEM,
    form: PrivateFormat = PrivateFormat.PKCS8,
    password: bytes | None = None,
) -> bytes:
    """The key in any form that files come in."""
    encryption: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    return bytes(key.private_bytes(encoding, form, encryption))


def subject(common_name: str) -> x509.Name:
    """A subject with just that name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def make_certificate(
    name: x509.Name | str,
    issuer: Made | None = None,
    *,
    key: Any = None,
    names: tuple[str, ...] = (),
    ca: bool | None = False,
    begin: datetime | None = None,
    lifetime: timedelta = timedelta(days=90),
    usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.SERVER_AUTH,),
    issuer_url: str = "",
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> Made:
    """One certificate, signed by ``issuer`` or by itself; ``ca`` None leaves the basic constraints out."""
    key = key or make_key()
    begin = begin or datetime.now(UTC) - timedelta(hours=1)
    name = subject(name) if isinstance(name, str) else name
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + lifetime)
    )
    found: list[x509.ExtensionType] = list(extensions)
    if ca is not None:
        found.append(x509.BasicConstraints(ca=ca, path_length=None))
    if names:
        found.append(x509.SubjectAlternativeName([general(text) for text in names]))
    if usages and not ca:
        found.append(x509.ExtendedKeyUsage(usages))
    if issuer_url:
        place = x509.UniformResourceIdentifier(issuer_url)
        found.append(
            x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)])
        )
    for extension in found:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    signer = issuer.key if issuer else key
    unhashed = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return Made(builder.sign(signer, None if unhashed else hashes.SHA256()), key)


def general(text: str) -> x509.GeneralName:
    """A subject alternative name: an address where ``text`` is one."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=400)


def make_root(name: x509.Name | str = "Test Root", **options: Any) -> Made:
    """A root."""
    return make_certificate(name, **{"ca": True, "begin": _long_ago(), "lifetime": timedelta(days=3650), **options})


def make_intermediate(issuer: Made, name: str = "Test Intermediate", **options: Any) -> Made:
    """A CA below ``issuer``."""
    return make_certificate(
        name, issuer, **{"ca": True, "begin": _long_ago(), "lifetime": timedelta(days=1000), **options}
    )


def make_leaf(issuer: Made | None, *names: str, **options: Any) -> Made:
    """A server's certificate for ``names``, signed by ``issuer``, or by itself when that is None."""
    return make_certificate(options.pop("name", "Test Leaf"), issuer, names=names, **options)


def openssl(folder: Path, *arguments: str, data: bytes = b"") -> bytes:
    """What ``openssl ARGUMENTS`` prints, run in ``folder``; it makes what cryptography refuses to make."""
    done = subprocess.run(["openssl", *arguments], cwd=folder, input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
