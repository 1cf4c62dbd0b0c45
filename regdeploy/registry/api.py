"""A registry seen over the network: what its endpoint really serves, and what it stores. Standard library only."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from regdeploy.errors import RegdeployError
from regdeploy.registry.connection import Target, sentence, unverified, verifying
from regdeploy.secret import Secret

API_HEADER = "Docker-Distribution-Api-Version"
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.1
_ATTEMPT = 1.0  # the kernel repeats a SYN that got lost after a second: rather knock anew, and be more patient then
_ALERT = "\x15\x03"  # how a TLS record that holds an alert begins: some servers answer plain HTTP with one
_SPEAKS_HTTPS = "speaks HTTPS, not plain HTTP"
_PAGE = 1000  # the most that 3.x gives at a time


@dataclass(frozen=True, kw_only=True)
class EndpointFacts:
    """What answered at an address.

    ``reachable``: an HTTP answer came (over TLS where that was asked); its status is ``http_status``. Otherwise
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
    """Ask ``address``:``port`` for /v2/ as ``server_name``, over one connection; never raises for what is out there.

    With ``trust`` (label to PEM; may be empty) it also asks who vouches for the certificate and the name: the
    system's store, then each bundle, by one more handshake each until one does. ``timeout`` is in seconds, for each
    of these. A wildcard's star in ``server_name`` stands for some label.
    """
    target = _target(address, port, server_name)
    return _with_trust(_ask(target, tls, timeout), target, timeout, trust)


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
    """Probe until an HTTP answer comes, for ``deadline`` seconds from now, or until ``stopped()`` says it never will.

    Returns the last facts seen. Waits 10 ms at first, growing to 100 ms, between attempts of 1 s at first, growing too.
    ``trust`` is asked once, at the end.
    """
    target = _target(address, port, server_name)
    until = time.monotonic() + deadline
    wait, patience = _FIRST_WAIT, _ATTEMPT
    while True:
        began = time.monotonic()
        facts = _ask(target, tls, min(patience, max(0.05, until - began)))
        if facts.reachable or time.monotonic() + wait >= until or stopped():
            break
        if time.monotonic() - began >= patience:
            patience *= 2
        time.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_WAIT)
    return _with_trust(facts, target, _ATTEMPT, trust)


def _target(address: str, port: int, server_name: str) -> Target:
    return Target(address, port, server_name.replace("*", "any"))


def _ask(target: Target, tls: bool, timeout: float) -> EndpointFacts:
    facts = EndpointFacts()
    try:
        with socket.create_connection((target.address, target.port), timeout) as plain:
            if not tls:
                return _exchange(plain, target, facts)
            with unverified().wrap_socket(plain, server_hostname=target.server_name) as secured:
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
        is_registry=answer.headers.get(API_HEADER, "").startswith("registry/"),
    )


def _with_trust(
    facts: EndpointFacts, target: Target, timeout: float, trust: Mapping[str, bytes] | None
) -> EndpointFacts:
    if trust is None or facts.leaf_der is None:
        return facts
    return replace(facts, trusted_by=_trusted_by(target, timeout, trust))


def _trusted_by(target: Target, timeout: float, trust: Mapping[str, bytes]) -> str:
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


class RegistryClient:
    """Reads a registry's catalog and tags, with Basic authentication, over one kept connection.

    ``url`` is its base (``https://registry.example.com:5443``); ``address`` is connected to instead of resolving the
    name, which TLS and HTTP still see. ``cafile`` replaces the system's store. Every method raises RegdeployError
    with code ``registry.unreachable``, ``registry.login`` or ``registry.answer``. Credentials go to that host only.
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
        parts = urlsplit(url)
        self._url = url
        self._tls = parts.scheme == "https"
        name = parts.hostname or ""
        self._target = Target(address or name, parts.port or (443 if self._tls else 80), name)
        self._cafile = cafile
        self._timeout = timeout
        self._user = user
        self._headers = {"Host": self._target.host_header}
        if password is not None:
            pair = f"{user}:{password.reveal()}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        self._connection: http.client.HTTPConnection | None = None

    def repositories(self) -> tuple[str, ...]:
        """Every repository in the catalog, page by page, in its order."""
        return tuple(name for page in self._pages(f"/v2/_catalog?n={_PAGE}") for name in page.get("repositories") or ())

    def tags(self, repository: str) -> tuple[str, ...]:
        """The tags of ``repository``; none for one that was emptied or is not there."""
        pages = self._pages(f"/v2/{quote(repository)}/tags/list", absent={})
        return tuple(tag for page in pages for tag in page.get("tags") or ())

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pages(self, path: str, absent: dict[str, list[str]] | None = None) -> Iterator[dict[str, list[str]]]:
        """Each page, found by the Link header (RFC 5988; OCI distribution spec, "Listing Tags")."""
        while path:
            status, headers, body = self._get(path)
            if status == http.HTTPStatus.NOT_FOUND and absent is not None:
                yield absent
                return
            yield self._parsed(status, headers, body)
            link = re.match(r"\s*<([^>]+)>", headers.get("Link", ""))
            following = urlsplit(link[1]) if link else None
            before, path = path, f"{following.path}?{following.query}" if following else ""
            if path == before:
                raise RegdeployError(self._url, f"gives the page {path} as its own next one", code="registry.answer")

    def _parsed(self, status: int, headers: Message, body: bytes) -> dict[str, list[str]]:
        if status == http.HTTPStatus.UNAUTHORIZED:
            raise self._login_refused(headers)
        try:
            page = json.loads(body) if status == http.HTTPStatus.OK else None
        except ValueError:
            page = None
        if not isinstance(page, dict):
            words = body[:200].decode("utf-8", "replace").strip()
            raise RegdeployError(self._url, f"answers {status}: {words or 'nothing'}", code="registry.answer")
        return page

    def _login_refused(self, headers: Message) -> RegdeployError:
        if not headers.get("WWW-Authenticate", "").lower().startswith("basic"):
            return RegdeployError(
                self._url, "wants a token, not a name and password", "ask its own tools", code="registry.login"
            )
        what = f"does not let {self._user!r} in with that password" if self._user else "wants a login"
        return RegdeployError(
            self._url, what, "`regdeploy user passwd NAME` sets a new password", code="registry.login"
        )

    def _get(self, path: str) -> tuple[int, Message, bytes]:
        kept = self._connection is not None
        try:
            self._connection = self._connection or self._open()
            self._connection.request("GET", path, headers=self._headers)
            answer = self._connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if kept:  # the server closed a connection that had been idle
                return self._get(path)
            words = f"{self._target} {sentence(error, self._timeout)}"
            raise RegdeployError(self._url, words, code="registry.unreachable") from error

    def _context(self) -> ssl.SSLContext:
        if self._cafile is None:
            return verifying(None)
        try:
            return verifying(self._cafile.read_bytes())
        except (OSError, ValueError) as error:
            what = f"holds no CA certificates: {error}"
            raise RegdeployError(str(self._cafile), what, code="registry.unreachable") from error

    def _open(self) -> http.client.HTTPConnection:
        context = self._context() if self._tls else None
        connected = socket.create_connection((self._target.address, self._target.port), self._timeout)
        if context is not None:
            connected = context.wrap_socket(connected, server_hostname=self._target.server_name)
        connection = http.client.HTTPConnection(self._target.server_name, self._target.port)
        connection.auto_open = 0
        connection.sock = connected
        return connection
