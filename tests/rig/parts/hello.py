"""What a TLS server agrees to, asked byte by byte: no library of ours still knows what it must refuse.

A ClientHello for one old version with chosen cipher suites goes out (RFC 5246 section 7.4.1.2, no
``supported_versions``), and what comes back is read up to the server's certificates, which TLS 1.2 sends in the clear.
"""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass

#: The numbers of versions, as they stand in a ClientHello.
SSL_3, TLS_1_0, TLS_1_1, TLS_1_2 = 0x0300, 0x0301, 0x0302, 0x0303

# Every suite that TLS up to 1.2 ever had, less the two that only signal something. 0x13xx are those of TLS 1.3.
_SIGNALS = {0x00FF, 0x5600}
SUITES = frozenset(high << 8 | low for high in (0x00, 0xC0, 0xC1, 0xCC, 0xD0, 0xFE) for low in range(256)) - _SIGNALS

_HANDSHAKE, _SERVER_HELLO, _CERTIFICATE, _DONE = 22, 2, 11, 14


@dataclass(frozen=True)
class Agreed:
    """What the server chose, and the certificates that it sent, DER, in its order."""

    version: int
    suite: int
    certificates: tuple[bytes, ...]


def hello(port: int, name: str, version: int, suites: Collection[int] = SUITES) -> Agreed | None:
    """Offer that version at most with those suites to 127.0.0.1; None where the server declines."""
    seen = dict(_messages(port, _record(version, _client_hello(name, version, suites))))
    if _SERVER_HELLO not in seen:
        return None
    chosen = seen[_SERVER_HELLO]
    after_session = 35 + chosen[34]
    (suite,) = struct.unpack_from(">H", chosen, after_session)
    return Agreed(struct.unpack_from(">H", chosen)[0], suite, tuple(_certificates(seen.get(_CERTIFICATE, b""))))


def hello_ssl_2(port: int) -> bytes:
    """Offer SSL 2 with all its ciphers; what comes back begins with an SSL 2 SERVER-HELLO or is something else."""
    ciphers = b"".join(bytes((kind, 0, 0x80)) for kind in range(1, 8))
    body = struct.pack(">BHHHH", 1, 2, len(ciphers), 0, 16) + ciphers + secrets.token_bytes(16)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(struct.pack(">H", 0x8000 | len(body)) + body)
        with suppress(ConnectionError):
            return connection.recv(64)
    return b""


def accepted(port: int, name: str, version: int) -> set[int]:
    """Every suite that the server takes at that version: each that it chose is not offered again."""
    found: set[int] = set()
    while (agreed := hello(port, name, version, SUITES - found)) is not None and agreed.version == version:
        found.add(agreed.suite)
    return found


def _client_hello(name: str, version: int, suites: Collection[int]) -> bytes:
    offered = b"".join(struct.pack(">H", suite) for suite in sorted(suites))
    body = struct.pack(">H", version) + secrets.token_bytes(32) + b"\0" + _sized(offered) + b"\1\0"
    if version != SSL_3:  # it has no extensions
        host = name.encode()
        extensions = {
            0: _sized(b"\0" + _sized(host)),
            10: _sized(struct.pack(">4H", 29, 23, 24, 25)),  # X25519, P-256, P-384, P-521
            11: b"\1\0",
            13: _sized(struct.pack(">9H", 0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0201)),
        }
        body += _sized(b"".join(struct.pack(">H", kind) + _sized(data) for kind, data in extensions.items()))
    return b"\1" + len(body).to_bytes(3, "big") + body


def _record(version: int, message: bytes) -> bytes:
    return struct.pack(">BH", _HANDSHAKE, min(version, TLS_1_0)) + _sized(message)


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _messages(port: int, record: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield handshake messages until the server has said all that it says, or breaks off."""
    held = b""
    with (
        suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(record)
        while (head := stream.read(5)) and head[0] == _HANDSHAKE:
            held += stream.read(int.from_bytes(head[3:5], "big"))
            while len(held) >= 4 and len(held) >= (end := 4 + int.from_bytes(held[1:4], "big")):
                kind, message, held = held[0], held[4:end], held[end:]
                if kind == _DONE:
                    return
                yield kind, message


def _certificates(message: bytes) -> Iterator[bytes]:
    rest = message[3:]
    while rest:
        end = 3 + int.from_bytes(rest[:3], "big")
        yield rest[3:end]
        rest = rest[end:]
