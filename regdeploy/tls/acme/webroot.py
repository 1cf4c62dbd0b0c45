"""http-01 where another program serves port 80 (RFC 8555 section 8.3): the answers are files in its folder."""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from regdeploy.errors import AcmeError, HostError
from regdeploy.files import write_whole
from regdeploy.tls.acme.challenges import Proof

_BELOW = (".well-known", "acme-challenge")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Webroot:
    """Puts each answer into ``folder``/.well-known/acme-challenge, and takes away what it put there and nothing else.

    The folder often belongs to the user of a web server, and regdeploy is root: each folder below it is opened once,
    links not followed, and then gone by its descriptor, so that none can be put in its place meanwhile. A run that
    was killed leaves files that nobody asks for; they are in nobody's way.
    """

    kind = "http-01"
    port = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._undo = ExitStack()
        self._stopped = False
        self._lock = threading.Lock()  # between a stop that comes from outside and a start

    def start(self, proofs: Sequence[Proof]) -> None:
        """See :class:`Solver`. Raises AcmeError where the folder is not there, has links, or cannot be written."""
        with self._lock, ExitStack() as undo:
            if self._stopped:
                return
            try:
                self._put_all(proofs, undo)
            except (OSError, HostError) as error:
                words = error.what if isinstance(error, HostError) else error.strerror or str(error)
                hint = "regdeploy must be able to write there: look at what is there, its mode and its disk"
                raise self._refusal(f"cannot be written: {words}", hint) from error
            self._undo = undo.pop_all()

    def stop(self) -> None:
        """See :class:`Solver`."""
        with self._lock:
            self._stopped = True
            self._undo.close()

    def _put_all(self, proofs: Sequence[Proof], undo: ExitStack) -> None:
        below = self._open(undo)
        for name in _BELOW:
            below = self._enter(below, name, undo)
        for proof in proofs:
            if not re.fullmatch(r"[A-Za-z0-9_-]+", proof.token):  # RFC 8555 section 8: base64url, now a file's name
                raise AcmeError(proof.name, "the CA sent a token that is none", "run the same command again")
            write_whole(Path(f"/proc/self/fd/{below}", proof.token), proof.key_authorization.encode(), 0o644)
            undo.callback(_remove, os.unlink, proof.token, below)

    def _open(self, undo: ExitStack) -> int:
        try:
            descriptor = os.open(self._folder, _FOLDER)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                hint = "name the one that is served on port 80 with --http-01-webroot"
                raise self._refusal("is not a folder", hint) from error
            raise
        undo.callback(os.close, descriptor)
        for link in _links(self._folder.absolute()):
            if link.lstat().st_uid not in (0, os.geteuid()):
                raise self._refusal(f"{link} is a link of another user, who can turn it", "name the folder itself")
        return descriptor

    def _enter(self, above: int, name: str, undo: ExitStack) -> int:
        made = False
        with suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=above)
            undo.callback(_remove, os.rmdir, name, above)
            made = True
        if stat.S_ISLNK(os.lstat(name, dir_fd=above).st_mode):
            raise self._refusal(f"{name} in it is a link", "replace it by a folder")
        descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
        undo.callback(os.close, descriptor)
        if made:
            os.fchmod(descriptor, 0o755)  # whatever the umask: another user's program reads it
        return descriptor

    def _refusal(self, what: str, hint: str) -> AcmeError:
        return AcmeError(str(self._folder), what, hint)


def _remove(how: Callable[..., None], name: str, above: int) -> None:
    with suppress(OSError):  # gone already, or somebody put something beside it
        how(name, dir_fd=above)


def _links(path: Path) -> Iterator[Path]:
    """Every link on the way to ``path``, also those that links lead to. It must not lead in a circle."""
    for part in reversed((path, *path.parents)):
        if part.is_symlink():
            yield part
            yield from _links(part.parent / part.readlink() / path.relative_to(part))
            return
