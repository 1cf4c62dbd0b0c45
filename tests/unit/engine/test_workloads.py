"""Whatever is done and wherever it is killed, nothing that matters is lost, and the way forward is open."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdeploy.engine.model import LABEL_DEPLOYMENT, ContainerFacts, Workload
from regdeploy.engine.workloads import fingerprint
from regdeploy.errors import EngineError
from tests.fakes.engine import FakeEngine, Killed, registry_image

NAME = "shop"
IMAGE = registry_image()
ROLES = ("", "-next", "-previous")


def workload(version: int) -> Workload:
    return Workload(name=NAME, image="registry:3", image_id=IMAGE.id, environment={"VERSION": str(version)})


actions = st.one_of(
    st.integers(1, 3).map(lambda version: (f"prepare {version}", lambda engine: engine.prepare(workload(version)))),
    st.just(("activate", lambda engine: engine.activate(NAME, 1))),
    st.just(("restore", lambda engine: engine.restore(NAME))),
    st.just(("settle", lambda engine: engine.settle(NAME))),
    st.just(("settle, keeping", lambda engine: engine.settle(NAME, f"{NAME}-kept-{len(engine.containers())}"))),
    st.just(("stop", lambda engine: engine.stop(NAME, 1))),
    st.just(("start", lambda engine: engine.start(NAME))),
)
starts = st.dictionaries(st.sampled_from(ROLES), st.booleans())


def containers(start: dict[str, bool]) -> list[ContainerFacts]:
    """Containers for these roles; True makes it somebody else's."""
    return [
        ContainerFacts(
            id=f"{role} {'foreign' if foreign else 'ours'}",
            name=f"{NAME}{role}",
            state="created" if role == "-next" else "exited" if role else "running",
            labels={} if foreign else {LABEL_DEPLOYMENT: NAME},
            restart_policy="always",
        )
        for role, foreign in start.items()
    ]


@settings(max_examples=400, deadline=None)
@given(
    start=starts,
    script=st.lists(st.tuples(actions, st.integers(0, 6)), max_size=8),
)
def test_no_container_of_somebody_else_is_ever_lost_and_the_last_proved_one_neither(
    start: dict[str, bool], script: list[tuple[tuple[str, Callable[[FakeEngine], object]], int]]
) -> None:
    engine = FakeEngine({"registry:3": IMAGE})
    for container in containers(start):
        engine.add(container)
    foreign = {container.id for container in containers(start) if not container.deployment}
    for (_, act), writes in script:
        before = engine.observe(NAME)
        engine = engine.revived()
        engine.die_after(writes)
        with suppress(EngineError, Killed):
            act(engine)
        there = {container.id: container for container in engine.containers()}
        assert foreign <= there.keys()
        # With a previous one, that is the one that was proved; it goes only after another one was seen to run.
        if before.previous is not None and before.previous.id not in there:
            assert before.current is not None
            assert before.current.running or not before.current.deployment


@settings(max_examples=300, deadline=None)
@given(start=starts, deaths=st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=4))
def test_from_wherever_it_was_killed_the_wanted_workload_comes_to_run_or_somebody_is_in_the_way(
    start: dict[str, bool], deaths: list[tuple[int, bool]]
) -> None:
    engine = FakeEngine({"registry:3": IMAGE})
    for container in containers(start):
        engine.add(container)
    for writes, back in deaths:
        engine = engine.revived()
        engine.die_after(writes)
        with suppress(EngineError, Killed):
            if back:
                engine.restore(NAME)
            else:
                engine.prepare(workload(1))
                engine.activate(NAME, 1)
    engine = engine.revived()
    refused = ""
    try:
        engine.prepare(workload(2))
        engine.activate(NAME, 1)
    except EngineError as error:
        refused = error.code
    if refused:
        assert refused == "engine.foreign"
        assert start.get("-next") or (start.get("") and start.get("-previous"))
        return
    current = engine.running(NAME)
    assert current is not None
    assert current.environment["VERSION"] == "2"
    assert engine.observe(NAME).candidate is None


def test_an_activation_takes_few_writes_and_stops_what_serves_as_late_as_it_can() -> None:
    engine = FakeEngine({"registry:3": IMAGE})
    engine.add(containers({"": False})[0])
    engine.prepare(workload(1))
    engine.activate(NAME, 1)
    engine.settle(NAME)
    assert engine.writes == [
        f"create {NAME}-next",
        f"stop {NAME}",
        f"rename {NAME} {NAME}-previous",
        f"rename {NAME}-next {NAME}",
        f"start {NAME}",
        f"remove {NAME}-previous",
    ]


def test_where_policies_cannot_be_changed_the_one_before_is_kept_with_its_own() -> None:
    engine = FakeEngine({"registry:3": IMAGE})
    engine.host.fixed_policies = True
    engine.add(containers({"": True})[0])
    engine.prepare(workload(1))
    engine.activate(NAME, 1)
    engine.settle(NAME, f"{NAME}-kept")
    kept = engine.host.containers[f"{NAME}-kept"]
    assert (kept.state, kept.restart_policy) == ("exited", "always")
    with pytest.raises(EngineError) as raised:
        engine.set_restart_policy(f"{NAME}-kept", "no")
    assert raised.value.code == "engine.unsupported"


@pytest.mark.parametrize("change", [{"environment": {"A": "2"}}, {"selinux_relabel": True}, {"tmpfs": ()}])
def test_two_workloads_have_one_fingerprint_only_when_they_are_the_same(change: dict[str, object]) -> None:
    one: dict[str, object] = {"name": NAME, "image": "x", "image_id": "y", "environment": {"A": "1", "B": "2"}}
    other = {**one, "environment": {"B": "2", "A": "1"}}
    assert fingerprint(Workload(**one)) == fingerprint(Workload(**other))  # type: ignore[arg-type]  # as made above
    assert fingerprint(Workload(**one)) != fingerprint(Workload(**{**one, **change}))  # type: ignore[arg-type]  # the same
