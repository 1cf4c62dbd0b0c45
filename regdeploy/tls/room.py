"""Room on the disk for one version of a certificate, taken before there is anything to keep in it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from regdeploy.errors import HostError
from regdeploy.files import TEMPORARY_PREFIX, make_folder, refusal, write_whole
from regdeploy.frozen import frozen
from regdeploy.tls.stored import FULLCHAIN, PRIVKEY, RECORD

FOLDER_MODE = 0o711
_FILE_MODES = {FULLCHAIN: 0o644, PRIVKEY: 0o600, RECORD: 0o644}
AMPLE = 32 * 1024  # bytes a file: more than a chain of the longest keys takes, and a record with a hundred names


@frozen
class Room:
    """A folder with a version's files in their modes; nothing takes it for a version yet."""

    folder: Path

    def fill(self, contents: Mapping[str, bytes]) -> None:
        """Write the files, by name, where their room is. Raises HostError. Not atomic: the folder is renamed after."""
        for name, content in contents.items():
            _fill(self.folder / name, content)


@contextmanager
def take_room(versions: Path, size: int) -> Iterator[Room]:
    """Take ``size`` bytes a file in the folder ``versions``; what was not renamed is given back at the end.

    That folder is made where it is not there. Raises HostError where there is no room, or where nothing can be written.
    After a kill a folder ``.regdeploy-new.*`` remains.
    """
    folder = versions / f"{TEMPORARY_PREFIX}new.{secrets.token_hex(4)}"
    try:
        try:
            make_folder(versions, FOLDER_MODE)
            make_folder(folder, FOLDER_MODE)
            for name, mode in _FILE_MODES.items():
                write_whole(folder / name, os.urandom(size), mode)  # zeros take no room on a disk that compresses
        except HostError as error:
            raise HostError(str(versions), error.what, error.hint, code=error.code) from error
        yield Room(folder=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            os.ftruncate(descriptor, len(content))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise refusal(path, error) from error
