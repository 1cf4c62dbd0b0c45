"""The real registry as a process on loopback, started as the container starts it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from regdeploy.registry import users
from regdeploy.registry.api import wait_until_serving
from regdeploy.registry.client import RegistryClient
from regdeploy.registry.config import render_config
from regdeploy.registry.configuration import merged
from regdeploy.registry.environment import certificate_name, environment
from regdeploy.registry.images import Generation
from regdeploy.registry.variables import FILESYSTEM, driver_of
from regdeploy.secret import Secret
from tests.certs import Made, make_leaf, make_root
from tests.rig.parts.processes import Program, free_port

NAME = "registry.example.com"


@dataclass(frozen=True)
class Registry:
    """A running registry. ``folder`` has its data, certs and auth."""

    folder: Path
    port: int
    program: Program
    tls: bool

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{NAME}:{self.port}"

    def client(self, user: str = "", password: str = "") -> RegistryClient:
        cafile = self.folder / "certs/ca.crt" if self.tls else None
        secret = Secret(password) if user else None
        return RegistryClient(self.url, address="127.0.0.1", user=user, password=secret, cafile=cafile)

    def terminate(self) -> None:
        os.kill(self.program.pid, signal.SIGTERM)


Start = Callable[..., Registry]


@pytest.fixture(scope="session")
def authority() -> Made:
    """A CA for all of these tests."""
    return make_root()


@pytest.fixture
def start(tmp_path: Path, authority: Made) -> Iterator[Start]:
    """Start a registry with what regdeploy writes: ``config`` replaces the text, ``variables`` come on top."""
    running: list[Program] = []

    def run(
        *,
        tls: bool = False,
        logins: dict[str, str] | None = None,
        config: str = "",
        variables: dict[str, str] | None = None,
    ) -> Registry:
        folder = tmp_path / f"registry-{len(running)}"
        for name in ("data", "certs", "auth"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        text = config or render_config(tls=tls)
        (folder / "config.yml").write_text(text)
        (folder / "certs/ca.crt").write_bytes(authority.pem)
        made = make_leaf(authority, NAME)
        (folder / "certs" / f"{certificate_name(NAME)}.crt").write_bytes(made.pem)
        (folder / "certs" / f"{certificate_name(NAME)}.key").write_bytes(made.key_pem)
        for user, password in (logins or {}).items():
            users.set_password(folder / "auth/htpasswd", user, Secret(password))
        port = free_port()
        inside = environment(
            generation=Generation.V2,
            tls_domain=NAME if tls else None,
            port=port,
            login=bool(logins),
            http_secret=Secret("the same after every restart"),
        )
        outside = {
            name: value.replace("/certs/", f"{folder}/certs/").replace("/auth/", f"{folder}/auth/")
            for name, value in inside.items()
        }
        if driver_of(merged(text, variables or {})) == FILESYSTEM:
            outside["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"] = str(folder / "data")
        command = ["/usr/bin/docker-registry", "serve", str(folder / "config.yml")]
        program = Program(command, folder / "log", {**outside, **(variables or {})})
        running.append(program)
        facts = wait_until_serving("127.0.0.1", port, server_name=NAME, tls=tls, deadline=10)
        assert facts.reachable, f"{facts.error}\n{(folder / 'log').read_text()}"
        return Registry(folder, port, program, tls)

    yield run
    for program in running:
        program.kill()
