"""tls-alpn-01: a real CA's validation, and what anybody else gets on that port."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.alpn import PROTOCOL, TlsAlpn01
from regdeploy.tls.acme.challenges import Proof
from tests.rig.acme.conftest import Client
from tests.rig.acme.test_issue import is_free
from tests.rig.parts.pebble import Pebble
from tests.rig.parts.processes import free_ports

NAME = "registry.example.com"
PROOF = Proof(name=NAME, token="token", key_authorization="token.thumbprint")


@pytest.fixture
def solver() -> Iterator[TlsAlpn01]:
    made = TlsAlpn01(free_ports(1)[0])
    yield made
    made.stop()


def handshake(
    solver: TlsAlpn01, name: str | None, *protocols: str, address: str = "127.0.0.1"
) -> tuple[str | None, bytes]:
    """The protocol agreed on and the certificate, DER."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    with (
        socket.create_connection((address, solver.port), 3) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        return secured.selected_alpn_protocol(), secured.getpeercert(binary_form=True) or b""


def test_a_real_ca_finds_the_proof(start_pebble: Callable[..., Pebble], make_client: Callable[..., Client]) -> None:
    port = free_ports(1)[0]
    client = make_client(start_pebble(tls_port=port))
    issued = client.issue("a.example.com", "b.example.com", challenge="tls-alpn-01", tls_alpn_01_port=port)
    assert (issued.challenge, issued.bundle.leaf.names) == ("tls-alpn-01", ("a.example.com", "b.example.com"))
    assert f"answering tls-alpn-01 on port {port}" in client.reports
    assert is_free(port)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_certificate_has_the_name_alone_and_the_critical_digest(solver: TlsAlpn01, address: str) -> None:
    solver.start([PROOF, Proof(name="other.example.com", token="t", key_authorization="t.u")])
    protocol, der = handshake(solver, NAME, PROTOCOL, address=address)
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    identifier = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
    assert protocol == PROTOCOL
    assert list(names) == [x509.DNSName(NAME)]
    assert isinstance(identifier.value, x509.UnrecognizedExtension)
    assert identifier.critical
    assert identifier.value.value == b"\x04\x20" + hashlib.sha256(b"token.thumbprint").digest()


@pytest.mark.parametrize(
    ("address", "asked"),
    [("192.0.2.7", "7.2.0.192.in-addr.arpa"), ("2001:db8::1", f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa")],
)
def test_an_address_is_asked_for_by_its_name_in_the_reverse_tree(solver: TlsAlpn01, address: str, asked: str) -> None:
    solver.start([Proof(name=address, token="t", key_authorization="t.u")])
    certificate = x509.load_der_x509_certificate(handshake(solver, asked, PROTOCOL)[1])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == [address]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_is_told_goodbye_in_each_version(solver: TlsAlpn01, version: ssl.TLSVersion) -> None:
    solver.start([PROOF])
    context = ssl._create_unverified_context()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols([PROTOCOL])
    with (
        socket.create_connection(("127.0.0.1", solver.port), 3) as plain,
        context.wrap_socket(plain, server_hostname=NAME, suppress_ragged_eofs=False) as secured,
    ):
        assert secured.version() == version.name.replace("_", ".")
        assert secured.recv(1) == b""


@pytest.mark.parametrize("protocols", [(), ("h2",), ("http/1.1", "h2"), ("h2", PROTOCOL)], ids=str)
def test_who_does_not_offer_the_protocol_alone_gets_an_alert(solver: TlsAlpn01, protocols: tuple[str, ...]) -> None:
    solver.start([PROOF])
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        handshake(solver, NAME, *protocols)


def test_a_name_that_is_not_proved_and_a_client_that_names_none_get_no_handshake(solver: TlsAlpn01) -> None:
    solver.start([PROOF])
    for name in ("elsewhere.example.com", None):
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            handshake(solver, name, PROTOCOL)
    assert handshake(solver, NAME.upper(), PROTOCOL)[0] == PROTOCOL


def test_what_is_no_handshake_harms_nobody(solver: TlsAlpn01) -> None:
    solver.start([PROOF])
    with socket.create_connection(("127.0.0.1", solver.port), 3) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with suppress(ConnectionResetError):
            assert plain.recv(100) == b""
    assert handshake(solver, NAME, PROTOCOL)[0] == PROTOCOL


def test_a_handshake_in_pieces_is_one_handshake(solver: TlsAlpn01) -> None:
    solver.start([PROOF])
    arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl._create_unverified_context()
    context.set_alpn_protocols([PROTOCOL])
    client = context.wrap_bio(arrived, leaving, server_hostname=NAME)
    with socket.create_connection(("127.0.0.1", solver.port), 3) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
            for byte in leaving.read():
                plain.sendall(bytes([byte]))
            arrived.write(plain.recv(16384))
    assert client.selected_alpn_protocol() == PROTOCOL


def test_sixty_four_that_say_nothing_are_not_waited_for_when_it_stops(solver: TlsAlpn01) -> None:
    before = set(threading.enumerate())
    solver.start([PROOF])
    idle = [socket.create_connection(("127.0.0.1", solver.port), 3) for _ in range(64)]
    with pytest.raises(OSError):  # noqa: PT011 - the end or a reset, as the kernel has it
        handshake(solver, NAME, PROTOCOL)
    idle.pop().close()
    for _ in range(300):
        if len(set(threading.enumerate()) - before) <= 2 + len(idle):
            break
        time.sleep(0.01)
    assert handshake(solver, NAME, PROTOCOL)[0] == PROTOCOL
    solver.stop()
    for connection in idle:
        assert connection.recv(1) == b""  # at once: each had seconds left
        connection.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(3)
        assert not thread.is_alive()
    assert is_free(solver.port)


def test_its_key_is_in_no_file_once_it_listens(solver: TlsAlpn01) -> None:
    solver.start([PROOF])
    open_files = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]  # noqa: PTH208 - numbers
    assert not any("tls-alpn-01" in str(path.readlink()) for path in open_files if path.is_symlink())


def test_a_taken_port_is_said_with_its_option(solver: TlsAlpn01) -> None:
    with socket.create_server(("127.0.0.1", solver.port)), pytest.raises(AcmeError) as caught:
        solver.start([PROOF])
    assert caught.value.what == "is taken, and the CA's tls-alpn-01 challenge must be answered there"
    assert caught.value.hint.endswith("--tls-alpn-01-port")
