"""What a registry stores, read over its HTTP API. Standard library only."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from regdeploy.errors import RegdeployError
from regdeploy.frozen import frozen
from regdeploy.registry.connection import Target, sentence, verifying
from regdeploy.secret import Secret

T = TypeVar("T")

_PAGE = 1000  # the most that 3.x gives at a time
_CHUNK = 1 << 18
_REDIRECTS = (301, 302, 303, 307, 308)
#: Without a manifest's own type in here, 2.x makes another manifest of it, with another digest.
_ACCEPT = (
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.oci.artifact.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v1+prettyjws, "
    "application/vnd.docker.distribution.manifest.v1+json, "
    "*/*"
)
#: 2.x signs these anew each time they are read, and their digest is that of what was signed.
_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"


@frozen
class Stored:
    """What a registry has under a tag or digest: ``size`` is in bytes, None where it does not say."""

    digest: str
    size: int | None = None


class RegistryClient:
    """Reads what a registry stores, with Basic authentication, over one kept connection.

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
        self._headers = {"Host": self._target.host_header, "Accept": _ACCEPT}
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

    def manifest(self, repository: str, reference: str) -> Stored | None:
        """What it says is under a tag or digest, by HEAD; None for nothing."""
        return self._head(_path(repository, "manifests", reference))

    def read_manifest(self, repository: str, reference: str, algorithm: str = "sha256") -> Stored | None:
        """What really is there: the digest is that of the bytes that came. None for nothing.

        Schema 1 alone goes by what the registry says: its signature is made while it is read.
        """
        path = _path(repository, "manifests", reference)
        status, headers, content = self._ask("GET", path, lambda answer: _hashed(answer, algorithm))
        if headers.get_content_type() == _SIGNED and isinstance(content, Stored):
            return self._as_said(status, headers)
        return self._stored(status, headers, content)

    def blob(self, repository: str, digest: str) -> Stored | None:
        """What it says of a blob, by HEAD; None for nothing. One that lies elsewhere (a redirect) has no size."""
        return self._head(_path(repository, "blobs", digest), digest)

    def read_blob(self, repository: str, digest: str, passed: Callable[[int], None] = lambda _: None) -> Stored | None:
        """Read a blob to its end and hash it as it comes, never whole in memory; None for nothing.

        ``passed`` hears how many bytes came, piece by piece; what it raises ends the reading and is raised. A redirect
        is followed, without the credentials.
        """
        algorithm = digest.partition(":")[0]
        path = _path(repository, "blobs", digest)
        status, headers, content = self._ask("GET", path, lambda answer: _hashed(answer, algorithm, passed))
        location = headers.get("Location", "")
        if status not in _REDIRECTS or not location:
            return self._stored(status, headers, content)
        there = urlsplit(urljoin(self._url, location))
        with RegistryClient(f"{there.scheme}://{there.netloc}", timeout=self._timeout) as other:
            path = f"{there.path}?{there.query}" if there.query else there.path
            return other._stored(*other._ask("GET", path, lambda answer: _hashed(answer, algorithm, passed)))

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
        if not isinstance(page, dict) or not all(_is_names(page.get(key)) for key in ("repositories", "tags")):
            raise self._unexpected(status, body)
        return page

    def _head(self, path: str, digest: str = "") -> Stored | None:
        status, headers, body = self._ask("HEAD", path, _all)
        if status in _REDIRECTS and digest:
            return Stored(digest=digest)
        return self._as_said(status, headers) if status == http.HTTPStatus.OK else self._stored(status, headers, body)

    def _as_said(self, status: int, headers: Message) -> Stored:
        digest, size = headers.get("Docker-Content-Digest", ""), headers.get("Content-Length", "")
        if not digest:
            raise RegdeployError(self._url, f"answers {status} without a digest", code="registry.answer")
        return Stored(digest=digest, size=int(size) if size.isdecimal() else None)

    def _stored(self, status: int, headers: Message, content: Stored | bytes) -> Stored | None:
        if isinstance(content, Stored):
            return content
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        if status == http.HTTPStatus.UNAUTHORIZED:
            raise self._login_refused(headers)
        raise self._unexpected(status, content)

    def _unexpected(self, status: int, body: bytes) -> RegdeployError:
        words = body[:200].decode("utf-8", "replace").strip()
        return RegdeployError(self._url, f"answers {status}: {words or 'nothing'}", code="registry.answer")

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
        return self._ask("GET", path, _all)

    def _ask(self, method: str, path: str, take: Callable[[http.client.HTTPResponse], T]) -> tuple[int, Message, T]:
        """``take`` reads the answer to its end; it may be called again, with another answer to the same question."""
        kept = self._connection is not None
        try:
            self._connection = self._connection or self._open()
            self._connection.request(method, path, headers=self._headers)
            answer = self._connection.getresponse()
            return answer.status, answer.headers, take(answer)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if kept:  # the server closed a connection that had been idle
                return self._ask(method, path, take)
            words = f"{self._target} {sentence(error, self._timeout)}"
            raise RegdeployError(self._url, words, code="registry.unreachable") from error
        except BaseException:
            self.close()  # there is more of the answer, which is not for the next question
            raise

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


def _is_names(value: object) -> bool:
    """2.x says null for no tags."""
    return value is None or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _path(repository: str, kind: str, reference: str) -> str:
    return f"/v2/{quote(repository)}/{kind}/{quote(reference, safe=':')}"


def _all(answer: http.client.HTTPResponse) -> bytes:
    return answer.read()


def _hashed(
    answer: http.client.HTTPResponse, algorithm: str, passed: Callable[[int], None] = lambda _: None
) -> Stored | bytes:
    """What is there; the bytes themselves where the answer is another than 200."""
    if answer.status != http.HTTPStatus.OK:
        return answer.read()
    hashed, size, piece = hashlib.new(algorithm), 0, memoryview(bytearray(_CHUNK))
    while count := answer.readinto(piece):
        hashed.update(piece[:count])
        size += count
        passed(count)
    if answer.length:
        raise ConnectionResetError  # readinto() takes a cut for the end
    return Stored(digest=f"{algorithm}:{hashed.hexdigest()}", size=size)
