"""Puts files into a registry's folder so that each is there whole or not at all, owned as what is around it.

A name is given only to what is complete: everything is written beside it first. A file that was linked is never
written, nor its mode, owner or times changed: it belongs to somebody else as well.
"""

# ruff: noqa: PTH101, PTH102, PTH105, PTH106, PTH108 - system calls by their names, on paths that are text

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from regdeploy.files import TEMPORARY_PREFIX
from regdeploy.registry.layout import TOP, open_to_read

SMALL = 64 * 1024  #: As much is compared before it is written.
_END = 4096
_STRIDE = 64 * 1024 * 1024
_FEW = 64  # as many are synced one by one, which waits for nobody else's writes
_REMEMBERED = 50_000
_UNCOPYABLE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


class Target:
    """The folder that things are put into; all paths are below it. Every method raises OSError."""

    def __init__(self, root: Path) -> None:
        self._base = f"{root}/"
        self._root = root
        self._owners: dict[str, tuple[int, int]] = {}
        self._ours = (os.geteuid(), os.getegid())

    def path(self, path: str) -> str:
        """Where that is."""
        return self._base + path

    def size(self, path: str) -> int | None:
        """The size of a regular file, or None where there is none."""
        try:
            facts = os.lstat(self._base + path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return facts.st_size if stat.S_ISREG(facts.st_mode) else None

    def temporary(self, path: str) -> str:
        """The full name under which ``path`` is written; its folder is made. The same each time."""
        folder, _, name = path.rpartition("/")
        self.folder(folder)
        return f"{self._base}{folder}/{TEMPORARY_PREFIX}{name}"

    def name(self, path: str) -> None:
        """Give what was written beside it its name."""
        folder = path.rpartition("/")[0]
        temporary = self.temporary(path)
        owner = self._owners[folder]
        if owner != self._ours:
            os.chown(temporary, *owner)
        os.replace(temporary, self._base + path)

    def put_small(self, path: str, content: bytes, changed_ns: int) -> bool:
        """Write a file, with that time, unless it is there with that content; whether it was written."""
        try:
            if self.size(path) == len(content) and _content(self._base + path) == content:
                return False
        except OSError:
            pass  # whatever it is, it is to be replaced
        sink = _open_new(self.temporary(path))
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(sink, view) :]
            os.utime(sink, ns=(changed_ns, changed_ns))
        finally:
            os.close(sink)
        self.name(path)
        return True

    def put_grown(self, origin: int, path: str, start: int, count: Callable[[int], None]) -> int:
        """Copy an open file that only grows, a push under way; returns how far it is copied now.

        From ``start`` on it is added to what is there, if that has just this size and ends as the source does there;
        otherwise it is made anew. Calls ``count`` with the bytes as they are copied; what it raises ends the copy.
        """
        facts = os.fstat(origin)
        anew = not (0 < start <= facts.st_size and self.size(path) == start)
        if not anew:
            sink = os.open(self._base + path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            end = max(0, start - _END)
            anew = os.pread(sink, _END, end) != os.pread(origin, start - end, end)
            if anew:
                os.close(sink)
        if anew:
            sink = _open_new(self.temporary(path))
        try:
            end = _copy_range(origin, sink, 0 if anew else start, facts.st_size, count)
        finally:
            os.close(sink)
        if anew:
            self.name(path)
        return end

    def link(self, source: str, path: str) -> None:
        """Give a file another name here, in the place of what has it."""
        self.folder(path.rpartition("/")[0])
        try:
            os.link(source, self._base + path)
        except FileExistsError:
            temporary = self.temporary(path)
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            os.link(source, temporary)
            os.replace(temporary, self._base + path)
            with suppress(FileNotFoundError):  # both were one file already: then rename(2) does nothing
                os.unlink(temporary)

    def folder(self, path: str) -> tuple[int, int]:
        """Make a folder and those above it, with mode 0755 and the owner of the folder around it; returns its owner.

        Raises NotADirectoryError for a symbolic link too.
        """
        known = self._owners.get(path)
        if known is not None:
            return known
        whole = (self._base + path).rstrip("/")
        owner = self.folder(path.rpartition("/")[0]) if path else self._ours
        try:
            os.mkdir(whole, 0o755)
            made = True
        except FileExistsError:
            made = False
        except FileNotFoundError:
            if path:
                raise
            Path(whole).parent.mkdir(parents=True)
            return self.folder(path)
        if made:
            os.chmod(whole, 0o755)  # noqa: S103 - whatever the umask: a registry of any user can read its data
            if owner != self._ours:
                os.chown(whole, *owner)
        facts = os.lstat(whole)
        if not stat.S_ISDIR(facts.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "is no folder", whole)
        if len(self._owners) > _REMEMBERED:
            self._owners.clear()
        self._owners[path] = (facts.st_uid, facts.st_gid)
        return self._owners[path]

    def remove(self, path: str, still: Callable[[str], bool]) -> bool:
        """Remove a file, and the folders above it that are empty then and of which ``still`` says no."""
        try:
            os.unlink(self._base + path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        folder = path.rpartition("/")[0]
        with suppress(OSError):  # not empty: it stays
            while folder.startswith(f"{TOP}/") and not still(folder):
                os.rmdir(self._base + folder)
                self._owners.pop(folder, None)
                folder = folder.rpartition("/")[0]
        return True

    def tidy(self) -> None:
        """Remove what a killed run left half written."""
        for folder, _, names in os.walk(f"{self._base}{TOP}"):
            for name in names:
                if name.startswith(TEMPORARY_PREFIX):
                    os.unlink(f"{folder}/{name}")

    def sync(self, written: Iterable[str]) -> None:
        """Make these files (full names), and their names, survive a power cut; all of the disk where they are many."""
        files = list(written)
        if not files:
            return
        if len(files) > _FEW:
            _sync_disk(self._root)
            return
        for path in [*files, *dict.fromkeys(path.rpartition("/")[0] for path in files)]:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _content(path: str) -> bytes:
    descriptor = open_to_read(path)
    try:
        return os.read(descriptor, SMALL + 1)
    finally:
        os.close(descriptor)


def _open_new(path: str) -> int:
    sink = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    os.fchmod(sink, 0o644)  # whatever the umask
    return sink


def _copy_range(origin: int, sink: int, start: int, end: int, count: Callable[[int], None]) -> int:
    """Within the kernel, sharing the disk's blocks where it can; returns how far it came."""
    os.lseek(sink, start, os.SEEK_SET)
    shares = True
    while start < end:
        wanted = min(_STRIDE, end - start)
        try:
            if shares:
                copied = os.copy_file_range(origin, sink, wanted, start)
            else:
                copied = os.sendfile(sink, origin, start, wanted)
        except OSError as error:
            if not shares or error.errno not in _UNCOPYABLE:
                raise
            shares = False
            continue
        if not copied:
            break  # it was cut short meanwhile
        start += copied
        count(copied)
    return start


def _sync_disk(folder: Path) -> None:
    """syncfs(2), which Python does not have."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(descriptor)
