"""A CA that misbehaves on request: a TLS proxy before Pebble that keeps the Host header, as signatures cover URLs."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

_HOP_BY_HOP = ("connection", "content-length", "transfer-encoding", "date")


@dataclass(frozen=True)
class Answer:
    """What goes back to the client."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def with_header(self, name: str, value: str) -> Answer:
        """The same answer with that header."""
        return replace(self, headers={**self.headers, name: value})

    def without(self, name: str) -> Answer:
        """The same answer without that header."""
        kept = {given: value for given, value in self.headers.items() if given.lower() != name.lower()}
        return replace(self, headers=kept)

    def with_json(self, **values: Any) -> Answer:
        """The same answer with these members of its JSON object changed."""
        return replace(self, body=json.dumps({**json.loads(self.body), **values}).encode())


def problem(status: int, kind: str, detail: str, **headers: str) -> Answer:
    """A problem document (RFC 7807); an underscore in a header's name is a hyphen."""
    body = json.dumps({"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "application/problem+json", **named}, body)


@dataclass
class _Rule:
    pattern: str
    first: int
    last: float
    answer: Answer | None
    rewrite: Callable[[Answer], Answer] | None
    lose: bool
    delay: float
    seen: int = 0

    def fits(self, request: str) -> bool:
        if not re.search(self.pattern, request):
            return False
        self.seen += 1
        return self.first <= self.seen <= self.last


class Flaky:
    """Forwards to the CA at ``upstream`` but for what :meth:`on` says; ``asked`` are the requests so far, as "POST /x".

    ``said`` are those that were signed, each with its payload, None for a POST-as-GET. ``directory`` and
    ``ca_bundle`` are for the client. Without ``upstream`` there are only the answers of the rules.
    """

    def __init__(
        self, folder: Path, upstream: str = "", upstream_bundle: Path | None = None, **certificate: Any
    ) -> None:
        self.asked: list[str] = []
        self.said: list[tuple[str, Any]] = []
        self.ca_bundle = folder / "flaky-ca.pem"
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._upstream = upstream.split("/")[2] if upstream else ""
        self._upstream_context = ssl.create_default_context(cafile=upstream_bundle) if upstream_bundle else None
        self._server = _Server(("127.0.0.1", 0), _handler(self), self._context(folder, certificate))
        self.directory = f"https://localhost:{self._server.server_address[1]}/dir"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def start(self) -> Self:
        """Answer from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def on(
        self,
        pattern: str,
        answer: Answer | None = None,
        *,
        first: int = 1,
        last: float = 0,
        rewrite: Callable[[Answer], Answer] | None = None,
        lose: bool = False,
        delay: float = 0,
    ) -> None:
        """From the ``first`` to the ``last`` request, counted from now, in which ``pattern`` is found ("METHOD /path").

        ``answer`` comes without asking the CA; ``rewrite`` makes it of the CA's; ``lose`` drops the connection, after
        the CA has carried the request out unless there is an ``answer``; ``delay`` comes first, in seconds.
        """
        self._rules.append(_Rule(pattern, first, last or first, answer, rewrite, lose, delay))

    def count(self, pattern: str) -> int:
        """How many requests so far fit."""
        return sum(1 for request in self.asked if re.search(pattern, request))

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """The answer to a request, None for a dropped connection."""
        request = f"{method} {path}"
        with self._lock:
            self.asked.append(request)
            if method == "POST":
                self.said.append((request, _payload(body)))
            rule = next(iter([rule for rule in self._rules if rule.fits(request)]), None)  # all of them count it
        if rule is not None:
            time.sleep(rule.delay)
        answer = (rule and rule.answer) or self._forward(method, path, headers, body)
        if rule is None:
            return answer
        if rule.lose:
            return None
        return rule.rewrite(answer) if rule.rewrite else answer

    def _forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if not self._upstream:
            return Answer(404)
        connection = http.client.HTTPSConnection(self._upstream, timeout=5, context=self._upstream_context)
        try:
            connection.request(method, path, body or None, dict(headers))  # Host among them, as it came
            response = connection.getresponse()
            kept: dict[str, str] = {}
            for name, value in response.getheaders():
                if name.lower() not in _HOP_BY_HOP:  # a header that comes twice is a list (RFC 9110 section 5.3)
                    kept[name] = f"{kept[name]}, {value}" if name in kept else value
            return Answer(response.status, kept, response.read())
        finally:
            connection.close()

    def _context(self, folder: Path, certificate: Mapping[str, Any]) -> ssl.SSLContext:
        import trustme  # noqa: PLC0415 - it loads cryptography, which a run without the rig need not wait for

        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_bundle))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", **certificate).configure_cert(context)
        return context


def _payload(jws: bytes) -> Any:
    """What a JWS in JSON carries."""
    text: str = json.loads(jws)["payload"]
    return json.loads(base64.urlsafe_b64decode(text + "===")) if text else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext
    ) -> None:
        super().__init__(address, handler)
        # The handshake is the handler's: a client that does not trust us must not stop the others.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what is tested."""


def _handler(flaky: Flaky) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = flaky.handle(self.command, self.path, dict(self.headers), body)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else answer.body)

        do_HEAD = do_POST = do_GET  # noqa: N815 - http.server looks for these names

        def log_message(self, *_: object) -> None:
            """Nothing to the terminal."""

    return Handler
