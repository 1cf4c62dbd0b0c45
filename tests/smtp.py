"""A mail server on loopback that speaks as much SMTP as a client needs: EHLO, STARTTLS, AUTH, one mail, QUIT."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Mailbox:
    """What came in: envelopes with their text, who logged in, and each command with whether it came over TLS."""

    port: int
    logins: list[tuple[str, str]] = field(default_factory=list)
    mails: list[tuple[str, tuple[str, ...], bytes]] = field(default_factory=list)
    commands: list[tuple[str, bool]] = field(default_factory=list)


@contextmanager
def mail_server(
    context: ssl.SSLContext | None = None, *, implicit: bool = False, replies: Mapping[str, str] | None = None
) -> Iterator[Mailbox]:
    """Serve until the block ends. STARTTLS is offered with a ``context``; ``implicit`` is TLS from the first byte.

    ``replies`` are given instead of the usual ones, by the command's begin (``RCPT TO:<a@example.com>``), by ``""`` for
    the greeting; an empty reply hangs up.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        box = Mailbox(listener.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with suppress(OSError, ValueError):
                    _Talk(box, context, dict(replies or {})).hold(client, implicit=implicit)

        worker = threading.Thread(target=serve, daemon=True)
        worker.start()
        try:
            yield box
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
    worker.join(10)


class _Talk:
    def __init__(self, box: Mailbox, context: ssl.SSLContext | None, replies: dict[str, str]) -> None:
        self._box = box
        self._context = context
        self._replies = replies
        self._secured = False
        self._sender = ""
        self._recipients: list[str] = []

    def hold(self, client: socket.socket, *, implicit: bool) -> None:
        client.settimeout(10)
        with client:
            if implicit:
                client = self._secure(client)
            self._say(client, "", "220 test ESMTP")
            while line := self._line(client):
                self._box.commands.append((line.split(":")[0].split(" ")[0].upper(), self._secured))
                if line.upper() == "STARTTLS" and self._context:
                    self._say(client, line, "220 go on")
                    client = self._secure(client)
                    continue
                said = self._say(client, line, self._answer(line))
                if line.upper() == "QUIT":
                    client.close()
                    return
                if said.startswith("354"):
                    self._mail(client)

    def _answer(self, line: str) -> str:
        verb, _, rest = line.partition(" ")
        match verb.upper():
            case "EHLO":
                offers = ["test", *(["STARTTLS"] if self._context and not self._secured else []), "AUTH PLAIN"]
                last = len(offers) - 1
                return "\r\n".join(f"250{' ' if at == last else '-'}{offer}" for at, offer in enumerate(offers))
            case "AUTH":
                _, user, password = base64.b64decode(rest.split(" ")[1]).decode().split("\0")
                self._box.logins.append((user, password))
                return "235 welcome"
            case "MAIL":
                self._sender = rest[len("FROM:<") :].split(">")[0]
                return "250 ok"
            case "RCPT":
                self._recipients.append(rest[len("TO:<") :].split(">")[0])
                return "250 ok"
            case "DATA":
                return "354 go on"
            case "QUIT":
                return "221 bye"
        return "502 what?"

    def _mail(self, client: socket.socket) -> None:
        data = b""
        while not data.endswith(b"\r\n.\r\n"):
            data += client.recv(65536)
        self._box.mails.append((self._sender, tuple(self._recipients), data[:-3].replace(b"\r\n..", b"\r\n.")))
        self._say(client, ".", "250 taken")

    def _say(self, client: socket.socket, line: str, usual: str) -> str:
        reply = self._replies.get("", usual) if not line else self._chosen(line.upper(), usual)
        if not reply:
            client.close()
            raise ConnectionAbortedError
        client.sendall(reply.encode() + b"\r\n")
        return reply

    def _chosen(self, line: str, usual: str) -> str:
        found = (reply for begin, reply in self._replies.items() if begin and line.startswith(begin.upper()))
        return next(found, usual)

    def _line(self, client: socket.socket) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            sign = client.recv(1)  # not more: the handshake follows a line
            if not sign:
                return ""
            line += sign
        return line[:-2].decode()

    def _secure(self, client: socket.socket) -> socket.socket:
        assert self._context is not None
        self._secured = True
        return self._context.wrap_socket(client, server_side=True)
