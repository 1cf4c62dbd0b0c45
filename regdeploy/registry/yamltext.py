"""YAML as Distribution's parser (go-yaml 2) means it, from PyYAML: read, and written into a variable of one line.

The two libraries resolve plain scalars differently (``y``, ``1:30``, ``0123``), and what a scalar becomes depends on
the Go field that it is for. So a plain scalar stays the text that it was, and is written as that text again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from regdeploy.errors import RegdeployError

if TYPE_CHECKING:
    import yaml

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_FLOW_SAFE = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]*|-[A-Za-z0-9_.+-]+")
#: What is a string to every YAML there is, unquoted and alone on its line.
_STRING = re.compile(r"[A-Za-z/][A-Za-z0-9_./@%=~+-]*(:[A-Za-z0-9_./@%=~+-]+)*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


class Plain(str):
    """A scalar without quotes, as it was written: whether it is a number or a word depends on who reads it."""

    __slots__ = ()


def read(text: str, where: str) -> object:
    """The value of a YAML document: dict, list, str, :class:`Plain` or None; ``where`` names it in an error.

    Anchors and merge keys are resolved. Raises RegdeployError (``registry.config``) for what is no YAML; its words
    hold no part of the text, which may be secret.
    """
    import yaml  # noqa: PLC0415 - 15 ms that only those pay who read a registry's configuration

    try:
        value: object = yaml.load(text, Loader=_loader())  # noqa: S506 - a SafeLoader that resolves even less
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise RegdeployError(where, f"is not YAML: {error.problem}{place}", code="registry.config") from None
    except (yaml.YAMLError, RecursionError, TypeError):
        raise RegdeployError(where, "is not YAML", code="registry.config") from None
    return value


@cache
def _loader() -> type[yaml.SafeLoader]:
    import yaml  # noqa: PLC0415 - as above

    class Loader(yaml.SafeLoader):
        """Safe, and scalars are text."""

    def scalar(loader: Any, node: yaml.ScalarNode) -> object:  # noqa: ANN401 - PyYAML's own signature
        text = str(node.value)
        implied = loader.resolve(yaml.ScalarNode, text, (True, False))
        if node.style is not None or node.tag != implied:
            return text
        return None if text in _NULLS else Plain(text)

    for tag in ("null", "bool", "int", "float", "timestamp", "str", "value"):
        Loader.add_constructor(f"tag:yaml.org,2002:{tag}", scalar)
    return Loader


def flow(value: object) -> str:
    """``value`` on one line, as part of another or alone: JSON, but a plain scalar stays plain where that is safe."""
    match value:
        case None:
            return "null"
        case Plain() if _FLOW_SAFE.fullmatch(value):
            return str(value)
        case str():
            return json.dumps(str(value), ensure_ascii=False)
        case Mapping():
            return "{" + ", ".join(f"{flow(str(key))}: {flow(one)}" for key, one in value.items()) + "}"
        case Sequence():
            return "[" + ", ".join(map(flow, value)) + "]"
        case _:
            return json.dumps(value)


def line(value: object) -> str:
    """``value`` as the whole of a variable, with quotes only where it would mean something else without."""
    if isinstance(value, Plain):
        return str(value)
    if isinstance(value, str) and _STRING.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return flow(value)
