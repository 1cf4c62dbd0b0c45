"""A CA's directory, and every way of not getting it, in words."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regdeploy.errors import AcmeError
from regdeploy.tls.acme import directory_facts
from regdeploy.tls.acme.connection import session
from regdeploy.tls.acme.directory import read_directory
from tests.certs import make_root
from tests.rig.parts.flaky import Answer, Flaky
from tests.rig.parts.pebble import Pebble
from tests.rig.parts.processes import environment, free_port

_DIRECTORY_HINT = "give the directory's own address, such as https://acme-v02.api.letsencrypt.org/directory"
_WAY_OUT = "check this host's way out: firewall, proxy, routes"
_TRUST = "a private CA needs --acme-ca-bundle FILE, with the root that proves its HTTPS"
_PROXIES = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Callable[..., Flaky]]:
    """Servers without a CA behind them: an answer for every request, a certificate of any kind."""
    started: list[Flaky] = []

    def start(answer: Answer | None = None, **certificate: object) -> Flaky:
        folder = tmp_path / f"alone-{len(started)}"
        folder.mkdir()
        server = Flaky(folder, **certificate).start()
        server.on("GET", answer, last=99)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def error_of(url: str, bundle: Path | None) -> AcmeError:
    """What is said of a directory that cannot be had."""
    with pytest.raises(AcmeError) as caught:
        directory_facts(url, bundle)
    return caught.value


def told(url: str, bundle: Path | None) -> tuple[str, str, str]:
    """The same in three parts: where, what, hint."""
    error = error_of(url, bundle)
    return error.where, error.what, error.hint


def host(server: Flaky) -> str:
    """Its host and port."""
    return server.directory.split("/")[2]


def test_a_real_ca_says_where_its_resources_are(pebble: Pebble) -> None:
    facts = directory_facts(pebble.directory, pebble.ca_bundle)
    base = pebble.directory.removesuffix("/dir")
    assert facts.url == pebble.directory
    assert facts.endpoints["newOrder"] == f"{base}/order-plz"
    assert facts.terms == "data:text/plain,Do%20what%20thou%20wilt"
    assert not facts.eab_required
    assert facts.profiles == facts.caa_identities == ()
    assert facts.date is not None
    assert abs(facts.date - datetime.now(UTC)) < timedelta(seconds=3)


def test_a_ca_that_wants_a_binding_says_so(start_pebble: Callable[..., Pebble]) -> None:
    authority = start_pebble(eab=True)
    assert directory_facts(authority.directory, authority.ca_bundle).eab_required


def test_profiles_and_identities_are_read(flaky: Flaky) -> None:
    meta = {"caaIdentities": ["LetsEncrypt.org", "other.example"], "profiles": {"classic": "x", "shortlived": "y"}}
    flaky.on("GET /dir", rewrite=lambda answer: answer.with_json(meta=meta))
    facts = directory_facts(flaky.directory, flaky.ca_bundle)
    assert facts.caa_identities == ("letsencrypt.org", "other.example")
    assert facts.profiles == ("classic", "shortlived")
    assert facts.terms == ""


@pytest.mark.parametrize("meta", [None, [], "x", {"caaIdentities": "x", "profiles": ["x"], "termsOfService": None}])
def test_what_a_directory_says_of_itself_may_be_nonsense(flaky: Flaky, meta: object) -> None:
    flaky.on("GET /dir", rewrite=lambda answer: answer.with_json(meta=meta))
    facts = directory_facts(flaky.directory, flaky.ca_bundle)
    assert (facts.caa_identities, facts.profiles, facts.terms, facts.eab_required) == ((), (), "", False)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>hello</html>", b"[]", b'"text"', b'{"newNonce": "x", "newAccount": "x"}', b'{"newNonce": 1}'],
)
def test_what_is_no_directory_is_called_that(alone: Callable[..., Flaky], body: bytes) -> None:
    server = alone(Answer(200, {}, body))
    assert told(server.directory, server.ca_bundle) == (
        server.directory,
        "is not an ACME directory",
        _DIRECTORY_HINT,
    )


def test_a_page_that_is_not_there_is_told_with_its_status(alone: Callable[..., Flaky]) -> None:
    server = alone(Answer(404))
    assert told(server.directory, server.ca_bundle) == (
        server.directory,
        "answered HTTP 404 Not Found",
        _DIRECTORY_HINT,
    )


def test_a_busy_ca_says_when_to_come_back(alone: Callable[..., Flaky]) -> None:
    server = alone(Answer(503, {"Retry-After": "120"}))
    error = error_of(server.directory, server.ca_bundle)
    assert (error.what, error.hint) == (
        "answered HTTP 503 Service Unavailable",
        "the CA asks to come back in 120 s",
    )
    assert (error.code, error.retry_after) == ("acme.rateLimited", 120)


def test_a_name_that_does_not_resolve_is_told() -> None:
    where, what, hint = told("https://nowhere.invalid/dir", None)
    assert where == "nowhere.invalid"
    assert what.startswith("the name does not resolve: ")
    assert hint == "check the address, and this host's name servers"


def test_nobody_there_is_told() -> None:
    port = free_port()
    assert told(f"https://127.0.0.1:{port}/dir", None) == (
        f"127.0.0.1:{port}",
        "refused the connection",
        "is the CA running there, and is the port right?",
    )


def test_no_way_there_is_told_in_the_systems_words() -> None:
    assert told("https://203.0.113.9/dir", None) == (
        "203.0.113.9",
        "the connection failed: Network is unreachable",
        _WAY_OUT,
    )


def test_an_answer_that_does_not_come_is_told(alone: Callable[..., Flaky]) -> None:
    server = alone(Answer(200))
    server._rules[0].delay = 2
    with pytest.raises(AcmeError) as caught:
        read_directory(session(server.ca_bundle), server.directory, 0.2)
    assert (caught.value.where, caught.value.what, caught.value.hint) == (
        host(server),
        "no answer within 0 s",
        _WAY_OUT,
    )


def test_a_connection_that_breaks_is_told(flaky: Flaky) -> None:
    flaky.on("GET /dir", lose=True, last=99)
    where, what, hint = told(flaky.directory, flaky.ca_bundle)
    assert (where, hint) == (host(flaky), _WAY_OUT)
    assert what == "the connection failed: Remote end closed connection without response"


def test_a_private_ca_without_its_bundle_is_not_trusted_and_the_option_is_named(pebble: Pebble) -> None:
    where, what, hint = told(pebble.directory, None)
    assert where == pebble.directory.split("/")[2]
    assert what.startswith("its certificate is not trusted: ")
    assert hint == _TRUST


def test_another_cas_bundle_is_not_enough(pebble: Pebble, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(make_root().pem)
    assert told(pebble.directory, other)[1].startswith("its certificate is not trusted: ")


def test_a_bundle_in_the_environment_adds_nothing_to_the_one_that_is_given(pebble: Pebble, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(make_root().pem)
    with environment({"REQUESTS_CA_BUNDLE": str(pebble.ca_bundle), "CURL_CA_BUNDLE": str(pebble.ca_bundle)}):
        assert told(pebble.directory, other)[1].startswith("its certificate is not trusted: ")


def test_the_operating_systems_store_counts(pebble: Pebble) -> None:
    code = f"from regdeploy.tls.acme import directory_facts; print(directory_facts({pebble.directory!r}, None).url)"
    with environment({"SSL_CERT_FILE": str(pebble.ca_bundle)}):  # what OpenSSL takes for the system's store
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == pebble.directory


def test_an_expired_certificate_makes_one_look_at_the_clock(alone: Callable[..., Flaky]) -> None:
    server = alone(Answer(404), not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2021, 1, 1, tzinfo=UTC))
    assert told(server.directory, server.ca_bundle) == (
        host(server),
        "its certificate is not trusted: certificate has expired",
        "check this host's clock",
    )


def test_a_certificate_for_another_name_is_not_trusted(alone: Callable[..., Flaky]) -> None:
    server = alone(Answer(404))
    url = server.directory.replace("localhost", "127.0.0.1")
    assert "IP address mismatch" in told(url, server.ca_bundle)[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        (b"", "holds no certificate in PEM"),
        (b"\xff\xfe hello", "holds no certificate in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificate in PEM"),
    ],
    ids=["missing", "empty", "text", "damaged"],
)
def test_a_bundle_that_is_none_is_named(pebble: Pebble, tmp_path: Path, content: bytes | None, words: str) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    assert told(pebble.directory, bundle) == (
        "--acme-ca-bundle",
        f"{bundle}: {words}",
        "give the PEM file of the root that proves the CA's HTTPS",
    )


def test_a_bundle_may_have_comments_in_any_language(pebble: Pebble, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes("# 我的根证书, Főtanúsítvány\n".encode() + pebble.ca_bundle.read_bytes())
    assert directory_facts(pebble.directory, bundle).url == pebble.directory


@pytest.mark.parametrize("url", ["example.com/dir", "https://", "ftp://example.com/dir", "https://a b/dir"])
def test_what_is_no_url_is_called_that(url: str) -> None:
    _, what, hint = told(url, None)
    assert what.startswith(f"{url!r} is not a URL that can be asked: ")
    assert hint == "give the https:// address of the CA's directory"


def test_a_server_that_speaks_no_tls_is_told() -> None:
    with plain_server([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]) as port:
        where, what, hint = told(f"https://127.0.0.1:{port}/dir", None)
    assert where == f"127.0.0.1:{port}"
    assert what.startswith("TLS failed: ")
    assert hint == "is that the port of an HTTPS server?"


def test_a_proxy_from_the_environment_is_used_and_the_bundle_counts_behind_it(pebble: Pebble) -> None:
    with proxy(pebble.port) as (port, seen), environment({"HTTPS_PROXY": f"http://127.0.0.1:{port}"}, _PROXIES[1:]):
        assert directory_facts(pebble.directory, pebble.ca_bundle).url == pebble.directory
    assert seen == [f"CONNECT localhost:{pebble.port} HTTP/1.1"]


def test_a_proxy_that_refuses_is_told(pebble: Pebble) -> None:
    with (
        plain_server([b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"]) as port,
        environment({"HTTPS_PROXY": f"http://127.0.0.1:{port}"}, _PROXIES[1:]),
    ):
        _, what, hint = told(pebble.directory, pebble.ca_bundle)
    assert what == "the proxy did not connect: Tunnel connection failed: 403 Forbidden"
    assert hint == "check HTTPS_PROXY and NO_PROXY in the environment"


@contextmanager
def plain_server(answers: Sequence[bytes]) -> Iterator[int]:
    """A port that gives each connection the next answer, whatever was asked, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


@contextmanager
def proxy(target: int) -> Iterator[tuple[int, list[str]]]:
    """An HTTP proxy for one connection to a port here: its own port, and the requests that it got."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pump(source: socket.socket, sink: socket.socket) -> None:
            while data := source.recv(65536):
                sink.sendall(data)

        def serve() -> None:
            connection, _ = listener.accept()
            seen.append(connection.recv(4096).decode().splitlines()[0])
            upstream = socket.create_connection(("127.0.0.1", target))
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=pump, args=(upstream, connection), daemon=True).start()
            pump(connection, upstream)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], seen
