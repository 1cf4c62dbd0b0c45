"""How one value is read, wherever it was given: each function takes the value and the words for where it was given.

All raise UsageError with those words, the value, and what to write instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from regdeploy.deployment.authorities import DIRECTORIES
from regdeploy.deployment.domains import is_ip, parse_domain
from regdeploy.errors import UsageError

DEFAULT_ROOT = Path("/var/lib/registry")


def as_text(value: object, where: str) -> str:
    """Text in UTF-8, without the blanks around it."""
    if not isinstance(value, str):
        raise UsageError(where, f"{value!r} is not text", "put it in quotes")
    if any("\ud800" <= sign <= "\udfff" for sign in value):  # bytes of the command line that are no text
        raise UsageError(where, f"{value!r} is not UTF-8", "write it in UTF-8")
    return value.strip()


def matching(pattern: str, what: str) -> Callable[[object, str], str]:
    """Text of that form; ``what`` names it."""

    def parse(value: object, where: str) -> str:
        text = as_text(value, where)
        if not re.fullmatch(pattern, text):
            raise UsageError(where, f"{text!r} is not {what}")
        return text

    return parse


def nearest(text: str, words: Sequence[str]) -> str:
    """The word that was probably meant; of those that are near, one with the same beginning. Empty when none is."""
    import difflib  # noqa: PLC0415 - 7 ms that only a misspelt word costs

    near = difflib.get_close_matches(text, words, 3)
    return next((word for word in near if word[:1] == text[:1]), near[0] if near else "")


def one_of(*choices: str) -> Callable[[object, str], str]:
    """One of these words."""

    def parse(value: object, where: str) -> str:
        text = as_text(value, where)
        if text not in choices:
            near = nearest(text, choices)
            hint = f"did you mean '{near}'?" if near else f"one of: {', '.join(choices)}"
            raise UsageError(where, f"{text!r} is not known", hint)
        return text

    return parse


def whole_number(lowest: int, highest: int) -> Callable[[object, str], int]:
    """A whole number within these bounds, both allowed."""

    def parse(value: object, where: str) -> int:
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            number = None
        if not isinstance(number, int) or isinstance(number, bool) or not lowest <= number <= highest:
            raise UsageError(where, f"{value!r} is not a whole number from {lowest} to {highest}")
        return number

    return parse


def as_truth(value: object, where: str) -> bool:
    """True or false, in any of the usual words."""
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    found = value if isinstance(value, bool) else words.get(str(value).lower())
    if found is None:
        raise UsageError(where, f"{value!r} is neither true nor false")
    return found


def as_path(value: object, where: str) -> Path | None:
    """An absolute path; None for an empty one."""
    text = as_text(str(value) if isinstance(value, Path) else value, where)
    if "\0" in text:
        raise UsageError(where, "a path cannot have a NUL character")
    try:
        path = Path(text).expanduser().absolute() if text else None
    except RuntimeError as error:
        raise UsageError(where, f"{text!r} begins with a user who is not known here", "write the whole path") from error
    return _without_last_blank(path, where)


def _without_last_blank(path: Path | None, where: str) -> Path | None:
    """The path as it is. "/srv/ /" would be "/srv/ " once normal, and be read back from the saved file as "/srv"."""
    if path is not None and str(path) != str(path).rstrip():
        raise UsageError(where, f"{str(path)!r} ends with a blank", "give the file or folder another name")
    return path


def as_root(value: object, where: str) -> Path:
    """The root folder: a normal path that Docker can mount."""
    path = as_path(value, where)
    # As the engine will say it of the mounts: else "/srv/../srv" would differ from what is there for ever.
    path = path and _without_last_blank(Path("/" + os.path.normpath(path).lstrip("/")), where)
    if path is None or path == Path("/"):
        raise UsageError(where, f"{str(value)!r} cannot be the root folder", f"use a folder such as {DEFAULT_ROOT}")
    if ":" in str(path):
        raise UsageError(where, f"{str(value)!r} has a colon, and Docker mounts no such path", "use another folder")
    return path


def as_domains(value: object, where: str) -> tuple[str, ...]:
    """Names as A-labels, from a list or a text with commas, each once."""
    items = [part for part in value.split(",") if part.strip()] if isinstance(value, str) and "," in value else value
    if value and not items:
        raise UsageError(where, f"{value!r} names nothing", "leave it out for the local registry, or write a name")
    if isinstance(items, str):
        items = [items] if items else []
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise UsageError(where, f"{value!r} is not a list of names", 'write ["registry.example.com"]')
    return tuple(dict.fromkeys(parse_domain(item, where) for item in items))


def as_former(value: object, where: str) -> tuple[str, ...]:
    """Names as :func:`as_domains` takes them, or ``none``, alone or in a list of its own."""
    return () if value in ("none", ["none"], "", [""]) else as_domains(value, where)


def as_email(value: object, where: str) -> str:
    """One e-mail address, or nothing."""
    text = as_text(value, where)
    if text and not re.fullmatch(r"[^@\s,;:<>()\[\]\\\"]+@([^@\s,;:<>().]+\.)+[^@\s,;:<>().]{2,}", text):
        raise UsageError(where, f"{text!r} is not an e-mail address", "write one address such as ops@example.com")
    return text


def as_directory(value: object, where: str) -> str:
    """A CA's directory URL, also by a short name."""
    text = as_text(value, where)
    text = DIRECTORIES.get(text, text)
    if not re.fullmatch(r"https://[^/\s]+(/\S*)?", text):
        raise UsageError(where, f"{text!r} is not an https:// address", "give the CA's directory URL or 'letsencrypt'")
    return text


