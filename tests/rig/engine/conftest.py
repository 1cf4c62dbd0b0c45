"""What tests of the engine's adapter get: an engine left clean, and registries to pull from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest

from regdeploy.engine.connect import connect
from regdeploy.engine.docker_engine import DockerEngine
from tests.rig.engine.subject import DockerSubject
from tests.rig.parts.processes import free_ports
from tests.rig.parts.rig import Rig


@dataclass(frozen=True)
class Shelf:
    """A plain-HTTP registry on loopback, which Docker takes without being told to."""

    rig: Rig
    host: str

    def put(self, name: str) -> str:
        """Have an image that nobody else has there, and not in the engine; returns its whole reference."""
        reference = f"{self.host}/{name}"
        self.rig.images.random(reference, layers=2, size=300_000)
        self.rig.clients.docker("push", "--quiet", reference)
        self.rig.images.forget(reference)
        return reference


@contextmanager
def _registry(rig: Rig, name: str, *options: str) -> Iterator[Shelf]:
    port = free_ports(1)[0]
    clients = rig.clients
    clients.docker("run", "-d", "--name", name, "-p", f"127.0.0.1:{port}:5000", *options, "registry:2.8")
    try:
        yield Shelf(rig, f"127.0.0.1:{port}")
    finally:
        clients.docker("rm", "--force", "--volumes", name)


@pytest.fixture(scope="module")
def shelf(rig: Rig) -> Iterator[Shelf]:
    """A registry that anybody may push to and pull from."""
    with _registry(rig, "shelf") as shelf:
        yield shelf


@pytest.fixture(scope="module")
def locked_shelf(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """A registry for the user ``anna`` with the password ``secret`` alone."""
    folder = tmp_path_factory.mktemp("auth")
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"anna:{hashed}\n")
    options = [
        *("-v", f"{folder}:/auth:ro", "-e", "REGISTRY_AUTH=htpasswd"),
        *("-e", "REGISTRY_AUTH_HTPASSWD_REALM=shelf", "-e", "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd"),
    ]
    with _registry(rig, "locked-shelf", *options) as shelf:
        yield shelf


@pytest.fixture
def subject(rig: Rig, tmp_path: Path, clean_engine: None) -> DockerSubject:
    """The real engine as the contract suite wants it."""
    return DockerSubject(rig, tmp_path)


@pytest.fixture
def engine(rig: Rig, clean_engine: None) -> DockerEngine:
    """The rig's engine."""
    return connect(rig.docker_host)
