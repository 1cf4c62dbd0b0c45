"""The two properties that the design stands on (a third says what must never be lost on the way)."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdeploy.errors import RegdeployError
from tests.fakes.death import dying_before, full_disk_at
from tests.fakes.mortal import Killed
from tests.unit.spine.host import ACME, GOALS, HAPPENINGS, INTERNAL, LOCAL, OTHER_PORT, Host, copy_of

goals = st.sampled_from(GOALS)
happenings = st.lists(st.sampled_from(HAPPENINGS), max_size=3)


#: In memory where there is such a folder: thousands of fsyncs would take minutes on a disk.
_MEMORY = Path("/dev/shm")


@contextmanager
def fresh() -> Iterator[Host]:
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield Host(Path(folder) / "root")


def deployed(host: Host, before: Mapping[str, Any] | None, happened: list[Callable[[Host], None]]) -> None:
    """Bring ``host`` to a start: what was deployed there, an image in it, and what happened since."""
    if before is not None:
        host.up(before)
    host.image_pushed()
    for happening in happened:
        happening(host)


@given(before=st.none() | goals, happened=happenings, goal=goals)
@settings(max_examples=150)
def test_apply_then_plan_is_empty(
    before: Mapping[str, Any] | None, happened: list[Callable[[Host], None]], goal: Mapping[str, Any]
) -> None:
    with fresh() as host:
        deployed(host, before, happened)

        host.up(goal)

        assert host.plan(goal).plan.text() == ""
        assert host.plan({}).plan.text() == "", "no flag needs repeating"
        assert host.serves(goal)
        assert host.image_is_there()


@given(
    before=st.none() | goals,
    happened=happenings,
    goal=goals,
    fraction=st.floats(0, 1, exclude_max=True),
    again=st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=150)
def test_killed_anywhere_and_even_twice_the_next_run_converges(
    before: Mapping[str, Any] | None,
    happened: list[Callable[[Host], None]],
    goal: Mapping[str, Any],
    fraction: float,
    again: float,
) -> None:
    with fresh() as host:
        deployed(host, before, happened)
        for share in (fraction, again):
            kill_at(host, goal, share)

        host.up(goal)

        assert host.plan(goal).plan.text() == ""
        assert host.serves(goal)
        assert host.image_is_there()


def kill_at(host: Host, goal: Mapping[str, Any], share: float) -> None:
    """Run ``up`` and kill it after that share of the writes that it would do."""
    twin = copy_of(host, host.root.parent / "twin")
    with dying_before(0) as counter:
        twin.up(goal)
    shutil.rmtree(twin.root)
    with dying_before(int(share * counter.count) + 1):
        try:
            host.up(goal)
        except Killed:
            return


SWEEPS: tuple[tuple[str, Mapping[str, Any] | None, list[Callable[[Host], None]], Mapping[str, Any]], ...] = (
    ("a first up with ACME", None, [], ACME),
    ("a first up for this host", None, [], LOCAL),
    ("another port", ACME, [], {**ACME, "port": OTHER_PORT}),
    ("from ACME to the internal CA", ACME, [], INTERNAL),
    ("a renewal", ACME, [HAPPENINGS[15]], ACME),
    ("taking a stranger's place", None, [HAPPENINGS[3]], ACME),
    ("a config edited by hand", INTERNAL, [HAPPENINGS[-1]], INTERNAL),
    ("another profile", ACME, [], {**ACME, "profile": "tlsserver"}),
    ("links that are gone", ACME, [HAPPENINGS[7]], ACME),
)


@pytest.mark.parametrize(("before", "happened", "goal"), [s[1:] for s in SWEEPS], ids=[s[0] for s in SWEEPS])
def test_killed_before_every_write_the_next_run_converges_and_what_served_serves(
    before: Mapping[str, Any] | None, happened: list[Callable[[Host], None]], goal: Mapping[str, Any]
) -> None:
    with fresh() as start:
        deployed(start, before, happened)

        assert sweep(start, goal) > 3, "the sweep saw hardly any write: it proves nothing"


def sweep(start: Host, goal: Mapping[str, Any]) -> int:
    """Die before every write of ``up``, one after the other; returns how many there were."""
    for write in itertools.count(1):
        host = copy_of(start, start.root.parent / f"killed-{write}")
        with dying_before(write):
            try:
                host.up(goal)
            except Killed:
                killed = True
            else:
                killed = False
        host.up(goal)
        assert host.plan(goal).plan.text() == "", f"killed before write {write}"
        assert host.serves(goal), f"killed before write {write}"
        assert host.has_read_its_config(), f"killed before write {write}"
        assert host.image_is_there()
        shutil.rmtree(host.root)
        if not killed:
            return write - 1
    raise AssertionError("every sweep has an end")


FULL = (("a first up with ACME", None, ACME), ("another port", ACME, {**ACME, "port": OTHER_PORT}))


@pytest.mark.parametrize(("before", "goal"), [case[1:] for case in FULL], ids=[case[0] for case in FULL])
def test_a_disk_that_is_full_at_any_write_is_said_and_loses_nothing(
    before: Mapping[str, Any] | None, goal: Mapping[str, Any]
) -> None:
    with fresh() as start:
        deployed(start, before, [])
        said: list[str] = []
        for write in itertools.count(1):
            host = copy_of(start, start.root.parent / f"full-{write}")
            with full_disk_at(write) as counter:
                try:
                    host.up(goal)
                except RegdeployError as error:
                    said.append(str(error))
            assert host.image_is_there()
            if before is not None and len(said) == write:
                assert host.serves(before), f"full at write {write}"
            host.up(goal)
            assert host.plan(goal).plan.text() == "", f"full at write {write}"
            assert host.serves(goal), f"full at write {write}"
            shutil.rmtree(host.root)
            if counter.count < write:
                break
        assert said, "no write failed: it proves nothing"
        assert [words for words in said if "No space left on device" not in words] == []


def test_a_failure_in_any_step_puts_back_what_served(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up(ACME)
    before = host.serving()
    assert before is not None
    image = host.engine.available["registry:2.8"]
    host.engine.broken[image.id] = ("panic: no such file",)

    with pytest.raises(Exception, match="does not answer"):
        host.up({**ACME, "image": "registry:2.8"})

    after = host.serving()
    assert after is not None
    assert after.id == before.id
    assert host.serves(ACME)
    assert host.plan({}).plan.text() == "", "the spec that failed was not saved"
