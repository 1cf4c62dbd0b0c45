"""The real engine, as the contract suite wants it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from regdeploy.engine.connect import connect
from regdeploy.engine.model import Publish, Workload
from regdeploy.engine.protocol import Engine
from tests.contract.engine_contract import NAME
from tests.fakes.mortal import Mortal
from tests.rig.parts.processes import free_ports
from tests.rig.parts.rig import Rig

IMAGE = "notaregistry:1"
SERVE = ("sh", "-c", "trap 'exit 0' TERM; echo up; sleep 1000 & wait")


class DockerSubject:
    """Containers of a shell on the rig's engine, or on that of ``docker_host``."""

    def __init__(self, rig: Rig, folder: Path, docker_host: str = "") -> None:
        self.folder = folder
        self._docker_host = docker_host or rig.docker_host
        self._rig = rig
        image = connect(self._docker_host).image(IMAGE)
        assert image is not None
        self._image_id = image.id

    def process(self) -> tuple[Engine, Mortal]:
        engine = connect(self._docker_host)
        mortal = Mortal(engine._containers)
        engine._containers = mortal
        return engine, mortal

    def workload(self, *, port: int | None = None, host_ip: str = "", **changes: Any) -> Workload:
        publishes = (Publish(host_ip, port, 443),) if port else ()
        wanted = Workload(name=NAME, image=IMAGE, image_id=self._image_id, command=SERVE, publishes=publishes)
        return replace(wanted, **changes)

    def broken(self) -> Workload:
        return self.workload(command=("sh", "-c", "echo boom; exit 1"))

    def make_foreign(self, name: str, policy: str = "always") -> None:
        option = "--rm" if policy == "remove" else f"--restart={policy}"
        self._rig.clients.docker("-H", self._docker_host, "run", "-d", "--name", name, option, IMAGE, *SERVE)

    def put_file(self, name: str, path: str, content: bytes) -> None:
        source = self.folder / "put"
        source.write_bytes(content)
        self._rig.clients.docker("-H", self._docker_host, "cp", str(source), f"{name}:{path}")

    def other_image(self) -> str:
        return "registry:3"

    def forget(self, reference: str) -> None:
        self._rig.images.forget(reference)

    def port(self) -> int:
        return free_ports(1)[0]

    @contextmanager
    def taken(self, port: int) -> Iterator[None]:
        with socket.create_server(("", port)):
            yield
