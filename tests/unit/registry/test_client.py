"""The registry's client against answers that the real one does not give on request."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from regdeploy.errors import RegdeployError
from regdeploy.registry.client import RegistryClient
from regdeploy.secret import Secret

Answer = tuple[int, dict[str, str], bytes]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: Callable[[str], Answer]
    hang_up = False

    def do_GET(self) -> None:
        status, headers, body = type(self).answers(self.path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = type(self).hang_up

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
        pass


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    servers: list[tuple[ThreadingHTTPServer, Thread]] = []

    def start(answers: Callable[[str], Answer], *, hang_up: bool = False) -> str:
        kind = type("_Answering", (_Handler,), {"answers": staticmethod(answers), "hang_up": hang_up})
        server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
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


def page(key: str, *values: str, link: str = "") -> Answer:
    return 200, {"Link": f'<{link}>; rel="next"'} if link else {}, json.dumps({key: values}).encode()


def failure(client: RegistryClient) -> RegdeployError:
    with client, pytest.raises(RegdeployError) as caught:
        client.repositories()
    return caught.value


def test_pages_are_followed_by_relative_and_absolute_links(serve: Callable[..., str]) -> None:
    pages = {
        "/v2/_catalog?n=1000": page("repositories", "a", "b", link="/v2/_catalog?last=b&n=1000"),
        "/v2/_catalog?last=b&n=1000": page("repositories", "c", link="http://elsewhere.invalid/v2/_catalog?last=c"),
        "/v2/_catalog?last=c": (200, {}, b'{"repositories": null}'),
    }
    with RegistryClient(serve(pages.__getitem__)) as client:
        assert client.repositories() == ("a", "b", "c")


def test_a_page_that_follows_itself_is_an_error_and_no_endless_loop(serve: Callable[..., str]) -> None:
    url = serve(lambda path: page("repositories", "a", link=path))
    error = failure(RegistryClient(url))
    assert (error.code, error.what) == ("registry.answer", "gives the page /v2/_catalog?n=1000 as its own next one")


def test_tags_of_what_is_not_there_are_none_and_names_are_quoted(serve: Callable[..., str]) -> None:
    asked: list[str] = []

    def answer(path: str) -> Answer:
        asked.append(path)
        return (404, {}, b"{}") if "gone" in path else page("tags", "1", "2")

    with RegistryClient(serve(answer)) as client:
        assert client.tags("gone") == ()
        assert client.tags("a/b") == ("1", "2")
        assert client.tags("what?") == ("1", "2")
    assert asked == ["/v2/gone/tags/list", "/v2/a/b/tags/list", "/v2/what%3F/tags/list"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff"])
def test_an_answer_that_is_no_page_is_shown(serve: Callable[..., str], body: bytes) -> None:
    error = failure(RegistryClient(serve(lambda _: (200, {}, body))))
    assert error.code == "registry.answer"
    assert error.what == f"answers 200: {body.decode('utf-8', 'replace')}"


def test_another_status_is_shown_with_the_servers_words(serve: Callable[..., str]) -> None:
    error = failure(RegistryClient(serve(lambda _: (503, {}, b"out of order\n"))))
    assert (error.code, error.what) == ("registry.answer", "answers 503: out of order")
    assert failure(RegistryClient(serve(lambda _: (404, {}, b"")))).what == "answers 404: nothing"


def test_a_registry_with_tokens_is_told_from_one_with_passwords(serve: Callable[..., str]) -> None:
    def answer(_: str) -> Answer:
        return 401, {"WWW-Authenticate": 'Bearer realm="https://auth.example.com/token"'}, b""

    error = failure(RegistryClient(serve(answer), user="admin", password=Secret("x")))
    assert (error.code, error.what) == ("registry.login", "wants a token, not a name and password")


def test_a_kept_connection_that_the_server_closed_is_opened_anew(serve: Callable[..., str]) -> None:
    with RegistryClient(serve(lambda _: page("tags", "1"), hang_up=True)) as client:
        assert [client.tags("a") for _ in range(3)] == [("1",)] * 3


def test_a_server_that_is_not_there_is_an_error_with_its_address() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        url = f"http://registry.example.com:{port}"
        error = failure(RegistryClient(url, address="127.0.0.1"))
        assert str(error) == f"{url}: 127.0.0.1:{port} refuses connections"
        assert error.code == "registry.unreachable"
        missing = RegistryClient(f"https://registry.example.com:{port}", address="127.0.0.1", timeout=0.1)
        assert failure(missing).what == f"127.0.0.1:{port} refuses connections"


@pytest.mark.parametrize("content", [None, b"no certificate", b"\xff"])
def test_a_ca_file_that_is_none_is_named_and_nobody_is_asked(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)
    error = failure(RegistryClient("https://registry.example.com", address="127.0.0.1", cafile=path))
    assert (error.where, error.code) == (str(path), "registry.unreachable")
    assert error.what.startswith("holds no CA certificates: ")


def test_the_ports_are_those_of_the_scheme_unless_the_url_names_one() -> None:
    ports = [RegistryClient(url)._target.port for url in ("http://a", "https://a", "https://a:5443")]
    assert ports == [80, 443, 5443]
