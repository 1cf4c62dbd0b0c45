"""One writer at a time for a root, by a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from regdeploy.errors import Busy, HostError
from regdeploy.files import make_folder, refusal

LOCK_FILE = ".lock"

#: How often the root may be removed by others, between our making it and locking it, before that is an error.
_ATTEMPTS = 100


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Lock:
    """Hold ``ROOT/.lock`` while the block runs; a missing root is made (0711).

    ``operation`` is what the user typed after ``regdeploy`` and is shown to whoever finds the root busy.
    Entering raises Busy at once when another process (or another Lock of this one) holds it, and HostError when the
    file cannot be had. A holder that was killed never blocks: flock(2) ends with its process.
    A root that was made for the lock, and that a block which failed has put nothing in, is removed again; a kill
    leaves it.
    """

    def __init__(self, root: Path, operation: str, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._root = root
        self._path = root / LOCK_FILE
        self._operation = operation
        self._clock = clock
        self._descriptor: int | None = None
        self._made: list[Path] = []  # the root and the folders above it, innermost first; empty where it was there

    def __enter__(self) -> Self:
        try:
            for last in (*[False] * (_ATTEMPTS - 1), True):
                if self._enter(last=last):
                    return self
        except OSError as error:
            raise refusal(self._path, error) from error
        raise self._busy(b"")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
            if kind is not None and self._made:
                self._remove()
            os.close(descriptor)

    def _remove(self) -> None:
        """Remove the root where it holds the lock alone, as ``down --purge`` does: while nobody else can have it."""
        with suppress(OSError):  # somebody put something in: it stays
            if [path.name for path in self._root.iterdir()] == [LOCK_FILE]:
                self._path.unlink()
                for folder in self._made:
                    folder.rmdir()

    def _enter(self, *, last: bool) -> bool:
        """Make the root and take the lock; False where another removed either in between, unless this is the last."""
        folders = (self._root, *self._root.parents)
        self._made = [folder for folder in folders if folder in self._made or not folder.exists()]
        try:
            make_folder(self._root, 0o711)
            return self._take()
        except (FileNotFoundError, HostError) as error:
            gone = (FileNotFoundError, NotADirectoryError)  # the second: what was there, and then was no folder
            if last or not isinstance(error.__cause__ or error, gone):
                raise
            return False

    def _take(self) -> bool:
        """Take the lock; False when the file was removed meanwhile and must be opened anew."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        taken = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._still_there(descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, self._label().encode(), 0)
                taken = True
        except BlockingIOError:
            raise self._busy(os.pread(descriptor, 4096, 0)) from None
        finally:
            if not taken:
                os.close(descriptor)
        self._descriptor = descriptor if taken else None
        return taken

    def _still_there(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def _label(self) -> str:
        since = self._clock().isoformat(timespec="seconds")
        return json.dumps(
            {"pid": os.getpid(), "operation": self._operation, "since": since, "user": user_name(os.getuid())}
        )

    def _busy(self, words: bytes) -> Busy:
        try:
            holder = json.loads(words)
            since = datetime.fromisoformat(holder["since"])
            seconds = max(0, round((self._clock() - since).total_seconds()))
            what = (
                f"`regdeploy {holder['operation']}` by {holder['user']}, pid {holder['pid']}, is at work here "
                f"since {since.astimezone():%H:%M:%S} ({seconds} s)"
            )
        except (ValueError, KeyError, TypeError):
            what = "another regdeploy is at work here"
        return Busy(str(self._root), what, "wait until it has ended, then run the same command again")


def user_name(uid: int) -> str:
    """The login name of ``uid``, or ``uid N`` where the host has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
