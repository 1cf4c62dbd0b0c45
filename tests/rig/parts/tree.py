"""A registry's storage written straight to disk: thousands of tags in a second, and known to the byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass
class Repository:
    """What was put into one repository."""

    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, int] = field(default_factory=dict)
    layers: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)


class Tree:
    """The data folder of Distribution's filesystem driver (``registry/storage/paths.go``), and what is in it."""

    def __init__(self, data: Path) -> None:
        self._top = data / "docker/registry/v2"
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, int] = {}

    def image(self, name: str, *tags: str, layers: Mapping[str, bytes] | None = None, config: str = "") -> str:
        """Put an image under these tags and return its manifest's digest; ``config`` tells one from another."""
        repository = self.repositories.setdefault(name, Repository())
        parts = [self._layer(name, json.dumps({"architecture": "amd64", "os": "linux", "author": config}).encode())]
        parts += [self._layer(name, content) for content in (layers or {"one": b"one"}).values()]
        descriptors = [
            {"mediaType": _LAYER if number else _CONFIG, "digest": digest, "size": self.blobs[digest]}
            for number, digest in enumerate(parts)
        ]
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": descriptors[0], "layers": descriptors[1:]}
        digest = self._blob(json.dumps(manifest).encode())
        repository.manifests[digest] = self.blobs[digest]
        self._link(name, f"_manifests/revisions/{_folder(digest)}", digest)
        for tag in tags:
            repository.tags[tag] = digest
            self._link(name, f"_manifests/tags/{tag}/current", digest)
            self._link(name, f"_manifests/tags/{tag}/index/{_folder(digest)}", digest)
        return digest

    def link(self, name: str, digest: str) -> Path:
        """The file by which a repository has a blob."""
        return self._top / "repositories" / name / "_layers" / _folder(digest) / "link"

    def revision(self, name: str, digest: str) -> Path:
        """The file by which a repository has a manifest."""
        return self._top / "repositories" / name / "_manifests/revisions" / _folder(digest) / "link"

    def tag(self, name: str, tag: str) -> Path:
        """The file that says which manifest a tag is."""
        return self._top / "repositories" / name / "_manifests/tags" / tag / "current/link"

    def content(self, digest: str) -> Path:
        """The file of a blob."""
        return self._top / "blobs/sha256" / digest[7:9] / digest[7:] / "data"

    def alias(self, name: str, content: bytes) -> str:
        """Let a repository have a blob by its SHA-512 as well; returns that."""
        digest = f"sha512:{hashlib.sha512(content).hexdigest()}"
        repository = self.repositories[name]
        repository.layers.add(digest)
        repository.aliases[digest] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._link(name, f"_layers/{_folder(digest)}", repository.aliases[digest])
        return digest

    def _layer(self, name: str, content: bytes) -> str:
        digest = self._blob(content)
        if digest not in self.repositories[name].layers:
            self.repositories[name].layers.add(digest)
            self._link(name, f"_layers/{_folder(digest)}", digest)
        return digest

    def _blob(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if digest not in self.blobs:
            self.blobs[digest] = len(content)
            path = self.content(digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return digest

    def _link(self, name: str, place: str, digest: str) -> None:
        folder = self._top / "repositories" / name / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").write_text(digest)


def _folder(digest: str) -> str:
    return digest.replace(":", "/")
