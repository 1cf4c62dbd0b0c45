from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from regdeploy.deployment.saved import changed_text, fresh_text, literal
from regdeploy.deployment.settings import SETTINGS, json_schema
from regdeploy.deployment.spec import flag_layer, plain, resolve, to_saved, toml_layer
from tests.builders import acme
from tests.unit.deployment.given import Values, texts, valid

SCHEMA = Draft202012Validator(json_schema())

SAVED = """\
# What this deployment is. regdeploy wrote this file at the first `regdeploy up` and keeps your comments.
# Edit a value, look at what would change with `regdeploy plan`, then run `regdeploy up`.
# A line that starts with # is not set: the default holds.

# The deployment's and the container's name.
#name = "registry"

# The registry's name; repeat it for further names of the certificate.
domain = ["registry.example.com", "mirror.example.com"]

# A name that the registry had and keeps in its certificate; none drops them.
#former-domain = ["hub.example.com"]

# Where the CA may write to about the account.
#email = "ops@example.com"

# Where the certificate comes from: acme, files, internal or off.
tls = "internal"

# Your own certificate with its chain, PEM (with --tls files).
#cert = "/etc/ssl/registry.crt"

# The private key of --cert, PEM, not encrypted.
#key = "/etc/ssl/private/registry.key"

# The CA: its directory URL, or letsencrypt.
#acme-directory = "letsencrypt"

# Another CA to ask where the first gives none; repeat it for more.
#acme-fallback = ["letsencrypt"]

# PEM file that proves the HTTPS of a private CA.
#acme-ca-bundle = "/etc/ssl/private-ca.pem"

# How control over the name is proved; auto takes what needs the least.
#challenge = "auto"

# The port the answer is given on; the CA asks on 80.
#http-01-port = 80

# The folder that another program serves on port 80.
#http-01-webroot = "/var/www/html"

# The port tls-alpn-01 is answered on; the CA asks on 443.
#tls-alpn-01-port = 443

# Who writes dns-01's records: rfc2136, hook, or a provider of dns-lexicon.
#dns-provider = "rfc2136"

# The name server that takes updates (rfc2136).
#dns-server = "192.0.2.53"

# The TSIG key that signs updates, as BIND writes it.
#dns-key-file = "/etc/regdeploy/tsig.key"

# The program that writes the records (docs/dns-hook.md).
#dns-hook = "/etc/regdeploy/dns-hook"

# Seconds for a record to reach every name server.
#dns-timeout = 120

# The kind of the certificate's key.
#key-type = "ecdsa-p256"

# Renew with the key that is in use instead of a new one.
#reuse-key = false

# The issuer at the chain's top, where a CA offers several.
#preferred-chain = "ISRG Root X1"

# The CA's certificate profile.
#profile = "tlsserver"

# Key identifier of an external account binding.
#eab-kid = "kid-1"

# File with the binding's HMAC key, base64url.
#eab-hmac-key-file = "/etc/regdeploy/eab.key"

# The registry image.
#image = "registry:3"

# Take the image from this docker-save or OCI archive, without a network.
#image-archive = "/root/registry.tar"

# The port on this host.
port = 8443

# Serve 127.0.0.1:N as well, for images named localhost:N/...; 0 for none.
#localhost-port = 5000

# The address of this host to listen on; empty for all.
#bind = "203.0.113.7"

# Who may log in.
#user = "admin"

# Ask for a login.
auth = false

# A program to run before a renewal (docs/hooks.md).
#hook-before = "/etc/regdeploy/before"

# A program to run when a new certificate is served.
#hook-deploy = "/etc/regdeploy/deploy"

# A program to run after a renewal, whatever came of it.
#hook-after = "/etc/regdeploy/after"

# Where failed renewals are posted to, as JSON.
#notify-webhook = "https://chat.example.com/hooks/registry"

# File with the webhook's shared secret.
#notify-webhook-secret-file = "/etc/regdeploy/webhook.secret"

# Where failed renewals are mailed to: smtp://USER@HOST:587?from=ADDRESS&to=ADDRESS.
#notify-mail = "smtp://mail.example.com:587?from=registry@example.com&to=ops@example.com"

# File with the mail account's password.
#notify-mail-password-file = "/etc/regdeploy/mail.password"

# Let systemd run `regdeploy renew` twice a day, where there is systemd.
#timer = true

# Let Docker relabel the folders for SELinux.
#selinux-relabel = false

# Seconds a new container may take to serve.
#timeout = 60
"""
VALUES = {
    "domain": ["registry.example.com", "mirror.example.com"],
    "tls": "internal",
    "port": 8443,
    "auth": False,
}


def test_the_saved_file_explains_itself() -> None:
    assert fresh_text(VALUES, where="saved") == SAVED


def test_a_file_to_start_from_says_where_it_stands_and_can_name_the_folder() -> None:
    text = fresh_text({"root": "/srv/registry"}, where="file")
    assert text.splitlines()[:9] == [
        "# What `regdeploy up` makes true. Flags and REGDEPLOY_* variables are stronger than this file.",
        "# A line that starts with # is not set: the default holds.",
        "",
        "# The deployment's and the container's name.",
        '#name = "registry"',
        "",
        "# The folder on this host that holds everything.",
        'root = "/srv/registry"',
        "",
    ]


