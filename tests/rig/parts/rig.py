"""The rig: an engine with the images in it, and the clients. Isolation comes before it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rig.parts.clients import Clients
from tests.rig.parts.engine import DockerEngine
from tests.rig.parts.processes import environment
from tests.rig.parts.programs import library
from tests.rig.parts.shelf import Images

if TYPE_CHECKING:
    from docker import DockerClient

#: What would make a client speak to somebody else's engine, or send the rig's traffic elsewhere.
FOREIGN = (
    *("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION", "CONTAINER_HOST"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
)


@dataclass(frozen=True)
class Rig:
    """What a test needs of the machine. ``environ`` is for processes, ``docker()`` for this one."""

    folder: Path
    engine: DockerEngine
    clients: Clients
    images: Images

    @property
    def docker_host(self) -> str:
        """The engine's URL."""
        return self.engine.docker_host

    @property
    def environ(self) -> dict[str, str]:
        """The environment for a process that speaks to the rig, the whole of it."""
        return dict(self.clients.environ)

    def docker(self) -> DockerClient:
        """A client for the rig's engine; close it, or leave that to the end of the process."""
        from docker import DockerClient  # noqa: PLC0415 - not for those who only want the values

        return DockerClient(base_url=self.docker_host, version="auto", timeout=60)

    def second_engine(self, name: str, *flags: str) -> DockerEngine:
        """An engine beside the first, not started, to be stopped by the test: with these flags, or to be killed.

        ``name`` is at most 10 characters. It publishes ports by its proxy alone, on a bridge of its own.
        """
        number = sum(name.encode()) % 200 + 20
        return DockerEngine(self.folder / name, flags, bridge=f"rig-{name}", subnet=f"10.{number}.0.1/16", tied=True)


@contextmanager
def running_rig(folder: Path) -> Iterator[Rig]:
    """Start the engine, put the images into it, and give this process the environment; everything is undone."""
    engine = DockerEngine(folder / "engine", tied=True)
    with ExitStack() as stack:
        stack.callback(engine.stop)
        engine.start()
        values = {
            "DOCKER_HOST": engine.docker_host,
            "TESTCONTAINERS_RYUK_DISABLED": "true",
            "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
        }
        inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        clients = Clients(folder / "clients", {**inherited, **values})
        values["DOCKER_CONFIG"] = clients.environ["DOCKER_CONFIG"]
        stack.enter_context(environment(values, FOREIGN))
        images = Images(clients, folder / "images")
        images.load(library())
        yield Rig(folder, engine, clients, images)
