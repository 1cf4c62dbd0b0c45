"""Whether the port that a CA asks leads to this host, as far as can be seen from the host itself.

A CA sees from outside, we do not: a router that does not turn a host's own packets back (no hairpin NAT) swallows
what would have come through from elsewhere. What is found here is a hint, never a proof.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from functools import partial
from itertools import islice

from regdeploy.frozen import frozen
from regdeploy.threads import in_thread

#: The port that a CA asks, by the challenge (RFC 8555 section 8.3, RFC 8737 section 3); no other kind asks one.
CA_PORTS: Mapping[str, int] = {"http-01": 80, "tls-alpn-01": 443}

_MOST_NAMES = 8
_MOST_ADDRESSES = 32
_LONGEST_ANSWER = 8192
_LONGEST_SERVER = 60


class Outcome(StrEnum):
    """What came of asking one address."""

    HERE = "here"
    OTHER = "other"
    REFUSED = "refused"
    SILENT = "silent"


@frozen
class Reached:
    """One address of a name, asked at the CA's ``port``; ``server`` is what another HTTP server calls itself."""

    name: str
    address: str
    port: int
    outcome: Outcome
    server: str = ""


def reach(
    addresses: Mapping[str, tuple[str, ...]], *, own: frozenset[str], asked: int, listened: int, timeout: float = 1.0
) -> tuple[Reached, ...]:
    """Listen on ``listened`` and ask every address of every name on ``asked``; all within ``timeout`` seconds.

    443 is asked with a TLS hello for the name, any other port with the CA's HTTP request. Empty where nothing can be
    learnt (every address is in ``own`` and the ports are one), or where the port is held: then nobody is asked.
    Never raises; leaves nothing listening, after a crash neither.
    """
    pairs = [
        (name, address)
        for name, found in islice(addresses.items(), _MOST_NAMES)
        if asked != listened or not own.issuperset(found)
        for address in found
    ][:_MOST_ADDRESSES]
    if not pairs:
        return ()
    deadline = time.monotonic() + timeout
    token = os.urandom(16).hex()
    try:
        with _listening(listened, token, deadline):
            futures = [in_thread(partial(_ask, *pair, asked, token, deadline), f"reach {pair[1]}") for pair in pairs]
            return tuple(future.result() for future in futures)
    except (OSError, RuntimeError):  # the port is held, or there is no thread to be had
        return ()


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


@contextmanager
def _listening(port: int, token: str, deadline: float) -> Iterator[None]:
    """Answer everybody on that port with the token, by IPv4 and IPv6. Raises OSError."""
    with ExitStack() as stack:
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - as a CA comes in
            try:
                server = stack.enter_context(socket.create_server((address, port), family=family))
            except OSError as error:
                if family == socket.AF_INET6 and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    continue  # a host without IPv6
                raise
            worker = threading.Thread(target=_accept, args=(server, token, deadline), daemon=True)
            worker.start()
            stack.callback(worker.join)
            stack.callback(_shut, server)  # wakes accept(2), which close(2) does not
        yield


def _shut(server: socket.socket) -> None:
    with suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, token: str, deadline: float) -> None:
    with suppress(OSError, RuntimeError):
        while True:
            connection, _ = server.accept()
            in_thread(partial(_answer, connection, token, deadline), "reach answer")


def _answer(connection: socket.socket, token: str, deadline: float) -> None:
    """The same words to HTTP and to a TLS hello: who passes bytes on passes these on."""
    with connection, suppress(OSError):
        connection.settimeout(_left(deadline))
        connection.recv(_LONGEST_ANSWER)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(token)}\r\nConnection: close\r\n\r\n"
        connection.sendall((head + token).encode("ascii"))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(_LONGEST_ANSWER):  # close(2) with bytes unread would take the answer back
            connection.settimeout(_left(deadline))


def _ask(name: str, address: str, port: int, token: str, deadline: float) -> Reached:
    """One question; never raises."""

    def reached(outcome: Outcome, server: str = "") -> Reached:
        return Reached(name=name, address=address, port=port, outcome=outcome, server=server)

    try:
        with socket.create_connection((address, port), _left(deadline)) as connection:
            connection.sendall(_hello(name) if port == CA_PORTS["tls-alpn-01"] else _request(name, token))
            answer = _read(connection, token.encode("ascii"), deadline)
    except ConnectionRefusedError:
        return reached(Outcome.REFUSED)
    except ConnectionError:  # somebody took the connection and ended it
        return reached(Outcome.OTHER)
    except (OSError, ValueError):  # no answer in time, no way there, a name that no hello can carry
        return reached(Outcome.SILENT)
    return reached(Outcome.HERE) if token.encode("ascii") in answer else reached(Outcome.OTHER, _server(answer))


def _request(name: str, token: str) -> bytes:
    """The request that a CA sends (RFC 8555 section 8.3); a part of the token, which no echo turns into the whole."""
    path = f"/.well-known/acme-challenge/{token[:8]}"
    return f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode("ascii")


def _read(connection: socket.socket, token: bytes, deadline: float) -> bytes:
    answer = b""
    while token not in answer and len(answer) < _LONGEST_ANSWER:
        connection.settimeout(_left(deadline))
        try:
            part = connection.recv(_LONGEST_ANSWER)
        except OSError:
            if answer:
                break
            raise
        if not part:
            break
        answer += part
    return answer


def _hello(name: str) -> bytes:
    """The TLS hello that a CA sends (RFC 8737 section 3): what goes by the name in it passes it on as it would then."""
    import ssl  # noqa: PLC0415 - only where 443 is asked

    context = ssl.create_default_context()
    context.set_alpn_protocols(["acme-tls/1"])
    sent = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name).do_handshake()
    return sent.read()


def _server(answer: bytes) -> str:
    """The Server field of an HTTP answer, as far as it can be printed; empty where there is none."""
    for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == b"server":
            words = value.decode("latin-1").strip()
            return "".join(letter for letter in words if " " <= letter <= "~")[:_LONGEST_SERVER]
    return ""
