"""What tests ask of a deployment from outside: with curl's eyes, through the engine, through a client."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.rig.parts.clients import Clients
from tests.rig.parts.stock import INDEX, MANIFEST


def ask(
    path: str, *, port: int, login: tuple[str, str] | None = None, tls: bool = True, address: str = "127.0.0.1"
) -> tuple[int, bytes, str]:
    """GET ``path`` without verifying anything: status, body, and the leaf's SHA-256 (empty without TLS)."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = (
        http.client.HTTPSConnection(address, port, timeout=5, context=context)
        if tls
        else http.client.HTTPConnection(address, port, timeout=5)
    )
    headers = {"Accept": f"{MANIFEST}, {INDEX}"}  # else 2.8 has no manifest of these kinds
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    leaf = b""
    if isinstance(connection.sock, ssl.SSLSocket):
        leaf = connection.sock.getpeercert(binary_form=True) or b""
    connection.close()
    return answer.status, body, hashlib.sha256(leaf).hexdigest() if leaf else ""


def inspect(clients: Clients, name: str = "registry") -> dict[str, Any]:
    """``docker inspect`` of a container, mounts in order: engine 20.10 lists them in another one each time."""
    found: dict[str, Any] = json.loads(clients.docker("inspect", name))[0]
    found["Mounts"].sort(key=lambda mount: str(mount["Destination"]))
    return found


def names(clients: Clients) -> set[str]:
    """Every container's name, running or not."""
    return set(clients.docker("ps", "--all", "--format", "{{.Names}}").split())


def current_fingerprint(root: Path) -> str:
    """SHA-256 of the leaf that the ``current`` link leads to."""
    pem = (root / "certs" / "current" / "fullchain.pem").read_text()
    leaf = pem.partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf)).hexdigest()


def served(port: int = 443) -> str:
    """The leaf that a registry without a login serves on this host, SHA-256; fails where none answers."""
    status, _, leaf = ask("/v2/", port=port)
    assert status == 200
    return leaf


def answers(port: int) -> bool:
    """Whether a registry over plain HTTP and without a login answers on that port."""
    try:
        return ask("/v2/", port=port, tls=False)[0] == HTTPStatus.OK
    except OSError:
        return False
