"""What every engine must do, as one suite: a test module derives from EngineContract and gives the ``subject``.

Run against the fake in unit tests and against Docker in the rig, so that the fake may be believed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from regdeploy.engine.model import (
    LABEL_DEPLOYMENT,
    ContainerFacts,
    Mount,
    ObservedWorkload,
    PullProgress,
    Workload,
)
from regdeploy.engine.protocol import Engine
from regdeploy.errors import EngineError, ImageError
from tests.fakes.mortal import Killed, Mortal

NAME = "shop"
PATIENCE = 5


class Subject(Protocol):
    """An engine to try, and what cannot be asked of it in its own words."""

    folder: Path
    """A folder of the test's own on the engine's host."""

    def process(self) -> tuple[Engine, Mortal]:
        """Return the engine as a process just started sees it, and what kills that process."""
        ...

    def workload(self, **changes: Any) -> Workload:
        """Return a workload NAME that runs, says ``up`` in its log and listens on no port of the host."""
        ...

    def broken(self) -> Workload:
        """Return a workload NAME that says ``boom`` and ends at once."""
        ...

    def make_foreign(self, name: str, policy: str = "always") -> None:
        """Make and start a container as somebody else would; the policy ``remove`` is that of ``--rm``."""
        ...

    def put_file(self, name: str, path: str, content: bytes) -> None:
        """Have a file in the layer of a container that somebody else made."""
        ...

    def other_image(self) -> str:
        """Return the reference of an image that is not the workload's."""
        ...

    def forget(self, reference: str) -> None:
        """Take a name away from an image."""
        ...

    def port(self) -> int:
        """Return a TCP port that is free."""
        ...

    def taken(self, port: int) -> AbstractContextManager[None]:
        """Have another program listen on ``port``."""
        ...


def shape(there: ObservedWorkload) -> dict[str, tuple[str, str]]:
    """What there is, in short: role → (id, state)."""
    roles = {"current": there.current, "candidate": there.candidate, "previous": there.previous}
    return {role: (facts.id, facts.state) for role, facts in roles.items() if facts is not None}


def ignore(_: PullProgress) -> None:
    """Take a report and do nothing."""


