"""Looks at a registry's folder again and again, and tells what changed since the last time.

The first look reads every folder. Each later one asks for the times of what can change, which is a fraction of it: a
blob never changes, and a folder for one link only with its file. Nothing is written, no symbolic link is followed.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

from regdeploy.files import TEMPORARY_PREFIX
from regdeploy.registry.layout import BLOBS, REPOSITORIES, is_digest

#: Kept by a pull-through cache (distribution, ``registry/proxy/proxyregistry.go``).
SCHEDULE = "scheduler-state.json"

_LATE = 0  # no time: whatever is found next is a change
_GONE = (FileNotFoundError, NotADirectoryError)


class Look:
    """What is new or changed, and what is gone: paths below the source, and blobs by their digest with their size.

    ``folders`` are those without which a repository is none. ``odd`` are places that could not be looked at, and why.
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self.gone: list[str] = []
        self.blobs: dict[str, int] = {}
        self.gone_blobs: list[str] = []
        self.folders: list[str] = []
        self.odd: dict[str, str] = {}


class Walk:
    """The memory of the looks at one folder: some 300 bytes for each link, 150 for each blob.

    What changed in the last ``coarse_ns`` before a look counts as changed in the next: it may change again without
    another time, since the clocks of file systems are coarse.
    """

    def __init__(self, source: Path, coarse_ns: int = 2_000_000_000) -> None:
        self._coarse_ns = coarse_ns
        self._base = f"{source}/"
        self._files: dict[str, int] = {}
        self._folders: dict[str, int] = {}
        self._blobs: dict[str, int] = {}
        self._late = 0
        self._looked = False

    @property
    def files(self) -> set[str]:
        """The files that were there at the last look, blobs aside."""
        return set(self._files)

    def look(self) -> Look:
        """What there is, the first time; later what changed since the last time."""
        look = Look()
        self._late = time.time_ns() - self._coarse_ns
        if self._looked:
            self._look_at_files(look)
            self._look_at_folders(look)
        else:
            self._scan_blobs(look)
            self._scan(REPOSITORIES, look)
            self._looked = True
        if SCHEDULE not in self._files:
            self._look_at(SCHEDULE, look)
        return look

    def _look_at_files(self, look: Look) -> None:
        for path in list(self._files):
            self._look_at(path, look)

    def _look_at(self, path: str, look: Look) -> None:
        before = self._files.get(path)
        try:
            facts = os.lstat(self._base + path)
            if not stat.S_ISREG(facts.st_mode):
                raise NotADirectoryError  # whatever it is: what was there is gone
        except _GONE:
            if self._files.pop(path, None) is not None:
                look.gone.append(path)
                self._scan(path.rpartition("/")[0], look)  # the folder is not quiet any more
            return
        except OSError as error:
            self._odd(path, error, look)
            return
        if before == _LATE or before != _mark(facts):
            self._files[path] = self._timed(facts)
            look.files.append(path)
            if before is not None and path.endswith("/current/link"):
                self._scan(path.removesuffix("/current/link"), look)

    def _look_at_folders(self, look: Look) -> None:
        groups: dict[str, list[str]] = {}
        for path, before in list(self._folders.items()):
            try:
                facts = os.lstat(self._base + path)
            except OSError:
                del self._folders[path]  # its parent tells, and so do its files
                facts = None
            if facts is not None and before != _LATE and before == _mark(facts):
                continue
            if not f"{path}/".startswith(f"{BLOBS}/"):
                self._scan(path, look)
                continue
            groups = groups or self._by_group()
            self._scan_part_of_blobs(path, groups, look)

    def _scan(self, top: str, look: Look) -> None:
        """Read a folder that is new or has changed, and those below it that are new."""
        waiting = [top]
        while waiting:
            path = waiting.pop()
            found = self._entries(path, look)
            if found is None:
                continue
            facts, folders, files = found
            if _quiet(path, folders, files):
                self._folders.pop(path, None)
            else:
                self._folders[path] = self._timed(facts)
            if path.rpartition("/")[2].startswith("_") or path.endswith(("/_manifests/tags", "/_manifests/revisions")):
                look.folders.append(path)
            waiting.extend(below for name in folders if not self._known(below := f"{path}/{name}"))
            for name in files:
                if (file := f"{path}/{name}") not in self._files:
                    self._look_at(file, look)

    def _known(self, folder: str) -> bool:
        return folder in self._folders or f"{folder}/link" in self._files or f"{folder}/current/link" in self._files

    def _entries(self, path: str, look: Look) -> tuple[os.stat_result, list[str], list[str]] | None:
        folders, files = [], []
        try:
            facts = os.lstat(self._base + path)
            if not stat.S_ISDIR(facts.st_mode):
                self._odd(path, OSError(errno.ENOTDIR, "is no folder"), look)
                return None
            with os.scandir(self._base + path) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        self._odd(f"{path}/{entry.name}", OSError(errno.ELOOP, "is a symbolic link"), look)
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.is_file(follow_symlinks=False) and not entry.name.startswith(TEMPORARY_PREFIX):
                        files.append(entry.name)
        except _GONE:
            self._folders.pop(path, None)
            return None
        except OSError as error:
            self._odd(path, error, look)
            return None
        return facts, folders, files

    def _scan_blobs(self, look: Look) -> None:
        self._scan_part_of_blobs(BLOBS, {}, look)

    def _scan_part_of_blobs(self, path: str, groups: dict[str, list[str]], look: Look) -> None:
        """Read a folder at, or below, ``blobs``: ``blobs/ALGORITHM/XX/HEX``."""
        depth = path.count("/") - BLOBS.count("/")
        if depth == 3:  # noqa: PLR2004 - as in the line above
            self._look_at_blob(path, look)
            return
        found = self._entries(path, look)
        names = found[1] if found else []
        if found:
            self._folders[path] = self._timed(found[0])
        if depth == 2 and path not in look.odd:  # noqa: PLR2004 - as above
            there = set(names)
            for digest in groups.get(path, ()):
                if digest.partition(":")[2] not in there:
                    del self._blobs[digest]
                    look.gone_blobs.append(digest)
        for name in names:
            below = f"{path}/{name}"
            if below not in self._folders and not (depth == 2 and _digest_of(below) in self._blobs):  # noqa: PLR2004
                self._scan_part_of_blobs(below, groups, look)

    def _look_at_blob(self, path: str, look: Look) -> None:
        digest = _digest_of(path)
        if not is_digest(digest):
            return
        self._folders.pop(path, None)
        try:
            self._folders[path] = self._timed(os.lstat(self._base + path))  # as long as it has no file
            facts = os.lstat(f"{self._base}{path}/data")
        except _GONE:
            return  # deleted, or its push is about to name it
        except OSError as error:
            self._odd(f"{path}/data", error, look)
            return
        del self._folders[path]
        if stat.S_ISREG(facts.st_mode):
            self._blobs[digest] = facts.st_size
            look.blobs[digest] = facts.st_size
        else:
            self._odd(f"{path}/data", OSError(errno.EINVAL, "is no regular file"), look)

    def _by_group(self) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for digest in self._blobs:
            algorithm, _, digits = digest.partition(":")
            groups.setdefault(f"{BLOBS}/{algorithm}/{digits[:2]}", []).append(digest)
        return groups

    def _odd(self, path: str, error: OSError, look: Look) -> None:
        look.odd[path] = error.strerror or str(error)

    def _timed(self, facts: os.stat_result) -> int:
        return _LATE if facts.st_ctime_ns > self._late else _mark(facts)


def _mark(facts: os.stat_result) -> int:
    """One number for all that changes when a file or folder does."""
    return hash((facts.st_ctime_ns, facts.st_size, facts.st_ino)) or 1


def _digest_of(folder: str) -> str:
    algorithm, _, digits = folder.split("/")[-3:]
    return f"{algorithm}:{digits}"


def _quiet(path: str, folders: list[str], files: list[str]) -> bool:
    """Whether a folder within a repository changes only together with something in it that is looked at."""
    if "/_" not in path:
        return False
    name = path.rpartition("/")[2]
    if files == ["link"] and not folders:
        return True
    if name == "index" and folders == ["sha256"] and not files:
        return True
    return not files and sorted(folders) == ["current", "index"]
