"""The folder of certificates: versions side by side, one of them current, and the names that the container is told.

```
versions/0001/            fullchain.pem 0644, privkey.pem 0600, cert.json
current -> versions/0001  switched by one rename, so that pair and chain change together
DOMAIN.crt -> current/fullchain.pem
DOMAIN.key -> current/privkey.pem
```

Whoever writes holds the deployment's lock. Killed at any point, a version is there whole or not at all, and ``current``
leads to the one before or the one after. Room for a version can be taken before there is anything to keep in it: a
disk that fills while a CA works costs no certificate.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path

from regdeploy.errors import CertificateError, HostError
from regdeploy.files import TEMPORARY_PREFIX, refusal, switch_link, sync_folder, write_whole
from regdeploy.frozen import frozen
from regdeploy.secret import Secret
from regdeploy.tls.certificate import Bundle
from regdeploy.tls.record import Record, digest
from regdeploy.tls.room import AMPLE, Room, take_room
from regdeploy.tls.stored import FULLCHAIN, PRIVKEY, RECORD, StoredVersion, read_version

__all__ = ["CertificateStore", "Room", "StoreFacts", "StoredVersion"]

_CURRENT = "current"
_LINKS = {".crt": f"{_CURRENT}/{FULLCHAIN}", ".key": f"{_CURRENT}/{PRIVKEY}"}
_TARGET = re.compile(r"versions/(\d{4,})/?")


@frozen
class StoreFacts:
    """What the folder holds: ``versions`` ascending, ``links`` by name with the text that they lead to."""

    current: int | None = None
    versions: tuple[StoredVersion, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)


class CertificateStore:
    """The certificates in ``certs`` (ROOT/certs). Every method raises HostError when the host refuses."""

    def __init__(self, certs: Path) -> None:
        self._certs = certs
        self._versions = certs / "versions"

    def read(self) -> StoreFacts:
        """Look at everything; an absent folder is an empty store, and what is broken is said, not raised."""
        links = self._links()
        target = _TARGET.fullmatch(links.pop(_CURRENT, ""))
        return StoreFacts(
            current=int(target[1]) if target else None,
            versions=tuple(read_version(self._folder(number), number) for number in self._numbers()),
            links=links,
        )

    def room(self) -> AbstractContextManager[Room]:
        """Take the room that one more version needs from the disk; what :meth:`add` did not use is given back.

        Raises HostError where there is none, or where nothing can be written. A kill leaves it until :meth:`prune`.
        """
        return take_room(self._versions, AMPLE)

    def add(
        self,
        bundle: Bundle,
        *,
        source: str,
        directory: str,
        issued_at: datetime,
        names: Iterable[str],
        profile: str = "",
        room: Room | None = None,
    ) -> int:
        """Keep ``bundle`` as a new version, in ``room`` where there is one, and return its number.

        It is not current yet.
        """
        number = max((0, *self._numbers())) + 1
        key = bundle.key_pem.reveal().encode()
        record = Record(
            leaf=bundle.leaf,
            source=source,
            directory=directory,
            names=tuple(names),
            issued_at=issued_at,
            deployed_at=None,
            fullchain_sha256=digest(bundle.fullchain_pem),
            privkey_sha256=digest(key),
            profile=profile,
        )
        contents = {FULLCHAIN: bundle.fullchain_pem, PRIVKEY: key, RECORD: record.to_json()}
        try:
            with nullcontext(room) if room is not None else take_room(self._versions, 0) as place:
                place.fill(contents)
                _rename(place.folder, self._folder(number))
        except HostError as error:
            raise HostError(str(self._folder(number)), error.what, error.hint, code=error.code) from error
        return number

    def install(self, number: int, link_name: str) -> None:
        """Make ``number`` current, and ``link_name``.crt and .key lead to it.

        ``link_name`` is the domain as files are called. Links of another domain stay until :meth:`prune`: the container
        that a failed deployment goes back to still needs them. Raises CertificateError where there is no such version.
        """
        wanted = {f"{link_name}{suffix}": target for suffix, target in _LINKS.items()}
        in_the_way = {path.name for path in _entries(self._certs)}.difference(self._links()).intersection(wanted)
        for name in sorted(in_the_way):
            what = "is a file that regdeploy did not put there"
            raise HostError(str(self._certs / name), what, "move it away: the registry is told that name")
        self.switch(number)
        for name, target in wanted.items():
            switch_link(self._certs / name, target)

    def switch(self, number: int | None) -> None:
        """Make ``number`` current, or none. Raises CertificateError where there is no such version."""
        link = self._certs / _CURRENT
        if number is not None:
            self._must_exist(number)
            switch_link(link, f"versions/{number:04}")
            return
        try:
            link.unlink()
            sync_folder(self._certs)
        except FileNotFoundError:
            return
        except OSError as error:
            raise refusal(link, error) from error

    def mark_deployed(self, number: int, at: datetime) -> None:
        """Record that ``number`` has been seen served at ``at``; the first time counts. Raises CertificateError."""
        record = self._record(number)
        if record.deployed_at is None:
            write_whole(self._folder(number) / RECORD, replace(record, deployed_at=at).to_json(), 0o644)

    def set_aside(self, number: int, at: datetime | None) -> None:
        """Record that ``number`` is passed over since ``at``, or with None that it counts again.

        Raises CertificateError where there is no such version, or its record is broken.
        """
        record = self._record(number)
        if record.set_aside != at:
            write_whole(self._folder(number) / RECORD, replace(record, set_aside=at).to_json(), 0o644)

    def mark_revoked(self, number: int, at: datetime) -> None:
        """Record that its CA revoked ``number`` at ``at``; the first time counts. Raises as :meth:`set_aside`."""
        record = self._record(number)
        if record.revoked is None:
            write_whole(self._folder(number) / RECORD, replace(record, revoked=at).to_json(), 0o644)

    def bundle(self, number: int) -> Bundle:
        """The bundle of ``number``, whatever its dates. Raises CertificateError when it is broken or not there."""
        from regdeploy.tls.bundle import load_bundle  # noqa: PLC0415 - only for what is used, not for what is listed

        self._must_exist(number)
        fullchain, key = self._folder(number) / FULLCHAIN, self._folder(number) / PRIVKEY
        return load_bundle(_bytes(fullchain), _bytes(key), cert_name=str(fullchain), key_name=str(key))

    def fullchain(self, number: int) -> bytes:
        """The certificate of ``number`` with its chain, PEM, as it is stored. Raises CertificateError."""
        return _bytes(self._folder(number) / FULLCHAIN)

    def key(self, number: int) -> Secret:
        """The private key of ``number``, PEM, as it is stored. Raises CertificateError."""
        return Secret(_bytes(self._folder(number) / PRIVKEY).decode("ascii", "replace"))

    def prune(self, keep: int, link_name: str | None = None) -> None:
        """Remove all versions but the newest ``keep`` and the current one, and what a kill left behind.

        With ``link_name``, links of other domains that :meth:`install` made go too. Each version goes in one rename.
        """
        numbers, links = self._numbers(), self._links()
        for number in numbers[: max(0, len(numbers) - keep)]:
            if links.get(_CURRENT) != f"versions/{number:04}":
                _rename(self._folder(number), self._versions / f"{TEMPORARY_PREFIX}{number:04}.{secrets.token_hex(4)}")
        for name, target in links.items() if link_name is not None else ():
            stem, suffix = name[:-4], name[-4:]
            if _LINKS.get(suffix) == target and stem != link_name:
                _remove(self._certs / name)
        for path in (*_entries(self._versions), *_entries(self._certs)):
            if path.name.startswith(TEMPORARY_PREFIX):
                _remove(path)

    def _links(self) -> dict[str, str]:
        """Every symbolic link beside ``versions``, with the text that it leads to."""
        links = {}
        for path in _entries(self._certs):
            with suppress(OSError):  # no link, or gone meanwhile
                links[path.name] = str(path.readlink())
        return {name: target for name, target in links.items() if not name.startswith(TEMPORARY_PREFIX)}

    def _record(self, number: int) -> Record:
        path = self._folder(number) / RECORD
        self._must_exist(number)
        try:
            return Record.from_json(_bytes(path))
        except ValueError as error:
            raise CertificateError(
                str(path), f"is broken: {error}", "`regdeploy renew --force` makes another"
            ) from error

    def _folder(self, number: int) -> Path:
        return self._versions / f"{number:04}"

    def _must_exist(self, number: int) -> None:
        if number not in self._numbers():
            hint = "`regdeploy up` makes a new one"
            raise CertificateError(str(self._folder(number)), "there is no such certificate version", hint)

    def _numbers(self) -> list[int]:
        """The versions' numbers, ascending; a file in a version's place counts, so that it is never overwritten."""
        names = (path.name for path in _entries(self._versions))
        return sorted(int(name) for name in names if name.isdecimal() and name == f"{int(name):04}")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refusal(folder, error) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CertificateError(str(path), "is missing", "`regdeploy up` makes a new one") from error
    except OSError as error:
        raise refusal(path, error) from error


def _rename(path: Path, target: Path) -> None:
    try:
        os.rename(path, target)  # noqa: PTH104 - as in files: the system call by its name
        sync_folder(path.parent)
    except OSError as error:
        raise refusal(path, error) from error


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            with suppress(FileNotFoundError):
                path.unlink()
    except OSError as error:
        raise refusal(path, error) from error
