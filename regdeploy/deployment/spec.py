"""The spec: a deployment written down and validated, with the source of every value.

One table, ``SETTINGS``, is the whole of it. Each setting has one name: ``acme-directory`` is the option
``--acme-directory``, the variable ``REGDEPLOY_ACME_DIRECTORY`` and the key ``acme-directory`` of ``regdeploy.toml``.
The JSON Schema, ``init`` and the options of ``up`` are made from the same table, so a new setting is one line here
and one field of :class:`Spec`.

Not pydantic: building its models costs 150 ms at every start (``tests/bench/cli.py --imports``), more than a third of
what ``status`` may take.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from regdeploy.deployment.domains import is_ip, parse_domain, why_not_public
from regdeploy.errors import UsageError

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
DEFAULT_NAME = "registry"
DEFAULT_ROOT = Path("/var/lib/registry")


class Tls(StrEnum):
    """The certificate source."""

    ACME = "acme"
    FILES = "files"
    INTERNAL = "internal"
    OFF = "off"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One registry as the user wants it. Built by :func:`resolve` only, and valid from then on.

    ``domains`` are A-labels, the first is the name; ``port`` is the host's; ``bind`` is the address it is published on,
    empty for all; ``user`` is who may log in when the first user is made; ``timeout`` is in seconds and bounds what a
    new container may take to serve.
    """

    name: str
    root: Path
    domains: tuple[str, ...]
    email: str
    tls: Tls
    cert: Path | None
    key: Path | None
    acme_directory: str
    acme_ca_bundle: Path | None
    challenge: str
    http_01_port: int
    profile: str
    eab_kid: str
    eab_hmac_key_file: Path | None
    image: str
    image_archive: Path | None
    port: int
    bind: str
    user: str
    auth: bool
    selinux_relabel: bool
    timeout: int

    @property
    def domain(self) -> str:
        """The name that clients use; empty for the local registry."""
        return self.domains[0] if self.domains else ""

    @property
    def url(self) -> str:
        """Where the registry is reached."""
        if self.tls is Tls.OFF:
            return f"http://{'[' + self.bind + ']' if ':' in self.bind else self.bind}:{self.port}"
        host = f"[{self.domain}]" if ":" in self.domain else self.domain
        return f"https://{host}" + (f":{self.port}" if self.port != 443 else "")  # noqa: PLR2004 - HTTPS


class Raw(NamedTuple):
    """A value as given, and the words for where it was given (``--port``, ``REGDEPLOY_PORT``, ``FILE: port``)."""

    value: object
    source: str
    where: str


class Setting(NamedTuple):
    """One line of the table: its name, how its value is read, its schema, its value's kind in the help, its meaning."""

    name: str
    parse: Callable[[object, str], Any]
    schema: Mapping[str, object]
    metavar: str
    help: str
    saved: bool = True

    @property
    def field(self) -> str:
        """The name of the attribute of :class:`Spec`, and of the keyword of ``up``."""
        return {"domain": "domains"}.get(self.name, self.name.replace("-", "_"))

    @property
    def variable(self) -> str:
        """The name of the environment variable."""
        return "REGDEPLOY_" + self.name.replace("-", "_").upper()


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise UsageError(where, f"{value!r} is not text", "put it in quotes")
    if any("\ud800" <= sign <= "\udfff" for sign in value):  # bytes of the command line that are no text
        raise UsageError(where, f"{value!r} is not UTF-8", "write it in UTF-8")
    return value.strip()


def _matching(pattern: str, what: str) -> Callable[[object, str], str]:
    def parse(value: object, where: str) -> str:
        text = _text(value, where)
        if not re.fullmatch(pattern, text):
            raise UsageError(where, f"{text!r} is not {what}")
        return text

    return parse


def _nearest(text: str, words: Sequence[str]) -> str:
    """The word that was probably meant; of those that are near, one with the same beginning. Empty when none is."""
    import difflib  # noqa: PLC0415 - 7 ms that only a misspelt word costs

    near = difflib.get_close_matches(text, words, 3)
    return next((word for word in near if word[:1] == text[:1]), near[0] if near else "")


def _choice(*choices: str) -> Callable[[object, str], str]:
    def parse(value: object, where: str) -> str:
        text = _text(value, where)
        if text not in choices:
            near = _nearest(text, choices)
            hint = f"did you mean '{near}'?" if near else f"one of: {', '.join(choices)}"
            raise UsageError(where, f"{text!r} is not known", hint)
        return text

    return parse


