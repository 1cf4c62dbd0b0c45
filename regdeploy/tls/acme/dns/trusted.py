"""Files that must be ours alone: a hook is run, a key is believed."""

from __future__ import annotations

import os
import stat
from itertools import chain
from pathlib import Path

from regdeploy.errors import UsageError


def trusted(path: Path) -> os.stat_result:
    """What is at ``path``, links followed, where nobody but root and the user who runs regdeploy can change it.

    Raises UsageError where it is no file, belongs to somebody else, or others can write it or a folder that leads to
    it (one with the sticky bit is fine).
    """
    try:
        real = path.resolve(strict=True)
        found = real.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, up to Python 3.12
        raise UsageError(
            str(path), getattr(error, "strerror", None) or str(error), "name a file that is there"
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(str(path), "is not a file", "name the file itself")
    if found.st_uid not in (0, os.geteuid()):
        raise UsageError(str(path), f"belongs to another user (uid {found.st_uid})", f"chown root {real}")
    if _others_can_write(found):
        raise UsageError(
            str(path), f"can be written by others (mode {stat.S_IMODE(found.st_mode):04o})", f"chmod go-w {real}"
        )
    for folder in dict.fromkeys(chain(real.parents, path.absolute().parents)):
        seen = folder.stat()
        if _others_can_write(seen) and not seen.st_mode & stat.S_ISVTX:
            raise UsageError(str(path), f"lies in {folder}, where others could replace it", f"chmod go-w {folder}")
    return found


def _others_can_write(found: os.stat_result) -> bool:
    """By everybody, or by a group that is neither root's nor the owner's own (of the same number, as Debian makes)."""
    group = found.st_mode & stat.S_IWGRP and found.st_gid not in (0, found.st_uid)
    return bool(found.st_mode & stat.S_IWOTH or group)
