"""The scan that finds nothing weak in what regdeploy writes does find it where it is."""

from __future__ import annotations

from regdeploy.registry.config import render_config
from tests.rig.parts.hello import SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, accepted, hello
from tests.rig.registry.conftest import NAME, Start

_WEAK = {"TLS_ECDHE_ECDSA_WITH_RC4_128_SHA": 0xC007, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": 0xC009}


def test_old_protocols_and_weak_suites_are_seen_where_a_registry_is_told_to_speak_them(start: Start) -> None:
    weak = f"tls1.0\n    ciphersuites: [{', '.join(_WEAK)}]"
    port = start(tls=True, config=render_config(tls=True).replace("tls1.2", weak)).port
    for version in (TLS_1_0, TLS_1_1, TLS_1_2):
        assert accepted(port, NAME, version) == set(_WEAK.values())
    assert hello(port, NAME, SSL_3) is None  # Go does not know it
    assert hello(port, NAME, TLS_1_2, {0xC02B}) is None
