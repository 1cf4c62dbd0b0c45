"""Image archives: what they are called, and the one image in them as a stream that any engine can load.

Nothing is unpacked here, and the engine is sent no file but those that the image is made of: it is given Docker's own
form, freshly written, whatever the archive's was. Docker Engine before 25 loads no other.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from regdeploy.engine.archive_files import Files, open_files, unfit
from regdeploy.engine.archive_forms import ArchivedImage, familiar, images_in
from regdeploy.engine.facts import archived_facts
from regdeploy.engine.model import ImageFacts

_BLOCK = 512
_WHICH = "say which with --image"
#: Of several variants of one architecture: the plainest amd64 and the newest arm run everywhere that matters.
_PLAINEST_FIRST = ("amd64",)


def archive_names(path: Path) -> tuple[str, ...]:
    """The image references that an archive names, as people write them (``registry:3``); none where it names none.

    Raises ImageError ``image.archive`` where it is no image archive.
    """
    with open_files(path) as files:
        return tuple(dict.fromkeys(name for image in images_in(files) for name in image.names))


def archived_image(path: Path, architecture: str, tag_as: str = "") -> ImageFacts:
    """What the engine would have once it has loaded the archive; ``id`` is the digest of the image's configuration.

    The image is chosen as by :func:`open_archive`, and no layer is read. Raises ImageError ``image.archive``.
    """
    with open_archive(path, architecture, tag_as) as archive:
        return archived_facts(json.loads(archive.image.config), identity=archive.image.id)


@dataclass(frozen=True)
class Archive:
    """The chosen image of an open archive."""

    image: ArchivedImage
    tags: tuple[str, ...]
    """What the engine will call it."""
    size: int
    """Bytes that ``chunks`` yields, the headers aside."""
    _files: Files

    def chunks(self) -> Iterator[bytes]:
        """Yield what ``docker load`` takes. Raises ImageError where a file turns out to be damaged."""
        layers = {name: f"{number:03}.tar" for number, name in enumerate(dict.fromkeys(self.image.layers))}
        for name in sorted(layers, key=self._files.position):
            size = self._files.size(name) or 0
            yield _header(layers[name], size)
            yield from self._checked(name)
            yield bytes(-size % _BLOCK)
        config = f"{self.image.id.removeprefix('sha256:')}.json"
        ordered = [layers[name] for name in self.image.layers]
        described = {"Config": config, "RepoTags": list(self.tags) or None, "Layers": ordered}
        yield from _small_file(config, self.image.config)
        yield from _small_file("manifest.json", json.dumps([described]).encode())
        yield bytes(2 * _BLOCK)

    def _checked(self, name: str) -> Iterator[bytes]:
        wanted, seen = self.image.digests.get(name), hashlib.sha256()
        for chunk in self._files.chunks(name):
            seen.update(chunk)
            yield chunk
        if wanted is not None and seen.hexdigest() != wanted:
            raise unfit(self._files.path, f"is damaged: {name} does not have the content that its name promises")


@contextmanager
def open_archive(path: Path, architecture: str, tag_as: str = "") -> Iterator[Archive]:
    """Open the archive and choose its image for ``architecture`` (``amd64``); of several, the one named ``tag_as``.

    ``tag_as``, where it is no digest, is then the only name that the engine gives it: the archive's own names are
    left to the images that have them there. Raises ImageError ``image.archive``.
    """
    with open_files(path) as files:
        image = _choose(path, images_in(files), architecture, tag_as)
        tags = (familiar(tag_as),) if tag_as and "@" not in tag_as else image.names
        size = sum(files.size(name) or 0 for name in dict.fromkeys(image.layers)) + len(image.config)
        yield Archive(image, tags, size, files)


def _choose(path: Path, images: tuple[ArchivedImage, ...], architecture: str, tag_as: str) -> ArchivedImage:
    named = [image for image in images if tag_as and familiar(tag_as) in image.names]
    pool = {image.id: image for image in named or images}
    fitting = [
        image
        for image in pool.values()
        if image.platform[0] in ("", "linux") and image.platform[1] in ("", architecture)
    ]
    if not fitting:
        there = ", ".join(sorted({"/".join(filter(None, image.platform)) for image in pool.values()}))
        raise unfit(path, f"holds no image for linux/{architecture}, but for {there}", "save it for that platform")
    if len({image.names for image in fitting}) > 1 or len({image.platform for image in fitting}) < len(fitting):
        names = ", ".join(dict.fromkeys(name for image in fitting for name in image.names)) or f"{len(fitting)} images"
        raise unfit(path, f"holds {names}", _WHICH)
    fitting.sort(key=lambda image: image.platform[2], reverse=architecture not in _PLAINEST_FIRST)
    return fitting[0]


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)


def _small_file(name: str, content: bytes) -> Iterator[bytes]:
    yield _header(name, len(content))
    yield content
    yield bytes(-len(content) % _BLOCK)
