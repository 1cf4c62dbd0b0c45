"""A registry whose images lie in a bucket, in memory, as a client meets it."""

from __future__ import annotations

from collections.abc import Mapping

from regdeploy.registry.client import RegistryClient, Stored

#: The variable that names a container's bucket.
BUCKET = "REGISTRY_STORAGE_S3_BUCKET"


class BucketClient(RegistryClient):
    """Answers from ``holds``: digest by tag by repository. An emptied repository stays in the catalog."""

    def __init__(self, holds: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__("http://127.0.0.1")
        self._holds = holds

    def repositories(self) -> tuple[str, ...]:
        return tuple(self._holds)

    def tags(self, repository: str) -> tuple[str, ...]:
        return tuple(self._holds.get(repository, {}))

    def manifest(self, repository: str, reference: str) -> Stored | None:
        there = self._holds.get(repository, {})
        digest = there.get(reference, reference if reference in there.values() else "")
        return Stored(digest=digest) if digest else None

    def read_manifest(self, repository: str, reference: str, algorithm: str = "sha256") -> Stored | None:
        return self.manifest(repository, reference)
