"""``cert.json``: what is known of a stored certificate without parsing it, and what only its history knows. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from regdeploy.frozen import frozen
from regdeploy.tls.certificate import Certificate


def digest(data: bytes) -> str:
    """SHA-256 in lower hex."""
    return hashlib.sha256(data).hexdigest()


@frozen
class Record:
    """One ``cert.json``. Issued and deployed are two facts: ``deployed_at`` is None until it has been seen served.

    The digests are of the two files as they were written, and say whether ``leaf`` still describes them. ``profile`` is
    the CA's profile that was asked for; empty for none, and in a file of a version that did not note it. ``set_aside``
    is when it was passed over for an older version, ``revoked`` when its CA revoked it; None for one that was not, and
    in a file that did not note that.
    """

    leaf: Certificate
    source: str
    directory: str
    names: tuple[str, ...]
    issued_at: datetime
    deployed_at: datetime | None
    fullchain_sha256: str
    privkey_sha256: str
    profile: str = ""
    set_aside: datetime | None = None
    revoked: datetime | None = None

    def describes(self, fullchain: bytes, privkey: bytes) -> bool:
        """Whether the two files are the ones that this record was made for."""
        return self.fullchain_sha256 == digest(fullchain) and self.privkey_sha256 == digest(privkey)

    def to_json(self) -> bytes:
        """The file's content. Serial numbers are hex: they exceed what JSON readers keep of a number."""
        values = asdict(self)
        values["leaf"]["serial"] = f"{self.leaf.serial:x}"
        return (json.dumps(values, indent=2, default=datetime.isoformat) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> Record:
        """The record in ``data``. Raises ValueError, and nothing else, that says what is wrong."""
        try:
            values = json.loads(data)
            leaf = _exactly(Certificate, values.pop("leaf"))
            leaf["names"] = _texts(leaf["names"])
            leaf["serial"] = int(_text(leaf["serial"]), 16)
            for name in ("not_before", "not_after"):
                leaf[name] = _time(leaf[name])
            for name in ("subject", "issuer", "fingerprint_sha256", "key_type"):
                _text(leaf[name])
            values = _exactly(
                cls, {"profile": "", "set_aside": None, "revoked": None, **values, "leaf": Certificate(**leaf)}
            )
            values["names"] = _texts(values["names"])
            values["issued_at"] = _time(values["issued_at"])
            for name in ("deployed_at", "set_aside", "revoked"):
                values[name] = None if values[name] is None else _time(values[name])
            for name in ("source", "directory", "fullchain_sha256", "privkey_sha256", "profile"):
                _text(values[name])
            return cls(**values)
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error


def _exactly(kind: type[Certificate | Record], values: dict[str, Any]) -> dict[str, Any]:
    """The fields of ``kind`` and no others: a later version may have added some."""
    return {item.name: values[item.name] for item in fields(kind)}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return tuple(_text(item) for item in value)


def _time(value: object) -> datetime:
    time = datetime.fromisoformat(_text(value))
    if time.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return time
