"""What a copy of a registry's folder needs, and whether it can be made at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from regdeploy.errors import HostError
from regdeploy.files import refusal
from regdeploy.frozen import frozen
from regdeploy.registry.layout import TOP

BLOCK = 4096
#: Blocks that a small file takes up with the folders that it has for itself (a tag: two files, five folders; ext4).
BLOCKS_OF_A_LINK = 3


@frozen
class Space:
    """What a transfer will write. ``links`` says that blobs take no room: they are the same files under other names.

    ``bytes`` are to be written, with what the file system needs for them; ``linked_bytes`` are not. ``free_bytes`` is
    what an ordinary user may still write on the target's disk. ``files`` are files and folders to be made, and
    ``free_files`` how many that disk has room for, or None where it does not count.
    """

    bytes: int
    linked_bytes: int
    free_bytes: int
    links: bool
    files: int
    free_files: int | None

    @property
    def missing_bytes(self) -> int:
        """What is to be made free before it fits; 0 where it fits."""
        return max(0, self.bytes - self.free_bytes)

    @property
    def missing_files(self) -> int:
        """As ``missing_bytes``, for files and folders."""
        return 0 if self.free_files is None else max(0, self.files - self.free_files)


def refuse_overlap(source: Path, target: Path) -> None:
    """Raise HostError where a transfer would write into what it reads. One inside the other is fine otherwise."""
    one, other = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    if one == other or _same(one, other) or _same(one / TOP, other / TOP):
        raise HostError(str(target), f"is the same folder as {source}", "nothing has to be copied", code="host.same")
    for inner, outer in ((other, one), (one, other)):
        images = outer / TOP
        if any(folder == images or _same(folder, images) for folder in (inner, *inner.parents)):
            what = f"lies within the images of {outer}"
            raise HostError(str(inner), what, "choose another folder with --root", code="host.same")


def same_mount(one: Path, other: Path) -> bool:
    """Whether a file can have names in both: one file system, seen through one mount (link(2), EXDEV).

    A folder that is not there counts as the nearest above it that is. Raises HostError.
    """
    return _mount(one) == _mount(other)


def same_disk(one: Path, other: Path) -> bool:
    """Whether what is freed in one can be used in the other. Raises HostError."""
    facts = [(os.stat(path).st_dev, os.statvfs(path).f_fsid) for path in map(nearest, (one, other))]  # noqa: PTH116
    return facts[0][0] == facts[1][0] or (facts[0][1] == facts[1][1] != 0)


def free(path: Path) -> tuple[int, int | None]:
    """Bytes that an ordinary user may still write on the disk of ``path``, and files, None where it does not count."""
    folder = nearest(path)
    try:
        found = os.statvfs(folder)
    except OSError as error:
        raise refusal(folder, error) from error
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None


def nearest(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def readable(facts: os.stat_result) -> bool:
    """Whether root without privileges (CAP_DAC_OVERRIDE), as in our container, can read a file."""
    if facts.st_uid == 0:
        return bool(facts.st_mode & stat.S_IRUSR)
    return bool(facts.st_mode & (stat.S_IRGRP if facts.st_gid == 0 else stat.S_IROTH))


def _mount(path: Path) -> tuple[int, str]:
    folder = nearest(path)
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            text = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
            return os.fstat(descriptor).st_dev, text.partition("mnt_id:")[2].split()[0]
        finally:
            os.close(descriptor)
    except OSError as error:
        raise refusal(folder, error) from error


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
