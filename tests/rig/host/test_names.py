"""The host's own resolver, with name servers that fail: the rig's /etc is a copy that only this run sees."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from regdeploy.host.names import CaaFacts, Resolution, caa, own_addresses, resolve
from tests.rig.parts.isolation import ADDRESS
from tests.rig.parts.names import hosts_entry

_RESOLV_CONF = Path("/etc/resolv.conf")


@pytest.fixture
def silent_server() -> Iterator[None]:
    """The host's only name server takes every question and answers none."""
    before = _RESOLV_CONF.read_bytes() if _RESOLV_CONF.exists() else None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        _RESOLV_CONF.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        yield
    if before is None:
        _RESOLV_CONF.unlink()
    else:
        _RESOLV_CONF.write_bytes(before)


@pytest.mark.usefixtures("silent_server")
def test_a_name_server_that_never_answers_costs_no_more_than_the_time_given() -> None:
    began = time.monotonic()

    assert resolve("registry.example.com", 0.2) == Resolution(error="no answer from the name servers within 0.2 s")
    assert caa("registry.example.com", 0.2).error.startswith("the name servers did not answer about CAA: ")
    assert time.monotonic() - began < 3


@pytest.mark.usefixtures("silent_server")
def test_a_name_server_that_gives_up_is_said_in_the_resolvers_words() -> None:
    assert resolve("registry.example.com", 10) == Resolution(error="Temporary failure in name resolution")


def test_names_of_the_hosts_file_count() -> None:
    with hosts_entry("registry.corp.internal", ADDRESS), hosts_entry("registry.corp.internal", "2001:db8::7"):
        found = resolve("registry.corp.internal", 5)

    assert found == Resolution(a=(ADDRESS,), aaaa=("2001:db8::7",))


def test_own_addresses_are_those_of_every_interface() -> None:
    assert {"127.0.0.1", "::1", ADDRESS} <= own_addresses()
    assert "127.0.0.2" not in own_addresses(), "it leads here, but nobody outside would reach us by it"


def test_without_a_configured_name_server_caa_is_not_known() -> None:
    before = _RESOLV_CONF.read_bytes()
    _RESOLV_CONF.write_text("# nobody\n")
    try:
        found = caa("registry.example.com", 1)
    finally:
        _RESOLV_CONF.write_bytes(before)

    assert found == CaaFacts(error=found.error)
    assert found.error.startswith("the name servers did not answer about CAA: ")