def as_directories(value: object, where: str) -> tuple[str, ...]:
    """CAs, from a list or a text with commas, each once."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise UsageError(where, f"{value!r} is not a list of CAs", 'write ["zerossl"]')
    return tuple(dict.fromkeys(as_directory(item, where) for item in items if item != ""))


def as_address(value: object, where: str) -> str:
    """An IP address in its short form; empty for all."""
    text = as_text(value, where).removeprefix("[").removesuffix("]")
    if text and not is_ip(text):
        raise UsageError(where, f"{text!r} is not an IP address", "leave it out to listen on all addresses")
    return parse_domain(text, where) if text else ""  # in its short form, as the engine says it


def as_server(value: object, where: str) -> str:
    """``ADDRESS``, ``ADDRESS:PORT`` or ``[ADDRESS]:PORT`` of a server, or nothing."""
    text = as_text(value, where)
    bracketed = re.fullmatch(r"\[([^]]+)\](?::(\d{1,5}))?", text)
    plain = re.fullmatch(r"([^:]+)(?::(\d{1,5}))?", text)
    found = bracketed or plain
    address, port = (found[1], int(found[2] or 53)) if found else (text, 53)
    if text and not (is_ip(address) and 0 < port < 65536):  # noqa: PLR2004 - ports
        raise UsageError(
            where, f"{text!r} is not the address of a server", "write 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53"
        )
    return text


def as_webhook(value: object, where: str) -> str:
    """The https URL that takes notifications, or nothing."""
    return _channel(value, where, ("http", "https"), "write https://example.com/path")


def as_mail(value: object, where: str) -> str:
    """The smtp or smtps URL by which notifications are mailed, or nothing."""
    return _channel(value, where, ("smtp", "smtps"), "write smtp://USER@HOST:587?from=ADDRESS&to=ADDRESS")


def _channel(value: object, where: str, schemes: Sequence[str], hint: str) -> str:
    text = as_text(value, where)
    if text and text.partition("://")[0].lower() not in schemes:  # the rest is judged where it is used
        raise UsageError(where, "is not such a URL", hint)  # and not shown: it may hold a secret
    return text


def as_user(value: object, where: str) -> str:
    """The name of somebody who logs in."""
    from regdeploy.registry.users import check_name  # noqa: PLC0415 - only where a name was given

    return check_name(as_text(value, where), where)
