"""Who may log in: an htpasswd file with bcrypt hashes, the only kind that Distribution takes.

The registry reads it again when it was replaced, so nothing restarts. One bad line makes it answer 400 to everybody:
hence ``problems``. https://distribution.github.io/distribution/about/configuration/#htpasswd
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regdeploy.errors import HostError, UsageError
from regdeploy.files import refusal, write_whole
from regdeploy.secret import Secret

MODE = 0o600
#: Passwords are long and random, so a dearer hash only slows every request (and 12 costs 200 ms a request).
BCRYPT_COST = 5
#: Whose name begins so is let in for the length of one piece of work, and is no user to anybody else.
TEMPORARY_PREFIX = ".regdeploy-"
#: The least there is: nobody guesses 138 random bits, and a proof asks thousands of times, 1 ms less each.
_TEMPORARY_COST = 4
#: bcrypt looks at no more, and cutting in silence would accept wrong passwords.
MAX_PASSWORD_BYTES = 72
MAX_NAME_LENGTH = 255
#: The two problems that the first user mends.
ABSENT = "is not there"
NOBODY = "names nobody: every login is refused"

_BCRYPT = re.compile(r"\$2[abxy]?\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # 31 signs, none that is read for another
_GROUPS, _GROUP = 7, 4  # 28 signs: 138 bits


def check_name(name: str, where: str = "--user") -> str:
    """``name`` when it can stand in an htpasswd file and in Basic authentication (RFC 7617); else UsageError."""
    if not name:
        raise UsageError(where, "is empty", "give a name such as admin")
    if ":" in name:
        raise UsageError(where, f"{name!r} has a colon, which ends a name in HTTP logins", "leave it out")
    if not name.isprintable() or name != name.strip():
        raise UsageError(where, f"{name!r} has blanks at its ends or control characters", "leave them out")
    if name.startswith("#"):
        raise UsageError(where, f"{name!r} starts with #, which makes it a comment in htpasswd", "start with a letter")
    if name.startswith(TEMPORARY_PREFIX):
        raise UsageError(
            where, f"{name!r} starts with {TEMPORARY_PREFIX}, which regdeploy keeps for itself", "leave it"
        )
    if len(name) > MAX_NAME_LENGTH:
        raise UsageError(where, f"{name[:20]!r}… is longer than {MAX_NAME_LENGTH} characters", "use a shorter name")
    return name


def check_password(password: Secret, where: str = "password") -> Secret:
    """``password`` when bcrypt takes all of it; else UsageError, which does not show it."""
    text = password.reveal()
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise UsageError(where, "is not UTF-8 text", "type it in a UTF-8 terminal") from None  # the cause shows it
    if not text:
        raise UsageError(where, "is empty", "type one, or leave it out and get a random one")
    if size > MAX_PASSWORD_BYTES:
        raise UsageError(
            where, f"is {size} bytes long; bcrypt looks at the first {MAX_PASSWORD_BYTES} only", "use a shorter one"
        )
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in text):  # noqa: PLR2004 - ASCII's control characters
        raise UsageError(where, "has a control character (a line break, perhaps)", "type it without")
    return password


def generate_password() -> Secret:
    """A random password of 138 bits that can be read aloud: ``x7kq-…``, seven groups of four."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return Secret("-".join(groups))


def read(path: Path) -> tuple[str, ...]:
    """The names in the file, in its order; none when there is no file. Raises HostError."""
    return tuple(name for name, _ in map(_split, _lines(path)) if name)


def set_password(path: Path, name: str, password: Secret) -> None:
    """Let ``name`` log in with ``password``: a new line, or the old one replaced in its place; other lines stay as are.

    The file (0600) and nothing else is written, whole. Raises UsageError and HostError.
    """
    check_name(name)
    line = f"{name}:{_hash(check_password(password))}"
    lines = _lines(path)
    places = [at for at, old in enumerate(lines) if _split(old)[0] == name]
    for at in reversed(places[1:]):
        del lines[at]
    if places:
        lines[places[0]] = line
    else:
        lines.append(line)
    _write(path, lines)


