"""Pushes over a registry's API, one request at a time: what no client would push, or would not leave half done."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tests.rig.parts.images import digest as digest_of

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Pusher:
    """One connection to a registry without a login on 127.0.0.1; AssertionError where it answers otherwise."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def blob(self, repository: str, content: bytes, digest: str = "") -> str:
        """Push a blob in one piece, under its SHA-256 or another ``digest`` of it."""
        return self.finish(self.begin(repository), content, digest or digest_of(content))

    def begin(self, repository: str) -> str:
        """Begin a push; where it goes on."""
        return self._where(self._ask("POST", f"/v2/{repository}/blobs/uploads/", 202))

    def go_on(self, where: str, content: bytes) -> str:
        """Push a piece; where it goes on."""
        headers = {"Content-Type": "application/octet-stream"}
        return self._where(self._ask("PATCH", where, 202, content, headers))

    def finish(self, where: str, content: bytes, digest: str) -> str:
        """Push the last piece."""
        joined = "&" if "?" in where else "?"
        self._ask("PUT", f"{where}{joined}digest={digest}", 201, content, {"Content-Type": "application/octet-stream"})
        return digest

    def manifest(self, repository: str, value: Mapping[str, Any], *tags: str) -> str:
        """Push a manifest under tags, or under its digest alone."""
        content = json.dumps(value).encode()
        for reference in tags or (digest_of(content),):
            path = f"/v2/{repository}/manifests/{reference}"
            self._ask("PUT", path, 201, content, {"Content-Type": value.get("mediaType", MANIFEST)})
        return digest_of(content)

    def image(self, repository: str, content: bytes, *tags: str, **more: object) -> str:
        """Push an image of one layer; ``more`` goes into its manifest."""
        config, layer = self.blob(repository, b"{}"), self.blob(repository, content)
        value = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": len(content)}],
        }
        return self.manifest(repository, {**value, **more}, *tags)

    def delete(self, repository: str, kind: str, reference: str) -> None:
        """Delete one of ``manifests`` or ``blobs``."""
        self._ask("DELETE", f"/v2/{repository}/{kind}/{reference}", 202)

    def _ask(
        self, method: str, path: str, expected: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        self._connection.request(method, path, body, dict(headers or {}))
        answer = self._connection.getresponse()
        said = answer.read()
        assert answer.status == expected, f"{method} {path}: {answer.status} {said!r}"
        return answer

    def _where(self, answer: http.client.HTTPResponse) -> str:
        parts = urlsplit(answer.headers["Location"])
        return f"{parts.path}?{parts.query}"
