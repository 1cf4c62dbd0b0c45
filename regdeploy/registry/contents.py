"""What a registry holds, as values: repositories, tags, manifests, blobs, and what is wrong with them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from regdeploy.frozen import frozen
from regdeploy.registry.manifests import SCHEMA1, ManifestFacts


class Kind(StrEnum):
    """What is wrong with something that a registry stores."""

    LINK = "link"
    """A link file holds no digest, or cannot be read; a tag has none."""
    MISSING = "missing"
    """What a tag, a revision or a manifest names is not there."""
    STALE = "stale"
    """A blob's link is left over from a garbage collection: nothing needs it."""
    UNREADABLE = "unreadable"
    SPARSE = "sparse"
    """A blob's file has holes: a copy that was cut short has, and so has one that saved space. Its digest tells."""
    SIZE = "size"
    """A blob is not as large as a manifest says. Its digest tells which of the two is wrong."""
    DIGEST = "digest"
    """A manifest is not what its name says."""
    MANIFEST = "manifest"
    """A manifest is no JSON, or no manifest, or larger than any registry takes."""
    FOREIGN = "foreign"
    """A symbolic link, or a folder that cannot be read: what is behind it is not known."""


@frozen
class Problem:
    """Something wrong at ``path``. ``repository`` and ``digest`` are "" where it is not about one.

    ``what`` begins with what it is about and can follow a colon.
    """

    kind: Kind
    path: Path
    what: str
    repository: str = ""
    digest: str = ""

    @property
    def harmless(self) -> bool:
        """Whether no image lacks anything for it."""
        return self.kind is Kind.STALE

    @property
    def words(self) -> str:
        """One sentence for the user, with the place."""
        return f"{self.repository}: {self.what} ({self.path})" if self.repository else f"{self.what} ({self.path})"


@frozen
class Repository:
    """``tags`` are those that lead to one of ``manifests``; ``layers`` are the blobs to be had under this name.

    ``aliases`` are those of ``layers`` whose content is stored under another digest, the value (SHA-512 as SHA-256).
    """

    name: str
    tags: Mapping[str, str]
    manifests: Mapping[str, ManifestFacts]
    layers: frozenset[str]
    aliases: Mapping[str, str]


@frozen
class Upload:
    """A push under way, or given up, of which ``size`` bytes have come."""

    repository: str
    uuid: str
    size: int


@frozen
class Inventory:
    """All that a registry's folder holds. ``blobs`` are sizes in bytes by digest, those that nothing names as well."""

    repositories: Mapping[str, Repository]
    blobs: Mapping[str, int]
    problems: tuple[Problem, ...] = ()
    uploads: tuple[Upload, ...] = ()

    @property
    def schema1(self) -> tuple[tuple[str, str], ...]:
        """Repository and digest of each image of Docker before 1.10, which registries from 3.0 on serve no more."""
        return tuple(
            (name, digest)
            for name, repository in self.repositories.items()
            for digest, facts in repository.manifests.items()
            if facts.media_type.lower() in SCHEMA1
        )

    def names(self, digest: str) -> tuple[str, ...]:
        """What cannot be pulled without this blob: ``NAME:TAG``, or ``NAME@DIGEST`` where no tag leads to it."""
        return tuple(name for repository in self.repositories.values() for name in _names(repository, digest))


def _names(repository: Repository, digest: str) -> Iterator[str]:
    wanted = {digest} | {alias for alias, stored in repository.aliases.items() if stored == digest}
    tagged = set(repository.tags.values())
    found = {name for name in repository.manifests if name in wanted}
    found |= {name for name, facts in repository.manifests.items() if not wanted.isdisjoint(facts.blobs)}
    newest = found
    while newest:  # the indexes above, which may have indexes above them
        newest = {name for name, facts in repository.manifests.items() if not newest.isdisjoint(facts.children)} - found
        found |= newest
    yield from (f"{repository.name}:{tag}" for tag, name in sorted(repository.tags.items()) if name in found)
    above = {child for name in found & tagged for child in _below(repository, name)}
    yield from (f"{repository.name}@{name}" for name in sorted(found - tagged - above))
    if not found and not wanted.isdisjoint(repository.layers):
        yield f"{repository.name}@{digest}"


def _below(repository: Repository, digest: str) -> set[str]:
    """The manifests that an index reaches, itself included."""
    reached: set[str] = set()
    waiting = [digest]
    while waiting:
        name = waiting.pop()
        if name not in reached and name in repository.manifests:
            reached.add(name)
            waiting.extend(repository.manifests[name].children)
    return reached


def differences(old: Inventory, new: Inventory) -> tuple[str, ...]:
    """What ``new`` lacks of ``old``, has besides, or has otherwise, each in words; () where both hold the same.

    Uploads under way, leftovers and what is wrong in either do not count.
    """
    return tuple(_differences(old, new))


def missing(old: Inventory, new: Inventory) -> tuple[str, ...]:
    """What ``new`` lacks of ``old``, or has otherwise: :func:`differences` without what it has besides."""
    return tuple(words for words in _differences(old, new) if not words.endswith(_BESIDES))


_MISSING, _BESIDES = " is missing", " was not there before"


def _differences(old: Inventory, new: Inventory) -> Iterator[str]:
    for name in sorted(old.repositories.keys() | new.repositories.keys()):
        if name not in new.repositories:
            yield f"repository {name}{_MISSING}"
        elif name not in old.repositories:
            yield f"repository {name}{_BESIDES}"
        else:
            yield from _in_repository(old.repositories[name], new.repositories[name])
    for digest in sorted(old.blobs.keys() | new.blobs.keys()):
        before, after = old.blobs.get(digest), new.blobs.get(digest)
        if before is not None and after is not None and before != after:
            yield f"blob {digest} has {after} bytes, not {before}"
        else:
            yield from _one(f"blob {digest}", before, after)


def _in_repository(old: Repository, new: Repository) -> Iterator[str]:
    for tag in sorted(old.tags.keys() | new.tags.keys()):
        before, after = old.tags.get(tag), new.tags.get(tag)
        if before and after and before != after:
            yield f"tag {old.name}:{tag} is {after}, not {before}"
        else:
            yield from _one(f"tag {old.name}:{tag}", before, after)
    for digest in sorted(old.manifests.keys() | new.manifests.keys()):
        yield from _one(f"manifest {old.name}@{digest}", old.manifests.get(digest), new.manifests.get(digest))
    for digest in sorted(old.layers ^ new.layers):
        yield f"blob {digest} of {old.name}{_MISSING if digest in old.layers else _BESIDES}"


def _one(what: str, before: object, after: object) -> Iterator[str]:
    if before is None or after is None:
        yield f"{what}{_MISSING if after is None else _BESIDES}"
