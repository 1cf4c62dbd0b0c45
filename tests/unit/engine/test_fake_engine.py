"""The fake engine keeps the contract that the real one keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regdeploy.engine.archive_forms import familiar
from regdeploy.engine.model import ContainerFacts, ImageFacts, Publish, PullProgress, Workload
from regdeploy.engine.protocol import Engine
from regdeploy.errors import ImageError
from tests.contract.engine_contract import NAME, EngineContract
from tests.fakes.engine import FakeEngine, Killed, registry_image
from tests.fakes.mortal import Mortal

GOOD = registry_image("3.1.1")
BAD = registry_image("3.0.0")


class FakeSubject:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._host = FakeEngine({"registry:3": GOOD, "registry:bad": BAD}).host
        self._host.broken[BAD.id] = ("boom",)
        self._ports = iter(range(5000, 6000))

    def process(self) -> tuple[Engine, Mortal]:
        engine = FakeEngine(host=self._host)
        return engine, engine._mortal

    def workload(self, *, port: int | None = None, host_ip: str = "", **changes: Any) -> Workload:
        publishes = (Publish(host_ip, port, 443),) if port else ()
        wanted = Workload(name=NAME, image="registry:3", image_id=GOOD.id, command=("serve",), publishes=publishes)
        return replace(wanted, **changes)

    def broken(self) -> Workload:
        return replace(self.workload(), image="registry:bad", image_id=BAD.id)

    def make_foreign(self, name: str, policy: str = "always") -> None:
        policy, _, retries = policy.partition(":")
        self._host.tick()
        facts = ContainerFacts(
            id=f"foreign {self._host.ticks}",
            name=name,
            state="running",
            restart_policy="no" if policy == "remove" else policy,
            restart_retries=int(retries or 0),
            auto_remove=policy == "remove",
        )
        FakeEngine(host=self._host).add(facts, "theirs")

    def put_file(self, name: str, path: str, content: bytes) -> None:
        self._host.files.setdefault(self._host.containers[name].id, {})[path] = content

    def other_image(self) -> str:
        return "registry:bad"

    def forget(self, reference: str) -> None:
        del self._host.images[familiar(reference)]

    def port(self) -> int:
        return next(self._ports)

    @contextmanager
    def taken(self, port: int) -> Iterator[None]:
        self._host.taken_ports.add(port)
        yield
        self._host.taken_ports.remove(port)


class TestFakeEngine(EngineContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> FakeSubject:
        return FakeSubject(tmp_path)

    @pytest.fixture
    def missing_image(self) -> str:
        return "localhost:5000/nobody/has:this"


def test_a_pull_moves_what_is_available_and_reports() -> None:
    engine = FakeEngine(available={"registry:3": GOOD})
    seen: list[PullProgress] = []
    image = engine.pull("registry:3", seen.append)
    assert engine.image("registry:3") == image
    assert (image.id, image.tags) == (GOOD.id, ("registry:3",))
    assert [(step.done_bytes, step.total_bytes) for step in seen] == [(0, GOOD.size), (GOOD.size, GOOD.size)]


def test_a_pull_that_is_refused_says_why_in_the_engines_words() -> None:
    engine = FakeEngine()
    engine.refused["registry:3"] = "Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1: no such host"
    with pytest.raises(ImageError, match="no such host") as raised:
        engine.pull("registry:3", lambda _: None)
    assert raised.value.code == "image.network"
    assert "--image-archive" in raised.value.hint


def test_a_kill_before_a_write_leaves_it_undone_and_one_after_it_leaves_it_done() -> None:
    workload = Workload(name=NAME, image="registry:3", image_id=GOOD.id)
    for kill, there in (("die_before", False), ("die_after", True)):
        engine = FakeEngine({"registry:3": GOOD})
        getattr(engine, kill)(1)
        with pytest.raises(Killed):
            engine.prepare(workload)
        assert (engine.revived().observe(NAME).candidate is not None) is there
        assert engine.writes == [f"create {NAME}-next"] * there


def test_only_what_serves_counts_as_running() -> None:
    engine = FakeEngine({"registry:3": GOOD})
    engine.broken[GOOD.id] = ("boom",)
    engine.prepare(Workload(name=NAME, image="registry:3", image_id=GOOD.id))
    engine.activate(NAME, 1)
    current = engine.observe(NAME).current
    assert current is not None
    assert current.state == "restarting"
    assert engine.running(NAME) is None


def test_two_versions_are_two_images() -> None:
    assert isinstance(GOOD, ImageFacts)
    assert GOOD.id != BAD.id
