"""What a probe says of everything that can answer at an address, over real sockets."""

from __future__ import annotations

import functools
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from regdeploy.registry.api import EndpointFacts, probe, wait_until_serving
from regdeploy.registry.connection import Target
from tests.certs import Made, make_intermediate, make_leaf, make_root

NAME = "registry.example.com"
REGISTRY = b"Docker-Distribution-Api-Version: registry/2.0\r\n"
Handler = Callable[[socket.socket], None]


@functools.cache
def authority() -> Made:
    return make_root()


@functools.cache
def leaf(*names: str) -> Made:
    return make_leaf(authority(), *names)


def tls_context(folder: Path, made: Made, *chain: Made) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = folder / "pair.pem"
    pair.write_bytes(made.pem + b"".join(one.pem for one in chain) + made.key_pem)
    context.load_cert_chain(pair)
    return context


def http_answer(status: str, headers: bytes = b"", body: bytes = b"") -> Handler:
    def handle(client: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            received = client.recv(4096)
            if not received:
                return  # who only shook hands
            request += received
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
        client.sendall(head + headers + b"\r\n" + body)

    return handle


def raw_answer(data: bytes) -> Handler:
    def handle(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(data)

    return handle


@contextmanager
def serving(handle: Handler, context: ssl.SSLContext | None = None, family: int = socket.AF_INET) -> Iterator[int]:
    """Serve on loopback until the block ends: every connection gets ``handle``, one after the other."""
    address = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        over = threading.Event()

        def accept() -> None:
            while True:
                client, _ = listener.accept()
                if over.is_set():
                    return
                with suppress(OSError), client:
                    if context is None:
                        handle(client)
                    else:
                        with context.wrap_socket(client, server_side=True) as secured:
                            handle(secured)

        worker = threading.Thread(target=accept)
        worker.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            socket.create_connection((address, listener.getsockname()[1])).close()
            worker.join()


def ask(port: int, *, tls: bool = False, timeout: float = 5, **options: object) -> EndpointFacts:
    name = str(options.pop("server_name", NAME))
    return probe("127.0.0.1", port, server_name=name, tls=tls, timeout=timeout, **options)  # type: ignore[arg-type]


def test_an_open_registry_is_one_without_a_login() -> None:
    with serving(http_answer("200 OK", REGISTRY)) as port:
        assert ask(port) == EndpointFacts(reachable=True, http_status=200, auth_required=False, is_registry=True)


def test_a_registry_that_answers_401_wants_a_login() -> None:
    with serving(http_answer("401 Unauthorized", REGISTRY)) as port:
        assert ask(port) == EndpointFacts(reachable=True, http_status=401, auth_required=True, is_registry=True)


def test_another_status_tells_nothing_of_a_login() -> None:
    with serving(http_answer("503 Service Unavailable", REGISTRY)) as port:
        assert ask(port) == EndpointFacts(reachable=True, http_status=503, auth_required=None, is_registry=True)


def test_a_web_server_is_reachable_but_no_registry() -> None:
    with serving(http_answer("404 Not Found", body=b"<h1>no</h1>")) as port:
        assert ask(port) == EndpointFacts(reachable=True, http_status=404)


def test_a_bad_request_that_does_not_speak_of_https_is_an_answer() -> None:
    with serving(http_answer("400 Bad Request", body=b"missing entry")) as port:
        assert ask(port) == EndpointFacts(reachable=True, http_status=400)


@pytest.mark.parametrize(
    "handle",
    [
        http_answer("400 Bad Request", body=b"Client sent an HTTP request to an HTTPS server.\n"),  # Go
        raw_answer(b"\x15\x03\x01\x00\x02\x02\x46"),  # a TLS alert: what others answer
    ],
)
def test_a_tls_server_asked_in_plain_is_told_as_such(handle: Handler) -> None:
    with serving(handle) as port:
        assert ask(port) == EndpointFacts(error=f"127.0.0.1:{port} speaks HTTPS, not plain HTTP")


def test_a_plain_server_asked_over_tls_is_told_as_such() -> None:
    with serving(raw_answer(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert ask(port, tls=True) == EndpointFacts(error=f"127.0.0.1:{port} does not speak TLS")


def test_a_server_of_another_protocol_does_not_speak_http() -> None:
    with serving(raw_answer(b"SSH-2.0-OpenSSH_9.2\r\n")) as port:
        assert ask(port) == EndpointFacts(error=f"127.0.0.1:{port} does not speak HTTP")


def test_a_closed_port_refuses_connections() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert ask(port) == EndpointFacts(error=f"127.0.0.1:{port} refuses connections")


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_accepts_and_never_answers_costs_the_timeout_and_no_more(tls: bool) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        began = time.monotonic()
        facts = ask(port, tls=tls, timeout=0.2)
        assert facts == EndpointFacts(error=f"127.0.0.1:{port} does not answer within 0.2 s")
        assert 0.15 < time.monotonic() - began < 2


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_hangs_up_is_told_as_such(tls: bool) -> None:
    with serving(raw_answer(b"")) as port:
        assert ask(port, tls=tls).error == f"127.0.0.1:{port} closes the connection before it answers"


def test_a_server_that_wants_a_client_certificate_speaks_tls_but_does_not_answer(tmp_path: Path) -> None:
    context = tls_context(tmp_path, leaf(NAME))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority().pem.decode())
    with serving(http_answer("200 OK"), context) as port:
        assert ask(port, tls=True).error == f"127.0.0.1:{port} ends the TLS handshake: sslv3 alert handshake failure"


def test_what_cannot_be_connected_to_is_a_sentence_and_no_exception() -> None:
    cases = {
        ("fe80::1%nowhere", NAME): "[fe80::1%nowhere]:5000 has no address",
        ("127.0.0.1", ""): "cannot be asked: ",
        ("255.255.255.255", NAME): "255.255.255.255:5000 cannot be reached: ",
    }
    with serving(lambda client: None) as port:
        for (address, name), words in cases.items():
            at = port if address == "127.0.0.1" else 5000
            facts = probe(address, at, server_name=name, tls=True, timeout=5)
            assert not facts.reachable
            assert words in facts.error


def test_the_certificate_served_is_seen_whether_trusted_or_not(tmp_path: Path) -> None:
    with serving(http_answer("200 OK", REGISTRY), tls_context(tmp_path, leaf(NAME))) as port:
        assert ask(port, tls=True) == EndpointFacts(
            reachable=True,
            http_status=200,
            auth_required=False,
            is_registry=True,
            leaf_der=leaf(NAME).der,
            tls_version="TLSv1.3",
        )


def test_a_certificate_is_kept_when_the_answer_over_it_is_none(tmp_path: Path) -> None:
    with serving(raw_answer(b"garbage\r\n"), tls_context(tmp_path, leaf(NAME))) as port:
        facts = ask(port, tls=True)
    assert (facts.reachable, facts.leaf_der) == (False, leaf(NAME).der)
    assert facts.error == f"127.0.0.1:{port} does not speak HTTP"


def test_the_first_bundle_that_verifies_chain_and_name_is_named(tmp_path: Path) -> None:
    other = make_root("Other Root")
    bundles = {
        "broken": b"no PEM",
        "bytes": b"\xff",
        "other": other.pem,
        "ours": authority().pem,
        "same": authority().pem,
    }
    with serving(http_answer("200 OK", REGISTRY), tls_context(tmp_path, leaf(NAME))) as port:
        assert ask(port, tls=True, trust=bundles).trusted_by == "ours"
        assert ask(port, tls=True, trust={"other": other.pem}).trusted_by == ""
        assert ask(port, tls=True, trust={}).trusted_by == ""
        assert ask(port, tls=True, trust=bundles, server_name="other.example.com").trusted_by == ""
        assert ask(port, tls=True).trusted_by == ""


def test_the_systems_store_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store.pem"
    store.write_bytes(authority().pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    with serving(http_answer("200 OK", REGISTRY), tls_context(tmp_path, leaf(NAME))) as port:
        assert ask(port, tls=True, trust={"ours": authority().pem}).trusted_by == "system"


def test_comments_of_a_bundle_may_be_in_any_language(tmp_path: Path) -> None:
    bundle = "# 内部根证书\n".encode() + authority().pem + "# Größe\n".encode("latin-1")
    with serving(http_answer("200 OK", REGISTRY), tls_context(tmp_path, leaf(NAME))) as port:
        assert ask(port, tls=True, trust={"ours": bundle}).trusted_by == "ours"


def test_an_intermediate_in_a_bundle_is_an_anchor_as_it_is_to_docker(tmp_path: Path) -> None:
    between = make_intermediate(authority())
    made = make_leaf(between, NAME)
    with serving(http_answer("200 OK", REGISTRY), tls_context(tmp_path, made)) as port:
        assert ask(port, tls=True, trust={"root": authority().pem, "between": between.pem}).trusted_by == "between"


def test_a_wildcard_is_asked_for_by_some_name_that_it_covers(tmp_path: Path) -> None:
    made = leaf("*.example.com")
    with serving(http_answer("200 OK", REGISTRY), tls_context(tmp_path, made)) as port:
        assert ask(port, tls=True, server_name="*.example.com", trust={"ours": authority().pem}).trusted_by == "ours"


def test_an_address_is_verified_as_one(tmp_path: Path) -> None:
    made = leaf("127.0.0.1")
    with serving(http_answer("200 OK", REGISTRY), tls_context(tmp_path, made)) as port:
        assert ask(port, tls=True, server_name="127.0.0.1", trust={"ours": authority().pem}).trusted_by == "ours"


def test_the_host_header_names_the_registry_as_a_client_would() -> None:
    seen = []

    def handle(client: socket.socket) -> None:
        seen.append(client.recv(4096))
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with serving(handle) as port:
        ask(port)
    assert f"\r\nHost: {NAME}:{port}\r\n".encode() in seen[0]
    assert Target("127.0.0.1", 443, NAME).host_header == NAME
    assert Target("::1", 5000, "::1").host_header == "[::1]:5000"
    assert str(Target("::1", 5000, NAME)) == "[::1]:5000"


def test_waiting_ends_with_the_first_answer_and_then_asks_who_trusts_it(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]

    def late() -> None:
        time.sleep(0.3)
        context = tls_context(tmp_path, leaf(NAME))
        with socket.create_server(("127.0.0.1", port)) as listener:
            for _ in range(3):  # the answer, the system's store, the bundle
                client, _ = listener.accept()
                with suppress(OSError), client, context.wrap_socket(client, server_side=True) as secured:
                    http_answer("401 Unauthorized", REGISTRY)(secured)

    worker = threading.Thread(target=late)
    worker.start()
    trust = {"ours": authority().pem}
    facts = wait_until_serving("127.0.0.1", port, server_name=NAME, tls=True, deadline=10, trust=trust)
    worker.join()
    assert (facts.reachable, facts.auth_required, facts.trusted_by) == (True, True, "ours")


def test_waiting_gives_up_at_its_deadline() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        began = time.monotonic()
        facts = wait_until_serving("127.0.0.1", port, server_name=NAME, tls=False, deadline=0.4, trust={})
        assert facts == EndpointFacts(error=f"127.0.0.1:{port} refuses connections")
        assert 0.2 < time.monotonic() - began < 2


def test_waiting_ends_when_nothing_will_ever_answer() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        asked = iter([False, False, True])
        began = time.monotonic()
        wait_until_serving("127.0.0.1", port, server_name=NAME, tls=False, deadline=30, stopped=lambda: next(asked))
        assert time.monotonic() - began < 5
        assert next(asked, None) is None


def test_a_server_that_needs_longer_than_the_first_attempt_is_waited_for() -> None:
    def slow(client: socket.socket) -> None:
        time.sleep(1.4)
        http_answer("200 OK", REGISTRY)(client)

    with serving(slow) as port:
        assert wait_until_serving("127.0.0.1", port, server_name=NAME, tls=False, deadline=15).reachable


def test_what_speaks_http_and_tls_is_loaded_at_the_first_question() -> None:
    code = "import sys; from regdeploy.registry import api; print(sorted({'http.client', 'ssl'} & set(sys.modules)));"
    asking = "api.probe('127.0.0.1', 1, server_name='x', tls=True, timeout=1); print('ssl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code + asking], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue\n"
