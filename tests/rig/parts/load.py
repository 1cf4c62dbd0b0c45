"""What a busy registry lives through: requests on new connections, pulls, and a push that goes on after a cut.

Nothing is verified of the certificate: that is other tests' matter.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self
from urllib.parse import urlsplit

_TIMEOUT = 5.0
_AGAIN = 0.01
_PATIENCE = 60.0
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"

Broken = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Door:
    """Where a registry without a login is to be found."""

    port: int
    tls: bool = True
    address: str = "127.0.0.1"

    def connect(self) -> http.client.HTTPConnection:
        """A connection that opens with its first request."""
        if not self.tls:
            return http.client.HTTPConnection(self.address, self.port, timeout=_TIMEOUT)
        return http.client.HTTPSConnection(self.address, self.port, timeout=_TIMEOUT, context=_unverified())


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass
class Knocking:
    """``GET /v2/`` so many times a second, each on a connection of its own, whether the last was answered or not.

    ``outcomes`` counts statuses and kinds of failures; ``longest`` is the longest time, in seconds, without an answer.
    """

    door: Door
    rate: float = 50.0
    outcomes: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: float = 0.0

    @property
    def refused(self) -> int:
        """How many were not answered."""
        return sum(count for outcome, count in self.outcomes.items() if not outcome.isdecimal())

    def __enter__(self) -> Self:
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="knocking")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        with ThreadPoolExecutor(32) as pool:
            while not self._over.wait(max(0.0, due - time.monotonic())):
                pool.submit(self._knock)
                due += 1 / self.rate

    def _knock(self) -> None:
        connection = self.door.connect()
        try:
            connection.request("GET", "/v2/")
            outcome = str(connection.getresponse().status)
        except Broken as error:
            outcome = type(error).__name__
        finally:
            connection.close()
        now = time.monotonic()
        with self._lock:
            self.outcomes[outcome] += 1
            if outcome.isdecimal():
                self.longest = max(self.longest, now - self._last)
                self._last = now


@dataclass
class Pulling:
    """Pulls one blob again and again over a kept connection: how often it came whole, was cut, or came as another."""

    door: Door
    path: str
    digest: str
    whole: int = 0
    cut: int = 0
    other: int = 0
    refused: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="pulling")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        connection = self.door.connect()
        while not self._over.wait(_AGAIN):
            answer = None
            try:
                connection.request("GET", self.path)
                answer = connection.getresponse()
                content = answer.read()
            except Broken:
                connection.close()
                self.refused += answer is None
                self.cut += answer is not None
                continue
            same = answer.status == http.HTTPStatus.OK and _sha256(content) == self.digest
            self.whole += same
            self.other += not same
        connection.close()


class Content:
    """Random bytes of any size that need no memory: the same for the same seed, readable from any place."""

    def __init__(self, size: int, chunk: int, seed: int) -> None:
        self.size = size
        self._chunk = chunk
        self._seed = seed

    def read(self, offset: int) -> bytes:
        """From ``offset`` to the end of its chunk."""
        number, inside = divmod(offset, self._chunk)
        length = min(self._chunk, self.size - number * self._chunk)
        return random.Random(self._seed * 1_000_003 + number).randbytes(length)[inside:]

    @cached_property
    def digest(self) -> str:
        """Of the whole."""
        hashed = hashlib.sha256()
        for offset in range(0, self.size, self._chunk):
            hashed.update(self.read(offset))
        return f"sha256:{hashed.hexdigest()}"


@dataclass
class Push:
    """A push that survives what the API lets it survive (OCI distribution specification, "Pushing a blob in chunks").

    Cut off, it asks how far the registry has come and goes on from there: ``resumed`` counts that. ``restarted`` counts
    how often the registry knew nothing of the upload any more. ``before`` is called before each chunk with its offset.
    """

    door: Door
    repository: str
    before: Callable[[int], None] = lambda _: None
    resumed: int = 0
    restarted: int = 0

    def __post_init__(self) -> None:
        self._connection = self.door.connect()

    def image(self, tag: str, content: Content) -> str:
        """Push an image with that content as its one layer, and return the layer's digest."""
        config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
        layer = self.blob(content)
        self._whole(config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": _sha256(config), "size": len(config)},
            "layers": [{"mediaType": _LAYER, "digest": layer, "size": content.size}],
        }
        path = f"/v2/{self.repository}/manifests/{tag}"
        self._until_answered("PUT", path, json.dumps(manifest).encode(), {"Content-Type": _MANIFEST}, expect=201)
        self._connection.close()
        return layer

    def blob(self, content: Content) -> str:
        """Push a blob in chunks and return its digest."""
        location, offset, hashed = self._begin(), 0, content.digest
        while offset < content.size:
            self.before(offset)
            chunk = content.read(offset)
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{offset}-{offset + len(chunk) - 1}",
            }
            try:
                answer = self._ask("PATCH", location, chunk, headers)
            except Broken:
                location, offset = self._how_far(location)
                continue
            assert answer.status == 202, f"PATCH answers {answer.status}"
            location, offset = answer.headers["Location"], offset + len(chunk)
        self._finish(location, hashed)
        return hashed

    def _begin(self) -> str:
        path = f"/v2/{self.repository}/blobs/uploads/"
        return str(self._until_answered("POST", path, b"", {}, expect=202).headers["Location"])

    def _how_far(self, location: str) -> tuple[str, int]:
        answer = self._until_answered("GET", location, b"", {})
        if answer.status != 204:
            self.restarted += 1
            return self._begin(), 0
        self.resumed += 1
        last = int(answer.headers["Range"].rpartition("-")[2])
        return answer.headers["Location"], last + 1 if last else 0

    def _finish(self, location: str, digest: str) -> None:
        separator = "&" if "?" in location else "?"
        done = f"/v2/{self.repository}/blobs/{digest}"
        for _ in range(100):
            with suppress(*Broken):
                answer = self._ask("PUT", f"{location}{separator}digest={digest}", b"", {})
                assert answer.status == 201, f"PUT answers {answer.status}"
                return
            if self._until_answered("HEAD", done, b"", {}).status == 200:
                return
        raise AssertionError("the push did not end")

    def _whole(self, content: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._until_answered("PATCH", self._begin(), content, headers, expect=202)
        self._finish(answer.headers["Location"], _sha256(content))

    def _until_answered(
        self, method: str, location: str, body: bytes, headers: dict[str, str], *, expect: int = 0
    ) -> http.client.HTTPResponse:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                answer = self._ask(method, location, body, headers)
            except Broken:
                assert time.monotonic() < deadline, f"{method} {location} was not answered within {_PATIENCE:.0f} s"
                time.sleep(_AGAIN)
                continue
            assert expect in (0, answer.status), f"{method} {location} answers {answer.status}"
            return answer

    def _ask(self, method: str, location: str, body: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        parts = urlsplit(location)
        try:
            self._connection.request(
                method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers
            )
            answer = self._connection.getresponse()
            answer.read()
        except BaseException:
            self._connection.close()
            raise
        return answer


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
