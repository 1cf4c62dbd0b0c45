"""Every setting, once.

Each has one name: ``acme-directory`` is the option ``--acme-directory``, the variable ``REGDEPLOY_ACME_DIRECTORY`` and
the key ``acme-directory`` of ``regdeploy.toml``. The JSON Schema, ``init`` and the options of ``up`` are made from this
table, so a new setting is one line here, one field of :class:`regdeploy.deployment.spec.Spec` and its default there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from regdeploy.deployment.values import (
    as_address,
    as_directories,
    as_directory,
    as_domains,
    as_email,
    as_former,
    as_mail,
    as_path,
    as_root,
    as_server,
    as_text,
    as_truth,
    as_user,
    as_webhook,
    matching,
    one_of,
    whole_number,
)
from regdeploy.tls.keys import KEY_TYPES


class Tls(StrEnum):
    """The certificate source."""

    ACME = "acme"
    FILES = "files"
    INTERNAL = "internal"
    OFF = "off"


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
        return {"domain": "domains", "former-domain": "former_domains"}.get(self.name, self.name.replace("-", "_"))

    @property
    def variable(self) -> str:
        """The name of the environment variable."""
        return "REGDEPLOY_" + self.name.replace("-", "_").upper()


_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}"  # the engine takes no name of one character
_REFERENCE = r"\S{1,511}"
_STRING: Mapping[str, object] = {"type": "string"}
_BOOLEAN: Mapping[str, object] = {"type": "boolean"}


def _number(lowest: int, highest: int) -> Mapping[str, object]:
    return {"type": "integer", "minimum": lowest, "maximum": highest}


_CHALLENGES = ("auto", "http-01", "tls-alpn-01", "dns-01", "dns-persist-01")

SETTINGS: tuple[Setting, ...] = (
    Setting("name", matching(_NAME, "a container name"), _STRING, "NAME", "The deployment's and the container's name"),
    Setting("root", as_root, _STRING, "PATH", "The folder on this host that holds everything", saved=False),
    Setting(
        "domain",
        as_domains,
        {"type": "array", "items": _STRING},
        "NAME",
        "The registry's name; repeat it for further names of the certificate",
    ),
    Setting(
        "former-domain",
        as_former,
        {"type": "array", "items": _STRING},
        "NAME",
        "A name that the registry had and keeps in its certificate; none drops them",
    ),
    Setting("email", as_email, _STRING, "ADDRESS", "Where the CA may write to about the account"),
    Setting(
        "tls",
        one_of(*Tls),
        {"enum": [*Tls]},
        "SOURCE",
        "Where the certificate comes from: acme, files, internal or off",
    ),
    Setting("cert", as_path, _STRING, "FILE", "Your own certificate with its chain, PEM (with --tls files)"),
    Setting("key", as_path, _STRING, "FILE", "The private key of --cert, PEM, not encrypted"),
    Setting("acme-directory", as_directory, _STRING, "URL", "The CA: its directory URL, or letsencrypt"),
    Setting(
        "acme-fallback",
        as_directories,
        {"type": "array", "items": _STRING},
        "URL",
        "Another CA to ask where the first gives none; repeat it for more",
    ),
    Setting("acme-ca-bundle", as_path, _STRING, "FILE", "PEM file that proves the HTTPS of a private CA"),
    Setting(
        "challenge",
        one_of(*_CHALLENGES),
        {"enum": [*_CHALLENGES]},
        "TYPE",
        "How control over the name is proved; auto takes what needs the least",
    ),
    Setting(
        "http-01-port",
        whole_number(1, 65535),
        _number(1, 65535),
        "N",
        "The port the answer is given on; the CA asks on 80",
    ),
    Setting("http-01-webroot", as_path, _STRING, "PATH", "The folder that another program serves on port 80"),
    Setting(
        "tls-alpn-01-port",
        whole_number(1, 65535),
        _number(1, 65535),
        "N",
        "The port tls-alpn-01 is answered on; the CA asks on 443",
    ),
    Setting(
        "dns-provider",
        matching(r"rfc2136|hook|[a-z0-9][a-z0-9_-]*", "a DNS provider"),
        _STRING,
        "NAME",
        "Who writes dns-01's records: rfc2136, hook, or a provider of dns-lexicon",
    ),
    Setting("dns-server", as_server, _STRING, "ADDRESS", "The name server that takes updates (rfc2136)"),
    Setting("dns-key-file", as_path, _STRING, "FILE", "The TSIG key that signs updates, as BIND writes it"),
    Setting("dns-hook", as_path, _STRING, "FILE", "The program that writes the records (docs/dns-hook.md)"),
    Setting(
        "dns-timeout",
        whole_number(1, 3600),
        _number(1, 3600),
        "SECONDS",
        "Seconds for a record to reach every name server",
    ),
    Setting("key-type", one_of(*KEY_TYPES), {"enum": [*KEY_TYPES]}, "TYPE", "The kind of the certificate's key"),
    Setting("reuse-key", as_truth, _BOOLEAN, "", "Renew with the key that is in use instead of a new one"),
    Setting("preferred-chain", as_text, _STRING, "NAME", "The issuer at the chain's top, where a CA offers several"),
    Setting("profile", as_text, _STRING, "NAME", "The CA's certificate profile"),
    Setting("eab-kid", as_text, _STRING, "ID", "Key identifier of an external account binding"),
    Setting("eab-hmac-key-file", as_path, _STRING, "FILE", "File with the binding's HMAC key, base64url"),
    Setting("image", matching(_REFERENCE, "an image reference"), _STRING, "REF", "The registry image"),
    Setting(
        "image-archive",
        as_path,
        _STRING,
        "FILE",
        "Take the image from this docker-save or OCI archive, without a network",
    ),
    Setting("port", whole_number(1, 65535), _number(1, 65535), "N", "The port on this host"),
    Setting(
        "localhost-port",
        whole_number(0, 65535),
        _number(0, 65535),
        "N",
        "Serve 127.0.0.1:N as well, for images named localhost:N/...; 0 for none",
    ),
    Setting("bind", as_address, _STRING, "ADDRESS", "The address of this host to listen on; empty for all"),
    Setting("user", as_user, _STRING, "NAME", "Who may log in"),
    Setting("auth", as_truth, _BOOLEAN, "", "Ask for a login"),
    Setting("hook-before", as_path, _STRING, "FILE", "A program to run before a renewal (docs/hooks.md)"),
    Setting("hook-deploy", as_path, _STRING, "FILE", "A program to run when a new certificate is served"),
    Setting("hook-after", as_path, _STRING, "FILE", "A program to run after a renewal, whatever came of it"),
    Setting("notify-webhook", as_webhook, _STRING, "URL", "Where failed renewals are posted to, as JSON"),
    Setting("notify-webhook-secret-file", as_path, _STRING, "FILE", "File with the webhook's shared secret"),
    Setting(
        "notify-mail",
        as_mail,
        _STRING,
        "URL",
        "Where failed renewals are mailed to: smtp://USER@HOST:587?from=ADDRESS&to=ADDRESS",
    ),
    Setting("notify-mail-password-file", as_path, _STRING, "FILE", "File with the mail account's password"),
    Setting("timer", as_truth, _BOOLEAN, "", "Let systemd run `regdeploy renew` twice a day, where there is systemd"),
    Setting("selinux-relabel", as_truth, _BOOLEAN, "", "Let Docker relabel the folders for SELinux"),
    Setting("timeout", whole_number(1, 3600), _number(1, 3600), "SECONDS", "Seconds a new container may take to serve"),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}


def json_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of ``regdeploy.toml``, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "regdeploy.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {setting.name: {**setting.schema, "description": setting.help} for setting in SETTINGS},
    }
