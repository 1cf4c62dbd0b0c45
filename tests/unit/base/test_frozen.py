"""A class that is frozen here is what the standard library would have made of it."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import pytest

from regdeploy.frozen import frozen


@frozen
class Ours:
    """One of ours."""

    name: str
    size: int = 3
    tags: dict[str, int] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Theirs:
    """The same, by the standard library."""

    name: str
    size: int = 3
    tags: dict[str, int] = field(default_factory=dict, repr=False)


class Child(Ours):
    """One that adds nothing."""


@frozen
class Grandchild(Ours):
    """One that adds a field."""

    more: tuple[int, ...] = ()


BOTH = pytest.mark.parametrize("kind", [Ours, Theirs])


@BOTH
def test_values_are_what_was_given_or_the_default(kind: Any) -> None:
    assert vars(kind(name="a")) == {"name": "a", "size": 3, "tags": {}}
    assert kind(name="a").tags is not kind(name="a").tags
    assert [one.name for one in fields(kind)] == ["name", "size", "tags"]


@BOTH
def test_it_reads_as_its_class_and_values(kind: Any) -> None:
    assert repr(kind(name="a", tags={"x": 1})) == f"{kind.__qualname__}(name='a', size=3)"


@BOTH
@pytest.mark.parametrize(("given", "positional"), [({}, ()), ({"name": "a", "colour": 1}, ()), ({}, ("a",))])
def test_what_is_missing_or_unknown_or_without_its_name_is_refused(
    kind: Any, given: dict[str, object], positional: tuple[object, ...]
) -> None:
    with pytest.raises(TypeError):
        kind(*positional, **given)


@BOTH
def test_it_cannot_be_changed(kind: Any) -> None:
    made = kind(name="a")
    with pytest.raises(FrozenInstanceError):
        made.name = "b"
    with pytest.raises(FrozenInstanceError):
        made.other = "b"
    with pytest.raises(FrozenInstanceError):
        del made.name
    assert made.name == "a"


@BOTH
def test_it_is_equal_to_its_like_alone(kind: Any) -> None:
    assert kind(name="a") == kind(name="a")
    assert kind(name="a") != kind(name="b")
    assert kind(name="a") != "a"
    with pytest.raises(TypeError):
        hash(kind(name="a"))  # a dict has none


def test_a_child_is_not_its_parent() -> None:
    assert Child(name="a") != Ours(name="a")
    assert Grandchild(name="a", more=(1,)) == Grandchild(name="a", more=(1,))
    assert [one.name for one in fields(Grandchild)] == ["name", "size", "tags", "more"]


@BOTH
def test_the_standard_librarys_tools_work(kind: Any) -> None:
    made = kind(name="a", tags={"x": 1})
    assert replace(made, size=4) == kind(name="a", size=4, tags={"x": 1})
    assert asdict(made) == {"name": "a", "size": 3, "tags": {"x": 1}}
    assert copy.deepcopy(made) == made
    assert pickle.loads(pickle.dumps(made)) == made


def test_what_hashes_has_the_hash_of_its_values() -> None:
    @frozen
    class Point:
        x: int
        y: int = 0

    assert {Point(x=1), Point(x=1, y=0), Point(x=2)} == {Point(x=1), Point(x=2)}
