"""``up`` on a registry that somebody started by hand over HTTPS, as the tutorials have it: nothing is copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.certs import make_intermediate, make_leaf, make_root
from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask, current_fingerprint, inspect, names
from tests.rig.parts.processes import eventually
from tests.rig.parts.rig import Rig
from tests.rig.parts.stock import stock


@pytest.fixture(params=["lagou", "regisry.lagoudocker.io"])
def tutorial(rig: Rig, command: Command, domain: str, request: pytest.FixtureRequest) -> str:
    """The registry of the tutorial: data and certificate below the root folder, on 443; the certificate's file name."""
    name = str(request.param)
    certs, data = command.root / "certs", command.root / "data"
    for folder in (command.root, certs, data):
        folder.mkdir()
    issuer = make_intermediate(make_root())
    leaf = make_leaf(issuer, domain)
    (certs / f"{name}.crt").write_bytes(leaf.pem + issuer.pem)
    (certs / f"{name}.key").write_bytes(leaf.key_pem)
    common = ("-d", "--restart=always", "-v", f"{data}:/var/lib/registry")
    rig.clients.docker("run", *common, "-p", "5000:5000", "--name", "first", "registry:2.7")
    eventually(lambda: answers(5000, tls=False))
    stock(5000, tags=3)
    rig.clients.docker("rm", "--force", "first")
    rig.clients.docker(
        *("run", *common, "-p", "443:443", "--name", "registry", "-v", f"{certs}:/certs"),
        *("-e", "REGISTRY_HTTP_ADDR=0.0.0.0:443", "-e", f"REGISTRY_HTTP_TLS_CERTIFICATE=/certs/{name}.crt"),
        *("-e", f"REGISTRY_HTTP_TLS_KEY=/certs/{name}.key", "registry:2.7"),
    )
    eventually(lambda: answers(443, tls=True))
    return name


def answers(port: int, *, tls: bool) -> bool:
    """Whether a registry answers there."""
    try:
        return ask("/v2/", port=port, tls=tls)[0] == 200
    except OSError:
        return False


def inodes(folder: Path) -> dict[str, int]:
    """Every file by its inode: what was copied has another one."""
    return {str(path): path.stat().st_ino for path in sorted(folder.rglob("data"))}


def test_it_is_taken_over_with_its_certificate_and_its_images_where_they_are(
    rig: Rig, command: Command, domain: str, tutorial: str
) -> None:
    _, _, leaf = ask("/v2/", port=443)
    before = inodes(command.root / "data")
    shown = command("plan", "--domain", domain, "--no-auth").out
    assert "registry is taken over as it is, but for: " in shown
    assert "read-only root file system: no → yes" in shown
    assert "obtain a certificate" in shown  # the pair is stored like any other: no CA is asked
    command("up", "--domain", domain, "--no-auth", "--yes")
    assert ask("/v2/many/manifests/v1", port=443)[::2] == (200, leaf)
    assert current_fingerprint(command.root) == leaf
    assert inodes(command.root / "data") == before
    facts = inspect(rig.clients)
    assert facts["Config"]["Image"] == "registry:2.7"
    assert facts["HostConfig"]["ReadonlyRootfs"]
    assert command("plan", "--exit-code").code == 0
    assert len(names(rig.clients)) == 2
    command("rollback", "--yes")
    assert names(rig.clients) == {"registry"}
    eventually(lambda: answers(443, tls=True))
    assert ask("/v2/many/manifests/v1", port=443)[::2] == (200, leaf)
    assert f"REGISTRY_HTTP_TLS_CERTIFICATE=/certs/{tutorial}.crt" in inspect(rig.clients)["Config"]["Env"]