def take_over(htpasswd: str, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Let those log in whom ``htpasswd`` lets in, the text of another registry's file. Raises HostError.

    Returns their names, and of those who are left out: a registry passes over every hash but bcrypt's.
    """
    entries = dict(map(_split, _parsed(htpasswd.encode())))
    entries.pop("", None)
    good = {name: value for name, value in entries.items() if _BCRYPT.fullmatch(value)}
    _write(path, [f"{name}:{value}" for name, value in good.items()])
    return tuple(good), tuple(name for name in entries if name not in good)


def remove(path: Path, name: str) -> bool:
    """Take away every line of ``name``; False, and nothing is written, when there is none. Raises HostError."""
    lines = _lines(path)
    kept = [line for line in lines if not name or _split(line)[0] != name]
    if len(kept) == len(lines):
        return False
    _write(path, kept)
    return True


def verify(path: Path, name: str, password: Secret) -> bool:
    """Does the file let ``name`` in with ``password``, as the registry decides: the last line of a name counts."""
    import bcrypt  # noqa: PLC0415 - only who sets or tries a password pays for it

    hashes = dict(map(_split, _lines(path)))
    found = hashes.get(name, "") if name else ""
    try:
        return bool(_BCRYPT.fullmatch(found)) and bcrypt.checkpw(password.reveal().encode(), found.encode())
    except ValueError:  # a password that no hash can be made of
        return False


def problems(path: Path) -> str:
    """What keeps the registry from using the file, as one sentence; empty when it is good.

    No file counts as a problem (the registry then makes one of its own, or fails); so does one without users.
    """
    try:
        lines = _parsed(path.read_bytes())
    except FileNotFoundError:
        return ABSENT
    except (OSError, UnicodeError) as error:
        return f"cannot be read: {error}"
    for number, line in enumerate(lines, start=1):
        if not _is_entry(line):
            continue
        if ":" not in line:
            return f"line {number} is not NAME:HASH: the registry answers 400 to everybody"
        name, value = _split(line)
        if not name or not name.isprintable():  # a byte order mark, for one
            return f"line {number} has no name that can be typed"
        if not _BCRYPT.fullmatch(value):
            return f"line {number} ({name}) is not a bcrypt hash: {name} cannot log in"
    if not any(map(_is_entry, lines)):
        return NOBODY
    return ""


@contextmanager
def temporary_user(htpasswd: Path) -> Iterator[tuple[str, Secret]]:
    """Let a random user in while the block runs; yields name and password. Nothing has to restart.

    Afterwards the file has the bytes that it had, and is gone where there was none; what somebody else changed
    meanwhile stays. After a kill the line remains, first in the file: ``read`` passes over it, nobody knows its
    password, and the next writing takes it away. One block at a time, under the deployment's lock. Raises HostError.
    """
    name, password = f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}", generate_password()
    before = _content(htpasswd)
    line = f"{name}:{_hash(password, _TEMPORARY_COST)}\n".encode()
    # First, not last: without it the rest is what it was to the byte, even where its last line does not end.
    _replace(htpasswd, line + _without_temporary(before or b""))
    try:
        yield name, password
    finally:
        left = _without_temporary(_content(htpasswd) or b"")
        if before is None and not left:
            _discard(htpasswd)
        else:
            _replace(htpasswd, left)


def _without_temporary(content: bytes) -> bytes:
    lines = content.split(b"\n")
    return b"\n".join(line for line in lines if not line.startswith(TEMPORARY_PREFIX.encode()))


def _hash(password: Secret, cost: int = BCRYPT_COST) -> str:
    import bcrypt  # noqa: PLC0415 - only who sets or tries a password pays for it

    return bcrypt.hashpw(password.reveal().encode(), bcrypt.gensalt(cost)).decode()


def _is_entry(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith(("#", TEMPORARY_PREFIX))


def _split(line: str) -> tuple[str, str]:
    """(name, hash); an empty name for comments and for what is no entry."""
    if not _is_entry(line) or ":" not in line:
        return "", ""
    name, _, value = line.strip().partition(":")
    return name, value


def _lines(path: Path) -> list[str]:
    try:
        return _parsed(_content(path) or b"")
    except UnicodeError as error:
        raise HostError(
            str(path), "is not text", "move it away, then add the users again", code="host.files"
        ) from error


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal(path, error) from error


def _parsed(content: bytes) -> list[str]:
    """Lines as the registry sees them (Go's ScanLines): str.splitlines() would also end them at a form feed."""
    lines = content.decode().split("\n")
    return lines if lines[-1] else lines[:-1]


def _write(path: Path, lines: list[str]) -> None:
    _replace(path, _without_temporary("".join(f"{line}\n" for line in lines).encode()))


def _replace(path: Path, content: bytes) -> None:
    """Write it whole, and with another time than before: by that alone the registry sees that it is another one."""
    before = _changed(path)
    write_whole(path, content, MODE)
    try:
        if _changed(path) == before:  # within one tick of the kernel's clock, up to 10 ms
            os.utime(path, ns=(before, before + 1))
    except OSError as error:
        raise refusal(path, error) from error


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise refusal(path, error) from error


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise refusal(path, error) from error