def _integer(lowest: int, highest: int) -> Callable[[object, str], int]:
    def parse(value: object, where: str) -> int:
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            number = None
        if not isinstance(number, int) or isinstance(number, bool) or not lowest <= number <= highest:
            raise UsageError(where, f"{value!r} is not a whole number from {lowest} to {highest}")
        return number

    return parse


def _truth(value: object, where: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    found = value if isinstance(value, bool) else words.get(str(value).lower())
    if found is None:
        raise UsageError(where, f"{value!r} is neither true nor false")
    return found


def _path(value: object, where: str) -> Path | None:
    text = _text(str(value) if isinstance(value, Path) else value, where)
    if "\0" in text:
        raise UsageError(where, "a path cannot have a NUL character")
    try:
        return Path(text).expanduser().absolute() if text else None
    except RuntimeError as error:
        raise UsageError(where, f"{text!r} begins with a user who is not known here", "write the whole path") from error


def _root(value: object, where: str) -> Path:
    path = _path(value, where)
    # As the engine will say it of the mounts: else "/srv/../srv" would differ from what is there for ever.
    path = path and Path("/" + os.path.normpath(path).lstrip("/"))
    if path is None or path == Path("/"):
        raise UsageError(where, f"{str(value)!r} cannot be the root folder", f"use a folder such as {DEFAULT_ROOT}")
    if ":" in str(path):
        raise UsageError(where, f"{str(value)!r} has a colon, and Docker mounts no such path", "use another folder")
    return path


def _domains(value: object, where: str) -> tuple[str, ...]:
    items = [part for part in value.split(",") if part.strip()] if isinstance(value, str) and "," in value else value
    if isinstance(items, str):
        items = [items] if items else []
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise UsageError(where, f"{value!r} is not a list of names", 'write ["registry.example.com"]')
    return tuple(dict.fromkeys(parse_domain(item, where) for item in items))


def _email(value: object, where: str) -> str:
    text = _text(value, where)
    if text and not re.fullmatch(r"[^@\s,;:<>()\[\]\\\"]+@([^@\s,;:<>().]+\.)+[^@\s,;:<>().]{2,}", text):
        raise UsageError(where, f"{text!r} is not an e-mail address", "write one address such as ops@example.com")
    return text


def _directory(value: object, where: str) -> str:
    text = _text(value, where)
    known = {"letsencrypt": LETS_ENCRYPT, "letsencrypt-staging": LETS_ENCRYPT_STAGING}
    text = known.get(text, text)
    if not re.fullmatch(r"https://[^/\s]+(/\S*)?", text):
        raise UsageError(where, f"{text!r} is not an https:// address", "give the CA's directory URL or 'letsencrypt'")
    return text


def _bind(value: object, where: str) -> str:
    text = _text(value, where).removeprefix("[").removesuffix("]")
    if text and not is_ip(text):
        raise UsageError(where, f"{text!r} is not an IP address", "leave it out to listen on all addresses")
    return parse_domain(text, where) if text else ""  # in its short form, as the engine says it


def _user(value: object, where: str) -> str:
    from regdeploy.registry.users import check_name  # noqa: PLC0415 - only where a name was given

    return check_name(_text(value, where), where)


_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}"  # the engine takes no name of one character
_REFERENCE = r"\S{1,511}"
_STRING: Mapping[str, object] = {"type": "string"}
_BOOLEAN: Mapping[str, object] = {"type": "boolean"}


def _number(lowest: int, highest: int) -> Mapping[str, object]:
    return {"type": "integer", "minimum": lowest, "maximum": highest}


