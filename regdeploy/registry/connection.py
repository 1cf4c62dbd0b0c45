"""Sockets to a registry: one question, TLS with and without verification, and failures in words."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace

from regdeploy.registry.api import EndpointFacts

_API_HEADER = "Docker-Distribution-Api-Version"
_ALERT = "\x15\x03"  # how a TLS record that holds an alert begins: some servers answer plain HTTP with one
_SPEAKS_HTTPS = "speaks HTTPS, not plain HTTP"


@dataclass(frozen=True)
class Target:
    """Where to connect, and the name that TLS and HTTP see."""

    address: str
    port: int
    server_name: str

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def host_header(self) -> str:
        """The Host header (RFC 9110 section 7.2)."""
        name = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return name if self.port in (80, 443) else f"{name}:{self.port}"


def ask(target: Target, tls: bool, timeout: float) -> EndpointFacts:
    """GET /v2/ once, whatever the certificate; never raises. ``timeout`` is in seconds, for each wait."""
    facts = EndpointFacts()
    try:
        with socket.create_connection((target.address, target.port), timeout) as plain:
            if not tls:
                return _exchange(plain, target, facts)
            with _unverified().wrap_socket(plain, server_hostname=target.server_name) as secured:
                facts = EndpointFacts(
                    leaf_der=secured.getpeercert(binary_form=True), tls_version=secured.version() or ""
                )
                return _exchange(secured, target, facts)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return replace(facts, error=f"{target} {sentence(error, timeout)}")


def _exchange(connected: socket.socket, target: Target, facts: EndpointFacts) -> EndpointFacts:
    connection = http.client.HTTPConnection(target.server_name, target.port)
    connection.sock = connected
    connection.request("GET", "/v2/", headers={"Host": target.host_header, "Connection": "close"})
    try:
        answer = connection.getresponse()
    except http.client.BadStatusLine as error:
        if facts.leaf_der is None and str(error).startswith(_ALERT):
            return replace(facts, error=f"{target} {_SPEAKS_HTTPS}")
        raise
    if answer.status == http.HTTPStatus.BAD_REQUEST and facts.leaf_der is None and b"HTTPS" in answer.read(1000):
        return replace(facts, error=f"{target} {_SPEAKS_HTTPS}")
    return replace(
        facts,
        reachable=True,
        http_status=answer.status,
        auth_required={200: False, 401: True}.get(answer.status),
        is_registry=answer.headers.get(_API_HEADER, "").startswith("registry/"),
    )


def _unverified() -> ssl.SSLContext:
    """For looking at whatever is served; no secret ever travels over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def judged(facts: EndpointFacts, target: Target, timeout: float, trust: Mapping[str, bytes]) -> EndpointFacts:
    """``facts`` with who vouches for the certificate in it: the system's store, else the first bundle that does."""
    return facts if facts.leaf_der is None else replace(facts, trusted_by=_vouched_by(target, timeout, trust))


def _vouched_by(target: Target, timeout: float, trust: Mapping[str, bytes]) -> str:
    for label, pem in (("system", None), *trust.items()):
        try:
            context = verifying(pem)
            with (
                socket.create_connection((target.address, target.port), timeout) as plain,
                context.wrap_socket(plain, server_hostname=target.server_name),
            ):
                return label
        except (OSError, ValueError):
            continue  # not by this one: why does not matter, and whether it serves at all was asked before
    return ""


def verifying(pem: bytes | None) -> ssl.SSLContext:
    """Chain and name are checked as Docker would: any certificate of the bundle is an anchor, root or not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if pem is None:
        context.load_default_certs()
    else:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=pem.decode("ascii", "ignore"))  # comments may be in any language
    return context


def sentence(error: Exception, timeout: float) -> str:
    """What went wrong, to stand behind the address. ``timeout`` is what was waited, in seconds."""
    match error:
        case ConnectionRefusedError():
            words = "refuses connections"
        case TimeoutError():
            words = f"does not answer within {timeout:.2g} s"
        case ssl.SSLCertVerificationError():
            words = f"serves a certificate that is not trusted: {error.verify_message}"
        case ssl.SSLEOFError() | ConnectionResetError() | BrokenPipeError():  # RemoteDisconnected is the second
            words = "closes the connection before it answers"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "HTTP_REQUEST" | "UNKNOWN_PROTOCOL" | "RECORD_LAYER_FAILURE"):
            words = "does not speak TLS"
        case ssl.SSLError():
            words = f"ends the TLS handshake: {(error.reason or str(error)).lower().replace('_', ' ')}"
        case http.client.HTTPException():
            words = "does not speak HTTP"
        case socket.gaierror():
            words = "has no address"
        case OSError():
            words = f"cannot be reached: {(error.strerror or str(error)).lower()}"
        case _:
            words = f"cannot be asked: {error}"
    return words
