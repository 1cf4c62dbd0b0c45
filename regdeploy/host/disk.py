"""How much room a folder's disk has."""

from __future__ import annotations

import os
from pathlib import Path

from regdeploy.files import refusal
from regdeploy.frozen import frozen


@frozen
class DiskFacts:
    """``free_bytes`` is what an ordinary user may still write; ``free_inodes`` is None where a disk does not count."""

    total_bytes: int
    free_bytes: int
    free_inodes: int | None


def disk_facts(path: Path) -> DiskFacts:
    """The disk that holds ``path``, or that would: the nearest parent that is there is asked. Raises HostError."""
    folder = path.absolute()
    while True:
        try:
            found = os.statvfs(folder)
            break
        except (FileNotFoundError, NotADirectoryError):
            folder = folder.parent  # ends at the root, which is there
        except OSError as error:
            raise refusal(folder, error) from error
    return DiskFacts(
        total_bytes=found.f_blocks * found.f_frsize,
        free_bytes=found.f_bavail * found.f_frsize,
        free_inodes=found.f_favail if found.f_files else None,  # btrfs and some network disks have no such limit
    )
