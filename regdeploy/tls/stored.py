"""One stored version of a certificate, as the files of its folder say.

Files that are as they were written are taken at their recorded facts, without cryptography: its import costs more than
the rest of ``status``. Files that were changed by hand are parsed.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from regdeploy.errors import CertificateError
from regdeploy.frozen import frozen
from regdeploy.tls.certificate import Certificate
from regdeploy.tls.record import Record

FULLCHAIN, PRIVKEY, RECORD = "fullchain.pem", "privkey.pem", "cert.json"

#: Stands for a leaf that could not be read: for no name, and over since 1970.
_NEVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
UNREADABLE = Certificate(
    names=(),
    subject="",
    issuer="",
    serial=0,
    not_before=_NEVER,
    not_after=_NEVER,
    fingerprint_sha256="",
    key_type="",
)


@frozen
class StoredVersion:
    """One version. ``source`` is ``acme``, ``files`` or ``internal``; ``directory`` the ACME directory's URL or empty.

    ``names`` and ``profile`` (the CA's; empty: none, or not noted) are what it was asked for; ``deployed`` says that it
    has been seen served, first at ``deployed_at``; ``set_aside`` is since when an older one was chosen instead of it,
    ``revoked`` when its CA revoked it.
    ``problem`` is empty, or says why the version cannot be used (``its cert.json is missing``): then ``leaf`` is
    :data:`UNREADABLE` unless it could be read, and long expired for anybody who does not look at ``problem``.
    """

    number: int
    leaf: Certificate
    source: str
    names: tuple[str, ...]
    issued_at: datetime
    directory: str
    key_matches: bool
    deployed: bool
    problem: str
    profile: str = ""
    deployed_at: datetime | None = None
    set_aside: datetime | None = None
    revoked: datetime | None = None


def read_version(folder: Path, number: int) -> StoredVersion:
    """Look at one version; what is broken is said, not raised."""
    contents = {}
    for name in (RECORD, FULLCHAIN, PRIVKEY):
        try:
            contents[name] = (folder / name).read_bytes()
        except FileNotFoundError:
            return _unusable(number, f"its {name} is missing")
        except OSError as error:
            return _unusable(number, f"its {name} cannot be read: {error.strerror}")
    try:
        record = Record.from_json(contents[RECORD])
    except ValueError as error:
        return _unusable(number, f"its {RECORD} is broken: {error}")
    leaf, key_matches, problem = record.leaf, True, ""
    if not record.describes(contents[FULLCHAIN], contents[PRIVKEY]):
        leaf, key_matches, problem = _parsed(contents[FULLCHAIN], contents[PRIVKEY])
    return StoredVersion(
        number=number,
        leaf=leaf,
        source=record.source,
        names=record.names,
        issued_at=record.issued_at,
        directory=record.directory,
        key_matches=key_matches,
        deployed=record.deployed_at is not None,
        problem=problem,
        profile=record.profile,
        deployed_at=record.deployed_at,
        set_aside=record.set_aside,
        revoked=record.revoked,
    )


def _unusable(number: int, problem: str) -> StoredVersion:
    return StoredVersion(
        number=number,
        leaf=UNREADABLE,
        source="",
        names=(),
        issued_at=_NEVER,
        directory="",
        key_matches=False,
        deployed=False,
        problem=problem,
    )


def _parsed(fullchain: bytes, key: bytes) -> tuple[Certificate, bool, str]:
    from regdeploy.tls.bundle import inspect  # noqa: PLC0415 - cryptography, only for files changed by hand

    try:
        return *inspect(fullchain, key, cert_name=f"its {FULLCHAIN}", key_name=f"its {PRIVKEY}"), ""
    except CertificateError as error:
        return UNREADABLE, False, str(error)
