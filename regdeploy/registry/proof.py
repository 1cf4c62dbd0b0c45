"""Does a registry hold what it ought to? Asked of its HTTP API, digest by digest, in parallel over kept connections."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from functools import partial
from typing import Protocol

from regdeploy.frozen import frozen
from regdeploy.registry.asking import WORKERS, Asking, Question
from regdeploy.registry.client import RegistryClient
from regdeploy.registry.progress import Progress, never, no_report


class HeldRepository(Protocol):
    """What a repository ought to hold: digests by tag, manifests by digest, digests of blobs.

    A tag without a digest ought to be there, whatever it leads to.
    ``aliases`` says of a blob that has two digests (SHA-512 besides SHA-256) by which of them its size is known.
    """

    @property
    def tags(self) -> Mapping[str, str]: ...  # noqa: D102 - the class says it
    @property
    def manifests(self) -> Mapping[str, object]: ...  # noqa: D102
    @property
    def layers(self) -> Collection[str]: ...  # noqa: D102
    @property
    def aliases(self) -> Mapping[str, str]: ...  # noqa: D102


class Held(Protocol):
    """What a registry ought to hold, such as an Inventory: repositories by name, the size of each blob by digest."""

    @property
    def repositories(self) -> Mapping[str, HeldRepository]: ...  # noqa: D102
    @property
    def blobs(self) -> Mapping[str, int]: ...  # noqa: D102


class Kind(StrEnum):
    """What differs. A tag that leads elsewhere may be a later push; what it led to is asked for as well."""

    REPOSITORY = "repository"
    TAG = "tag"
    MANIFEST = "manifest"
    BLOB = "blob"


@frozen
class Difference:
    """One thing that is not there, or is another: ``str()`` of it is a sentence.

    ``where`` is ``team/app``, ``team/app:v1`` or ``team/app@sha256:…``. ``wanted`` and ``found`` are a digest, or a
    size in bytes; ``found`` is empty where there is nothing, or no answer.
    """

    kind: Kind
    where: str
    words: str
    wanted: str = ""
    found: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.words}"


@frozen
class Proof:
    """What came of it. ``extra`` names repositories and tags that are there besides; ``asked`` counts questions."""

    differences: tuple[Difference, ...]
    extra: tuple[str, ...]
    asked: int
    read_bytes: int


def prove(
    client: Callable[[], RegistryClient],
    expected: Held,
    *,
    full: bool = False,
    report: Callable[[Progress], None] = no_report,
    cancelled: Callable[[], bool] = never,
    workers: int = WORKERS,
) -> tuple[Difference, ...]:
    """The differences of :func:`examine`, which says the rest: empty when everything is there."""
    found = examine(client, expected, full=full, report=report, cancelled=cancelled, workers=workers)
    return found.differences


def examine(
    client: Callable[[], RegistryClient],
    expected: Held,
    *,
    full: bool = False,
    report: Callable[[Progress], None] = no_report,
    cancelled: Callable[[], bool] = never,
    workers: int = WORKERS,
) -> Proof:
    """Ask for every repository, tag, manifest and blob of ``expected``; ``client`` is called once for each worker.

    Manifests are read and hashed. Of blobs the size is compared; with ``full`` each is read and hashed, once, as it
    streams. What could not be had before cannot be lacked: tags without their manifest, links without their blob,
    blobs without a link. Memory grows with the number of differences alone. ``report`` is called in this thread.

    Raises RegdeployError: ``registry.unreachable`` and ``registry.login`` at once, ``host.cancelled`` soon after
    ``cancelled()`` is true. An answer that makes no sense is a difference, not an error.
    """
    total = sum(1 for _ in _questions(expected, full, lambda _: None))
    asking: Asking[Difference | str] = Asking(total, _bytes_to_read(expected) if full else 0)
    questions = _questions(expected, full, asking.passed)
    asking.run(client, questions, report=report, cancelled=cancelled, workers=workers)
    kinds = list(Kind)
    found = [one for one in asking.answers if isinstance(one, Difference)]
    return Proof(
        differences=tuple(sorted(found, key=lambda one: (kinds.index(one.kind), one.where))),
        extra=tuple(sorted(one for one in asking.answers if isinstance(one, str))),
        asked=asking.asked,
        read_bytes=asking.read_bytes,
    )


def _question(
    kind: Kind, where: str, ask: Callable[[RegistryClient], Iterator[Difference | str]]
) -> Question[Difference | str]:
    """Where it is about, and what asks it: ``ask`` gives each difference, and each thing that is there besides."""
    return Question(ask=ask, unclear=lambda error: Difference(kind=kind, where=where, words=error.what))


def _bytes_to_read(expected: Held) -> int:
    sizes = {
        digest: _size(expected, repository, digest)
        for repository in expected.repositories.values()
        for digest in repository.layers
    }
    return sum(size or 0 for size in sizes.values())


def _size(expected: Held, repository: HeldRepository, digest: str) -> int | None:
    return expected.blobs.get(repository.aliases.get(digest, digest))


def _questions(expected: Held, full: bool, passed: Callable[[int], None]) -> Iterator[Question[Difference | str]]:
    repositories = expected.repositories.values()
    if not repositories or any(repository.layers for repository in repositories):  # else a catalog shows nothing
        yield _question(Kind.REPOSITORY, "the catalog", partial(_catalog, expected))
    read: set[str] = set()
    for name, repository in expected.repositories.items():
        yield _question(Kind.REPOSITORY, name, partial(_listed, name, repository))
        named: set[str] = set()
        for tag, digest in repository.tags.items():
            if digest in repository.manifests:
                ask = _pointed_at if digest in named else _tagged
                named.add(digest)
                yield _question(Kind.TAG, f"{name}:{tag}", partial(ask, name, tag, digest))
        for digest in repository.manifests:
            if digest not in named:
                yield _question(Kind.MANIFEST, f"{name}@{digest}", partial(_manifest, name, digest))
        for digest in repository.layers:
            size = _size(expected, repository, digest)
            if size is not None:
                whole = passed if full and digest not in read else None
                read.add(digest)
                ask_blob = partial(_blob, name, digest, size, whole)
                yield _question(Kind.BLOB, f"{name}@{digest}", ask_blob)


def _catalog(expected: Held, client: RegistryClient) -> Iterator[Difference | str]:
    listed = set(client.repositories())
    for name, repository in expected.repositories.items():
        # 2.x lists what has layers, 3.x what has manifests.
        if name not in listed and repository.manifests and repository.layers:
            yield Difference(kind=Kind.REPOSITORY, where=name, words="is not in the catalog", wanted=name)
    yield from listed - expected.repositories.keys()


def _listed(name: str, repository: HeldRepository, client: RegistryClient) -> Iterator[Difference | str]:
    """For what is there besides, and for tags whose digest nobody knows: the others are asked for by their names."""
    listed = set(client.tags(name))
    lacking = [tag for tag, digest in repository.tags.items() if not digest and tag not in listed]
    if lacking and not listed:
        yield Difference(kind=Kind.REPOSITORY, where=name, words=f"has no tag, and had {len(repository.tags)}")
    else:
        yield from (Difference(kind=Kind.TAG, where=f"{name}:{tag}", words="is not there") for tag in lacking)
    yield from (f"{name}:{tag}" for tag in listed - repository.tags.keys())


def _tagged(name: str, tag: str, digest: str, client: RegistryClient) -> Iterator[Difference | str]:
    """Tag and manifest in one: the registry finds the second by the digest that it has for the first."""
    stored = client.read_manifest(name, tag, _algorithm(digest))
    found = stored.digest if stored else ""
    if found != digest:
        yield _tag_difference(name, tag, digest, found)
        yield from _manifest(name, digest, client)


def _pointed_at(name: str, tag: str, digest: str, client: RegistryClient) -> Iterator[Difference | str]:
    stored = client.manifest(name, tag)
    found = stored.digest if stored else ""
    if found != digest:
        yield _tag_difference(name, tag, digest, found)


def _tag_difference(name: str, tag: str, digest: str, found: str) -> Difference:
    words = f"is {found}, and was {digest}" if found else f"is not there, and was {digest}"
    return Difference(kind=Kind.TAG, where=f"{name}:{tag}", words=words, wanted=digest, found=found)


def _manifest(name: str, digest: str, client: RegistryClient) -> Iterator[Difference | str]:
    stored = client.read_manifest(name, digest, _algorithm(digest))
    found = stored.digest if stored else ""
    if found != digest:
        words = f"is another manifest: {found}" if found else "the manifest is not there"
        yield Difference(kind=Kind.MANIFEST, where=f"{name}@{digest}", words=words, wanted=digest, found=found)


def _blob(
    name: str, digest: str, size: int, passed: Callable[[int], None] | None, client: RegistryClient
) -> Iterator[Difference | str]:
    stored = client.read_blob(name, digest, passed) if passed else client.blob(name, digest)
    differ = partial(Difference, kind=Kind.BLOB, where=f"{name}@{digest}")
    if stored is None:
        yield differ(words="the blob is not there", wanted=digest)
    elif stored.size not in (size, None):
        yield differ(words=f"has {stored.size} bytes instead of {size}", wanted=str(size), found=str(stored.size))
    elif passed and stored.digest != digest:
        yield differ(words=f"is another blob: {stored.digest}", wanted=digest, found=stored.digest)


def _algorithm(digest: str) -> str:
    return digest.partition(":")[0]
