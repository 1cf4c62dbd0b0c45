"""Files written whole, or not at all.

Below every package but ``errors``, because keys (``tls``), passwords (``registry``) and state (``host``) are all
written by the same rule: temporary file in the same folder with its final mode, fsync, rename, fsync of the folder.
"""

# ruff: noqa: PTH101, PTH102, PTH105, PTH211 - system calls by their names: what a kill can come between is to be seen

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from regdeploy.errors import HostError

#: Leftovers of a killed write start with this and may be removed by anyone who holds the lock.
TEMPORARY_PREFIX = ".regdeploy-"


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Write ``data`` to ``path`` so that a crash leaves the old content or the new one, never a mixture.

    ``mode`` is final whatever the umask. Raises HostError, with the old file untouched and no temporary file left.
    After a kill, a temporary file named ``.regdeploy-*`` may remain beside it.
    """
    temporary = path.parent / f"{TEMPORARY_PREFIX}{path.name}.{os.urandom(4).hex()}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            os.fchmod(descriptor, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise refusal(path, error) from error


def switch_link(link: Path, target: str) -> None:
    """Make ``link`` a symbolic link to ``target`` (kept as given, so relative stays relative), in one rename."""
    temporary = link.parent / f"{TEMPORARY_PREFIX}{link.name}.{os.urandom(4).hex()}"
    try:
        os.symlink(target, temporary)
        os.replace(temporary, link)
        sync_folder(link.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise refusal(link, error) from error


def make_folder(path: Path, mode: int) -> None:
    """Make ``path`` with ``mode`` whatever the umask, and its missing parents with 0755; an existing folder keeps all.

    Raises HostError.
    """
    try:
        for parent in reversed([parent for parent in path.parents if not parent.exists()]):
            _make_folder(parent, 0o755)  # Path.mkdir(parents=True) would leave their modes to the umask
        _make_folder(path, mode)
    except OSError as error:
        raise refusal(path, error) from error


def _make_folder(path: Path, mode: int) -> None:
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        return
    os.chmod(path, mode)
    sync_folder(path.parent)


def append_line(path: Path, line: str, mode: int) -> None:
    """Append one line to a log that is read line by line; a crash leaves it whole or with a torn last line.

    A torn line is ended first, so that it does not take the next one with it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            view = memoryview(b"\n" * torn + line.encode() + b"\n")
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise refusal(path, error) from error


def sync_folder(path: Path) -> None:
    """Make renames in ``path`` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refusal(path: Path, error: OSError) -> HostError:
    """The HostError for what the operating system said of ``path``, with what to do about it."""
    hints = {
        errno.ENOSPC: "free some space on that disk, then run the same command again",
        errno.EDQUOT: "the disk quota is used up: raise it or free some space, then run the same command again",
        errno.EROFS: "that disk is mounted read-only: remount it, or choose another folder with --root",
        errno.EACCES: "run regdeploy as root, or choose a folder of your own with --root",
        errno.EPERM: "run regdeploy as root, or choose a folder of your own with --root",
        errno.ENOTDIR: "a file is in the way: move it, or choose another folder with --root",
        errno.ELOOP: "a symbolic link is in the way: use the real path",
    }
    code = "host.full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "host.files"
    return HostError(str(path), error.strerror or str(error), hints.get(error.errno or 0, ""), code=code)
