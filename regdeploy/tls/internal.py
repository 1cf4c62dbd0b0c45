"""A private CA for registries that no public CA issues for: one root, kept here, that can only sign for its domains.

Name constraints (RFC 5280 section 4.2.1.10) bound what a stolen key is worth to whoever trusts the root. A kind of name
without any constraint would be free, so the kind that no domain needs is permitted for a name that nobody can have.

ROOT/ca holds ``root.crt``, ``root.key`` and, as ``root-FINGERPRINT.crt``, the roots before it, which clients may still
trust. Imports cryptography at once: the module is imported only where it is used.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from regdeploy.errors import CertificateError
from regdeploy.files import TEMPORARY_PREFIX, make_folder, refusal, write_whole
from regdeploy.tls.bundle import make_bundle
from regdeploy.tls.certificate import Bundle
from regdeploy.tls.parsed import BROKEN, belongs, certificate_pem, key_pem, parse, private_keys
from regdeploy.tls.pem import certificates_in, read_blocks

_ROOT_LIFETIME = timedelta(days=3652)
_ROOT_RENEWED_BEFORE = timedelta(days=365)
_LEAF_LIFETIME = timedelta(days=90)
_BACKDATED = timedelta(hours=1)  # clocks of clients lag
_LONGEST_COMMON_NAME = 64  # RFC 5280 appendix A.1, ub-common-name
_NO_HOST = "invalid"  # RFC 6761 section 6.4
_NO_ADDRESS = "255.255.255.255"


class InternalAuthority:
    """The CA in ``folder`` (ROOT/ca, made with 0700). ``lifetime`` is a leaf's. Methods raise HostError.

    Whoever writes holds the deployment's lock. Killed at any point, the next call goes on or begins anew; what clients
    trust is still among ``root_pem()`` and ``former_roots()``.
    """

    def __init__(self, folder: Path, *, lifetime: timedelta = _LEAF_LIFETIME) -> None:
        self._folder = folder
        self._certificate = folder / "root.crt"
        self._key = folder / "root.key"
        self._lifetime = lifetime

    def root_pem(self) -> bytes | None:
        """The root that clients are to trust; None before the first was made."""
        return _content(self._certificate)

    def former_roots(self) -> tuple[bytes, ...]:
        """The roots before this one, so that what was installed for clients can be told from what is theirs."""
        roots = [path for path in _entries(self._folder) if path.name.startswith("root-") and path.suffix == ".crt"]
        contents = [_content(path) for path in roots]
        return tuple(content for content in contents if content is not None and content != self.root_pem())

    def ensure(self, names: Sequence[str], now: datetime) -> bytes:
        """The root as PEM: made once, and anew when it may not sign for ``names`` or has less than a year left."""
        certificate, _ = self._ensure(names, now)
        return certificate_pem(certificate)

    def issue(self, names: Sequence[str], now: datetime) -> Bundle:
        """A new leaf with a new key for ``names`` (A-labels, wildcards, IP addresses). Raises CertificateError too."""
        root, root_key = self._ensure(names, now)
        key = ec.generate_private_key(ec.SECP256R1())
        begin = max(_seconds(now) - _BACKDATED, root.not_valid_before_utc)
        end = min(_seconds(now) + self._lifetime, root.not_valid_after_utc)
        leaf = (
            _builder(_subject(names), root.subject, key, begin, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .add_extension(_authority_of(root), critical=False)
            .sign(root_key, SHA256())
        )
        return make_bundle(
            certificate_pem(leaf) + certificate_pem(root),
            key_pem(key).reveal().encode(),
            names=tuple(names),
            now=now,
            cert_name="the internal CA's certificate",
            key_name="its key",
        )

    def _ensure(self, names: Sequence[str], now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        there = self._read()
        if there is not None:
            certificate, _ = there
            if certificate.not_valid_after_utc - now >= _ROOT_RENEWED_BEFORE and _may_sign_for(certificate, names):
                return there
        return self._make(names, now)

    def _read(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
        """The root and its key; None where they are absent, damaged, or not of each other (a kill came between)."""
        certificate_text, key_text = _content(self._certificate), _content(self._key)
        if certificate_text is None or key_text is None:
            return None
        try:
            (der,) = certificates_in(certificate_text, str(self._certificate))
            certificate = parse(der, str(self._certificate))
            ((key, _),) = private_keys(read_blocks(key_text, str(self._key)), str(self._key))
        except (CertificateError, ValueError):
            return None
        return (certificate, key) if isinstance(key, ec.EllipticCurvePrivateKey) and belongs(key, certificate) else None

    def _make(self, names: Sequence[str], now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "regdeploy"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"internal CA {identifier.digest.hex()[:8]}"),
            ]
        )
        begin = _seconds(now) - _BACKDATED
        certificate = (
            _builder(subject, subject, key, begin, begin + _ROOT_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.NameConstraints(list(_permitted(names)), None), critical=True)
            .sign(key, SHA256())
        )
        make_folder(self._folder, 0o700)
        self._clear_leftovers()
        self._keep_former()
        # The key first: a certificate without its key could be trusted by clients and never sign.
        write_whole(self._key, key_pem(key).reveal().encode(), 0o600)
        write_whole(self._certificate, certificate_pem(certificate), 0o644)
        return certificate, key

    def _clear_leftovers(self) -> None:
        for path in _entries(self._folder):
            if path.name.startswith(TEMPORARY_PREFIX):
                try:
                    path.unlink()
                except OSError as error:
                    raise refusal(path, error) from error

    def _keep_former(self) -> None:
        """Keep the root that is replaced: clients may trust it, and it has to be told from somebody else's."""
        content = _content(self._certificate)
        with suppress(CertificateError):  # damaged: it is nothing that a client could have taken
            for der in certificates_in(content, str(self._certificate)) if content else ():
                fingerprint = parse(der, str(self._certificate)).fingerprint(SHA256()).hex()
                write_whole(self._folder / f"root-{fingerprint[:8]}.crt", content or b"", 0o644)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refusal(folder, error) from error


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal(path, error) from error


