"""The spec: a deployment written down and validated, with the source of every value.

Not pydantic: building its models costs 150 ms at every start (``tests/bench/cli.py --imports``), more than a third of
what ``status`` may take.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from regdeploy.deployment.authorities import LETS_ENCRYPT
from regdeploy.deployment.domains import is_ip, why_not_public
from regdeploy.deployment.rules import refuse_idle_pair
from regdeploy.deployment.settings import BY_NAME, SETTINGS, Tls
from regdeploy.deployment.values import DEFAULT_ROOT, nearest
from regdeploy.errors import UsageError
from regdeploy.frozen import frozen

DEFAULT_NAME = "registry"


@frozen
class Spec:
    """One registry as the user wants it. Built by :func:`resolve` only, and valid from then on.

    ``domains`` are A-labels, the first is the name; ``former_domains`` are those of them that it had once; ``port`` is
    the host's; ``bind`` is the address it is published on, empty for all; ``localhost_port`` is one more on 127.0.0.1,
    0 for none; ``user`` is who may log in when the first user is made; ``timeout`` is in seconds and bounds what a new
    container may take to serve.
    """

    name: str
    root: Path
    domains: tuple[str, ...]
    former_domains: tuple[str, ...]
    email: str
    tls: Tls
    cert: Path | None
    key: Path | None
    acme_directory: str
    acme_fallback: tuple[str, ...]
    acme_ca_bundle: Path | None
    challenge: str
    http_01_port: int
    http_01_webroot: Path | None
    tls_alpn_01_port: int
    dns_provider: str
    dns_server: str
    dns_key_file: Path | None
    dns_hook: Path | None
    dns_timeout: int
    key_type: str
    reuse_key: bool
    preferred_chain: str
    profile: str
    eab_kid: str
    eab_hmac_key_file: Path | None
    image: str
    image_archive: Path | None
    port: int
    localhost_port: int
    bind: str
    user: str
    auth: bool
    hook_before: Path | None
    hook_deploy: Path | None
    hook_after: Path | None
    notify_webhook: str
    notify_webhook_secret_file: Path | None
    notify_mail: str
    notify_mail_password_file: Path | None
    timer: bool
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
            near = nearest(key, tuple(BY_NAME))
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
    former = values["former-domain"] = tuple(name for name in values["former-domain"] if name not in values["domain"])
    values["domain"] = (*values["domain"], *former) if values["domain"] else ()
    where = {name: merged[name].where if name in merged else f"--{name}" for name in BY_NAME}
    _validate(values, where)
    refuse_idle_pair(values, sources, where)
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
        "former-domain": (),
        "email": "",
        "tls": tls,
        "cert": None,
        "key": None,
        "acme-directory": LETS_ENCRYPT,
        "acme-fallback": (),
        "acme-ca-bundle": None,
        "challenge": "auto",
        "http-01-port": 80,
        "http-01-webroot": None,
        "tls-alpn-01-port": 443,
        "dns-provider": _dns_provider(given),
        "dns-server": "",
        "dns-key-file": None,
        "dns-hook": None,
        "dns-timeout": 120,
        "key-type": "ecdsa-p256",
        "reuse-key": False,
        "preferred-chain": "",
        "profile": "",
        "eab-kid": "",
        "eab-hmac-key-file": None,
        "image": "registry:3",
        "image-archive": None,
        "port": 5000 if tls == Tls.OFF else 443,
        "localhost-port": 0,
        "bind": "127.0.0.1" if tls == Tls.OFF else "",
        "user": "admin",
        "auth": tls != Tls.OFF,
        "hook-before": None,
        "hook-deploy": None,
        "hook-after": None,
        "notify-webhook": "",
        "notify-webhook-secret-file": None,
        "notify-mail": "",
        "notify-mail-password-file": None,
        "timer": True,
        "selinux-relabel": False,
        "timeout": 60,
    }


def _dns_provider(given: Mapping[str, Any]) -> str:
    """The provider that the other settings of dns-01 belong to, where none is named."""
    if given.get("dns-hook"):
        return "hook"
    return "rfc2136" if given.get("dns-server") or given.get("dns-key-file") else ""


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
    if values["localhost-port"] == values["port"]:
        what = f"{values['localhost-port']} is the registry's own port, which localhost has already"
        raise UsageError(where["localhost-port"], what, "leave it out")
    _validate_around(values, where)


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
    _validate_challenge(values, where)
    for name in values["domain"]:
        if public and is_ip(name) and values["profile"] != "shortlived":
            raise UsageError(
                where["domain"],
                f"{name!r} is an IP address, which Let's Encrypt takes with one profile only",
                "add --profile shortlived",
            )
        reason = "" if is_ip(name) else why_not_public(name)
        if public and reason:
            raise UsageError(where["domain"], f"{name!r} {reason}: no public CA issues for it", "use --tls internal")
    if bool(values["eab-kid"]) != bool(values["eab-hmac-key-file"]):
        raise UsageError("--eab-kid", "and --eab-hmac-key-file go together", "the CA gives you both")


def _validate_challenge(values: Mapping[str, Any], where: Mapping[str, str]) -> None:
    """Whether the names can be proved by what is named: wildcards by DNS records alone, addresses by anything else."""
    challenge, provider = values["challenge"], values["dns-provider"]
    if challenge == "dns-01" and not provider:
        raise UsageError(
            where["challenge"],
            "'dns-01' needs somebody who writes DNS records",
            "add --dns-provider rfc2136, hook or NAME",
        )
    if provider == "hook" and values["dns-hook"] is None:
        raise UsageError(where["dns-provider"], "'hook' needs a program", "add --dns-hook FILE")
    by_dns = challenge in ("dns-01", "dns-persist-01") or (challenge == "auto" and provider)
    for name in values["domain"]:
        if name.startswith("*.") and not by_dns:
            raise UsageError(
                where["domain"],
                f"{name!r} is a wildcard, which only a DNS record proves",
                "add --dns-provider NAME, name each host with a --domain of its own, or use --tls files",
            )
        if is_ip(name) and by_dns:
            kind, hint = "dns-01", "leave the DNS provider out"
            if challenge == "dns-persist-01":
                kind, hint = challenge, "choose http-01 or tls-alpn-01 with --challenge"
            raise UsageError(where["domain"], f"{name!r} is an IP address, which {kind} cannot prove", hint)


def _validate_around(values: Mapping[str, Any], where: Mapping[str, str]) -> None:
    """Programs and channels that are named must be of use now: in sixty days nobody looks."""
    for name in ("hook-before", "hook-deploy", "hook-after"):
        if values[name] is not None and where[name] == f"--{name}":
            from regdeploy.host.programs import check_program  # noqa: PLC0415 - only where a hook is named now

            check_program(values[name], where[name])
    for name, secret in (
        ("notify-webhook", "notify-webhook-secret-file"),
        ("notify-mail", "notify-mail-password-file"),
    ):
        if values[name]:
            from regdeploy.deployment.channels import channel  # noqa: PLC0415 - only where somebody is to be told

            channel(values[name], values[secret], where[name])


def to_saved(spec: Spec, sources: Mapping[str, str]) -> dict[str, object]:
    """What ``regdeploy.toml`` keeps: every setting that somebody set, in the table's order, as TOML values."""
    named = tuple(name for name in spec.domains if name not in spec.former_domains)
    return {
        setting.name: plain(named if setting.name == "domain" else getattr(spec, setting.field))
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
