"""Where notifications go, written as one URL: a webhook, or mail."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from regdeploy.deployment.delivery import is_loopback
from regdeploy.deployment.mail import Mail
from regdeploy.deployment.notify import Channel
from regdeploy.deployment.webhook import Webhook
from regdeploy.errors import UsageError
from regdeploy.secret import Secret

_FORMS = "use https://HOST/PATH or smtp://USER@HOST:587?from=ADDRESS&to=ADDRESS"
_ADDRESS = re.compile(r"[^@\s<>,;:\"()]+@[^@\s<>,;:\"()]+")


def channel(url: str, secret_file: Path | None, where: str) -> Channel:
    """The channel for ``url``; ``secret_file`` holds the webhook's shared secret or the mail account's password.

    ``https://...`` (``http://`` on loopback only); ``smtp://USER@HOST:587?from=ADDRESS&to=ADDRESS`` (STARTTLS) or
    ``smtps://...`` (TLS from the first byte, port 465). ``to`` takes several addresses with commas between; without a
    USER nobody logs in; ``tls=off`` is for a server on loopback. Raises UsageError that begins with ``where``.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(where, "is not a URL", _FORMS) from error
    if not parts.hostname or parts.scheme not in {"https", "http", "smtp", "smtps"}:
        raise UsageError(where, f"is {parts.scheme + ':...' if parts.scheme else 'not a URL'}", _FORMS)
    if parts.password is not None:
        raise UsageError(where, "has a password in it, which others would see", "put it alone into a file")
    if parts.scheme in {"smtp", "smtps"}:
        return _mail(parts, port, secret_file, where)
    if parts.username is not None:
        raise UsageError(where, "has a user in it, which a webhook has no use for", "leave it out")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError(where, f"sends to {parts.hostname} in plain text", "use https://")
    return Webhook(url=Secret(url), secret_file=secret_file)


def _mail(parts: SplitResult, port: int | None, password_file: Path | None, where: str) -> Mail:
    query = parse_qs(parts.query.replace("+", "%2B"), keep_blank_values=True)  # a plus is a sign of addresses
    if unknown := sorted(query.keys() - {"from", "to", "tls"}):
        raise UsageError(where, f"has {unknown[0]!r} in it, which mail has no use for", _FORMS)
    user = unquote(parts.username or "")
    sender = (query.get("from") or [user])[-1].strip()
    recipients = tuple(one.strip() for text in query.get("to", []) for one in text.split(","))
    for name, addresses in (("from", (sender,)), ("to", recipients or ("",))):
        if wrong := [address for address in addresses if not _ADDRESS.fullmatch(address)]:
            raise UsageError(where, f"has {wrong[0]!r} as {name}=, which is no address of mail", _FORMS)
    plain = query.get("tls") == ["off"]
    if "tls" in query and not plain:
        raise UsageError(where, "has a tls= that is not off", "leave it out: TLS is on")
    if plain and (parts.scheme == "smtps" or not is_loopback(parts.hostname or "")):
        raise UsageError(where, "has tls=off, which is for smtp:// to this very host only", "leave it out")
    if user and password_file is None:
        raise UsageError(where, f"logs in as {user!r} without a password", "name the file that holds it")
    return Mail(
        host=parts.hostname or "",
        port=port or (465 if parts.scheme == "smtps" else 25 if plain else 587),
        sender=sender,
        recipients=recipients,
        implicit=parts.scheme == "smtps",
        plain=plain,
        user=user,
        password_file=password_file,
    )
