"""How engines that are absent, old, slow, odd or far away are spoken to and told of."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
import urllib3

from regdeploy.engine.connect import connect
from regdeploy.engine.translation import translated
from regdeploy.errors import EngineError, ImageError, RegdeployError, UsageError

VERSION = {"Version": "28.2.2", "ApiVersion": "1.50", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}
INFO = {"SecurityOptions": ["name=seccomp,profile=builtin"], "DockerRootDir": "/var/lib/docker"}


def handler(answers: Mapping[str, Any], asked: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = 200, answers.get(self.path)
            if body is None:
                status, body = 404, {"message": f"no such thing: {self.path}"}
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.do_GET()

        def address_string(self) -> str:
            return "client"

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def answering(folder: Path, answers: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """An engine on a socket that says only this; yields its URL and what it is asked."""
    asked: list[str] = []
    path = folder / "engine.sock"
    with serving(_UnixServer(str(path), handler(answers, asked))):
        yield f"unix://{path}", asked


@pytest.fixture(autouse=True)
def no_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)


def test_connecting_says_nothing_and_the_first_question_asks_twice(tmp_path: Path) -> None:
    with answering(tmp_path, {"/version": VERSION, "/v1.47/info": INFO}) as (url, asked):
        engine = connect(url)
        assert asked == []
        facts = engine.facts()
        assert engine.facts() is facts
        assert asked == ["/version", "/v1.47/info"]
    assert (facts.version, facts.api_version, facts.url, facts.data_root) == ("28.2.2", "1.50", url, "/var/lib/docker")


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [("1.41", "1.12", "1.41"), ("1.47", "1.24", "1.47"), ("1.52", "1.44", "1.47"), ("1.60", "1.55", "1.55")],
)
def test_the_newest_api_that_both_know_is_spoken(tmp_path: Path, newest: str, oldest: str, spoken: str) -> None:
    version = {**VERSION, "ApiVersion": newest, "MinAPIVersion": oldest}
    with answering(tmp_path, {"/version": version}) as (url, _):
        assert connect(url)._client.api.api_version == spoken


def test_an_engine_before_20_10_is_too_old(tmp_path: Path) -> None:
    version = {**VERSION, "Version": "19.03.15", "ApiVersion": "1.40"}
    with answering(tmp_path, {"/version": version}) as (url, _), pytest.raises(EngineError, match=r"19\.03") as raised:
        connect(url).facts()
    assert raised.value.code == "engine.too-old"


@pytest.mark.parametrize(("there", "code"), [(True, "engine.unsupported"), (False, "engine.not-found")])
def test_an_engine_that_cannot_change_a_policy_is_told_from_a_container_that_is_gone(
    tmp_path: Path, there: bool, code: str
) -> None:
    container = {"Id": "1f", "Name": "/registry"}
    answers = {"/version": VERSION, **({"/v1.47/containers/registry/json": container} if there else {})}
    with answering(tmp_path, answers) as (url, asked), pytest.raises(EngineError) as raised:
        connect(url).set_restart_policy("registry", "always")
    assert raised.value.code == code
    assert "/v1.47/containers/registry/update" in asked


@pytest.mark.parametrize("answer", [b"<html>", {}, {"ApiVersion": "x.y"}, b""])
def test_something_else_that_listens_there_is_not_taken_for_an_engine(tmp_path: Path, answer: Any) -> None:
    with answering(tmp_path, {"/version": answer}) as (url, _), pytest.raises(EngineError, match="is not its API"):
        connect(url).facts()


def test_an_absent_engine_is_told_with_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="No such file or directory") as raised:
        connect(f"unix://{tmp_path}/none.sock").facts()
    assert raised.value.code == "engine.absent"
    assert "systemctl start docker" in raised.value.hint


def test_a_socket_that_nobody_listens_on_is_an_absent_engine(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unused:
        unused.bind(str(tmp_path / "left.sock"))
    with pytest.raises(EngineError, match="refused") as raised:
        connect(f"unix://{tmp_path}/left.sock").facts()
    assert raised.value.code == "engine.absent"


def test_a_port_that_nobody_listens_on_is_an_absent_engine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(EngineError, match="refused") as raised:
        connect(f"tcp://127.0.0.1:{port}").facts()
    assert raised.value.code == "engine.absent"
    assert "systemctl" not in raised.value.hint


def test_an_engine_that_hangs_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        with pytest.raises(EngineError, match="does not answer") as raised:
            connect(f"unix://{tmp_path}/silent.sock", timeout=0.2).facts()
    assert raised.value.code == "engine.timeout"


def test_an_engine_that_breaks_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "short.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def hang_up() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(EngineError):
            connect(f"unix://{path}").facts()
        thread.join()


def test_a_broken_config_file_of_dockers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text('{"auths": {"x": "y"}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(EngineError, match="Invalid configuration for registry x"):
        connect("unix:///none.sock").facts()


def translate(error: BaseException) -> RegdeployError:
    with pytest.raises(RegdeployError) as raised, translated("container shop", "unix:///engine.sock"):
        raise error
    return raised.value


def test_a_forbidden_socket_is_told_with_who_may() -> None:
    cause = PermissionError(13, "Permission denied")
    error = translate(requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", cause)))
    assert (error.code, error.what) == ("engine.permission", "the engine cannot be reached: Permission denied")
    assert "group docker" in error.hint


def test_our_own_errors_go_through_as_they_are() -> None:
    own = UsageError("x", "y")
    assert translate(own) is own


_EXTERNAL = "driver failed programming external connectivity"
_IN_USE = "address already in use"
_PORT = "engine.port"


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (500, f"{_EXTERNAL} on endpoint registry (1f): Bind for 0.0.0.0:443 failed: port is already allocated", _PORT),
        (500, f"{_EXTERNAL}: Error starting userland proxy: listen tcp4 0.0.0.0:443: bind: {_IN_USE}", _PORT),
        (500, f"failed to set up container networking: failed to bind host port for 0.0.0.0:443/tcp: {_IN_USE}", _PORT),
        (404, "No such image: registry:3", "image.not-found"),
        (404, "No such container: shop", "engine.not-found"),
        (409, 'Conflict. The container name "/shop" is already in use', "engine"),
        (500, "write /var/lib/docker/x: no space left on device", "engine.full"),
        (500, "something else", "engine"),
    ],
)
def test_the_engines_words_are_kept_and_told_apart(status: int, words: str, code: str) -> None:
    import docker.errors  # noqa: PLC0415 - heavy

    response = requests.Response()
    response.status_code = status
    error = translate(docker.errors.APIError("x", response=response, explanation=words))
    assert (error.where, error.what, error.code) == ("container shop", words, code)
    assert isinstance(error, ImageError) is code.startswith("image")


def test_an_engine_behind_tls_proves_itself_and_is_shown_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, certs = trustme.CA(), tmp_path / "certs"
    certs.mkdir()
    authority.cert_pem.write_to_path(str(certs / "ca.pem"))
    client = authority.issue_cert("client@example.org")
    client.cert_chain_pems[0].write_to_path(str(certs / "cert.pem"))
    client.private_key_pem.write_to_path(str(certs / "key.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certs / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certs))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler({"/version": VERSION, "/v1.47/info": INFO}, []))
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    url = f"tcp://127.0.0.1:{server.server_address[1]}"
    with serving(server):
        assert connect(url).facts().version == "28.2.2"
        trustme.CA().cert_pem.write_to_path(str(certs / "ca.pem"))
        with pytest.raises(EngineError, match="TLS with the engine failed") as raised:
            connect(url).facts()
    assert raised.value.code == "engine.tls"


SSH = """#!{python}
import os, socket, sys, threading
assert sys.argv[1:] == ["-l", "anna", "-p", "2222", "--", "engine.example.org", "docker system dial-stdio"], sys.argv
engine = socket.socket(socket.AF_UNIX)
engine.connect("{socket}")
def up():
    while data := os.read(0, 65536):
        engine.sendall(data)
    engine.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := engine.recv(65536):
    os.write(1, data)
"""


@pytest.fixture
def install_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def install(text: str) -> None:
        program = tmp_path / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(text)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)

    return install


def test_an_engine_behind_ssh_is_reached_by_the_users_own_ssh(
    tmp_path: Path, install_ssh: Callable[[str], None]
) -> None:
    with answering(tmp_path, {"/version": VERSION, "/v1.47/info": INFO}) as (url, asked):
        install_ssh(SSH.format(python=sys.executable, socket=url.removeprefix("unix://")))
        engine = connect("ssh://anna@engine.example.org:2222")
        facts = engine.facts()
        engine._client.api.close()
    assert (facts.remote, facts.url, facts.version) == (True, "ssh://anna@engine.example.org:2222", "28.2.2")
    assert asked == ["/version", "/v1.47/info"]


def test_an_ssh_that_gives_up_is_told(install_ssh: Callable[[str], None]) -> None:
    install_ssh("#!/bin/sh\necho 'Permission denied (publickey).' >&2\nexit 255\n")
    with pytest.raises(EngineError) as raised:
        connect("ssh://engine.example.org").facts()
    assert raised.value.code == "engine.absent"
    assert "ssh://engine.example.org" in str(raised.value)
