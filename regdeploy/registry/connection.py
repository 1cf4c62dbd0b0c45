"""Sockets to a registry: the address, TLS with and without verification, and failures in words."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass


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


def unverified() -> ssl.SSLContext:
    """For looking at whatever is served; no secret ever travels over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def verifying(pem: bytes | None) -> ssl.SSLContext:
    """Chain and name are checked as Docker would: any certificate of the bundle is an anchor, root or not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if pem is None:
        context.load_default_certs()
    else:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=pem.decode("ascii"))
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
