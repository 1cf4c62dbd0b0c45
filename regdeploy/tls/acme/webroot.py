"""http-01 where another program serves port 80 (RFC 8555 section 8.3): the answers are files in its folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from regdeploy.errors import AcmeError, HostError
from regdeploy.files import write_whole
from regdeploy.tls.acme.challenges import Proof

_BELOW = (".well-known", "acme-challenge")


class Webroot:
    """Puts each answer into ``folder``/.well-known/acme-challenge, and takes away what it put there and nothing else.

    A run that was killed leaves files that nobody asks for; they are in nobody's way.
    """

    kind = "http-01"
    port = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Path] = []

    def start(self, proofs: Sequence[Proof]) -> None:
        """See :class:`Solver`. Raises AcmeError where the folder is not there, has links, or cannot be written."""
        if not self._folder.is_dir():
            raise self._refusal("is not a folder", "name the one that is served on port 80 with --http-01-webroot")
        try:
            below = self._folder
            for name in _BELOW:
                below = self._make(below / name)
            for proof in proofs:
                self._put(below, proof)
        except (OSError, HostError) as error:
            self.stop()
            words = error.what if isinstance(error, HostError) else error.strerror or str(error)
            raise self._refusal(f"cannot be written: {words}", "run regdeploy as a user who may") from error
        except AcmeError:
            self.stop()
            raise

    def stop(self) -> None:
        """See :class:`Solver`."""
        while self._made:
            path = self._made.pop()
            with suppress(OSError):  # gone already, or somebody put something beside it
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()

    def _make(self, folder: Path) -> Path:
        if folder.is_symlink():  # whoever may write there would have us write anywhere
            raise self._refusal(f"{folder.name} in it is a link", "replace it by a folder")
        if not folder.exists():
            folder.mkdir(mode=0o755)
            folder.chmod(0o755)  # whatever the umask: another user's program reads it
            self._made.append(folder)
        return folder

    def _put(self, below: Path, proof: Proof) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", proof.token):  # RFC 8555 section 8: base64url, and now a file's name
            raise AcmeError(proof.name, "the CA sent a token that is none", "run the same command again")
        path = below / proof.token
        write_whole(path, proof.key_authorization.encode(), 0o644)
        self._made.append(path)

    def _refusal(self, what: str, hint: str) -> AcmeError:
        return AcmeError(str(self._folder), what, hint)
