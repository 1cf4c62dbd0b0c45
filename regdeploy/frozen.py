"""Frozen data classes that cost little to define: the standard library's, but for the code that it writes for each.

``dataclass`` compiles six functions a class, half a millisecond, and a command defines eighty of them before it does
anything. Here all classes share the same few functions, which look the fields up when they are called. ``fields``,
``replace`` and ``asdict`` of :mod:`dataclasses` work as ever.
"""

# ruff: noqa: ANN401 - self is any of the classes, and they have no base in common

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """Make a data class as ``dataclass(frozen=True, kw_only=True)`` does."""
    made: Any = dataclass(init=False, repr=False, eq=False, match_args=False)(kind)
    for name, function in _SHARED.items():
        if name not in vars(made):
            setattr(made, name, function)
    result: type[T] = made
    return result


def _init(self: Any, **given: object) -> None:
    values = vars(self)
    for one in fields(self):
        if one.name in given:
            values[one.name] = given.pop(one.name)
        else:
            values[one.name] = _default(self, one)
    if given:
        raise TypeError(f"{type(self).__name__} has no {', '.join(given)}")


def _default(self: Any, one: Field[Any]) -> object:
    if one.default is not MISSING:
        return one.default
    if one.default_factory is not MISSING:
        return one.default_factory()
    raise TypeError(f"{type(self).__name__} needs {one.name}")


def _repr(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({shown})"


def _values(self: Any) -> tuple[object, ...]:
    return tuple(getattr(self, one.name) for one in fields(self) if one.compare)


def _eq(self: Any, other: object) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _setattr(self: Any, name: str, _value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r} of {type(self).__name__}")


def _delattr(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r} of {type(self).__name__}")


_SHARED = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
}
