"""A name server on loopback that says what a test wants: for faults that a real one does not have."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import dns.tsig

#: What it says to a question: a message, some bytes, or nothing.
Answer = Callable[[dns.message.Message], "dns.message.Message | bytes | None"]


class NameServer:
    """Listens on ``port`` of 127.0.0.1, UDP and TCP, until stopped; ``asked`` are the questions, as text."""

    def __init__(self, answer: Answer, key: dns.tsig.Key | None = None) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._key = key
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._datagrams.bind(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=work) for work in (self._serve_datagrams, self._serve_connections)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._datagrams.close()
        self._listener.close()

    def _serve_datagrams(self) -> None:
        while True:
            packet, client = self._datagrams.recvfrom(65535)
            if not packet:
                return
            if answer := self._say(packet):
                self._datagrams.sendto(answer, client)

    def _serve_connections(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError, struct.error):
                connection.settimeout(2)
                (length,) = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))
                if answer := self._say(connection.recv(length, socket.MSG_WAITALL)):
                    connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _say(self, packet: bytes) -> bytes | None:
        try:
            question = dns.message.from_wire(packet, keyring=self._key)
        except dns.exception.DNSException as error:
            raise AssertionError("what was asked is no question") from error
        self.asked.append(f"{question.question[0].name} {question.question[0].rdtype.name}")
        answer = self._answer(question)
        return answer.to_wire() if isinstance(answer, dns.message.Message) else answer


def records(*lines: str, authoritative: bool = True) -> Answer:
    """Answer with those records (``NAME KIND VALUE``) that are asked for; a name without any does not exist.

    Like a resolver it knows where zones are by their SOA records alone, and says so for every name within one.
    """
    sets: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        name, kind, value = line.split(maxsplit=2)
        sets.setdefault((name, kind), []).append(value)

    def answer(question: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(question, recursion_available=True)
        reply.flags |= dns.flags.AA if authoritative else 0
        name, kind = str(question.question[0].name), question.question[0].rdtype.name
        if values := sets.get((name, kind)):
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *values))
        elif not any(known == name for known, _ in sets):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply

    return answer


def failing(question: dns.message.Message) -> dns.message.Message:
    """Answer SERVFAIL."""
    reply = dns.message.make_response(question)
    reply.set_rcode(dns.rcode.SERVFAIL)
    return reply
