"""The files inside an image archive, be it a tar, a compressed tar or a folder; whoever made it is not trusted."""

from __future__ import annotations

import json
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from regdeploy.errors import ImageError

CHUNK = 1 << 20
#: More than any real archive has; a made-up one must not keep us busy for hours.
_MOST_FILES = 100_000
_MOST_BYTES = 64 << 30
_MOST_JSON = 16 << 20
_ZSTD = b"\x28\xb5\x2f\xfd"
_HINT = "make it with `docker save -o FILE IMAGE`, or `skopeo copy docker://IMAGE oci-archive:FILE:IMAGE`"


def unfit(path: Path, what: str, hint: str = _HINT) -> ImageError:
    """The ImageError for an archive that cannot be used."""
    return ImageError(str(path), what, hint, code="image.archive")


class Files(Protocol):
    """The regular files of an archive by their path in it."""

    path: Path

    def size(self, name: str) -> int | None:
        """Bytes in the file, or None where there is no such file."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the file's bytes. Raises what :func:`open_files` turns into ImageError."""
        ...

    def position(self, name: str) -> int:
        """Where it lies: to read a compressed archive only once, read in this order."""
        ...


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """Open the archive at ``path``. Raises ImageError ``image.archive``, also for what reading it brings to light."""
    try:
        if path.is_dir():
            yield _Folder(path)
            return
        with path.open("rb") as file:
            if file.read(4) == _ZSTD:
                raise unfit(path, "is compressed with zstd", f"unpack it first: `zstd -d {path}`")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:*") as tar:
                yield _Tar(path, tar)
    except (tarfile.TarError, EOFError, zlib.error, LZMAError) as error:
        raise unfit(path, f"is not a whole tar: {error}") from error
    except OSError as error:
        hint = "give the path of an image archive" if isinstance(error, FileNotFoundError) else ""
        raise unfit(path, f"cannot be read: {error.strerror or error}", hint) from error


def read_json(files: Files, name: str) -> Any:  # noqa: ANN401 - it is checked where it is used
    """The content of a JSON file in the archive. Raises ImageError where it is missing, too large or no JSON."""
    try:
        return json.loads(read_bytes(files, name))
    except (ValueError, RecursionError) as error:
        raise unfit(files.path, f"its {name} is not JSON: {error}") from error


def read_bytes(files: Files, name: str) -> bytes:
    """The content of a small file in the archive. Raises ImageError where it is missing or not small."""
    size = files.size(name)
    if size is None:
        raise unfit(files.path, f"has no {name}")
    if size > _MOST_JSON:
        raise unfit(files.path, f"its {name} is {size} bytes long, which no description of an image is")
    return b"".join(files.chunks(name))


class _Tar:
    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self.path = path
        self._tar = tar
        self._members: dict[str, tarfile.TarInfo] = {}
        total = 0
        for count, member in enumerate(tar):
            name = PurePosixPath(member.name)
            total += member.size
            if name.is_absolute() or ".." in name.parts:
                raise unfit(path, f"holds a file that would land outside: {member.name}")
            if count > _MOST_FILES or total > _MOST_BYTES:
                raise unfit(path, "holds more than any image archive does")
            if member.isreg() or member.islnk() or member.issym():
                self._members[str(name)] = member

    def size(self, name: str) -> int | None:
        member = self._target(name)
        return None if member is None else member.size

    def _target(self, name: str) -> tarfile.TarInfo | None:
        """The file itself: `docker save` before 25 wrote a layer that it had already as a link to the first one."""
        member = self._members.get(name)
        if member is None or member.isreg():
            return member
        place = PurePosixPath(name).parent if member.issym() else PurePosixPath()
        parts: list[str] = []
        for part in (*place.parts, *PurePosixPath(member.linkname).parts):
            parts = parts[:-1] if part == ".." else [*parts, part]
        target = self._members.get("/".join(parts))
        return target if target is not None and target.isreg() else None

    def chunks(self, name: str) -> Iterator[bytes]:
        member = self._target(name)
        content = None if member is None else self._tar.extractfile(member)
        if member is None or content is None:
            raise unfit(self.path, f"has no {name}")
        left = member.size
        while left and (chunk := content.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
        if left:
            raise unfit(self.path, f"ends in the middle of {name}")

    def position(self, name: str) -> int:
        member = self._target(name)
        return 0 if member is None else member.offset


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self, name: str) -> int | None:
        try:
            found = self._place(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def _place(self, name: str) -> Path:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise unfit(self.path, f"names a file outside: {name}")
        return self.path / name

    def chunks(self, name: str) -> Iterator[bytes]:
        with self._place(name).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def position(self, name: str) -> int:  # noqa: ARG002 - any order is as good
        return 0
