"""Two lanes: the first failure ends both, and it is the one that is raised, however the other one ends."""

from __future__ import annotations

import threading

import pytest

from regdeploy.deployment.lanes import Abandoned, run_lanes
from regdeploy.deployment.steps import RenameWorkload, Step
from regdeploy.errors import HostError

FAILS = RenameWorkload(found="fails", why="")
LONG = RenameWorkload(found="long", why="")


def refused() -> HostError:
    return HostError("CA", "refused", "", code="test.refused")


@pytest.mark.parametrize("lanes", [((FAILS,), (LONG,)), ((LONG,), (FAILS,))])
@pytest.mark.parametrize("given_up", [Abandoned(), HostError("blobs", "cancelled", "", code="host.cancelled")])
def test_the_reason_is_raised_and_not_that_the_other_one_was_given_up(
    lanes: tuple[tuple[Step, ...], ...], given_up: Exception
) -> None:
    cancel = threading.Event()

    def do(step: Step) -> None:
        if step == FAILS:
            raise refused()
        assert cancel.wait(10)
        raise given_up

    with pytest.raises(HostError, match="refused"):
        run_lanes(lanes, do, cancel)


def test_steps_after_the_others_failure_are_not_begun() -> None:
    done: list[Step] = []
    begun, cancel = threading.Event(), threading.Event()

    def do(step: Step) -> None:
        if step == FAILS:
            assert begun.wait(10)
            raise refused()
        begun.set()
        assert cancel.wait(10)
        done.append(step)

    with pytest.raises(HostError, match="refused"):
        run_lanes(((FAILS,), (LONG, LONG)), do, cancel)
    assert done == [LONG]
