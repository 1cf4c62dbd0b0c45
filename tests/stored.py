"""A registry's folder made by hand, as Distribution's filesystem driver lays it out: for what no client would push."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.rig.parts.images import digest as digest_of

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Stored:
    """A data folder that grows by what is put into it; every method gives digests, or paths of what it wrote."""

    def __init__(self, data: Path, seed: int = 0) -> None:
        self.data = data
        self.top = data / "docker/registry/v2"
        self._random = random.Random(seed)

    def blob(self, content: bytes | None = None, size: int = 300) -> str:
        """Store a blob that no repository has."""
        content = self._random.randbytes(size) if content is None else content
        digest = digest_of(content)
        self.write(self.path(digest), content)
        return digest

    def layer(self, repository: str, content: bytes | None = None, size: int = 300) -> str:
        """Store a blob and link it in ``repository``."""
        digest = self.blob(content, size)
        self.link(f"{repository}/_layers", digest)
        return digest

    def manifest(self, repository: str, value: dict[str, Any] | bytes, *tags: str) -> str:
        """Store a manifest, link it, and let ``tags`` lead to it."""
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        digest = self.blob(content)
        self.link(f"{repository}/_manifests/revisions", digest)
        for tag in tags:
            self.tag(repository, tag, digest)
        return digest

    def image(self, repository: str, *tags: str, layers: int = 2, size: int = 300, **more: Any) -> str:
        """Store an image that nobody else has, with all its blobs; ``more`` goes into its manifest."""
        config, *rest = [self.described(self.layer(repository, size=size)) for _ in range(layers + 1)]
        value = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": rest, **more}
        return self.manifest(repository, value, *tags)

    def index(self, repository: str, children: Sequence[str], *tags: str) -> str:
        """Store an index of manifests that are there."""
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [self.described(child) for child in children]}
        return self.manifest(repository, value, *tags)

    def described(self, digest: str) -> dict[str, Any]:
        """The descriptor of a blob that is there."""
        return {"digest": digest, "size": self.path(digest).stat().st_size}

    def tag(self, repository: str, tag: str, digest: str) -> None:
        """Let a tag lead to a manifest, as the registry does: a line in its history, then the tag itself."""
        folder = f"{repository}/_manifests/tags/{tag}"
        self.link(f"{folder}/index", digest)
        self.write(self.repository(folder) / "current/link", digest.encode())

    def link(self, folder: str, digest: str, holds: str = "") -> Path:
        """Write a link file in ``REPOSITORY/...``; it ``holds`` its own digest where nothing else is said."""
        return self.write(self.link_path(folder, digest), (holds or digest).encode())

    def link_path(self, folder: str, digest: str) -> Path:
        """The link file of ``REPOSITORY/...`` for a blob."""
        return self.repository(folder) / digest.replace(":", "/") / "link"

    def upload(self, repository: str, uuid: str, content: bytes) -> Path:
        """Leave a push half done."""
        folder = self.repository(f"{repository}/_uploads/{uuid}")
        self.write(folder / "startedat", b"2026-01-02T03:04:05Z")
        self.write(folder / f"hashstates/sha256/{len(content)}", b"state")
        return self.write(folder / "data", content)

    def path(self, digest: str) -> Path:
        """The file of a blob."""
        algorithm, _, digits = digest.partition(":")
        return self.top / "blobs" / algorithm / digits[:2] / digits / "data"

    def repository(self, name: str) -> Path:
        """A folder below ``repositories``."""
        return self.top / "repositories" / name

    def write(self, path: Path, content: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that is below ``folder``: kind, mode, owner, time of change and content of everything, by its path."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        content: object = ""
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = (
            *(facts.st_mode, facts.st_uid, facts.st_gid, facts.st_size, facts.st_mtime_ns),
            content,
        )
    return found
