"""What a registry says that it holds, asked of its HTTP API: for one whose folder nobody here can read.

A :class:`Listing` is what :func:`regdeploy.registry.proof.prove` asks another registry for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from regdeploy.errors import HostError, RegdeployError
from regdeploy.frozen import frozen
from regdeploy.registry.asking import WORKERS, Asking, Question
from regdeploy.registry.client import RegistryClient
from regdeploy.registry.progress import Progress, never, no_report

T = TypeVar("T")

_DIGEST = re.compile(r"sha(256|384|512):[0-9a-f]+")
#: A repository, and the digest by tag; empty where that was not asked for, or the answer made no sense.
_Found = tuple[str, Mapping[str, str]]


@frozen
class ListedRepository:
    """``tags`` have the digest of their manifest, or nothing where that is not known; of blobs nothing is known."""

    tags: Mapping[str, str]
    layers: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def manifests(self) -> Mapping[str, object]:
        """The digests that are known."""
        return {digest: None for digest in self.tags.values() if digest}


@frozen
class Listing:
    """The repositories that have tags, by name. Others are in the catalog of one version and not of the next."""

    repositories: Mapping[str, ListedRepository]
    blobs: Mapping[str, int] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """How much that is."""
        tags = sum(len(repository.tags) for repository in self.repositories.values())
        return f"{len(self.repositories)} repositories, {tags} tags"


def ask_listing(
    client: Callable[[], RegistryClient],
    *,
    full: bool = False,
    report: Callable[[Progress], None] = no_report,
    cancelled: Callable[[], bool] = never,
    workers: int = WORKERS,
) -> Listing:
    """Ask for every repository and tag, and for the digest of each repository's last tag; with ``full`` of every tag.

    A tag that leads nowhere stays without a digest. Raises as :meth:`regdeploy.registry.asking.Asking.run` does, and
    for any other answer without sense (``registry.answer``): a listing is whole, or there is none.
    """

    def ask(questions: list[Question[T]]) -> list[T]:
        asking: Asking[T] = Asking(len(questions))
        asking.run(client, questions, report=report, cancelled=cancelled, workers=workers)
        return asking.answers

    names = ask([Question[str](ask=lambda asked: asked.repositories())])
    found = ask([Question[_Found](ask=partial(_tags, name)) for name in dict.fromkeys(names)])
    tags = {name: dict(known) for name, known in sorted(found)}
    if full:
        left = [(name, tag) for name, known in tags.items() for tag, digest in known.items() if not digest]
        for name, known in ask([_digest_question(name, tag) for name, tag in left]):
            tags[name].update(known)
    return _listing(tags)


def write_listing(listing: Listing, container: str) -> bytes:
    """The text of a file; ``container`` is the id of the one that was asked."""
    repositories = {name: repository.tags for name, repository in listing.repositories.items()}
    return (json.dumps({"container": container, "repositories": repositories}, indent=1) + "\n").encode()


def read_listing(text: str, where: Path, container: str) -> Listing | None:
    """What that file says of that container; None where it is about another one. Raises HostError for another text."""
    try:
        values = json.loads(text)
        tags = {str(name): {str(tag): str(one) for tag, one in known.items()} for name, known in _items(values)}
        return _listing(tags) if values["container"] == container else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what, hint = "does not say what the old registry holds", "move that file away: then it is not compared"
        raise HostError(str(where), what, hint) from error


def _items(values: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Iterable[tuple[str, Mapping[str, str]]]:
    return values["repositories"].items()


def _listing(tags: Mapping[str, Mapping[str, str]]) -> Listing:
    return Listing(repositories={name: ListedRepository(tags=known) for name, known in tags.items()})


def _tags(name: str, client: RegistryClient) -> Iterator[_Found]:
    found = dict.fromkeys(sorted(client.tags(name)), "")
    if found:
        last = next(reversed(found))
        found[last] = _digest(client, name, last)
        yield name, found


def _digest_question(name: str, tag: str) -> Question[_Found]:
    return Question(ask=lambda client: ((name, {tag: _digest(client, name, tag)}),))


def _digest(client: RegistryClient, name: str, tag: str) -> str:
    """Empty for a tag that leads nowhere: what could not be had before cannot be lacked."""
    try:
        stored = client.manifest(name, tag)
    except RegdeployError as error:
        if error.code != "registry.answer":
            raise
        return ""
    return stored.digest if stored is not None and _DIGEST.fullmatch(stored.digest) else ""