def test_every_example_in_a_fresh_file_is_valid_toml_for_its_setting() -> None:
    lines = [line.removeprefix("#") for line in fresh_text({}, where="file").splitlines() if line.startswith("#")]
    examples = tomllib.loads("\n".join(line for line in lines if not line.startswith(" ")))
    assert list(examples) == [setting.name for setting in SETTINGS]
    SCHEMA.validate(examples)
    for name, raw in toml_layer(fresh_text(examples, where="file"), "file", "f").items():
        assert resolve([{name: raw, **flag_layer(_company(name))}]).sources[name] == "file"


def _company(name: str) -> Mapping[str, object]:
    """What a setting needs beside it to be valid."""
    wanted: dict[str, dict[str, object]] = {
        "tls": {"domain": ["registry.example.com"]},
        "bind": {"domain": ["registry.example.com"]},
        "localhost-port": {"domain": ["registry.example.com"]},
        "former-domain": {"domain": ["registry.example.com"]},
        "cert": {"domain": ["registry.example.com"], "key": "/k"},
        "key": {"domain": ["registry.example.com"], "cert": "/c"},
    }
    return wanted.get(name, {})


@given(values=valid, where=st.sampled_from(("saved", "file")))
def test_a_fresh_file_parses_to_exactly_the_values_and_fits_the_schema(values: Values, where: str) -> None:
    text = fresh_text(values, where=where)
    assert tomllib.loads(text) == dict(values)
    SCHEMA.validate(tomllib.loads(text))


@given(texts)
def test_any_text_survives_the_file(text: str) -> None:
    assert tomllib.loads(f"profile = {literal(text)}") == {"profile": text}


@given(valid)
def test_what_is_saved_asks_for_the_same_and_saves_the_same(values: Values) -> None:
    first = resolve([flag_layer(values)])
    saved = to_saved(first.spec, first.sources)

    again = resolve([toml_layer(fresh_text(saved, where="saved"), "saved", "s")])

    assert again.spec == first.spec
    assert to_saved(again.spec, again.sources) == saved
    assert {name for name, source in again.sources.items() if source == "saved"} == set(saved)


@given(before=valid, after=valid)
def test_a_changed_file_parses_to_exactly_the_values_and_changing_it_back_too(before: Values, after: Values) -> None:
    text = fresh_text(before, where="saved")
    changed = changed_text(text, after)
    assert tomllib.loads(changed) == dict(after)
    assert tomllib.loads(changed_text(changed, before)) == dict(before)
    assert changed_text(changed, after) == changed


def test_the_users_own_comments_order_and_layout_stay() -> None:
    mine = (
        "# ours since 2019, ask Wei before you touch it\n"
        "timeout   = 90   # the disk is slow\n"
        "\n"
        "domain = [\n"
        '  "registry.example.com",  # the one in the firewall\n'
        "]\n"
        "port = 0x20FB # 8443\n"
    )
    kept = {"timeout": 90, "domain": ["registry.example.com"], "port": 8443}
    assert changed_text(mine, kept) == mine
    assert changed_text(mine, {**kept, "port": 9443, "auth": False}) == mine.replace(
        "port = 0x20FB # 8443\n", "port = 9443 # 8443\nauth = false\n"
    )
    assert changed_text(mine, {"domain": ["registry.example.com"], "port": 8443}) == mine.replace(
        "timeout   = 90   # the disk is slow\n", ""
    )


def test_root_and_defaults_are_not_saved() -> None:
    asked = acme(root="/srv/registry", port=443, acme_ca_bundle="/c", tls="acme")
    assert to_saved(asked.spec, asked.sources) == {
        "domain": ["registry.example.com"],
        "tls": "acme",
        "acme-ca-bundle": "/c",
        "port": 443,
    }


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (("a", "b"), ["a", "b"]),
        (None, ""),
        (True, True),
        (443, 443),
        (acme().spec.tls, "acme"),
        (acme().spec.root, "/var/lib/registry"),
    ],
)
def test_values_become_plain_ones(value: object, written: object) -> None:
    assert plain(value) == written
    assert type(plain(value)) is type(written)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prot": 443},
        {"port": "443"},
        {"port": 0},
        {"port": 65536},
        {"domain": "registry.example.com"},
        {"tls": "caddy"},
        {"auth": "yes"},
        {"timeout": 3601},
    ],
)
def test_the_schema_refuses_what_it_should(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SCHEMA.validate(wrong)


def test_the_schema_is_one_and_describes_every_setting() -> None:
    Draft202012Validator.check_schema(json_schema())
    properties = json_schema()["properties"]
    assert isinstance(properties, dict)
    assert [(name, it["description"]) for name, it in properties.items()] == [(s.name, s.help) for s in SETTINGS]
    assert properties["port"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 65535,
        "description": "The port on this host",
    }
    assert properties["tls"]["enum"] == ["acme", "files", "internal", "off"]


def test_numbers_lists_and_truths_are_written_as_toml_has_them() -> None:
    assert list(itertools.starmap(literal, [(True,), (False,), (5,), (["a", "b"],), ((),), ('"\\\x7f\n',)])) == [
        "true",
        "false",
        "5",
        '["a", "b"]',
        "[]",
        '"\\"\\\\\\u007f\\n"',
    ]