SETTINGS: tuple[Setting, ...] = (
    Setting("name", _matching(_NAME, "a container name"), _STRING, "NAME", "The deployment's and the container's name"),
    Setting("root", _root, _STRING, "PATH", "The folder on this host that holds everything", saved=False),
    Setting(
        "domain",
        _domains,
        {"type": "array", "items": _STRING},
        "NAME",
        "The registry's name; repeat it for further names of the certificate",
    ),
    Setting("email", _email, _STRING, "ADDRESS", "Where the CA may write to about the account"),
    Setting(
        "tls",
        _choice(*Tls),
        {"enum": [*Tls]},
        "SOURCE",
        "Where the certificate comes from: acme, files, internal or off",
    ),
    Setting("cert", _path, _STRING, "FILE", "Your own certificate with its chain, PEM (with --tls files)"),
    Setting("key", _path, _STRING, "FILE", "The private key of --cert, PEM, not encrypted"),
    Setting("acme-directory", _directory, _STRING, "URL", "The CA: its directory URL, or letsencrypt"),
    Setting("acme-ca-bundle", _path, _STRING, "FILE", "PEM file that proves the HTTPS of a private CA"),
    Setting("challenge", _choice("http-01"), {"enum": ["http-01"]}, "TYPE", "How control over the name is proved"),
    Setting(
        "http-01-port", _integer(1, 65535), _number(1, 65535), "N", "The port the answer is given on; the CA asks on 80"
    ),
    Setting("profile", _text, _STRING, "NAME", "The CA's certificate profile"),
    Setting("eab-kid", _text, _STRING, "ID", "Key identifier of an external account binding"),
    Setting("eab-hmac-key-file", _path, _STRING, "FILE", "File with the binding's HMAC key, base64url"),
    Setting("image", _matching(_REFERENCE, "an image reference"), _STRING, "REF", "The registry image"),
    Setting(
        "image-archive",
        _path,
        _STRING,
        "FILE",
        "Take the image from this docker-save or OCI archive, without a network",
    ),
    Setting("port", _integer(1, 65535), _number(1, 65535), "N", "The port on this host"),
    Setting("bind", _bind, _STRING, "ADDRESS", "The address of this host to listen on; empty for all"),
    Setting("user", _user, _STRING, "NAME", "Who may log in"),
    Setting("auth", _truth, _BOOLEAN, "", "Ask for a login"),
    Setting("selinux-relabel", _truth, _BOOLEAN, "", "Let Docker relabel the folders for SELinux"),
    Setting("timeout", _integer(1, 3600), _number(1, 3600), "SECONDS", "Seconds a new container may take to serve"),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}


class Resolved(NamedTuple):
    """A valid spec, and for each setting where its value came from: flag, environment, file, saved or default."""

    spec: Spec
    sources: Mapping[str, str]


def flag_layer(values: Mapping[str, object]) -> dict[str, Raw]:
    """The layer of the command line; ``values`` by setting name, None or an empty list where a flag was not given."""
    given = {name: value for name, value in values.items() if value is not None and value != []}
    return {
        name: Raw(value, "flag", f"--no-{name}" if value is False else f"--{name}") for name, value in given.items()
    }


def environment_layer(environ: Mapping[str, str]) -> dict[str, Raw]:
    """The layer of ``REGDEPLOY_*`` variables. An empty variable counts as not set."""
    return {
        setting.name: Raw(environ[setting.variable], "environment", setting.variable)
        for setting in SETTINGS
        if environ.get(setting.variable)
    }


