"""Which state a rollback goes back to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from regdeploy.deployment.history import Entry, Kept, State
from regdeploy.deployment.targets import Present, Target, find_target
from regdeploy.errors import UsageError
from tests.builders import NOW

A, B = "sha256:a", "sha256:b"
KEPT = Kept(id="f0", name="registry-replaced-1", name_before="old", restart_policy="always")


def entry(number: int, port: int | None = 1, image: str = A, certificate: int | None = 1, **more: object) -> Entry:
    """An entry whose state is this; None for one that keeps none."""
    state = State(saved={"port": port}, image_id=image, certificate=certificate) if port is not None else None
    made = Entry(
        at=NOW, operation="up", by="root", seconds=0, steps=(), image="", version="0", number=number, state=state
    )
    return replace(made, **more)  # type: ignore[arg-type]  # whatever the test says


def present(port: int = 1, image: str = A, certificate: int | None = 1, named: str | None = None) -> Present:
    state = State(saved={"port": port}, image_id=image, certificate=certificate)
    return Present(state=state, named=image if named is None else named)


@pytest.mark.parametrize(
    ("entries", "now", "number"),
    [
        ([entry(1, 1), entry(2, 2)], present(2), 1),
        ([entry(1, 1), entry(2, 2), entry(3, 3)], present(3), 2),
        ([entry(1, 1), entry(2, 2)], present(3), 2),
        ([entry(1, image=A), entry(2, image=B)], present(image=B), 1),
        ([entry(1), entry(2, None, error="failed"), entry(3, 2)], present(2), 1),
        ([entry(1, certificate=1), entry(2, certificate=2)], present(certificate=2), 1),
        ([entry(1, 1, certificate=1), entry(2, 2, certificate=1), entry(3, 2, certificate=2)], present(2), 1),
        ([entry(1)], present(image=A, named=B), 1),
        ([entry(1)], present(image="", named=A), 1),
        ([entry(1, 1), entry(2, 2, image="")], present(2, named=""), 1),
        ([entry(1, 1), entry(2, 2)], present(2, named=""), 1),
    ],
    ids=[
        *("settings", "the last that differs", "what was edited", "the image", "a failure is passed over"),
        *("the certificate alone", "not the certificate first", "a tag that was moved", "nothing runs"),
        *("an image that is not known", "a tag that is gone"),
    ],
)
def test_without_a_number_it_is_the_last_that_differs(entries: Sequence[Entry], now: Present, number: int) -> None:
    assert find_target(entries, None, now) == Target(entry=entries[number - 1])


@pytest.mark.parametrize(
    ("entries", "now"), [([], present()), ([entry(1)], present()), ([entry(1), entry(2, None)], present(named=""))]
)
def test_where_none_differs_that_is_said(entries: Sequence[Entry], now: Present) -> None:
    with pytest.raises(UsageError, match="no earlier state that differs"):
        find_target(entries, None, now)


def test_before_the_first_state_that_differs_comes_what_was_there_before_regdeploy() -> None:
    taken = entry(1, replaced=KEPT)
    assert find_target([taken], None, present()) == Target(entry=taken, before=True)
    later = [taken, entry(2, 2)]
    assert find_target(later, None, present(2)) == Target(entry=taken)
    assert find_target(later, 0, present(2)) == Target(entry=taken, before=True)
    again = [taken, entry(2, None), entry(3, replaced=replace(KEPT, name="registry-replaced-2"))]
    assert find_target(again, None, present()) == Target(entry=again[2], before=True)
    assert find_target(again, 0, present(7)) == Target(entry=again[2], before=True)
    assert find_target(again, 1, present()) == Target(entry=taken)
