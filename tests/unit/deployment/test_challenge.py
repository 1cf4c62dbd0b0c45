"""Which challenge is taken, and which comes next."""

from __future__ import annotations

import pytest

from regdeploy.deployment.challenge import challenges
from tests.builders import acme


@pytest.mark.parametrize(
    ("flags", "free", "ours", "taken"),
    [
        ({}, {80, 443}, set(), [("http-01", 80, "port 80 is free"), ("tls-alpn-01", 443, "port 443 is free")]),
        ({}, {80}, {443}, [("http-01", 80, "port 80 is free")]),
        ({}, {443}, set(), [("tls-alpn-01", 443, "port 443 is free")]),
        ({}, set(), {443}, [("tls-alpn-01", 443, "port 443 is this deployment's")]),
        ({}, set(), {80, 443}, [("http-01", 80, "port 80 is this deployment's")]),
        ({}, set(), set(), [("http-01", 80, "neither port 80 nor 443 is free")]),
        (
            {"http_01_port": 8080},
            {8080, 443},
            set(),
            [("http-01", 8080, "port 8080 is free"), ("tls-alpn-01", 443, "port 443 is free")],
        ),
        ({"http_01_webroot": "/srv"}, set(), set(), [("http-01", 0, "port 80 is served from /srv")]),
        ({"dns_provider": "hetzner"}, {80, 443}, set(), [("dns-01", 0, "hetzner can write DNS records")]),
        ({"challenge": "dns-01", "dns_hook": "/h"}, {80}, set(), [("dns-01", 0, "--challenge says so")]),
        ({"challenge": "dns-persist-01"}, {80, 443}, set(), [("dns-persist-01", 0, "--challenge says so")]),
        ({"challenge": "http-01"}, set(), {443}, [("http-01", 80, "--challenge says so")]),
        ({"challenge": "http-01", "http_01_webroot": "/srv"}, {80}, set(), [("http-01", 0, "--challenge says so")]),
        ({"challenge": "tls-alpn-01"}, {80}, {443}, [("tls-alpn-01", 443, "--challenge says so")]),
    ],
)
def test_the_one_that_needs_the_least_comes_first(
    flags: dict[str, object], free: set[int], ours: set[int], taken: list[tuple[str, int, str]]
) -> None:
    found = challenges(acme(**flags).spec, free, ours)
    assert [(one.kind, one.port, one.why) for one in found] == taken
