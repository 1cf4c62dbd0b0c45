"""What a webhook gets, and what becomes of one that does not take it; over real sockets on loopback."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from regdeploy import __version__
from regdeploy.deployment.channels import channel
from regdeploy.deployment.notify import Notification
from regdeploy.deployment.webhook import Webhook
from regdeploy.secret import Secret
from tests.certs import make_leaf, make_root

MESSAGE = Notification(subject="s", text="t", facts={"message": "失败", "not_after": None, "attempt": 2})
TOKEN = "xoxb-2f6c"  # which no sentence may show


@dataclass
class Receiver:
    """A server that answers with ``statuses``, one after the other, and then with 204; 0 hangs up, -1 never answers."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    body: bytes = b""
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiving(*statuses: int, body: bytes = b"", context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver(statuses=list(statuses), body=body)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.seen.append((self.path, headers, data))
            status = receiver.statuses.pop(0) if receiver.statuses else 204
            if status < 0:
                receiver.over.wait(10)
            if status <= 0:
                self.close_connection = True
                return
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
            self.send_header("Content-Length", str(len(receiver.body)))
            self.end_headers()
            self.wfile.write(receiver.body)

        def do_GET(self) -> None:
            receiver.seen.append((self.path, {}, b""))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    worker = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    worker.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        server.server_close()
        worker.join(10)


def webhook(port: int, *, scheme: str = "http", host: str = "127.0.0.1", secret_file: Path | None = None) -> Webhook:
    url = Secret(f"{scheme}://{host}:{port}/hook?token={TOKEN}")
    return Webhook(url=url, secret_file=secret_file, limit=2, pause=0)


def test_the_facts_arrive_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # not for this host itself
    with receiving(200, body=b"ok") as receiver:
        assert webhook(receiver.port).send(MESSAGE) == ""
    ((path, headers, data),) = receiver.seen
    assert path == f"/hook?token={TOKEN}"
    assert json.loads(data) == MESSAGE.facts
    assert (headers["content-type"], headers["user-agent"]) == ("application/json", f"regdeploy/{__version__}")
    assert "x-regdeploy-secret" not in headers


def test_the_secret_of_the_file_goes_with_them(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(" s3cret \n")
    with receiving() as receiver:
        made = channel(f"http://127.0.0.1:{receiver.port}/", file, "--notify")
        assert made.send(MESSAGE) == ""
    assert receiver.seen[0][1]["x-regdeploy-secret"] == "s3cret"


def test_without_its_secret_nothing_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    with receiving() as receiver:
        hook = webhook(receiver.port, secret_file=file)
        assert hook.send(MESSAGE) == f"webhook 127.0.0.1: {file}: No such file or directory"
        for content in (b"", b"\n", b"two\nlines", "密码".encode()):
            file.write_bytes(content)
            assert hook.send(MESSAGE) == f"webhook 127.0.0.1: {file}: is to hold one line of ASCII, and nothing else"
        file.write_bytes(b"\xff")
        assert hook.send(MESSAGE) == f"webhook 127.0.0.1: {file}: is not text"
    assert receiver.seen == []


@pytest.mark.parametrize("status", [500, 503, 429, 0])
def test_what_a_second_try_may_mend_is_tried_once_more(status: int) -> None:
    with receiving(status) as receiver:
        assert webhook(receiver.port).send(MESSAGE) == ""
    assert len(receiver.seen) == 2


def test_a_server_that_keeps_failing_is_asked_twice_and_told_in_its_own_words() -> None:
    with receiving(500, 500, 500, body=b"\x1b[31mno\nspace  left") as receiver:
        assert webhook(receiver.port).send(MESSAGE) == "webhook 127.0.0.1: answered 500: [31mno space left"
    assert len(receiver.seen) == 2


def test_a_refusal_is_final() -> None:
    with receiving(403, body=b"invalid_token") as receiver:
        assert webhook(receiver.port).send(MESSAGE) == "webhook 127.0.0.1: answered 403: invalid_token"
    assert len(receiver.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with receiving(status) as receiver:
        said = webhook(receiver.port).send(MESSAGE)
    assert said == f"webhook 127.0.0.1: answered {status}: leads elsewhere, which is not followed"
    assert len(receiver.seen) == 1


def test_a_server_that_never_answers_costs_the_limit_twice_and_no_more() -> None:
    with receiving(-1, -1) as receiver:
        hook = Webhook(url=webhook(receiver.port).url, limit=0.2, pause=0)
        assert hook.send(MESSAGE) == "webhook 127.0.0.1: does not answer within 0.2 s"
    assert len(receiver.seen) == 2


def test_a_closed_port_and_one_that_hangs_up_are_told() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert webhook(bound.getsockname()[1]).send(MESSAGE) == "webhook 127.0.0.1: Connection refused"
    with receiving(0, 0) as receiver:
        assert webhook(receiver.port).send(MESSAGE) == (
            "webhook 127.0.0.1: Remote end closed connection without response"
        )


def test_https_is_verified_by_the_systems_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_root()
    made = make_leaf(root, "localhost")
    (tmp_path / "pair.pem").write_bytes(made.pem + made.key_pem)
    (tmp_path / "root.pem").write_bytes(root.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    with receiving(context=context) as receiver:
        hook = webhook(receiver.port, scheme="https", host="localhost")
        assert hook.send(MESSAGE) == "webhook localhost: unable to get local issuer certificate"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
        assert hook.send(MESSAGE) == ""
    assert [path for path, _, _ in receiver.seen] == [f"/hook?token={TOKEN}"]


def test_the_url_is_never_shown() -> None:
    with receiving(500, 500) as receiver:
        hook = webhook(receiver.port)
        assert TOKEN not in hook.send(MESSAGE) + repr(hook)
