"""A registry's stock: images, an index, an artifact with a referrer, and as many tags as wanted, over its HTTP API."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.rig.parts.images import digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_EMPTY = "application/vnd.oci.empty.v1+json"


@dataclass
class Stock:
    """What was pushed: each manifest's digest by ``repository:tag``, and those that have no tag of their own."""

    tags: dict[str, str] = field(default_factory=dict)
    untagged: list[tuple[str, str]] = field(default_factory=list)


class Pusher:
    """Pushes to a registry on this host, over one connection; with ``tls`` nothing is verified."""

    def __init__(self, port: int, login: tuple[str, str] | None = None, *, tls: bool = False) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
        pair = base64.b64encode(":".join(login).encode()).decode() if login else ""
        self._headers = {"Authorization": f"Basic {pair}"} if login else {}

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request: status, headers, body."""
        self._connection.request(method, path, body, {**self._headers, **(headers or {})})
        answer = self._connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def blob(self, repository: str, data: bytes) -> dict[str, Any]:
        """Push a blob in one piece; its descriptor, without a media type."""
        status, headers, _ = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == http.HTTPStatus.ACCEPTED
        location = headers["Location"].partition("/v2/")[2]
        joint = "&" if "?" in location else "?"
        path = f"/v2/{location}{joint}digest={digest(data)}"
        status, _, words = self.ask("PUT", path, data, {"Content-Type": "application/octet-stream"})
        assert status == http.HTTPStatus.CREATED, words
        return {"digest": digest(data), "size": len(data)}

    def manifest(self, repository: str, reference: str, value: Mapping[str, Any]) -> str:
        """Push a manifest under a tag or its digest; returns the digest. An empty ``reference`` is the digest."""
        data = json.dumps(value).encode()
        headers = {"Content-Type": value["mediaType"]}
        status, _, words = self.ask("PUT", f"/v2/{repository}/manifests/{reference or digest(data)}", data, headers)
        assert status == http.HTTPStatus.CREATED, words
        return digest(data)

    def image(self, repository: str, size: int = 2000, **more: object) -> dict[str, Any]:
        """Push the blobs of an image that nobody else has; its manifest, yet to be pushed."""
        configuration = json.dumps({"architecture": "amd64", "os": "linux", "nonce": secrets.token_hex(8)}).encode()
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": _CONFIG, **self.blob(repository, configuration)},
            "layers": [{"mediaType": _LAYER, **self.blob(repository, secrets.token_bytes(size))} for _ in range(2)],
            **more,
        }

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def stock(port: int, *, tags: int = 20, login: tuple[str, str] | None = None) -> Stock:
    """Push one of each kind: an image, an index whose children have no tags, an artifact that refers to the image
    (OCI image-spec, subject), a name of five levels, a repository without tags, and ``tags`` tags of one image.
    """
    pushed, pusher = Stock(), Pusher(port, login)
    image = pusher.image("busybox")
    pushed.tags["busybox:1"] = pusher.manifest("busybox", "1", image)
    children = []
    for architecture in ("amd64", "arm64"):
        child = pusher.image("multi/arch")
        name = pusher.manifest("multi/arch", "", child)
        pushed.untagged.append(("multi/arch", name))
        size = len(json.dumps(child).encode())
        platform = {"architecture": architecture, "os": "linux"}
        children.append({"mediaType": MANIFEST, "digest": name, "size": size, "platform": platform})
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
    pushed.tags["multi/arch:latest"] = pusher.manifest("multi/arch", "latest", index)
    subject = {"mediaType": MANIFEST, "digest": pushed.tags["busybox:1"], "size": len(json.dumps(image).encode())}
    artifact = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": _EMPTY, **pusher.blob("busybox", b"{}")},
        "layers": [{"mediaType": "application/spdx+json", **pusher.blob("busybox", b'{"sbom": true}')}],
        "subject": subject,
    }
    pushed.untagged.append(("busybox", pusher.manifest("busybox", "", artifact)))
    pushed.tags["a/b/c/d/e:1"] = pusher.manifest("a/b/c/d/e", "1", pusher.image("a/b/c/d/e"))
    pushed.untagged.append(("no/tags", pusher.manifest("no/tags", "", pusher.image("no/tags"))))
    many = pusher.image("many")
    for number in range(tags):
        pushed.tags[f"many:v{number}"] = pusher.manifest("many", f"v{number}", many)
    pusher.close()
    return pushed
