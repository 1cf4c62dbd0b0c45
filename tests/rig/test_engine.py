"""The real engine keeps the contract, and does what only a real one can show."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regdeploy.engine.connect import connect
from regdeploy.engine.model import Publish, Workload
from regdeploy.engine.protocol import Engine
from tests.contract.engine_contract import NAME, EngineContract
from tests.fakes.mortal import Mortal
from tests.rig.parts.processes import free_ports
from tests.rig.parts.rig import Rig

IMAGE = "notaregistry:1"
SERVE = "trap 'exit 0' TERM; echo up; sleep 1000 & wait"


class DockerSubject:
    def __init__(self, rig: Rig, folder: Path) -> None:
        self.folder = folder
        self._rig = rig
        image = connect(rig.docker_host).image(IMAGE)
        assert image is not None
        self._image_id = image.id

    def process(self) -> tuple[Engine, Mortal]:
        engine = connect(self._rig.docker_host)
        mortal = Mortal(engine._containers)
        engine._containers = mortal
        return engine, mortal

    def workload(self, *, port: int | None = None, host_ip: str = "", **changes: Any) -> Workload:
        publishes = (Publish(host_ip, port, 443),) if port else ()
        wanted = Workload(
            name=NAME, image=IMAGE, image_id=self._image_id, command=("sh", "-c", SERVE), publishes=publishes
        )
        return replace(wanted, **changes)

    def broken(self) -> Workload:
        return self.workload(command=("sh", "-c", "echo boom; exit 1"))

    def make_foreign(self, name: str, policy: str = "always") -> None:
        self._rig.clients.docker("run", "-d", "--name", name, f"--restart={policy}", IMAGE, "sh", "-c", SERVE)

    def port(self) -> int:
        return free_ports(1)[0]

    @contextmanager
    def taken(self, port: int) -> Iterator[None]:
        with socket.create_server(("", port)):
            yield


@pytest.fixture
def subject(rig: Rig, tmp_path: Path, clean_engine: None) -> DockerSubject:
    return DockerSubject(rig, tmp_path)


class TestDockerEngine(EngineContract):
    @pytest.fixture
    def subject(self, rig: Rig, tmp_path: Path, clean_engine: None) -> DockerSubject:
        return DockerSubject(rig, tmp_path)

    @pytest.fixture
    def missing_image(self) -> str:
        return "127.0.0.1:1/nobody/has:this"
