"""Two containers on one port, on addresses of their own."""

from __future__ import annotations

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask
from tests.rig.parts.isolation import ADDRESS
from tests.rig.parts.rig import Rig


def test_a_container_on_another_address_is_not_in_the_way(rig: Rig, command: Command, domain: str) -> None:
    rig.clients.docker("run", "--detach", "--name", "other", "--publish", "127.0.0.1:443:5000", "registry:2.8")
    stopped = command("up", "--domain", domain, "--tls", "internal", "--no-auth", code=2)
    assert "443 is held by the container other" in stopped.err
    command("up", "--domain", domain, "--tls", "internal", "--no-auth", "--bind", ADDRESS)
    assert ask("/v2/", port=443, address=ADDRESS)[0] == 200
