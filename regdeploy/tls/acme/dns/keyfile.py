"""A TSIG key (RFC 8945) in BIND's key-file syntax, as ``tsig-keygen`` writes it."""

from __future__ import annotations

import base64
import binascii
import re
import stat
from pathlib import Path

from regdeploy.errors import UsageError
from regdeploy.frozen import frozen
from regdeploy.secret import Secret
from regdeploy.tls.acme.dns.trusted import trusted

_LONGEST = 65536  # bytes
_ALGORITHM = re.compile(r"hmac-(md5(\.sig-alg\.reg\.int)?|sha(1|224|256(-128)?|384(-192)?|512(-256)?))\.?")
_COMMENT = re.compile(r'("[^"\n]*")|/\*.*?\*/|(?://|#)[^\n]*', re.DOTALL)  # or what is in quotes, which may hold "//"
_KEY = re.compile(r"\bkey\s+(\"[^\"]+\"|[^\s\"{;]+)\s*\{([^}]*)\}")
_FIELD = r"\b{}\s+(\"[^\"]*\"|[^\s\";]+)\s*;"
_HINT = 'tsig-keygen NAME writes such a file: key "NAME" { algorithm hmac-sha256; secret "..."; };'


@frozen
class TsigKey:
    """A key: ``algorithm`` as DNS spells it; ``secret`` is base64; ``warning`` is a sentence, or empty."""

    name: str
    algorithm: str
    secret: Secret
    path: Path
    warning: str = ""


def read_key(path: Path) -> TsigKey:
    """The one key in ``path``. Raises UsageError where there is none, or others can write the file.

    A file that everybody can read is used: whoever can read it can change the zone, and ``warning`` says so.
    """
    found = trusted(path)
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST).decode()
    except OSError as error:
        raise UsageError(str(path), error.strerror or str(error), "run regdeploy as a user who may read it") from error
    except UnicodeDecodeError as error:
        raise UsageError(str(path), "is not text, so no TSIG key", _HINT) from error
    keys = _KEY.findall(_COMMENT.sub(lambda found: found[1] or " ", text))
    if len(keys) != 1:
        raise UsageError(str(path), f"holds {len(keys) or 'no'} TSIG key{'s'[: len(keys) > 1]}, one is needed", _HINT)
    name, body = keys[0]
    secret = _field(body, "secret")
    if not _is_base64(secret):
        raise UsageError(str(path), "its secret is missing, or not base64", _HINT)
    open_to_all = "can be read by every user of this host, who can then change the zone: chmod o-r"
    return TsigKey(
        name=name.strip('"'),
        algorithm=_algorithm(_field(body, "algorithm"), path),
        secret=Secret(secret),
        path=path,
        warning=f"{path} {open_to_all} {path}" if found.st_mode & stat.S_IROTH else "",
    )


def _field(body: str, name: str) -> str:
    found = re.search(_FIELD.format(name), body)
    return found[1].strip('"') if found else ""


def _algorithm(given: str, path: Path) -> str:
    name = given.lower()
    if not _ALGORITHM.fullmatch(name):
        raise UsageError(str(path), f"its algorithm is {given or 'missing'}", "use hmac-sha256")
    return "hmac-md5.sig-alg.reg.int" if name == "hmac-md5" else name


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False
