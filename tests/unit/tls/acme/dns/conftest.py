"""Name servers of the tests, and time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import dns.tsig
import pytest

from regdeploy.tls.acme.dns.provider import Place, Record
from regdeploy.tls.acme.patience import Patience
from tests.fakes.nameserver import Answer, NameServer

Serve = Callable[..., NameServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start name servers that end with the test."""
    started: list[NameServer] = []

    def start(answer: Answer, key: dns.tsig.Key | None = None) -> NameServer:
        started.append(NameServer(answer, key))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def patience(seconds: float = 5) -> Patience:
    """That many seconds, which nobody cancels."""
    return Patience(seconds, threading.Event())


def record(*addresses: str, value: str = "value") -> Record:
    """A record of ``a.example.com`` in ``example.com``, whose primary has ``addresses``."""
    name = "_acme-challenge.a.example.com."
    place = Place(name=name, zone="example.com.", primary="ns1.example.com.", primary_addresses=addresses)
    return Record(domain="a.example.com", asked=name, place=place, value=value)
