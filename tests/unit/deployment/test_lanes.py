"""Two lanes: the first failure ends both, and it is the one that is raised, however the other one ends."""

from __future__ import annotations

import threading

import pytest

from regdeploy.deployment.lanes import Abandoned, run_lanes
from regdeploy.deployment.steps import RenameWorkload, Step
from regdeploy.errors import HostError

FAILS = RenameWorkload(found="fails", why="")
LONG = RenameWorkload(found="long", why="")


class Doing:
    """FAILS once LONG has begun; LONG ends when it is given up."""

    def __init__(self, given_up: Exception | None) -> None:
        self.cancel = threading.Event()
        self.done: list[Step] = []
        self._begun = threading.Event()
        self._given_up = given_up

    def __call__(self, step: Step) -> None:
        if step == FAILS:
            assert self._begun.wait(10)
            raise HostError("CA", "refused", "", code="test.refused")
        self._begun.set()
        assert self.cancel.wait(10)
        if self._given_up is not None:
            raise self._given_up
        self.done.append(step)


@pytest.mark.parametrize("lanes", [((FAILS,), (LONG,)), ((LONG,), (FAILS,))])
@pytest.mark.parametrize("given_up", [Abandoned(), HostError("blobs", "cancelled", "", code="host.cancelled")])
def test_the_reason_is_raised_and_not_that_the_other_one_was_given_up(
    lanes: tuple[tuple[Step, ...], ...], given_up: Exception
) -> None:
    do = Doing(given_up)
    with pytest.raises(HostError, match="refused"):
        run_lanes(lanes, do, do.cancel)


def test_steps_after_the_others_failure_are_not_begun() -> None:
    do = Doing(None)
    with pytest.raises(HostError, match="refused"):
        run_lanes(((FAILS,), (LONG, LONG)), do, do.cancel)
    assert do.done == [LONG]
