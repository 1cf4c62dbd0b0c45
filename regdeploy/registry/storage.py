"""What the filesystem driver keeps, seen from outside: quick to count, also without a login or a running registry."""

from __future__ import annotations

import os
import time
from pathlib import Path

from regdeploy.registry.layout import REPOSITORIES, repository_folders


def repositories_on_disk(data: Path) -> int:
    """How many repositories lie below ``data``, those that were emptied included; never raises."""
    return len(repository_names(data))


def repository_names(data: Path) -> tuple[str, ...]:
    """The names of the repositories below ``data``, sorted, those that were emptied included; never raises."""
    top = data / REPOSITORIES
    found = repository_folders(top, lambda _path, _error: None)
    return tuple(sorted(os.path.relpath(folder, top) for folder, own in found if "_manifests" in own))


def used_bytes(data: Path, deadline_s: float) -> tuple[int, bool]:
    """Bytes that ``data`` takes up on its disk (as du(1) counts), and whether all was seen within ``deadline_s`` s.

    Never raises; what vanishes while we look, or cannot be read, counts as nothing.
    """
    until = time.monotonic() + deadline_s
    total = _allocated(data)
    waiting = [str(data)]
    while waiting:
        if time.monotonic() > until:
            return total, False
        for entry in _entries(waiting.pop()):
            total += _allocated(entry)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
    return total, True


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _allocated(entry: os.DirEntry[str] | Path) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512  # stat(2): always of 512 bytes
    except OSError:
        return 0
