"""The user's own pair beside another source: refused where it is given now, at rest where it was saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Resolved, environment_layer, flag_layer, resolve, toml_layer
from tests.unit.said import said

NAME = {"domain": ["registry.example.com"]}
PAIR = {"cert": "/etc/ssl/r.crt", "key": "/etc/ssl/r.key"}
IN_TOML = 'cert = "/etc/ssl/r.crt"\nkey = "/etc/ssl/r.key"\n'
HINT = "hint: add --tls files (and --domain NAME) to serve your own, or leave --cert and --key out"


@pytest.mark.parametrize("source", ["acme", "internal"])
@pytest.mark.parametrize("option", ["cert", "key"])
def test_a_pair_beside_another_source_is_refused(option: str, source: str) -> None:
    given = {**NAME, "tls": source, option: PAIR[option]}
    assert said(lambda: resolve([flag_layer(given)])) == (
        f"--{option}: would be ignored: the certificate comes from --tls {source}\n{HINT}"
    )


def test_a_pair_without_a_name_is_refused_since_nothing_would_serve_it() -> None:
    assert said(lambda: resolve([flag_layer(PAIR)])) == (
        f"--cert: would be ignored: the certificate comes from --tls off\n{HINT}"
    )


def test_a_pair_given_where_another_source_was_saved_is_refused() -> None:
    saved = toml_layer('domain = ["registry.example.com"]\ntls = "acme"\n', "saved", "/r/regdeploy.toml")
    assert said(lambda: resolve([flag_layer(PAIR), saved])) == (
        f"--cert: would be ignored: the certificate comes from --tls acme\n{HINT}"
    )


@pytest.mark.parametrize(
    ("layers", "where"),
    [
        ([flag_layer(PAIR), environment_layer({"REGDEPLOY_TLS": "acme"})], "--cert"),
        ([environment_layer({"REGDEPLOY_CERT": "/c", "REGDEPLOY_TLS": "acme"})], "REGDEPLOY_CERT"),
        ([toml_layer(f'tls = "acme"\n{IN_TOML}', "file", "regdeploy.toml")], "regdeploy.toml: cert"),
    ],
)
def test_it_is_refused_where_it_was_given(layers: list[Mapping[str, Any]], where: str) -> None:
    named = flag_layer(NAME)
    assert said(lambda: resolve([*layers, named])).startswith(f"{where}: would be ignored")


def _from_file(**flags: object) -> Resolved:
    return resolve([flag_layer({**NAME, **flags}), toml_layer(IN_TOML, "file", "regdeploy.toml")])


def test_a_source_that_overrules_a_file_lets_the_pair_in_it_rest() -> None:
    assert _from_file().spec.tls is Tls.FILES
    assert (_from_file(tls="internal").spec.tls, _from_file(tls="internal").spec.cert) == (
        Tls.INTERNAL,
        Path("/etc/ssl/r.crt"),
    )


def test_a_pair_that_was_saved_rests_when_another_source_is_asked_for_and_afterwards() -> None:
    text = f'domain = ["registry.example.com"]\n{IN_TOML}'
    saved = toml_layer(text, "saved", "/r/regdeploy.toml")
    assert resolve([flag_layer({"tls": "acme"}), saved]).spec.tls is Tls.ACME
    later = toml_layer(f'tls = "acme"\n{text}', "saved", "/r/regdeploy.toml")
    assert resolve([later]).spec.tls is Tls.ACME
