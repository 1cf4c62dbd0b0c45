"""What tests of whole deployments get: the command, a name that leads here, and an engine left clean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.conftest import DOMAIN
from tests.rig.parts.command import Command
from tests.rig.parts.deployed import served
from tests.rig.parts.flaky import Flaky
from tests.rig.parts.images import Image, layer
from tests.rig.parts.names import trusted
from tests.rig.parts.pebble import Pebble
from tests.rig.parts.programs import library
from tests.rig.parts.rig import Rig

PASSWORD = "correct horse battery staple"


@pytest.fixture
def command(rig: Rig, root: Path, tmp_path: Path, clean_engine: None) -> Command:
    """``regdeploy``, with a root folder that is not there yet."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    return Command(rig.environ, root, folder)


@pytest.fixture
def acme(pebble: Pebble) -> tuple[str, ...]:
    """The options for the rig's CA."""
    return ("--acme-directory", pebble.directory, "--acme-ca-bundle", str(pebble.ca_bundle))


@pytest.fixture
def domain(pebble: Pebble) -> Iterator[str]:
    """A name that leads here, and whose certificates Docker, podman and skopeo trust when the rig's CA issued them."""
    with trusted(DOMAIN, pebble.root_pem()):
        yield DOMAIN


@pytest.fixture
def password() -> str:
    """A password that is not made by regdeploy."""
    return PASSWORD


@pytest.fixture
def deployed(command: Command, domain: str, flaky: Flaky) -> str:
    """A registry whose CA is the proxy, with nothing asked of that yet; the leaf that it serves."""
    options = ("--acme-directory", flaky.directory, "--acme-ca-bundle", str(flaky.ca_bundle))
    command("up", "--domain", domain, *options, "--no-auth")
    flaky.asked.clear()
    return served()


@pytest.fixture
def broken(rig: Rig) -> Iterator[str]:
    """An image that is a registry by all it says, and ends at once."""
    base = library()["registry:3"]
    script = layer({"bin/registry": b"#!/bin/sh\necho panic: no such luck\nexit 2\n"}, executable=("bin/registry",))
    rig.images.load({"broken-registry:1": Image((*base.layers, script), base.config, base.architecture)})
    yield "broken-registry:1"
    rig.images.forget("broken-registry:1")