def toml_layer(text: str, source: str, where: str) -> dict[str, Raw]:
    """The layer of a ``regdeploy.toml``; ``source`` is ``file`` or ``saved``, ``where`` its path.

    Raises UsageError for broken TOML (with its line) and for an unknown key, with the nearest valid one.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = (
            "mend that line" if source == "file" else "mend that line, or move the file away and give the flags again"
        )
        raise UsageError(where, f"is not valid TOML: {error}", hint) from error
    for key in table:
        if key not in BY_NAME:
            near = _nearest(key, tuple(BY_NAME))
            hint = f"did you mean {near!r}?" if near else "regdeploy init --stdout lists all keys"
            raise UsageError(f"{where}: {key}", "is not a known key", hint)
    return {key: Raw(value, source, f"{where}: {key}") for key, value in table.items()}


def resolve(layers: Sequence[Mapping[str, Raw]]) -> Resolved:
    """Merge ``layers``, strongest first, over the defaults and validate the whole. Raises UsageError."""
    merged: dict[str, Raw] = {}
    for layer in reversed(layers):
        merged.update(layer)
    values: dict[str, Any] = {name: BY_NAME[name].parse(raw.value, raw.where) for name, raw in merged.items()}
    sources = {name: merged[name].source if name in merged else "default" for name in BY_NAME}
    values = _defaults(values) | values
    _validate(values, {name: merged[name].where if name in merged else f"--{name}" for name in BY_NAME})
    by_field = {BY_NAME[name].field: value for name, value in values.items()}
    by_field["tls"] = Tls(by_field["tls"])
    return Resolved(Spec(**{field.name: by_field[field.name] for field in fields(Spec)}), sources)


def _defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    named = bool(given.get("domain"))
    has_pair = bool(given.get("cert") or given.get("key"))
    tls = given.get("tls") or (Tls.FILES if named and has_pair else Tls.ACME if named else Tls.OFF)
    return {
        "name": DEFAULT_NAME,
        "root": DEFAULT_ROOT,
        "domain": (),
        "email": "",
        "tls": tls,
        "cert": None,
        "key": None,
        "acme-directory": LETS_ENCRYPT,
        "acme-ca-bundle": None,
        "challenge": "http-01",
        "http-01-port": 80,
        "profile": "",
        "eab-kid": "",
        "eab-hmac-key-file": None,
        "image": "registry:3",
        "image-archive": None,
        "port": 5000 if tls == Tls.OFF else 443,
        "bind": "127.0.0.1" if tls == Tls.OFF else "",
        "user": "admin",
        "auth": tls != Tls.OFF,
        "selinux-relabel": False,
        "timeout": 60,
    }


def _validate(values: Mapping[str, Any], where: Mapping[str, str]) -> None:
    """The rules between settings. Raises UsageError."""
    domains, tls = values["domain"], values["tls"]
    if domains and domains[0].startswith("*."):
        raise UsageError(
            where["domain"],
            f"{domains[0]!r} cannot come first: clients need one exact name",
            f"write --domain registry{domains[0][1:]} --domain '{domains[0]}'",
        )
    if tls == Tls.OFF:
        _validate_off(values, where)
    elif not domains:
        raise UsageError(where["tls"], f"{str(tls)!r} needs a name", "add --domain registry.example.com")
    if tls == Tls.FILES:
        for option in ("cert", "key"):
            if values[option] is None:
                raise UsageError(f"--{option}", "is missing", "--tls files takes --cert FILE and --key FILE")
    if tls == Tls.ACME:
        _validate_acme(values, where)


def _validate_off(values: Mapping[str, Any], where: Mapping[str, str]) -> None:
    if values["bind"] not in ("127.0.0.1", "::1"):
        raise UsageError(
            where["bind"],
            f"{values['bind'] or 'all addresses'!r} without TLS would send passwords and images in the clear",
            "add --domain NAME for HTTPS, or leave --bind out to serve this host only",
        )
    if values["domain"]:
        raise UsageError(where["tls"], "'off' serves this host only and takes no --domain", "leave one of the two out")


def _validate_acme(values: Mapping[str, Any], where: Mapping[str, str]) -> None:
    public = values["acme-ca-bundle"] is None and "letsencrypt.org/" in values["acme-directory"]
    for name in values["domain"]:
        if is_ip(name):
            raise UsageError(
                where["domain"],
                f"{name!r} is an IP address, which http-01 cannot get a certificate for here",
                "use a domain name, or --tls internal",
            )
        if name.startswith("*."):
            raise UsageError(
                where["domain"],
                f"{name!r} is a wildcard, which http-01 cannot prove",
                "name each host with a --domain of its own, or bring a certificate with --tls files",
            )
        reason = why_not_public(name)
        if public and reason:
            raise UsageError(where["domain"], f"{name!r} {reason}: no public CA issues for it", "use --tls internal")
    if bool(values["eab-kid"]) != bool(values["eab-hmac-key-file"]):
        raise UsageError("--eab-kid", "and --eab-hmac-key-file go together", "the CA gives you both")


def to_saved(spec: Spec, sources: Mapping[str, str]) -> dict[str, object]:
    """What ``regdeploy.toml`` keeps: every setting that somebody set, in the table's order, as TOML values."""
    return {
        setting.name: plain(getattr(spec, setting.field))
        for setting in SETTINGS
        if setting.saved and sources[setting.name] != "default"
    }


def plain(value: object) -> object:
    """A setting's value as TOML has it: no path left out is None, no tuple, no enum."""
    if isinstance(value, tuple):
        return list(value)
    if value is None:
        return ""
    return value if isinstance(value, bool | int) else str(value)


def json_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of ``regdeploy.toml``, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "regdeploy.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {setting.name: {**setting.schema, "description": setting.help} for setting in SETTINGS},
    }
