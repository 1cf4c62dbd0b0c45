"""The CA is asked what it is, and whatever is in the way is said in words."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.connection import session
from regdeploy.tls.acme.directory import directory_facts, read_directory
from tests.rig.acme.conftest import Client
from tests.rig.acme.test_issue import is_free
from tests.rig.parts.flaky import Answer, Flaky
from tests.rig.parts.pebble import Pebble
from tests.rig.parts.processes import free_ports

_TRUST = "a private CA needs --acme-ca-bundle FILE, with the root that proves its HTTPS"
_WAY_OUT = "check this host's way out: firewall, proxy, routes"
_ADDRESS = "give the directory's own address, such as https://acme-v02.api.letsencrypt.org/directory"


def refusal(url: str, ca_bundle: Path | None) -> AcmeError:
    with pytest.raises(AcmeError) as caught:
        directory_facts(url, ca_bundle)
    return caught.value


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A root that proves nobody here."""
    path = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


def test_a_directory_is_asked_for_once(flaky: Flaky) -> None:
    facts = directory_facts(flaky.directory, flaky.ca_bundle)
    assert facts.url == flaky.directory
    assert facts.terms == "data:text/plain,Do%20what%20thou%20wilt"
    assert not facts.eab_required
    assert facts.profiles == ()
    assert facts.date is not None
    assert abs(facts.date - datetime.now(UTC)) < timedelta(seconds=5)
    assert facts.endpoints["newOrder"] == flaky.directory.replace("/dir", "/order-plz")
    assert "meta" not in facts.endpoints
    assert flaky.asked == ["GET /dir"]


def test_what_the_ca_says_of_itself_is_taken_where_it_has_the_right_form(flaky: Flaky) -> None:
    meta = {
        "caaIdentities": ["CA.example.com", "other.example"],
        "externalAccountRequired": True,
        "profiles": {"classic": "https://ca.example/classic", "shortlived": "six days"},
    }
    flaky.on("GET /dir", rewrite=lambda answer: answer.with_json(meta=meta))
    facts = directory_facts(flaky.directory, flaky.ca_bundle)
    assert facts.caa_identities == ("ca.example.com", "other.example")
    assert facts.eab_required
    assert facts.profiles == ("classic", "shortlived")
    assert facts.terms == ""


@pytest.mark.parametrize("meta", [None, [], "x", {"caaIdentities": "x", "profiles": [1], "termsOfService": None}])
def test_what_has_another_form_counts_as_unsaid(flaky: Flaky, meta: object) -> None:
    flaky.on("GET /dir", rewrite=lambda answer: answer.with_json(meta=meta))
    facts = directory_facts(flaky.directory, flaky.ca_bundle)
    assert (facts.caa_identities, facts.profiles, facts.terms, facts.eab_required) == ((), (), "", False)


def test_the_connection_stays_for_the_order(flaky: Flaky) -> None:
    first = session(flaky.ca_bundle)
    assert session(flaky.ca_bundle) is first
    assert session(None) is not first


def test_an_external_binding_is_seen(start_pebble: Callable[..., Pebble]) -> None:
    authority = start_pebble(eab=True)
    assert directory_facts(authority.directory, authority.ca_bundle).eab_required


def test_a_name_that_does_not_resolve() -> None:
    error = refusal("https://nowhere.invalid/dir", None)
    assert error.where == "nowhere.invalid"
    assert error.what.startswith("the name does not resolve: ")
    assert error.hint == "check the address, and this host's name servers"


def test_a_port_that_refuses() -> None:
    error = refusal(f"https://127.0.0.1:{free_ports(1)[0]}/dir", None)
    assert error.what == "refused the connection"
    assert error.hint == "is the CA running there, and is the port right?"


def test_a_host_without_a_route() -> None:
    error = refusal("https://203.0.113.99/dir", None)
    assert error.what == "the connection failed: Network is unreachable"
    assert error.hint == _WAY_OUT


