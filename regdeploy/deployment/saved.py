"""``regdeploy.toml``: written with a comment on every setting, and changed later without losing the user's own."""

from __future__ import annotations

import json
from collections.abc import Mapping

from regdeploy.deployment.settings import SETTINGS
from regdeploy.rendering import render


def fresh_text(values: Mapping[str, object], *, where: str) -> str:
    """A new file: every setting with what it means, those in ``values`` set, the others as comments.

    ``where`` says for whom it is: ``saved`` or ``file``. The text parses to exactly ``values``.
    """
    lines = [
        {
            "name": setting.name,
            "help": setting.help,
            "value": literal(values[setting.name]) if setting.name in values else "",
            "example": _EXAMPLES[setting.name],
        }
        for setting in SETTINGS
        if setting.saved or where == "file"
    ]
    return render("regdeploy.toml.j2", settings=lines, where=where)


def changed_text(text: str, values: Mapping[str, object]) -> str:
    """``text`` with exactly ``values`` set; comments, order and the user's own layout stay."""
    import tomlkit  # noqa: PLC0415 - 47 ms, only when a saved spec changes

    document = tomlkit.parse(text)
    for key in [key for key in document if key not in values]:
        del document[key]
    for key, value in values.items():
        if document.get(key) != value:
            document[key] = value
    return tomlkit.dumps(document)


def literal(value: object) -> str:
    """``value`` as TOML. A JSON string is a TOML basic string once DEL is escaped too (TOML 1.0, String)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


_EXAMPLES: Mapping[str, str] = {
    "name": '"registry"',
    "root": '"/var/lib/registry"',
    "domain": '["registry.example.com"]',
    "former-domain": '["hub.example.com"]',
    "email": '"ops@example.com"',
    "tls": '"acme"',
    "cert": '"/etc/ssl/registry.crt"',
    "key": '"/etc/ssl/private/registry.key"',
    "acme-directory": '"letsencrypt"',
    "acme-fallback": '["letsencrypt"]',
    "acme-ca-bundle": '"/etc/ssl/private-ca.pem"',
    "challenge": '"auto"',
    "http-01-port": "80",
    "http-01-webroot": '"/var/www/html"',
    "tls-alpn-01-port": "443",
    "dns-provider": '"rfc2136"',
    "dns-server": '"192.0.2.53"',
    "dns-key-file": '"/etc/regdeploy/tsig.key"',
    "dns-hook": '"/etc/regdeploy/dns-hook"',
    "dns-timeout": "120",
    "key-type": '"ecdsa-p256"',
    "reuse-key": "false",
    "preferred-chain": '"ISRG Root X1"',
    "profile": '"tlsserver"',
    "eab-kid": '"kid-1"',
    "eab-hmac-key-file": '"/etc/regdeploy/eab.key"',
    "image": '"registry:3"',
    "image-archive": '"/root/registry.tar"',
    "port": "443",
    "localhost-port": "5000",
    "bind": '"203.0.113.7"',
    "user": '"admin"',
    "auth": "true",
    "hook-before": '"/etc/regdeploy/before"',
    "hook-deploy": '"/etc/regdeploy/deploy"',
    "hook-after": '"/etc/regdeploy/after"',
    "notify-webhook": '"https://chat.example.com/hooks/registry"',
    "notify-webhook-secret-file": '"/etc/regdeploy/webhook.secret"',
    "notify-mail": '"smtp://mail.example.com:587?from=registry@example.com&to=ops@example.com"',
    "notify-mail-password-file": '"/etc/regdeploy/mail.password"',
    "timer": "true",
    "selinux-relabel": "false",
    "timeout": "60",
}
