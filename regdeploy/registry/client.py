"""What a registry stores, read over its HTTP API. Standard library only."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from regdeploy.errors import RegdeployError
from regdeploy.registry.connection import Target, sentence, verifying
from regdeploy.secret import Secret

_PAGE = 1000  # the most that 3.x gives at a time


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