class EngineContract:
    """The suite. ``subject`` is a fixture of the module that derives from this."""

    @pytest.fixture
    def subject(self) -> Subject:
        raise NotImplementedError("the deriving class gives it")

    @pytest.fixture
    def engine(self, subject: Subject) -> Engine:
        return subject.process()[0]

    def deploy(self, engine: Engine, workload: Workload) -> ContainerFacts:
        """Bring a workload to be current, running, with the one before it as previous."""
        engine.prepare(workload)
        engine.activate(NAME, PATIENCE)
        current = engine.observe(NAME).current
        assert current is not None
        return current

    # --- what is there

    def test_of_a_workload_that_was_never_there_nothing_is_observed(self, engine: Engine) -> None:
        assert engine.observe(NAME) == ObservedWorkload()

    def test_names_that_only_begin_or_end_alike_are_not_taken_for_the_workload(self, subject: Subject) -> None:
        engine, _ = subject.process()
        subject.make_foreign(f"{NAME}-nextdoor")
        subject.make_foreign(f"my-{NAME}")
        assert engine.observe(NAME) == ObservedWorkload()

    def test_the_engine_says_what_it_is(self, engine: Engine) -> None:
        facts = engine.facts()
        assert (facts.os, facts.runtime_name, facts.remote) == ("linux", "docker", False)
        assert facts.architecture in ("amd64", "arm64")
        assert facts.version
        assert facts.data_root.startswith("/")

    def test_an_image_that_is_not_there_is_none(self, engine: Engine) -> None:
        assert engine.image("nobody/has:this") is None

    def test_an_image_is_found_by_name_and_by_id(self, subject: Subject, engine: Engine) -> None:
        found = engine.image(subject.workload().image)
        assert found is not None
        assert engine.image(found.id) == found

    # --- prepare

    def test_a_prepared_candidate_is_what_was_asked_for_and_does_not_run(
        self, subject: Subject, engine: Engine
    ) -> None:
        wanted = subject.workload(
            environment={"REGISTRY_A": "1=2", "REGISTRY_B": ""},
            mounts=(Mount(str(subject.folder), "/data"), Mount(str(subject.folder), "/certs", read_only=True)),
            labels={"some.label": "x"},
            pids_limit=77,
            log_max_size="3m",
            log_max_files=2,
            stop_timeout=7,
        )
        engine.prepare(wanted)
        found = engine.observe(NAME).candidate
        assert found is not None
        assert (found.name, found.state, found.started_at, found.exit_code) == (f"{NAME}-next", "created", None, None)
        assert (found.image, found.image_id) == (wanted.image, wanted.image_id)
        assert {**found.environment, **wanted.environment} == found.environment
        assert [mount for mount in found.mounts if mount.kind != "tmpfs"] == sorted(
            wanted.mounts, key=lambda mount: mount.target
        )
        assert [mount.target for mount in found.mounts if mount.kind == "tmpfs"] == ["/tmp"]
        assert found.publishes == wanted.publishes
        assert found.command == wanted.command
        assert {**found.labels, "some.label": "x", LABEL_DEPLOYMENT: NAME} == found.labels
        assert (found.cap_drop, found.cap_add) == (("ALL",), ("NET_BIND_SERVICE",))
        assert (found.read_only, found.no_new_privileges, found.pids_limit) == (True, True, 77)
        assert (found.restart_policy, found.stop_timeout) == ("unless-stopped", 7)
        assert found.log_options == found.log_driver_options == {"max-size": "3m", "max-file": "2"}
        assert (found.log_driver, [each.network for each in found.networks]) == ("json-file", ["bridge"])
        assert (found.user, found.hostname, found.privileged, found.healthcheck) == ("", "", False, False)
        assert (found.auto_remove, found.restart_retries, found.flags) == (False, 0, {})
        assert [mount.path for mount in found.mounts] == [str(subject.folder), str(subject.folder), ""]
        assert (found.network_mode, found.userns_mode, found.health) == ("default", "", "none")

    def test_published_ports_are_told_as_they_were_asked_for(self, subject: Subject, engine: Engine) -> None:
        first, second = subject.port(), subject.port()
        wanted = subject.workload(port=first, host_ip="127.0.0.1")
        self.deploy(engine, wanted)
        current = engine.observe(NAME).current
        assert current is not None
        assert current.publishes == wanted.publishes
        assert engine.publishers(first) == ((NAME, "127.0.0.1"),)
        self.deploy(engine, subject.workload(port=second))
        assert engine.publishers(second) == ((NAME, ""),)
        assert engine.publishers(first) == ()

    def test_preparing_the_same_again_keeps_the_candidate(self, subject: Subject, engine: Engine) -> None:
        engine.prepare(subject.workload())
        before = shape(engine.observe(NAME))
        engine.prepare(subject.workload())
        assert shape(engine.observe(NAME)) == before

    @pytest.mark.parametrize(
        "change",
        [
            {"environment": {"A": "2"}},
            {"selinux_relabel": True},
            {"cap_add": ()},
            {"labels": {"some.label": "y"}},
            {"stop_timeout": 9},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_preparing_something_else_replaces_the_candidate(
        self, subject: Subject, engine: Engine, change: dict[str, Any]
    ) -> None:
        engine.prepare(subject.workload())
        before = shape(engine.observe(NAME))
        engine.prepare(subject.workload(**change))
        after = shape(engine.observe(NAME))
        assert after.keys() == before.keys() == {"candidate"}
        assert after != before

    def test_preparing_leaves_what_runs_alone(self, subject: Subject, engine: Engine) -> None:
        running = self.deploy(engine, subject.workload())
        engine.prepare(subject.workload(environment={"A": "2"}))
        assert shape(engine.observe(NAME))["current"] == (running.id, "running")

    def test_a_candidate_of_somebody_else_is_not_touched(self, subject: Subject, engine: Engine) -> None:
        subject.make_foreign(f"{NAME}-next")
        before = shape(engine.observe(NAME))
        methods: tuple[Callable[[], object], ...] = (
            lambda: engine.prepare(subject.workload()),
            lambda: engine.activate(NAME, PATIENCE),
            lambda: engine.restore(NAME),
        )
        for method in methods:
            with pytest.raises(EngineError, match="was not made by regdeploy") as raised:
                method()
            assert raised.value.code == "engine.foreign"
        assert shape(engine.observe(NAME)) == before

    def test_an_image_that_the_engine_does_not_have_cannot_be_prepared(self, subject: Subject, engine: Engine) -> None:
        gone = f"sha256:{'0' * 64}"
        with pytest.raises(ImageError) as raised:
            engine.prepare(subject.workload(image="nobody/has:this", image_id=gone))
        assert raised.value.code == "image.not-found"
        assert engine.observe(NAME) == ObservedWorkload()

    # --- activate

    def test_a_first_activation_makes_the_candidate_current_and_starts_it(
        self, subject: Subject, engine: Engine
    ) -> None:
        engine.prepare(subject.workload())
        candidate = shape(engine.observe(NAME))["candidate"][0]
        engine.activate(NAME, PATIENCE)
        assert shape(engine.observe(NAME)) == {"current": (candidate, "running")}

    def test_an_activation_keeps_the_one_before_it_stopped(self, subject: Subject, engine: Engine) -> None:
        old = self.deploy(engine, subject.workload())
        new = self.deploy(engine, subject.workload(environment={"A": "2"}))
        assert shape(engine.observe(NAME)) == {"current": (new.id, "running"), "previous": (old.id, "exited")}

    def test_activating_again_changes_nothing(self, subject: Subject, engine: Engine) -> None:
        self.deploy(engine, subject.workload())
        self.deploy(engine, subject.workload(environment={"A": "2"}))
        before = engine.observe(NAME)
        engine.activate(NAME, PATIENCE)
        assert engine.observe(NAME) == before

    def test_there_must_be_something_to_activate(self, engine: Engine) -> None:
        with pytest.raises(EngineError, match=f"there is no {NAME}-next"):
            engine.activate(NAME, PATIENCE)

    def test_one_that_was_never_proved_gives_way_and_the_proved_one_stays(
        self, subject: Subject, engine: Engine
    ) -> None:
        proved = self.deploy(engine, subject.workload())
        self.deploy(engine, subject.workload(environment={"A": "2"}))
        third = self.deploy(engine, subject.workload(environment={"A": "3"}))
        assert shape(engine.observe(NAME)) == {"current": (third.id, "running"), "previous": (proved.id, "exited")}

    def test_a_port_that_another_program_holds_is_told_and_can_be_undone(
        self, subject: Subject, engine: Engine
    ) -> None:
        old = self.deploy(engine, subject.workload())
        port = subject.port()
        engine.prepare(subject.workload(port=port))
        with subject.taken(port):
            with pytest.raises(EngineError) as raised:
                engine.activate(NAME, PATIENCE)
            assert raised.value.code == "engine.port"
            assert str(port) in raised.value.what
            assert engine.restore(NAME) == ()
        assert shape(engine.observe(NAME)) == {"current": (old.id, "running")}

    def test_a_port_that_was_taken_can_be_activated_once_it_is_free(self, subject: Subject, engine: Engine) -> None:
        port = subject.port()
        engine.prepare(subject.workload(port=port))
        with subject.taken(port), pytest.raises(EngineError):
            engine.activate(NAME, PATIENCE)
        engine.activate(NAME, PATIENCE)
        assert shape(engine.observe(NAME)).keys() == {"current"}
        assert engine.publishers(port) == ((NAME, ""),)

    # --- restore

    def test_a_restored_container_runs_and_the_failed_one_is_gone_after_its_last_words(
        self, subject: Subject, engine: Engine
    ) -> None:
        old = self.deploy(engine, subject.workload())
        self.deploy(engine, subject.broken())
        assert "boom" in engine.restore(NAME)
        assert shape(engine.observe(NAME)) == {"current": (old.id, "running")}

    def test_restoring_again_keeps_what_was_put_back(self, subject: Subject, engine: Engine) -> None:
        old = self.deploy(engine, subject.workload())
        self.deploy(engine, subject.workload(environment={"A": "2"}))
        for _ in range(3):
            engine.restore(NAME)
            assert shape(engine.observe(NAME)) == {"current": (old.id, "running")}
        subject.process()[0].restore(NAME)
        assert shape(engine.observe(NAME)) == {"current": (old.id, "running")}

    def test_a_first_deployment_that_failed_is_removed_by_who_made_it(self, subject: Subject, engine: Engine) -> None:
        self.deploy(engine, subject.broken())
        assert "boom" in engine.restore(NAME)
        assert engine.observe(NAME) == ObservedWorkload()

    def test_the_only_container_is_not_removed_by_another_process(self, subject: Subject, engine: Engine) -> None:
        only = self.deploy(engine, subject.workload())
        engine.stop(NAME, PATIENCE)
        subject.process()[0].restore(NAME)
        assert shape(engine.observe(NAME)) == {"current": (only.id, "running")}

    def test_a_candidate_that_was_not_activated_is_removed_and_the_current_one_runs(
        self, subject: Subject, engine: Engine
    ) -> None:
        old = self.deploy(engine, subject.workload())
        engine.prepare(subject.workload(environment={"A": "2"}))
        engine.stop(NAME, PATIENCE)
        engine.restore(NAME)
        assert shape(engine.observe(NAME)) == {"current": (old.id, "running")}

    def test_where_nothing_is_nothing_is_restored(self, engine: Engine) -> None:
        assert engine.restore(NAME) == ()
        assert engine.observe(NAME) == ObservedWorkload()

    # --- settle

    def test_settling_removes_the_one_before(self, subject: Subject, engine: Engine) -> None:
        self.deploy(engine, subject.workload())
        new = self.deploy(engine, subject.workload(environment={"A": "2"}))
        for _ in range(2):
            engine.settle(NAME)
            assert shape(engine.observe(NAME)) == {"current": (new.id, "running")}

    def test_settling_can_keep_the_one_before_under_another_name(self, subject: Subject, engine: Engine) -> None:
        old = self.deploy(engine, subject.workload())
        new = self.deploy(engine, subject.workload(environment={"A": "2"}))
        engine.settle(NAME, f"{NAME}-kept")
        assert shape(engine.observe(NAME)) == {"current": (new.id, "running")}
        kept = {container.name: container for container in engine.containers()}[f"{NAME}-kept"]
        assert (kept.id, kept.state, kept.restart_policy) == (old.id, "exited", "unless-stopped")

    def test_the_one_before_is_needed_as_long_as_the_current_one_does_not_run(
        self, subject: Subject, engine: Engine
    ) -> None:
        self.deploy(engine, subject.workload())
        self.deploy(engine, subject.workload(environment={"A": "2"}))
        engine.stop(NAME, PATIENCE)
        before = shape(engine.observe(NAME))
        with pytest.raises(EngineError, match="still needed"):
            engine.settle(NAME)
        assert shape(engine.observe(NAME)) == before

    # --- somebody else's container under our name

    def test_somebody_elses_container_is_replaced_and_kept_so_that_it_stays_stopped(
        self, subject: Subject, engine: Engine
    ) -> None:
        subject.make_foreign(NAME, "always")
        theirs = shape(engine.observe(NAME))["current"][0]
        ours = self.deploy(engine, subject.workload())
        assert shape(engine.observe(NAME)) == {"current": (ours.id, "running"), "previous": (theirs, "exited")}
        with pytest.raises(EngineError, match="was not made by regdeploy"):
            engine.settle(NAME)
        engine.settle(NAME, f"{NAME}-replaced")
        assert shape(engine.observe(NAME)) == {"current": (ours.id, "running")}
        kept = {container.name: container for container in engine.containers()}[f"{NAME}-replaced"]
        assert (kept.id, kept.state, kept.restart_policy) == (theirs, "exited", "no")

    def test_somebody_elses_container_comes_back_as_it_was(self, subject: Subject, engine: Engine) -> None:
        subject.make_foreign(NAME, "always")
        before = engine.observe(NAME).current
        assert before is not None
        self.deploy(engine, subject.broken())
        engine.restore(NAME)
        after = engine.observe(NAME).current
        assert after is not None
        assert shape(engine.observe(NAME)) == {"current": (before.id, "running")}
        assert after.restart_policy == "always"

    def test_of_two_containers_of_somebody_else_neither_is_touched(self, subject: Subject, engine: Engine) -> None:
        subject.make_foreign(NAME)
        subject.make_foreign(f"{NAME}-previous")
        engine.prepare(subject.workload())
        before = shape(engine.observe(NAME))
        with pytest.raises(EngineError, match="was not made by regdeploy"):
            engine.activate(NAME, PATIENCE)
        assert shape(engine.observe(NAME)) == before

    def test_somebody_elses_container_takes_the_place_of_our_old_one(self, subject: Subject, engine: Engine) -> None:
        self.deploy(engine, subject.workload())
        self.deploy(engine, subject.workload(environment={"A": "2"}))
        engine.remove(NAME)
        subject.make_foreign(NAME)
        theirs = shape(engine.observe(NAME))["current"][0]
        ours = self.deploy(engine, subject.workload())
        assert shape(engine.observe(NAME)) == {"current": (ours.id, "running"), "previous": (theirs, "exited")}

    def test_what_another_deployment_made_is_somebody_elses(self, subject: Subject, engine: Engine) -> None:
        subject.make_foreign(f"{NAME}-next")
        engine.remove(f"{NAME}-next")
        other = replace(subject.workload(labels={LABEL_DEPLOYMENT: "other"}), name=NAME)
        engine.prepare(other)
        with pytest.raises(EngineError, match="was not made by regdeploy"):
            engine.prepare(subject.workload())

    # --- killed between any two writes

    @pytest.mark.parametrize("foreign", [False, True], ids=["ours", "foreign"])
    @pytest.mark.parametrize("writes", range(5))
    def test_an_activation_killed_half_way_is_finished_by_the_next_process(
        self, subject: Subject, writes: int, foreign: bool
    ) -> None:
        old, new = self._before_activation(subject, foreign=foreign)
        self._killed(subject, writes, lambda engine: engine.activate(NAME, PATIENCE))
        engine, _ = subject.process()
        engine.activate(NAME, PATIENCE)
        assert shape(engine.observe(NAME)) == {"current": (new, "running"), "previous": (old, "exited")}

    @pytest.mark.parametrize("foreign", [False, True], ids=["ours", "foreign"])
    @pytest.mark.parametrize("writes", range(5))
    def test_an_activation_killed_half_way_can_be_undone_by_the_next_process(
        self, subject: Subject, writes: int, foreign: bool
    ) -> None:
        old, _ = self._before_activation(subject, foreign=foreign)
        self._killed(subject, writes, lambda engine: engine.activate(NAME, PATIENCE))
        engine, _ = subject.process()
        engine.restore(NAME)
        assert shape(engine.observe(NAME)) == {"current": (old, "running")}

    @pytest.mark.parametrize("writes", range(6))
    def test_a_restoration_killed_half_way_is_finished_by_the_next_process(self, subject: Subject, writes: int) -> None:
        old, _ = self._before_activation(subject, foreign=False)
        subject.process()[0].activate(NAME, PATIENCE)
        self._killed(subject, writes, lambda engine: engine.restore(NAME))
        engine, _ = subject.process()
        engine.restore(NAME)
        assert shape(engine.observe(NAME)) == {"current": (old, "running")}

    @pytest.mark.parametrize("writes", range(4))
    def test_replacing_one_that_was_never_proved_can_be_killed_half_way(self, subject: Subject, writes: int) -> None:
        old, _ = self._before_activation(subject, foreign=False)
        engine, _ = subject.process()
        engine.activate(NAME, PATIENCE)
        engine.prepare(subject.workload(environment={"A": "3"}))
        third = shape(engine.observe(NAME))["candidate"][0]
        self._killed(subject, writes, lambda engine: engine.activate(NAME, PATIENCE))
        engine, _ = subject.process()
        engine.activate(NAME, PATIENCE)
        assert shape(engine.observe(NAME)) == {"current": (third, "running"), "previous": (old, "exited")}

    @pytest.mark.parametrize("keep_as", [None, f"{NAME}-kept"], ids=["removed", "kept"])
    @pytest.mark.parametrize("writes", range(3))
    def test_settling_killed_half_way_is_finished_by_the_next_process(
        self, subject: Subject, writes: int, keep_as: str | None
    ) -> None:
        _, new = self._before_activation(subject, foreign=keep_as is not None)
        subject.process()[0].activate(NAME, PATIENCE)
        self._killed(subject, writes, lambda engine: engine.settle(NAME, keep_as))
        engine, _ = subject.process()
        engine.settle(NAME, keep_as)
        assert shape(engine.observe(NAME)) == {"current": (new, "running")}
        kept = [container for container in engine.containers() if container.name == keep_as]
        assert [container.restart_policy for container in kept] == ["no"] * (keep_as is not None)

    @pytest.mark.parametrize("writes", range(3))
    def test_preparing_killed_half_way_is_finished_by_the_next_process(self, subject: Subject, writes: int) -> None:
        engine, _ = subject.process()
        engine.prepare(subject.workload())
        changed = subject.workload(environment={"A": "2"})
        self._killed(subject, writes, lambda engine: engine.prepare(changed))
        engine, _ = subject.process()
        engine.prepare(changed)
        candidate = engine.observe(NAME).candidate
        assert candidate is not None
        assert candidate.environment["A"] == "2"

    def _before_activation(self, subject: Subject, *, foreign: bool) -> tuple[str, str]:
        engine, _ = subject.process()
        if foreign:
            subject.make_foreign(NAME)
        else:
            self.deploy(engine, subject.workload())
        engine.prepare(subject.workload(environment={"A": "2"}))
        there = shape(engine.observe(NAME))
        return there["current"][0], there["candidate"][0]

    def _killed(self, subject: Subject, writes: int, do: Callable[[Engine], object]) -> None:
        """Do it in a process that dies after ``writes`` writes, if it makes that many."""
        engine, mortal = subject.process()
        mortal.die_after(writes)
        try:
            do(engine)
        except Killed:
            return
        assert len(mortal.writes) <= writes

    # --- single containers

    def test_starting_and_stopping_again_is_fine(self, subject: Subject, engine: Engine) -> None:
        only = self.deploy(engine, subject.workload())
        for _ in range(2):
            engine.stop(NAME, PATIENCE)
            assert shape(engine.observe(NAME)) == {"current": (only.id, "exited")}
        for _ in range(2):
            engine.start(NAME)
            assert shape(engine.observe(NAME)) == {"current": (only.id, "running")}

    def test_a_restarted_container_runs_and_was_started_later(self, subject: Subject, engine: Engine) -> None:
        before = self.deploy(engine, subject.workload())
        engine.restart(NAME, PATIENCE)
        after = engine.observe(NAME).current
        assert after is not None
        assert (after.id, after.state) == (before.id, "running")
        assert before.started_at is not None
        assert after.started_at is not None
        assert after.started_at > before.started_at

    def test_a_stopped_container_tells_when_and_how_it_ended(self, subject: Subject, engine: Engine) -> None:
        self.deploy(engine, subject.workload())
        engine.stop(NAME, PATIENCE)
        ended = engine.observe(NAME).current
        assert ended is not None
        assert ended.exit_code == 0
        assert ended.started_at is not None
        assert ended.finished_at is not None
        assert ended.finished_at > ended.started_at

    def test_starting_with_its_port_taken_says_so(self, subject: Subject, engine: Engine) -> None:
        port = subject.port()
        self.deploy(engine, subject.workload(port=port))
        engine.stop(NAME, PATIENCE)
        with subject.taken(port), pytest.raises(EngineError) as raised:
            engine.start(NAME)
        assert raised.value.code == "engine.port"
        stopped = engine.observe(NAME).current
        assert stopped is not None
        assert not stopped.running
        assert str(port) in stopped.error

    def test_what_need_not_be_cleared_has_ended_all_the_same_and_is_waited_for_by_what_follows(
        self, subject: Subject, engine: Engine
    ) -> None:
        self.deploy(engine, subject.workload())
        engine.stop(NAME, PATIENCE, cleared=False)
        stopped = engine.observe(NAME).current
        assert stopped is not None
        assert (stopped.running, stopped.exit_code is not None) == (False, True)
        engine.start(NAME)
        engine.stop(NAME, PATIENCE, cleared=False)
        engine.remove(NAME)
        engine.stop(NAME, PATIENCE, cleared=False)

    def test_what_is_absent_cannot_be_started_but_stopped_and_removed(self, engine: Engine) -> None:
        with pytest.raises(EngineError) as raised:
            engine.start(NAME)
        assert raised.value.code == "engine.not-found"
        with pytest.raises(EngineError) as raised:
            engine.restart(NAME, PATIENCE)
        assert raised.value.code == "engine.not-found"
        engine.stop(NAME, PATIENCE)
        engine.remove(NAME)

    def test_a_running_container_can_be_removed(self, subject: Subject, engine: Engine) -> None:
        self.deploy(engine, subject.workload())
        engine.remove(NAME)
        assert engine.observe(NAME) == ObservedWorkload()

    def test_the_log_is_read_from_its_end(self, subject: Subject, engine: Engine) -> None:
        self.deploy(engine, subject.broken())
        engine.stop(NAME, PATIENCE)
        assert set(engine.logs(NAME, 50, follow=False)) == {"boom"}
        assert list(engine.logs(NAME, 1, follow=False)) == ["boom"]

    def test_there_is_no_log_of_what_is_absent(self, engine: Engine) -> None:
        with pytest.raises(EngineError) as raised:
            list(engine.logs(NAME, 5, follow=False))
        assert raised.value.code == "engine.not-found"

    # --- any container, by whomever it was made

    def test_any_container_is_renamed_once_however_often_it_is_asked(self, subject: Subject, engine: Engine) -> None:
        subject.make_foreign("theirs")
        subject.make_foreign("taken")
        before = {container.name: container.id for container in engine.containers()}
        for _ in range(2):
            engine.rename("theirs", "kept")
            assert {container.name: container.id for container in engine.containers()} == {
                "kept": before["theirs"],
                "taken": before["taken"],
            }
        with pytest.raises(EngineError):
            engine.rename("kept", "taken")
        with pytest.raises(EngineError) as raised:
            engine.rename("nobody", "else")
        assert raised.value.code == "engine.not-found"

    def test_by_its_id_no_other_container_is_renamed_for_it(self, subject: Subject, engine: Engine) -> None:
        subject.make_foreign("theirs")
        (theirs,) = engine.containers()
        engine.rename(theirs.id, "kept")
        subject.make_foreign("theirs")
        engine.rename(theirs.id, "kept")
        assert {container.name: container.id == theirs.id for container in engine.containers()} == {
            "kept": True,
            "theirs": False,
        }

    def test_a_restart_policy_that_was_taken_is_given_back(self, subject: Subject, engine: Engine) -> None:
        subject.make_foreign(NAME, "on-failure:3")
        self.deploy(engine, subject.workload())
        before = engine.observe(NAME).previous
        assert before is not None
        assert (before.restart_policy, before.restart_retries) == ("on-failure", 3)
        engine.settle(NAME, f"{NAME}-kept")
        for policy, retries in ((before.restart_policy, before.restart_retries), ("always", 0), ("always", 0)):
            engine.set_restart_policy(f"{NAME}-kept", policy, retries)
            (kept,) = (container for container in engine.containers() if container.name == f"{NAME}-kept")
            assert (kept.restart_policy, kept.restart_retries, kept.state) == (policy, retries, "exited")
        with pytest.raises(EngineError) as raised:
            engine.set_restart_policy("nobody", "always")
        assert raised.value.code == "engine.not-found"

    def test_one_that_is_removed_when_it_stops_is_known(self, subject: Subject, engine: Engine) -> None:
        subject.make_foreign("theirs", "remove")
        (theirs,) = engine.containers()
        assert (theirs.auto_remove, theirs.restart_policy) == (True, "no")
        with pytest.raises(EngineError, match="AutoRemove"):
            engine.set_restart_policy("theirs", "always")

    def test_a_file_is_read_whether_its_container_runs_or_not(self, subject: Subject, engine: Engine) -> None:
        subject.make_foreign("theirs", "no")
        subject.put_file("theirs", "/etc/some.yml", b"version: 0.1\n")
        subject.put_file("theirs", "/etc/empty", b"")
        (theirs,) = engine.containers()
        for _ in range(2):
            assert engine.read_file("theirs", "/etc/some.yml") == b"version: 0.1\n"
            assert engine.read_file(theirs.id, "/etc/empty") == b""
            assert engine.read_file("theirs", "/etc/none.yml") is None
            assert engine.read_file("theirs", "/etc") is None
            engine.stop("theirs", 0)
        with pytest.raises(EngineError) as raised:
            engine.read_file("nobody", "/etc/some.yml")
        assert raised.value.code == "engine.not-found"

    def test_a_file_is_read_up_to_a_mebibyte(self, subject: Subject, engine: Engine) -> None:
        subject.make_foreign("theirs", "no")
        subject.put_file("theirs", "/etc/large", bytes(1 << 20))
        subject.put_file("theirs", "/etc/larger", bytes((1 << 20) + 1))
        assert engine.read_file("theirs", "/etc/large") == bytes(1 << 20)
        with pytest.raises(EngineError, match="1048577 bytes"):
            engine.read_file("theirs", "/etc/larger")
        assert engine.read_file("theirs", "/etc/large") == bytes(1 << 20)

    # --- images

    def test_an_image_gets_a_further_name_which_another_one_can_take_over(
        self, subject: Subject, engine: Engine
    ) -> None:
        one, other = engine.image(subject.workload().image), engine.image(subject.other_image())
        assert one is not None
        assert other is not None
        try:
            for image in (one, one, other):
                engine.tag(image.id, "kept/image")
                named = engine.image("kept/image:latest")
                assert named is not None
                assert named.id == image.id
                assert "kept/image:latest" in named.tags
            left = engine.image(one.id)
            assert left is not None
            assert "kept/image:latest" not in left.tags
        finally:
            subject.forget("kept/image")

    def test_what_the_engine_does_not_have_gets_no_name(self, engine: Engine) -> None:
        with pytest.raises(ImageError) as raised:
            engine.tag(f"sha256:{'0' * 64}", "kept/image:1")
        assert raised.value.code == "image.not-found"
        assert engine.image("kept/image:1") is None

    def test_what_nobody_has_cannot_be_pulled(self, engine: Engine, missing_image: str) -> None:
        with pytest.raises(ImageError) as raised:
            engine.pull(missing_image, ignore)
        assert raised.value.code == "image.not-found"
        assert missing_image.partition(":")[0].partition("/")[0] in str(raised.value)

    @pytest.fixture
    def missing_image(self) -> str:
        raise NotImplementedError("the deriving class gives it: a reference that a registry does not have")
