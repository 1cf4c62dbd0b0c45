"""An account's key on disk: the one in use, the one that shall follow it, and those that were put away."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC

from regdeploy.errors import AcmeError
from regdeploy.files import refusal, sync_folder, write_whole


class AccountKey:
    """``account.key`` (EC P-256, PKCS #8 PEM, 0600) in ``folder``; while it is being changed ``account.key.next`` too.

    Keys are on disk before a CA sees them, and none is removed that a CA may know. Everything raises HostError.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "account.key"
        self._next = folder / "account.key.next"

    def read(self) -> JWKEC | None:
        """The key in use, None where there is none. Raises AcmeError for a file that holds something else."""
        return _read(self.path)

    def make(self) -> JWKEC:
        """A new key, in use from now on; there is none yet."""
        return _make(self.path)

    def stage(self) -> JWKEC:
        """A new key that shall follow the one in use."""
        return _make(self._next)

    def staged(self) -> JWKEC | None:
        """The key that shall follow, where a change of keys was begun and not ended. Raises AcmeError as ``read``."""
        return _read(self._next)

    def promote(self) -> None:
        """Put the staged key in use: the CA knows the account by it, and by the one before no more."""
        self._move(self._next, self.path)

    def unstage(self) -> None:
        """Put the staged key away: the CA does not know it."""
        self._move(self._next, self._old())

    def put_away(self) -> None:
        """Keep the key in use as ``account.key.old-N``, so that there is none."""
        self._move(self.path, self._old())

    def _old(self) -> Path:
        names = (self.path.with_name(f"account.key.old-{number}") for number in count(1))
        return next(name for name in names if not name.exists())

    def _move(self, source: Path, target: Path) -> None:
        try:
            source.rename(target)
            sync_folder(self.path.parent)
        except OSError as error:
            raise refusal(source, error) from error


def _make(path: Path) -> JWKEC:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_whole(path, pem, 0o600)
    return JWKEC(key=private)


def _read(path: Path) -> JWKEC | None:
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal(path, error) from error
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):  # no PEM; or one with a password
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise AcmeError(str(path), "is no EC P-256 private key in PEM", "move it away: a new account is registered")
    return JWKEC(key=key)
