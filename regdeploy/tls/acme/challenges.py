"""How control of a name is proved (RFC 8555 section 8): one class a kind of challenge. A new kind is one more class.

Here are what they have in common and http-01 on a port. Beside it: ``webroot``, ``alpn``, ``dns``.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from regdeploy.errors import AcmeError
from regdeploy.frozen import frozen
from regdeploy.tls.acme.standing import Standing

_PREFIX = "/.well-known/acme-challenge/"
_ADDRESSES = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104 - the CA comes from outside
_NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_PATIENCE = 5.0  # seconds for a whole request
_AT_ONCE = 64  # connections; who comes beyond them is turned away
_WAITING = 1024  # connections not accepted yet: one more is lost, and the CA comes again after a second
_LONGEST = 8192  # bytes of a request
_HEAD = b"HTTP/1.1 %b\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"


@frozen
class Proof:
    """What the CA must find for ``name``. The token is base64url; the key authorization is ``token.thumbprint``.

    dns-persist-01 alone has neither, but a record that stands (``standing``).
    """

    name: str
    token: str = ""
    key_authorization: str = ""
    standing: Standing | None = None


class Solver(Protocol):
    """One way to answer. ``kind`` is the challenge's type as ACME spells it; ``port`` is the one it opens, else 0."""

    kind: str
    port: int

    def start(self, proofs: Sequence[Proof]) -> None:
        """Have all proofs in place when this returns. Raises AcmeError, with nothing left behind."""
        ...

    def stop(self) -> None:
        """Take everything away again, from any thread and at any time; nothing starts after it. Never raises."""
        ...


class Listeners:
    """TCP on ``port`` of every address, IPv4 and IPv6: each connection is served in a thread of its own.

    ``kind`` is the challenge that wants the port, ``option`` the one that names another: for the words of a refusal.
    """

    def __init__(self, port: int, serve: Callable[[socket.socket], None], *, kind: str, option: str) -> None:
        self.port = port
        self._serve_one = serve
        self._kind = kind
        self._option = option
        self._listeners: list[socket.socket] = []
        self._stopped = False
        self._lock = threading.Lock()  # between a stop that comes from outside and a start
        self._connections: set[socket.socket] = set()

    def start(self) -> None:
        """Listen; the port is bound when it returns. Raises AcmeError, and then no family is bound."""
        with self._lock:
            try:
                for family, address in () if self._stopped else _ADDRESSES:
                    self._listen(family, address)
            except OSError as error:
                self._close()
                raise self._refusal(error) from error

    def stop(self) -> None:
        """Close the port and what is connected to it, from any thread; nothing listens after it."""
        with self._lock:
            self._stopped = True
            self._close()

    def _listen(self, family: socket.AddressFamily, address: str) -> None:
        try:
            listener = socket.socket(family, socket.SOCK_STREAM)
            self._listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, self.port))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in _NO_SUCH_FAMILY:
                return  # a host without IPv6
            raise
        listener.listen(_WAITING)
        threading.Thread(target=self._accept, args=(listener,), name=self._kind, daemon=True).start()

    def _close(self) -> None:
        while self._listeners:
            listener = self._listeners.pop()
            with suppress(OSError):  # not listening yet
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() alone does not
            listener.close()
        for connection in self._connections:
            with suppress(OSError):  # gone already
                connection.shutdown(socket.SHUT_RDWR)  # its thread closes it

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if self._admit(connection):
                threading.Thread(target=self._serve, args=(connection,), name=self._kind, daemon=True).start()
            else:
                connection.close()

    def _admit(self, connection: socket.socket) -> bool:
        with self._lock:
            if self._stopped or len(self._connections) >= _AT_ONCE:
                return False
            self._connections.add(connection)
            return True

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._serve_one(connection)
        except OSError:
            pass  # whoever it was went away; the CA comes again
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _refusal(self, error: OSError) -> AcmeError:
        where = f"port {self.port}"
        if error.errno == errno.EADDRINUSE:
            return AcmeError(
                where,
                f"is taken, and the CA's {self._kind} challenge must be answered there",
                f"stop what listens there (ss -ltnp 'sport = :{self.port}'), or forward the CA's question to another"
                f" port and name it with {self._option}",
            )
        if error.errno == errno.EACCES:
            return AcmeError(
                where,
                "may not be opened by this user",
                f"run regdeploy as root, or forward the CA's question to another port: {self._option}",
            )
        return AcmeError(where, f"cannot be opened: {error.strerror or error}", f"name another one with {self._option}")


class Http01:
    """Answers http-01 on ``port`` of every address: the key authorization for its token, else 404."""

    kind = "http-01"

    def __init__(self, port: int) -> None:
        self.port = port
        self._answers: dict[bytes, bytes] = {}
        self._listeners = Listeners(port, self._serve, kind=self.kind, option="--http-01-port")

    def start(self, proofs: Sequence[Proof]) -> None:
        """See :class:`Solver`. The port is bound when it returns."""
        self._answers = {(_PREFIX + proof.token).encode(): proof.key_authorization.encode() for proof in proofs}
        self._listeners.start()

    def stop(self) -> None:
        """See :class:`Solver`."""
        self._listeners.stop()

    def _serve(self, connection: socket.socket) -> None:
        connection.sendall(self._answer(_request(connection)))

    def _answer(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        body = self._answers.get(rest.partition(b" ")[0]) if method == b"GET" else None
        status = b"404 Not Found" if body is None else b"200 OK"
        return _HEAD % (status, len(body or b"")) + (body or b"")


def _request(connection: socket.socket) -> bytes:
    """The request's head, as far as it comes in time."""
    until = time.monotonic() + _PATIENCE
    received = b""
    while b"\r\n\r\n" not in received and len(received) < _LONGEST:
        part = within(connection, until).recv(_LONGEST)
        if not part:
            break
        received += part
    return received


def within(connection: socket.socket, until: float) -> socket.socket:
    """The connection, to be waited for until then (of ``time.monotonic``). Raises TimeoutError where that is past."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
    return connection
