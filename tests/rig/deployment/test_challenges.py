"""Whole deployments by each kind of challenge, and the renewal of one whose own registry holds the port."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask
from tests.rig.parts.pebble import Pebble

AUTH = ("--no-auth",)


def fingerprint(command: Command) -> str:
    """The leaf that is served."""
    return ask("/v2/", port=443)[2]


def test_with_port_80_taken_it_takes_tls_alpn_01_and_says_why(
    command: Command, domain: str, acme: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 80)):
        done = command("up", "--domain", domain, *acme, *AUTH)
        assert "tls-alpn-01: port 443 is free" in done.out
        first = fingerprint(command)
        # To renew it, 443 is needed, which the registry itself holds: said in the plan, and asked about.
        planned = command("plan", "--domain", domain, "--domain", f"also.{domain}")
        assert "it holds port 443, which the challenge needs [interrupts]" in planned.out
        command("up", "--domain", domain, "--domain", f"also.{domain}", code=2)
        command("up", "--domain", domain, "--domain", f"also.{domain}", "--yes")
    assert fingerprint(command) != first
    assert command("status", "--json").document["certificate"]["deployed"]


def test_where_the_ca_does_not_reach_port_80_the_next_kind_is_tried(
    command: Command, domain: str, start_pebble: Callable[..., Pebble]
) -> None:
    deaf = start_pebble(http_port=81)  # it asks where nobody answers
    acme = ("--acme-directory", deaf.directory, "--acme-ca-bundle", str(deaf.ca_bundle))
    done = command("up", "--domain", domain, *acme, *AUTH)
    assert "tls-alpn-01" in done.out
    assert command("up").out.endswith("nothing to do.\n")
