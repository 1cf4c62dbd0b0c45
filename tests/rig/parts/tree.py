"""A registry's storage written straight to disk: thousands of tags in a second, and known to the byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.stored import MANIFEST, Stored

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
    """A registry's data folder, and what is in it."""

    def __init__(self, data: Path) -> None:
        self._stored = Stored(data)
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
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptors[0], "layers": descriptors[1:]}
        content = json.dumps(manifest).encode()
        digest = self._stored.manifest(name, content, *tags)
        self.blobs[digest] = repository.manifests[digest] = len(content)
        repository.tags.update(dict.fromkeys(tags, digest))
        return digest

    def link(self, name: str, digest: str) -> Path:
        """The file by which a repository has a blob."""
        return self._stored.link_path(f"{name}/_layers", digest)

    def revision(self, name: str, digest: str) -> Path:
        """The file by which a repository has a manifest."""
        return self._stored.link_path(f"{name}/_manifests/revisions", digest)

    def tag(self, name: str, tag: str) -> Path:
        """The file that says which manifest a tag is."""
        return self._stored.repository(f"{name}/_manifests/tags/{tag}") / "current/link"

    def content(self, digest: str) -> Path:
        """The file of a blob."""
        return self._stored.path(digest)

    def alias(self, name: str, content: bytes) -> str:
        """Let a repository have a blob by its SHA-512 as well; returns that."""
        digest = f"sha512:{hashlib.sha512(content).hexdigest()}"
        repository = self.repositories[name]
        repository.layers.add(digest)
        repository.aliases[digest] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._stored.link(f"{name}/_layers", digest, holds=repository.aliases[digest])
        return digest

    def _layer(self, name: str, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        layers = self.repositories[name].layers
        if digest in self.blobs and digest not in layers:
            self._stored.link(f"{name}/_layers", digest)
        elif digest not in layers:
            self._stored.layer(name, content)
        layers.add(digest)
        self.blobs[digest] = len(content)
        return digest
