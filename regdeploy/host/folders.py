"""Is a folder safe to keep keys and images in: whose it is, and who else could swap what lies in it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from regdeploy.frozen import frozen


@frozen
class FolderFacts:
    """What is at ``path``, its last part not followed when it is a link.

    ``mode`` holds the permission bits (0 when nothing is there). ``others_can_write``: everybody, or a group that is
    neither root's nor the owner's own. ``loose_parent`` is the nearest folder (or link) above with which somebody else
    could replace the path: writable by others without the sticky bit, or owned by neither root, nor the path's owner,
    nor us.
    """

    path: Path
    exists: bool
    is_folder: bool = False
    is_link: bool = False
    owner_uid: int = -1
    mode: int = 0
    others_can_write: bool = False
    loose_parent: Path | None = None


def folder_facts(path: Path) -> FolderFacts:
    """Look at ``path`` (made absolute, not resolved); never raises, what cannot be looked at counts as absent."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve() would follow the very links that are asked about
    try:
        found = path.lstat()
    except OSError:
        return FolderFacts(path=path, exists=False, loose_parent=_loose_parent(path, os.getuid()))
    return FolderFacts(
        path=path,
        exists=True,
        is_folder=stat.S_ISDIR(found.st_mode),
        is_link=stat.S_ISLNK(found.st_mode),
        owner_uid=found.st_uid,
        mode=stat.S_IMODE(found.st_mode),
        others_can_write=not stat.S_ISLNK(found.st_mode) and _others_can_write(found),
        loose_parent=_loose_parent(path, found.st_uid),
    )


def unsafe(facts: FolderFacts, uid: int) -> str:
    """Why ``facts.path`` must not hold a deployment of the user ``uid``, as a sentence; empty when it may.

    A path where nothing is yet is judged by the folders above it.
    """
    if facts.is_link:
        return "is a symbolic link: use the real path, so that nobody can point it elsewhere"
    if facts.exists and not facts.is_folder:
        return "is a file, not a folder"
    if facts.exists and facts.owner_uid != uid:
        return f"belongs to {_name(facts.owner_uid)}, not to {_name(uid)} who runs regdeploy"
    if facts.others_can_write:
        return f"can be written by other users (mode {facts.mode:04o}): `chmod go-w {facts.path}` closes it"
    if facts.loose_parent is not None:
        return f"lies in {facts.loose_parent}, where other users could replace it"
    return ""


def _others_can_write(found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and found.st_gid not in _own_groups(found.st_uid)


def _own_groups(uid: int) -> frozenset[int]:
    """Groups that nobody else is in: root's, and a user's private one (of the user's name; hence umask 002)."""
    try:
        user = pwd.getpwuid(uid)
        group = grp.getgrgid(user.pw_gid)
    except KeyError:
        return frozenset({0})
    private = group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    return frozenset({0, group.gr_gid} if private else {0})


def _loose_parent(path: Path, owner_uid: int) -> Path | None:
    """The folders above as the path names them, where a link's owner can turn it, then those that links lead to."""
    real = Path(os.path.realpath(path.parent))
    for parent in dict.fromkeys((*path.parents, real, *real.parents)):
        try:
            found = parent.lstat()
        except OSError:
            continue  # not made yet
        if found.st_uid not in (0, owner_uid, os.getuid()):
            return parent
        if stat.S_ISLNK(found.st_mode):
            continue  # its permission bits mean nothing
        if _others_can_write(found) and not found.st_mode & stat.S_ISVTX:
            return parent
    return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