def _seconds(moment: datetime) -> datetime:
    """X.509 knows no fractions of a second, and UTC only."""
    return moment.astimezone(UTC).replace(microsecond=0)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _subject(names: Sequence[str]) -> x509.Name:
    """No address as common name: OpenSSL takes it for a host name and holds it against the constraints."""
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "regdeploy")]
    hosts = (name for name in names if _address(name) is None and len(name) <= _LONGEST_COMMON_NAME)
    parts += [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in list(hosts)[:1]]
    return x509.Name(parts)


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_of(root: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _general(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _permitted(names: Sequence[str]) -> Iterator[x509.GeneralName]:
    addresses = [address for name in names if (address := _address(name)) is not None]
    hosts = dict.fromkeys(name.removeprefix("*.") for name in names if _address(name) is None)
    for host in hosts or (_NO_HOST,):
        yield x509.DNSName(host)
    for address in addresses or (ipaddress.ip_address(_NO_ADDRESS),):
        yield x509.IPAddress(ipaddress.ip_network(address))


def _may_sign_for(root: x509.Certificate, names: Sequence[str]) -> bool:
    """Whether the constraints of ``root`` permit every one of ``names``. A root without any is not ours."""
    try:
        permitted = root.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or ()
    except (x509.ExtensionNotFound, *BROKEN):
        return False
    hosts = [subtree.value for subtree in permitted if isinstance(subtree, x509.DNSName)]
    networks = [subtree.value for subtree in permitted if isinstance(subtree, x509.IPAddress)]
    for name in names:
        address, bare = _address(name), name.removeprefix("*.")
        if address is None and not any(bare == host or bare.endswith(f".{host}") for host in hosts):
            return False
        if address is not None and ipaddress.ip_network(address) not in networks:
            return False
    return True
