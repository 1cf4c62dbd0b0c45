"""One config.yml: what the real registry makes of every line that regdeploy writes."""

from __future__ import annotations

import http.client
import socket
import ssl
import warnings
from pathlib import Path

import pytest

from regdeploy.registry.api import EndpointFacts, probe
from regdeploy.registry.config import render_config
from tests.certs import Made
from tests.rig.parts.processes import RigError, free_port, listening
from tests.rig.registry.conftest import NAME, Registry, Start

HALF = b"x" * 1_000_000


def asked(registry: Registry, *, tls: bool, trust: dict[str, bytes] | None = None) -> EndpointFacts:
    return probe("127.0.0.1", registry.port, server_name=NAME, tls=tls, timeout=5, trust=trust)


def request(registry: Registry, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def handshake(registry: Registry, version: ssl.TLSVersion) -> str:
    """The version agreed upon, or why there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
    try:
        with (
            socket.create_connection(("127.0.0.1", registry.port), 5) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as secured,
        ):
            return str(secured.version())
    except ssl.SSLError as error:
        return str(error.reason)


def test_plain_http_without_a_login_is_open_to_whoever_reaches_it(start: Start) -> None:
    registry = start()
    assert asked(registry, tls=False) == EndpointFacts(
        reachable=True, http_status=200, auth_required=False, is_registry=True
    )
    assert asked(registry, tls=True).error == f"127.0.0.1:{registry.port} does not speak TLS"


def test_https_with_a_login_wants_one_and_says_who_it_is(start: Start, authority: Made) -> None:
    registry = start(tls=True, logins={"admin": "hunter2"})
    facts = asked(registry, tls=True, trust={"other": b"", "ours": authority.pem})
    assert (facts.http_status, facts.auth_required, facts.is_registry) == (401, True, True)
    assert (facts.tls_version, facts.trusted_by) == ("TLSv1.3", "ours")
    assert asked(registry, tls=False).error == f"127.0.0.1:{registry.port} speaks HTTPS, not plain HTTP"


def test_nothing_below_tls_1_2_is_spoken(start: Start) -> None:
    registry = start(tls=True)
    assert handshake(registry, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    assert handshake(registry, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert handshake(registry, ssl.TLSVersion.TLSv1_1) == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_it_is_the_config_that_refuses_tls_1_1(start: Start) -> None:
    old = "tls1.1\n    ciphersuites: [TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA]"  # one that TLS 1.1 has
    registry = start(tls=True, config=render_config(tls=True).replace("tls1.2", old))
    assert handshake(registry, ssl.TLSVersion.TLSv1_1) == "TLSv1.1"


@pytest.mark.parametrize(("delete", "status"), [(True, 404), (False, 405)])
def test_deleting_is_allowed_unless_told_otherwise(start: Start, delete: bool, status: int) -> None:
    registry = start(config=render_config(tls=False, delete=delete))
    assert request(registry, "DELETE", f"/v2/a/blobs/sha256:{'0' * 64}")[0] == status


def test_read_only_refuses_pushes_and_answers_pulls(start: Start) -> None:
    registry = start(config=render_config(tls=False, read_only=True))
    assert request(registry, "POST", "/v2/a/blobs/uploads/")[0] == 405
    assert request(registry, "GET", "/v2/_catalog") == (200, '{"repositories":[]}\n')
    assert request(start(), "POST", "/v2/a/blobs/uploads/")[0] == 202


def test_an_upload_under_way_ends_before_the_registry_does(start: Start) -> None:
    registry = start()
    upload = half_an_upload(registry)
    registry.terminate()
    registry.program.wait_until(lambda: closed(registry))
    upload.send(HALF)
    assert upload.getresponse().status == 202
    upload.close()
    with pytest.raises(RigError, match="docker-registry ended with 0:"):
        registry.program.wait_until(lambda: False)


def test_without_the_drain_it_would_be_cut(start: Start) -> None:
    registry = start(config=render_config(tls=False, drain_seconds=0))
    upload = half_an_upload(registry)
    registry.terminate()
    with pytest.raises(RigError, match="docker-registry ended with -15:"):
        registry.program.wait_until(lambda: False)
    upload.close()


def half_an_upload(registry: Registry) -> http.client.HTTPConnection:
    """An upload whose first half has arrived."""
    upload = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=10)
    upload.request("POST", "/v2/a/blobs/uploads/")
    answer = upload.getresponse()
    answer.read()
    upload.putrequest("PATCH", answer.headers["Location"].partition(str(registry.port))[2])
    upload.putheader("Content-Length", str(2 * len(HALF)))
    upload.putheader("Content-Type", "application/octet-stream")
    upload.endheaders(HALF)
    registry.program.wait_until(lambda: b"x" * 1000 in uploaded(registry))
    return upload


def uploaded(registry: Registry) -> bytes:
    found = list((registry.folder / "data").rglob("_uploads/*/data"))
    return found[0].read_bytes() if found else b""


def closed(registry: Registry) -> bool:
    """It takes no new connections."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", registry.port)) != 0


def test_it_listens_on_its_port_alone_and_logs_no_debugging(start: Start) -> None:
    registry = start()
    request(registry, "GET", "/v2/")
    sockets = {str(path.readlink()) for path in Path(f"/proc/{registry.program.pid}/fd").iterdir()}
    tables = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    ports = {int(row[1].partition(":")[2], 16) for row in tables if f"socket:[{row[9]}]" in sockets and row[3] == "0A"}
    assert ports == {registry.port}
    log = (registry.folder / "log").read_text()
    assert "level=info" in log
    assert "level=debug" not in log


def test_it_is_the_config_that_keeps_debugging_quiet_and_closed(start: Start) -> None:
    port = free_port()
    loud = render_config(tls=False).replace("level: info", "level: debug")
    registry = start(config=loud.replace("http:\n", f"http:\n  debug:\n    addr: 127.0.0.1:{port}\n"))
    registry.program.wait_until(lambda: listening(port))
    assert "level=debug" in (registry.folder / "log").read_text()


def test_every_answer_carries_the_header_of_the_config(start: Start) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", start().port, timeout=10)
    connection.request("GET", "/v2/")
    assert connection.getresponse().headers["X-Content-Type-Options"] == "nosniff"
    connection.close()


def test_the_registry_complains_of_nothing_that_regdeploy_writes(start: Start) -> None:
    registry = start(tls=True, logins={"admin": "hunter2"})
    with registry.client("admin", "hunter2") as client:
        assert client.repositories() == ()
    log = (registry.folder / "log").read_text()
    assert "level=error" not in log
    assert "No HTTP secret provided" not in log
    assert "listening on [::]" in log
