"""A name of which one address leads to another server and one to nobody: ``doctor`` and ``up`` tell them apart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.rig.parts.command import Command
from tests.rig.parts.names import hosts_entry

NAME = "reach.example.com"
OTHER, NOBODY = "127.0.0.9", "127.0.0.10"
ANSWERED = f"http://{NAME} ({OTHER}, IPv4) is answered by another server (Server: neighbour)"
REFUSED = f"http://{NAME} ({NOBODY}, IPv4) refuses connections"


class _Neighbour(BaseHTTPRequestHandler):
    def version_string(self) -> str:
        return "neighbour"

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def name() -> Iterator[str]:
    """A name that leads to another server on port 80, and to an address where nobody listens."""
    with (
        ThreadingHTTPServer((OTHER, 80), _Neighbour) as server,
        hosts_entry(NAME, OTHER),
        hosts_entry(NAME, NOBODY),
    ):
        worker = threading.Thread(target=server.serve_forever)
        worker.start()
        yield NAME
        server.shutdown()
        worker.join()


def test_doctor_and_up_say_who_answers_where_the_ca_will_ask(
    command: Command, name: str, acme: tuple[str, ...]
) -> None:
    asked = ("--domain", name, *acme, "--challenge", "http-01", "--http-01-port", "8080", "--no-auth")
    for words in (command("doctor", *asked), command("up", "--verbose", *asked, code=1)):
        said = " ".join((words.out + words.err).split())
        assert ANSWERED in said
        assert REFUSED in said
