"""Reads what a registry holds from its folder, whether it runs or not. Nothing is written there, no link is followed.

Each manifest is read once, however many repositories have it; of other blobs only the size is looked at.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from regdeploy.errors import HostError
from regdeploy.registry.contents import (
    Inventory,
    Kind,
    Problem,
    Repository,
    Upload,
    differences,
    missing,
)
from regdeploy.registry.layout import (
    REPOSITORIES,
    blob_folders,
    blob_path,
    check_way,
    digest_folders,
    folders,
    has_holes,
    read_link,
    read_small,
    repository_folders,
)
from regdeploy.registry.manifests import LIMIT, ManifestFacts, read_manifest
from regdeploy.registry.progress import Progress, cancelled_error, never, no_report

__all__ = [
    "Inventory",
    "Kind",
    "ManifestFacts",
    "Problem",
    "Progress",
    "Repository",
    "Upload",
    "differences",
    "missing",
    "read_inventory",
]

_EVERY = 512  # files between two looks at who waits


def read_inventory(
    data: Path, *, report: Callable[[Progress], None] = no_report, cancelled: Callable[[], bool] = never
) -> Inventory:
    """Read all repositories, tags, manifests and blobs below ``data``; what is broken is in ``problems``.

    A folder that is not there, or holds no registry, gives an empty inventory. Of a registry that runs meanwhile it
    is what was there at some moment of the reading. Not in it: which digests a tag had before, and links of blobs that
    were deleted. Raises HostError with code ``host.cancelled``, and where ``data`` itself cannot be read.
    """
    reader = _Reader(data, report, cancelled)
    try:
        check_way(data)
        with os.scandir(data):
            pass
    except FileNotFoundError:
        return Inventory(repositories={}, blobs={})
    except OSError as error:
        where = str(error.filename or data)
        raise HostError(where, error.strerror or str(error), "name the folder itself", code="host.files") from error
    reader.read_blobs()
    repositories = dict(sorted(reader.read_repositories(), key=lambda one: one[0]))
    uploads = sorted(reader.uploads, key=lambda one: (one.repository, one.uuid))
    return Inventory(
        repositories=repositories, blobs=reader.blobs, problems=tuple(reader.problems), uploads=tuple(uploads)
    )


class _Reader:
    """One reading. Digests are the same object wherever they are named, so that each is held once."""

    def __init__(self, data: Path, report: Callable[[Progress], None], cancelled: Callable[[], bool]) -> None:
        self.blobs: dict[str, int] = {}
        self.problems: list[Problem] = []
        self.uploads: list[Upload] = []
        self._data = data
        self._report = report
        self._cancelled = cancelled
        self._digests: dict[str, str] = {}
        self._manifests: dict[str, ManifestFacts | None] = {}
        self._odd_sizes: set[str] = set()
        self._count = 0
        self._repository = ""

    def read_blobs(self) -> None:
        for digest, folder in blob_folders(self._data, self._unreadable):
            self._breathe("reading blobs")
            path = f"{folder}/data"
            try:
                found = _readable(path)
                if found.st_blocks * 512 < found.st_size and has_holes(path, found.st_size):
                    self._problem(Kind.SPARSE, path, f"blob {digest} has holes in its file", digest)
            except FileNotFoundError:
                continue  # deleted, or its push is just about to name it
            except OSError as error:
                self._problem(Kind.UNREADABLE, path, f"blob {digest} cannot be read: {_said(error)}", digest)
                continue
            self.blobs[self._same(digest)] = found.st_size

    def read_repositories(self) -> Iterator[tuple[str, Repository]]:
        top = f"{self._data}/{REPOSITORIES}"
        for folder, own in repository_folders(top, self._unreadable):
            self._repository = name = os.path.relpath(folder, top)
            if "_uploads" in own:
                self._read_uploads(name, folder)
            if "_manifests" in own or "_layers" in own:
                yield name, self._read_repository(name, folder)

    def _read_repository(self, name: str, folder: str) -> Repository:
        links = dict(self._links(f"{folder}/_layers", "blob"))
        layers = {digest: stored for digest, stored in links.items() if stored in self.blobs}
        manifests: dict[str, ManifestFacts] = {}
        for digest, stored in self._links(f"{folder}/_manifests/revisions", "manifest"):
            facts = self._manifest(digest, stored, folder, layers)
            if facts is not None:
                manifests[digest] = facts
        needed = self._check_needs(folder, manifests, layers)
        for digest in links.keys() - layers.keys() - needed:
            path = _link_of(f"{folder}/_layers", digest)
            self._problem(Kind.STALE, path, f"the link of blob {digest} is left over, the blob is gone", digest)
        return Repository(
            name=name,
            tags=dict(self._tags(f"{folder}/_manifests/tags", manifests)),
            manifests=manifests,
            layers=frozenset(layers),
            aliases={digest: stored for digest, stored in layers.items() if digest != stored},
        )

    def _links(self, folder: str, what: str) -> Iterator[tuple[str, str]]:
        """Yield digest and the digest that its link file holds; where there is no file it was deleted."""
        for digest, path in digest_folders(folder, self._unreadable):
            self._breathe(f"reading {self._repository}")
            link = f"{path}/link"
            try:
                stored = read_link(link)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                self._problem(Kind.LINK, link, f"the link of {what} {digest} cannot be read: {_said(error)}", digest)
                continue
            if not stored:
                self._problem(Kind.LINK, link, f"the link of {what} {digest} holds no digest", digest)
            elif stored != digest and stored.partition(":")[0] == digest.partition(":")[0]:
                self._problem(Kind.LINK, link, f"the link of {what} {digest} leads to {stored}", digest)
            else:
                yield self._same(digest), self._same(stored)

    def _manifest(self, digest: str, stored: str, folder: str, layers: dict[str, str]) -> ManifestFacts | None:
        if stored not in self._manifests:
            self._manifests[stored] = facts = self._read_manifest(stored)
            if facts is not None:
                self._check_sizes(facts, layers)
        facts = self._manifests[stored]
        if facts is None and stored not in self.blobs:
            link = _link_of(f"{folder}/_manifests/revisions", digest)
            self._problem(Kind.MISSING, link, f"manifest {digest} is not there any more", digest)
        return facts

    def _read_manifest(self, digest: str) -> ManifestFacts | None:
        if digest not in self.blobs:
            return None
        path = blob_path(self._data, digest)
        try:
            content = read_small(path, LIMIT)
        except OSError as error:
            kind = Kind.MANIFEST if error.errno == errno.EFBIG else Kind.UNREADABLE
            self._problem(kind, path, f"manifest {digest} cannot be read: {_said(error)}", digest)
            return None
        algorithm, _, digits = digest.partition(":")
        if hashlib.new(algorithm, content).hexdigest() != digits:
            self._problem(Kind.DIGEST, path, f"manifest {digest} is damaged: its content has another digest", digest)
            return None
        try:
            facts = read_manifest(digest, content)
        except ValueError as error:
            self._problem(Kind.MANIFEST, path, f"manifest {digest} {error}", digest)
            return None
        return ManifestFacts(
            digest=digest,
            media_type=self._same(facts.media_type),
            size=facts.size,
            children=tuple(map(self._same, facts.children)),
            blobs=tuple(map(self._same, facts.blobs)),
            subject=self._same(facts.subject),
            sizes=facts.sizes,
        )

    def _check_sizes(self, facts: ManifestFacts, layers: dict[str, str]) -> None:
        for named, said in zip((*facts.children, *facts.blobs), facts.sizes, strict=True):
            stored = layers.get(named, named)
            size = self.blobs.get(stored)
            if size is not None and said is not None and size != said and stored not in self._odd_sizes:
                self._odd_sizes.add(stored)
                what = f"blob {stored} has {size} bytes, and manifest {facts.digest} says {said}"
                self._problem(Kind.SIZE, blob_path(self._data, stored), what, stored)

    def _check_needs(self, folder: str, manifests: dict[str, ManifestFacts], layers: dict[str, str]) -> set[str]:
        """Name what manifests need and the repository has not, each once; returns all that they need."""
        needed: dict[str, str] = {}
        for digest, facts in manifests.items():
            for child in facts.children:
                if child not in manifests and child not in layers:  # a build cache is an index of layers
                    needed.setdefault(child, f"manifest {child}, which the index {digest} names,")
            for blob in facts.blobs:
                if blob not in layers:
                    needed.setdefault(blob, f"blob {blob}, which manifest {digest} needs,")
        for digest, what in needed.items():
            there = digest in self.blobs
            words = "is stored, and the repository has no link to it" if there else "is not there"
            path = blob_path(self._data, digest) if there else folder
            self._problem(Kind.MISSING, path, f"{what} {words}", digest)
        return needed.keys() | {blob for facts in manifests.values() for blob in facts.blobs}

    def _tags(self, folder: str, manifests: dict[str, ManifestFacts]) -> Iterator[tuple[str, str]]:
        for tag, path in folders(folder, self._unreadable):
            self._breathe(f"reading {self._repository}")
            link = f"{path}/current/link"
            try:
                digest = read_link(link)
            except (FileNotFoundError, NotADirectoryError):
                if os.path.isdir(path):  # noqa: PTH112 - as everywhere here
                    self._problem(Kind.LINK, path, f"tag {tag} names nothing: its push or its deletion was cut short")
                continue
            except OSError as error:
                self._problem(Kind.LINK, link, f"tag {tag} cannot be read: {_said(error)}")
                continue
            if not digest:
                self._problem(Kind.LINK, link, f"tag {tag} holds no digest")
            elif digest not in manifests:
                self._problem(Kind.MISSING, link, f"tag {tag} names manifest {digest}, which cannot be had", digest)
            else:
                yield tag, self._same(digest)

    def _read_uploads(self, name: str, folder: str) -> None:
        for uuid, path in folders(f"{folder}/_uploads", self._unreadable):
            try:
                size = os.lstat(f"{path}/data").st_size
            except OSError:
                size = 0  # nothing has come yet, or it is over
            self.uploads.append(Upload(repository=name, uuid=uuid, size=size))

    def _same(self, text: str) -> str:
        return self._digests.setdefault(text, text)

    def _breathe(self, words: str) -> None:
        self._count += 1
        if self._count % _EVERY == 0:
            if self._cancelled():
                raise cancelled_error(self._data)
            self._report(Progress(words=words))

    def _problem(self, kind: Kind, path: str, what: str, digest: str = "") -> None:
        self.problems.append(
            Problem(kind=kind, path=Path(path), what=what, repository=self._repository, digest=self._same(digest))
        )

    def _unreadable(self, path: str, error: OSError) -> None:
        said = _said(error)
        self._problem(Kind.FOREIGN, path, said if error.errno == errno.ELOOP else f"cannot be read: {said}")


def _link_of(folder: str, digest: str) -> str:
    return f"{folder}/{digest.replace(':', '/')}/link"


def _said(error: OSError) -> str:
    return error.strerror or str(error)


def _readable(path: str) -> os.stat_result:
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "is no regular file", path)
    if not os.access(path, os.R_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)
    return found
