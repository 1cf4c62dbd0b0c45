"""A server of the test's own in place of a registry, for answers that the real one does not give on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

#: Status, headers and body; without a body of its own, HEAD gets the length of what GET would get.
Answer = tuple[int, dict[str, str], bytes]
#: A body that goes on until nobody reads it any more.
ENDLESS = b"endless"


@dataclass
class Heard:
    """What came in: methods with paths, in order, their headers, and how many connections brought them."""

    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answers: Callable[[str], Answer]
    heard: Heard
    hang_up = False
    cut = 0

    def setup(self) -> None:
        super().setup()
        self.heard.connections += 1

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self.heard.asked.append(f"{self.command} {self.path}")
        self.heard.headers.append(dict(self.headers))
        status, headers, body = type(self).answers(self.path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(1 << 40 if body is ENDLESS else len(body)))
        self.end_headers()
        while body is ENDLESS:
            self.wfile.write(bytes(1 << 16))
        if self.command != "HEAD":
            self.wfile.write(body[: -self.cut] if self.cut else body)
        self.close_connection = type(self).hang_up

    do_HEAD = do_GET  # noqa: N815 - as http.server calls it

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
        pass


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def serve(heard: Heard) -> Iterator[Callable[..., str]]:
    """Start a server with these answers; ``cut`` takes so many bytes off each body's end, and hangs up."""
    servers: list[tuple[ThreadingHTTPServer, Thread]] = []

    def start(answers: Callable[[str], Answer], *, hang_up: bool = False, cut: int = 0) -> str:
        own = {"answers": staticmethod(answers), "heard": heard, "hang_up": hang_up or bool(cut), "cut": cut}
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Answering", (_Handler,), own))
        server.daemon_threads = True
        worker = Thread(target=server.serve_forever, args=(0.01,))
        worker.start()
        servers.append((server, worker))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, worker in servers:
        server.shutdown()
        server.server_close()
        worker.join()
