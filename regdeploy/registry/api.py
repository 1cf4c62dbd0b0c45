"""A registry seen over the network: what its endpoint really serves, and what it stores. Standard library only."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from regdeploy.errors import RegdeployError
from regdeploy.secret import Secret

API_HEADER = "Docker-Distribution-Api-Version"
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.1
_ATTEMPT = 1.0  # a swallowed SYN is sent again after a second: rather knock anew
_PAGE = 1000  # the most that 3.x gives at a time


@dataclass(frozen=True, kw_only=True)
class EndpointFacts:
    """What answered at an address.

    ``reachable``: an HTTP answer came (over TLS where that was asked), its status is ``http_status``. Otherwise
    ``error`` is a sentence that says how far it got. ``auth_required`` is None unless /v2/ said 200 or 401.
    ``leaf_der`` is the certificate served, trusted or not. ``trusted_by`` is ``system``, the label of a bundle, or
    empty when nothing verified it or nobody asked.
    """

    reachable: bool = False
    error: str = ""
    http_status: int | None = None
    auth_required: bool | None = None
    is_registry: bool = False
    leaf_der: bytes | None = None
    trusted_by: str = ""
    tls_version: str = ""


def probe(
    address: str,
    port: int,
    *,
    server_name: str,
    tls: bool,
    timeout: float,
    trust: Mapping[str, bytes] | None = None,
) -> EndpointFacts:
    """Ask ``address``:``port`` for /v2/ as ``server_name`` over one connection; never raises for what is out there.

    With ``trust`` (label to PEM; may be empty) it is also asked who vouches for the certificate: the system's store, then each
    bundle, one more handshake each until one does. ``timeout`` is in seconds and for each of these.
    """
    raise NotImplementedError


def wait_until_serving(
    address: str,
    port: int,
    *,
    server_name: str,
    tls: bool,
    deadline: float,
    trust: Mapping[str, bytes] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> EndpointFacts:
    """Probe until an HTTP answer comes, at most ``deadline`` seconds from now, or until ``stopped()`` says it never will.

    Returns the last facts seen. Waits 10 ms at first, growing to 100 ms. ``trust`` is asked once, at the end.
    """
    raise NotImplementedError


class RegistryClient:
    """Reads a registry's catalog and tags with Basic authentication over one kept connection.

    ``url`` is its base (``https://registry.example.com:5443``); ``address`` is connected to instead of resolving the
    name, which is still the one that TLS and HTTP see. ``cafile`` replaces the system's store. Every method raises
    RegdeployError (``registry.unreachable``, ``registry.login``, ``registry.answer``).
    """

    def __init__(
        self,
        url: str,
        *,
        address: str = "",
        user: str = "",
        password: Secret | None = None,
        cafile: Path | None = None,
        timeout: float = 10.0,
    ) -> None:
        raise NotImplementedError

    def repositories(self) -> tuple[str, ...]:
        """Every repository in the catalog, page by page, in its order."""
        raise NotImplementedError

    def tags(self, repository: str) -> tuple[str, ...]:
        """The tags of ``repository``; none for one that was emptied or is not there."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        raise NotImplementedError
