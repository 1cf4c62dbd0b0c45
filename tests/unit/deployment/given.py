"""Any values that users may give: by setting name, as TOML has them, each valid by itself and with the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st

Values = Mapping[str, object]

#: Any text that is text: without NUL, which no path can have, and without halves of signs.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
paths = texts.map(lambda text: f"/{text}").filter(lambda path: str(Path(path)) == str(Path(path)).rstrip())
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
domains = st.lists(labels.map(lambda label: f"{label}.example.com"), min_size=1, max_size=3)
names = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}", fullmatch=True)
ports = st.integers(1, 65535)
_LOCALHOST_PORT = 5001

_ANYWHERE: Mapping[str, st.SearchStrategy[object]] = {
    "name": names,
    "email": st.just("") | labels.map(lambda label: f"{label}@example.com"),
    "acme-ca-bundle": paths,
    "acme-fallback": st.lists(labels.map("https://{}.example.net/dir".format), max_size=2),
    "challenge": st.sampled_from(("auto", "http-01", "tls-alpn-01", "dns-persist-01")),
    "http-01-port": ports,
    "http-01-webroot": paths,
    "tls-alpn-01-port": ports,
    "dns-provider": st.sampled_from(("rfc2136", "hetzner")),
    "dns-server": st.sampled_from(("", "192.0.2.53", "192.0.2.53:5353", "[2001:db8::1]:53")),
    "dns-key-file": paths,
    "dns-timeout": st.integers(1, 3600),
    "key-type": st.sampled_from(("ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096")),
    "reuse-key": st.booleans(),
    "preferred-chain": texts,
    "profile": texts,
    "image": st.from_regex(r"[a-z0-9][a-z0-9./:@_-]{0,80}", fullmatch=True),
    "image-archive": paths,
    "port": ports.filter(lambda port: port != _LOCALHOST_PORT),
    "localhost-port": st.sampled_from((0, _LOCALHOST_PORT)),
    "user": st.from_regex(r"[^\W_][\w .@-]{0,30}[^\W_]", fullmatch=True),
    "auth": st.booleans(),
    "notify-webhook": st.sampled_from(("", "https://chat.example.com/hooks/1")),
    "notify-webhook-secret-file": paths,
    "notify-mail": st.sampled_from(("", "smtp://mail.example.com?from=a@example.com&to=b@example.com")),
    "timer": st.booleans(),
    "selinux-relabel": st.booleans(),
    "timeout": st.integers(1, 3600),
}
_SOURCES: tuple[Mapping[str, st.SearchStrategy[object]], ...] = (
    {"bind": st.sampled_from(("127.0.0.1", "::1"))},
    {"tls": st.just("off")},
    {"domain": domains, "bind": st.sampled_from(("", "0.0.0.0", "203.0.113.7"))},
    {"domain": domains, "tls": st.just("internal")},
    {"domain": domains, "tls": st.just("internal"), "former-domain": st.just(["old.example.org"])},
    {"domain": domains, "tls": st.just("acme"), "eab-kid": texts.map("k{}".format), "eab-hmac-key-file": paths},
    {"domain": domains, "tls": st.just("acme"), "acme-directory": labels.map("https://{}.example.net/dir".format)},
    {"domain": domains, "challenge": st.just("dns-01"), "dns-provider": st.just("hook"), "dns-hook": paths},
    {"domain": domains, "cert": paths, "key": paths},
)

#: Values that make a valid spec together.
valid: st.SearchStrategy[Values] = st.sampled_from(_SOURCES).flatmap(
    lambda source: st.fixed_dictionaries(
        dict(source), optional={name: values for name, values in _ANYWHERE.items() if name not in source}
    )
)
