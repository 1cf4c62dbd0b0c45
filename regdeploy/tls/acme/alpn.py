"""tls-alpn-01 (RFC 8737): a handshake with a certificate that holds the proof, for hosts that have port 443 only."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from regdeploy.tls.acme.challenges import Listeners, Proof, within

PROTOCOL = "acme-tls/1"
_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_OFFER = b"\x00\x10\x00\x0d\x00\x0b\x0a" + PROTOCOL.encode()  # ALPN with that name alone (RFC 8737 section 3)
_NO_APPLICATION_PROTOCOL = 120  # RFC 7301 section 3.2; ssl has no name for it
_PATIENCE = 5.0  # seconds for a whole handshake
_PART = 16384  # bytes read at once
_DAY = timedelta(days=1)


class TlsAlpn01:
    """Answers tls-alpn-01 on ``port`` of every address; a handshake for anything else ends with an alert."""

    kind = "tls-alpn-01"

    def __init__(self, port: int) -> None:
        self.port = port
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._listeners = Listeners(port, self._serve, kind=self.kind, option="--tls-alpn-01-port")

    def start(self, proofs: Sequence[Proof]) -> None:
        """See :class:`Solver`. The port is bound when it returns."""
        self._contexts = {_server_name(proof.name): _context(proof) for proof in proofs}
        self._listeners.start()

    def stop(self) -> None:
        """See :class:`Solver`."""
        self._listeners.stop()

    def _serve(self, connection: socket.socket) -> None:
        """One handshake, within a time for all of it: a byte now and then does not get a client more."""
        until = time.monotonic() + _PATIENCE
        heard = bytearray()
        arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = _server_context()
        context.sni_callback = lambda secured, name, _: self._choose(secured, name, heard)
        secured = context.wrap_bio(arrived, leaving, server_side=True)
        try:
            while not _is_done(secured):
                _send(connection, leaving, until)
                part = within(connection, until).recv(_PART)
                if not part:
                    return
                heard += part
                arrived.write(part)
        finally:
            _send(connection, leaving, until)  # the end of the handshake, or the alert that says why there is none

    def _choose(self, secured: ssl.SSLObject, name: str | None, heard: bytearray) -> int | None:
        """Have the name's certificate shown, or say which alert ends the handshake.

        Asked before OpenSSL looks at ALPN, and Python has it go on where no protocol is agreed on. So ``heard``, what
        the client has said so far, is looked through here.
        """
        if _OFFER not in heard:
            return _NO_APPLICATION_PROTOCOL
        chosen = self._contexts.get((name or "").lower())
        if chosen is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        secured.context = chosen
        return None


def _is_done(secured: ssl.SSLObject) -> bool:
    try:
        secured.do_handshake()
    except ssl.SSLWantReadError:
        return False
    with suppress(ssl.SSLError):  # it says goodbye, and would then wait for the client's
        secured.unwrap()
    return True


def _send(connection: socket.socket, leaving: ssl.MemoryBIO, until: float) -> None:
    if leaving.pending:
        within(connection, until).sendall(leaving.read())


def _server_name(name: str) -> str:
    """What the CA asks for by SNI: an address as its name in the reverse tree (RFC 8738 section 6)."""
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        return name.lower()


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([PROTOCOL])
    return context


def _context(proof: Proof) -> ssl.SSLContext:
    context = _server_context()
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # ssl reads files only. This one is in memory, has no name, and is gone when it is closed.
    file = os.memfd_create("tls-alpn-01", os.MFD_CLOEXEC)
    try:
        os.write(file, pem + _certificate(proof, key).public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    return context


def _certificate(proof: Proof, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Self-signed, with the name alone and the critical digest of the key authorization (RFC 8737 section 3)."""
    try:
        name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(proof.name))
    except ValueError:
        name = x509.DNSName(proof.name)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ACME challenge")])
    digest = hashlib.sha256(proof.key_authorization.encode()).digest()
    octets = b"\x04" + bytes([len(digest)]) + digest  # an OCTET STRING
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.UnrecognizedExtension(_ACME_IDENTIFIER, octets), critical=True)
        .sign(key, hashes.SHA256())
    )
