"""What the filesystem driver keeps, seen from outside: quick to count, also without a login or a running registry."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

_REPOSITORIES = Path("docker/registry/v2/repositories")


def repositories_on_disk(data: Path) -> int:
    """How many repositories lie below ``data``, those that were emptied included; never raises."""
    return sum(1 for _ in _repositories(data / _REPOSITORIES))


def repository_names(data: Path) -> tuple[str, ...]:
    """The names of the repositories below ``data``, sorted, those that were emptied included; never raises."""
    top = data / _REPOSITORIES
    return tuple(sorted(str(Path(folder).relative_to(top)) for folder in _repositories(top)))


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


def _repositories(folder: str | Path) -> Iterator[str]:
    """A repository's folder holds ``_manifests``, and may hold deeper ones: ``a`` and ``a/b`` are two repositories."""
    for entry in _entries(folder):
        if entry.name == "_manifests":
            yield str(folder)
        elif not entry.name.startswith("_") and entry.is_dir(follow_symlinks=False):
            yield from _repositories(entry.path)


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
