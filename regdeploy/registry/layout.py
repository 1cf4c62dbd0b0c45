"""Where Distribution's filesystem driver keeps what, and how that is read without writing and without following links.

Source: distribution ``registry/storage/paths.go``. Below a data folder::

    docker/registry/v2/blobs/sha256/XX/HEX/data
    docker/registry/v2/repositories/NAME/_layers/sha256/HEX/link
    docker/registry/v2/repositories/NAME/_manifests/revisions/sha256/HEX/link
    docker/registry/v2/repositories/NAME/_manifests/tags/TAG/current/link
    docker/registry/v2/repositories/NAME/_manifests/tags/TAG/index/sha256/HEX/link
    docker/registry/v2/repositories/NAME/_uploads/UUID/{data,startedat,hashstates/...}

A link file holds a digest. What was deleted leaves its folder behind, without the file in it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

TOP = "docker/registry/v2"
BLOBS = f"{TOP}/blobs"
REPOSITORIES = f"{TOP}/repositories"

#: Lengths of the algorithms' hexadecimal text (OCI image specification, "Registered algorithms" and SHA-384).
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_DIGEST = re.compile(r"(sha256|sha384|sha512):([0-9a-f]+)")
_LINK_BYTES = 1024

#: Told of what could not be read: the path and the system's words.
Unreadable = Callable[[str, OSError], None]


def is_digest(text: str) -> bool:
    """Whether that is a digest of an algorithm that registries know, in the only spelling that it has."""
    found = _DIGEST.fullmatch(text)
    return found is not None and len(found[2]) == _LENGTHS[found[1]]


def blob_path(data: str | Path, digest: str) -> str:
    """The file of a blob below the data folder."""
    algorithm, _, digits = digest.partition(":")
    return f"{data}/{BLOBS}/{algorithm}/{digits[:2]}/{digits}/data"


def entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing where it is gone, or was never there. Raises OSError for any other reason."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except FileNotFoundError:
        return []


def folders(folder: str, unreadable: Unreadable) -> Iterator[tuple[str, str]]:
    """Yield name and path of each folder in ``folder``; symbolic links are none, files are passed over."""
    try:
        for entry in entries(folder):
            if entry.is_dir(follow_symlinks=False):
                yield entry.name, entry.path
            elif entry.is_symlink():
                unreadable(entry.path, OSError(errno.ELOOP, "is a symbolic link, and is not followed"))
    except OSError as error:
        unreadable(folder, error)


def digest_folders(folder: str, unreadable: Unreadable) -> Iterator[tuple[str, str]]:
    """Yield digest and path of each ``ALGORITHM/HEX`` below ``folder``; what has another form is passed over."""
    for algorithm, below in folders(folder, unreadable):
        if algorithm in _LENGTHS:
            for digits, path in folders(below, unreadable):
                digest = f"{algorithm}:{digits}"
                if is_digest(digest):
                    yield digest, path


def blob_folders(data: str | Path, unreadable: Unreadable) -> Iterator[tuple[str, str]]:
    """Yield digest and path of each blob's folder; what lies in a wrong place is passed over, as the registry does."""
    for algorithm, below in folders(f"{data}/{BLOBS}", unreadable):
        if algorithm in _LENGTHS:
            for two, group in folders(below, unreadable):
                for digits, path in folders(group, unreadable):
                    digest = f"{algorithm}:{digits}"
                    if digits[:2] == two and is_digest(digest):
                        yield digest, path


def repository_folders(folder: str | Path, unreadable: Unreadable) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each repository's folder below ``folder``, and which of the registry's own folders (``_...``) it has.

    A repository may hold deeper ones: ``a`` and ``a/b`` are two.
    """
    own: set[str] = set()
    for name, path in folders(str(folder), unreadable):
        if name.startswith("_"):
            own.add(name)
        else:
            yield from repository_folders(path, unreadable)
    if own:
        yield str(folder), frozenset(own)


def check_way(data: str | Path) -> None:
    """Raise OSError (ELOOP) where a folder between ``data`` and the registry's own is a symbolic link."""
    path = str(data)
    for part in TOP.split("/"):
        path = f"{path}/{part}"
        try:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                raise OSError(errno.ELOOP, "is a symbolic link, and is not followed", path)
        except FileNotFoundError:
            return


def open_to_read(path: str) -> int:
    """Open a regular file for reading: no link is followed, nothing waited for, no access time changed where we may.

    Raises OSError, also (EINVAL) for what is no regular file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags | os.O_NOATIME)
    except PermissionError:  # O_NOATIME is for the file's owner and for root
        descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no regular file", path)
    return descriptor


def read_small(path: str, limit: int) -> bytes:
    """The whole of a file of at most ``limit`` bytes. Raises OSError (EFBIG where it is larger)."""
    descriptor = open_to_read(path)
    try:
        content = b""
        while piece := os.read(descriptor, limit + 1 - len(content)):
            content += piece
            if len(content) > limit:
                raise OSError(errno.EFBIG, f"is larger than {limit} bytes", path)
        return content
    finally:
        os.close(descriptor)


def read_link(path: str) -> str:
    """The digest that a link file holds, or "" where it holds none; surrounding blanks do not count. Raises OSError."""
    text = read_small(path, _LINK_BYTES).decode("ascii", "replace").strip()
    return text if is_digest(text) else ""


def has_holes(path: str, size: int) -> bool:
    """Whether some of a file was never written. Compressing file systems store fewer blocks too: only it knows."""
    descriptor = open_to_read(path)
    try:
        return os.lseek(descriptor, 0, os.SEEK_HOLE) < size
    finally:
        os.close(descriptor)