@pytest.mark.parametrize("behaviour", ["accepts and says nothing", "answers late"])
def test_a_ca_that_does_not_answer_in_time(flaky: Flaky, behaviour: str) -> None:
    flaky.on("GET /dir", Answer(200), delay=1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = flaky.directory if behaviour == "answers late" else f"https://localhost:{port}/dir"
        with pytest.raises(AcmeError) as caught:
            read_directory(session(flaky.ca_bundle), url, 0.3)
    assert caught.value.what == "no answer within 0 s"
    assert caught.value.hint == _WAY_OUT


def test_a_private_ca_without_its_root(pebble: Pebble) -> None:
    error = refusal(pebble.directory, None)
    assert error.what.startswith("its certificate is not trusted: ")
    assert error.hint == _TRUST


def test_a_private_ca_with_another_root(pebble: Pebble, stranger: Path) -> None:
    error = refusal(pebble.directory, stranger)
    assert error.what.startswith("its certificate is not trusted: ")
    assert error.hint == _TRUST


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environment_adds_no_root(
    pebble: Pebble, stranger: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(pebble.ca_bundle))
    assert refusal(pebble.directory, stranger).hint == _TRUST
    assert refusal(pebble.directory, None).hint == _TRUST


def test_an_order_with_another_root_ends_the_same_way_and_is_not_tried_again(
    client: Client, flaky: Flaky, stranger: Path
) -> None:
    begin = time.monotonic()
    facts = directory_facts(flaky.directory, flaky.ca_bundle)
    with pytest.raises(AcmeError) as caught:
        client.issue(ca_bundle=stranger, directory=facts)
    assert caught.value.hint == _TRUST
    assert time.monotonic() - begin < 5  # far less than any wait
    assert is_free(80)


def test_a_certificate_that_has_run_out_may_be_this_hosts_clock(tmp_path: Path) -> None:
    proxy = Flaky(tmp_path, not_after=datetime.now(UTC) - timedelta(days=1)).start()
    try:
        error = refusal(proxy.directory, proxy.ca_bundle)
    finally:
        proxy.stop()
    assert error.what == "its certificate is not trusted: certificate has expired"
    assert error.hint == "check this host's clock"


def test_a_certificate_for_another_name(flaky: Flaky) -> None:
    error = refusal(flaky.directory.replace("localhost", "127.0.0.1"), flaky.ca_bundle)
    assert error.what.startswith("its certificate is not trusted: IP address mismatch")
    assert error.hint == _TRUST


def test_the_operating_systems_store_counts(pebble: Pebble, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; from regdeploy.tls.acme.directory import directory_facts as ask; print(ask(sys.argv[1], None).url)"
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(pebble.ca_bundle))  # what OpenSSL takes for the system's store
    done = subprocess.run([sys.executable, "-c", code, pebble.directory], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == pebble.directory


def test_a_port_without_tls(pebble: Pebble) -> None:
    error = refusal(f"https://localhost:{pebble.dns_management_port}/dir", None)
    assert error.what.startswith("TLS failed: ")
    assert error.hint == "is that the port of an HTTPS server?"


@pytest.mark.parametrize("url", ["localhost:14000/dir", "https://", "ftp://ca.example/dir", "https://[::1/dir"])
def test_an_address_that_is_none(url: str) -> None:
    error = refusal(url, None)
    assert error.what.startswith(f"{url!r} is not a URL that can be asked: ")
    assert error.hint == "give the https:// address of the CA's directory"


def test_a_proxy_from_the_environment_is_used_and_the_bundle_counts_behind_it(
    pebble: Pebble, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(pebble.port) as (port, seen):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert directory_facts(pebble.directory, pebble.ca_bundle).url == pebble.directory
    assert [request.split()[:2] for request in seen] == [["CONNECT", f"localhost:{pebble.port}"]]


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


def test_a_proxy_that_refuses(pebble: Pebble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_ports(1)[0]}")
    error = refusal(pebble.directory, pebble.ca_bundle)
    assert error.what == "the proxy did not connect: Connection refused"
    assert error.hint == "check HTTPS_PROXY and NO_PROXY in the environment"


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"[]", b"{}", b'{"newNonce": 1, "newAccount": "", "newOrder": ""}']
)
def test_something_else_than_a_directory(flaky: Flaky, body: bytes) -> None:
    flaky.on("GET /dir", Answer(200, {}, body))
    error = refusal(flaky.directory, flaky.ca_bundle)
    assert (error.where, error.what, error.hint) == (flaky.directory, "is not an ACME directory", _ADDRESS)


def test_an_answer_that_is_an_error(flaky: Flaky) -> None:
    error = refusal(flaky.directory.replace("/dir", "/"), flaky.ca_bundle)
    assert (error.what, error.hint, error.problem) == ("answered HTTP 404 Not Found", _ADDRESS, "")


def test_a_busy_ca(flaky: Flaky) -> None:
    flaky.on("GET /dir", Answer(503, {"Retry-After": "120"}))
    error = refusal(flaky.directory, flaky.ca_bundle)
    assert error.code == "acme.rateLimited"
    assert error.retry_after == 120
    assert error.hint == "the CA asks to come back in 120 s"


def test_an_order_asks_for_the_directory_where_nobody_did(client: Client, flaky: Flaky) -> None:
    flaky.on("GET /dir", Answer(404))
    with pytest.raises(AcmeError, match="answered HTTP 404"):
        client.issue()


@pytest.mark.parametrize(("content", "words"), [(b"", "holds no"), (b"\xff\xfe", "holds no"), (None, "No such file")])
def test_a_bundle_that_is_none(pebble: Pebble, tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    error = refusal(pebble.directory, path)
    assert error.where == "--acme-ca-bundle"
    assert error.what.startswith(f"{path}: {words}")
    assert error.hint == "give the PEM file of the root that proves the CA's HTTPS"


def test_a_bundle_that_begins_well_and_is_damaged(pebble: Pebble, tmp_path: Path) -> None:
    path = tmp_path / "bundle.pem"
    path.write_bytes(pebble.ca_bundle.read_bytes()[:200])
    assert refusal(pebble.directory, path).what == f"{path}: holds no certificate in PEM"


def test_a_bundle_with_comments_in_any_language(pebble: Pebble, tmp_path: Path) -> None:
    path = tmp_path / "bundle.pem"
    path.write_bytes("\ufeff# Főtanúsítvány 根证书\n".encode() + pebble.ca_bundle.read_bytes())
    assert directory_facts(pebble.directory, path).terms


def test_a_missing_endpoint_is_an_error(client: Client, flaky: Flaky) -> None:
    facts: Any = directory_facts(flaky.directory, flaky.ca_bundle)
    del facts.endpoints["newOrder"]
    with pytest.raises(AcmeError, match="its directory has no newOrder"):
        client.issue(directory=facts)
