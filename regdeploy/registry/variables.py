"""A registry's settings as ``REGISTRY_*`` variables, and the file of one deployment's further variables.

https://distribution.github.io/distribution/about/configuration/#override-specific-configuration-options
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from regdeploy.errors import UsageError
from regdeploy.registry.yamltext import line

PREFIX = "REGISTRY_"

#: The keys of ``storage`` that are no driver (Storage.Type in configuration.go; ``tag`` since 3.0).
NO_DRIVERS = frozenset({"maintenance", "cache", "delete", "redirect", "tag"})
FILESYSTEM = "filesystem"

#: How many steps down the variables of a section go; what lies deeper is YAML. A section that is not here is one
#: variable: its fields are called something else in Go, or 3.0 cannot reach them (redis).
_DEPTHS = {"log": 2, "http": 2, "proxy": 2, "storage": 3, "auth": 3}
_TLS_DEPTH = 3
_SAFE_KEY = re.compile(r"[a-z0-9]+")  # a variable's key arrives in small letters, and cannot hold a _
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_WORDS = ("SECRET", "PASSWORD", "ACCESSKEY", "ACCOUNTKEY", "CREDENTIALS", "TOKEN")
_SECRET_SECTIONS = ("REDIS", "NOTIFICATIONS", "MIDDLEWARE", "REPORTING", "HEALTH", "LOG_HOOKS", "HTTP_HEADERS")


def as_variables(tree: Mapping[str, object]) -> dict[str, str]:
    """The variables that give a registry ``tree``, on top of a configuration that has the storage driver's section.

    A driver without parameters has a variable too: by it ``storage_driver`` finds it. Nulls are left out.
    """
    variables: dict[str, str] = {}
    for section, value in tree.items():
        variables |= _variables((section,), value)
    driver = driver_of(tree)
    name = f"{PREFIX}STORAGE_{driver.upper()}"
    if driver not in ("", FILESYSTEM) and not any(one == name or one.startswith(f"{name}_") for one in variables):
        variables[name] = "{}"
    return dict(sorted(variables.items()))


def _variables(path: tuple[str, ...], value: object) -> dict[str, str]:
    depth = _TLS_DEPTH if path[:2] == ("http", "tls") else _DEPTHS.get(path[0], 1)
    if value is None:
        return {}
    if len(path) < depth and isinstance(value, Mapping):
        keys = [str(key) for key in value]
        if all(map(_SAFE_KEY.fullmatch, keys)) or len(path) < 2:  # noqa: PLR2004 - a section as a whole is ours too
            found: dict[str, str] = {}
            for key, one in zip(keys, value.values(), strict=True):
                found |= _variables((*path, key), one)
            return found
    return {PREFIX + "_".join(path).upper(): line(value)}


def driver_of(tree: Mapping[str, object]) -> str:
    """The storage driver of a merged configuration; empty where it names none."""
    storage = tree.get("storage")
    if not isinstance(storage, Mapping):
        return ""
    return next((str(key) for key in storage if key not in NO_DRIVERS), "")


def storage_driver(variables: Mapping[str, str]) -> str:
    """The storage driver that a deployment's further variables are for: ``filesystem`` where they name none.

    By ``REGISTRY_STORAGE=s3``, as it is often written, or by the name of any of its parameters.
    """
    named = variables.get(f"{PREFIX}STORAGE", "")
    if _SAFE_KEY.fullmatch(named):
        return named
    start = f"{PREFIX}STORAGE_"
    steps = (name.removeprefix(start).partition("_")[0].lower() for name in variables if name.startswith(start))
    return next((step for step in steps if step not in NO_DRIVERS), FILESYSTEM)


def is_secret(name: str) -> bool:
    """Whether a variable of that name may hold a secret, alone or among other things."""
    section = name.upper().removeprefix(PREFIX)
    if not name.startswith(PREFIX):  # a proxy's address may hold a login
        section += "_PASSWORD" if section.endswith("_PROXY") and section != "NO_PROXY" else ""
    elif section.startswith(_SECRET_SECTIONS) or _is_driver_as_a_whole(section):
        return True
    return any(word in section for word in _SECRET_WORDS)


def _is_driver_as_a_whole(section: str) -> bool:
    first, _, rest = section.partition("_")
    return first == "STORAGE" and "_" not in rest and rest.lower() not in {*NO_DRIVERS, ""}


def write_extra(variables: Mapping[str, str]) -> str:
    """The text of the file with these variables: a comment, then NAME=VALUE, one a line.

    A value that would not come back as it is (blanks at its ends, a line break, a quote at its beginning) is a JSON
    string. Raises UsageError for what is no name of a variable.
    """
    return "".join(_written(name, value) for name, value in sorted(variables.items()))


def _written(name: str, value: str) -> str:
    if not _NAME.fullmatch(name.replace("-", "_")):  # REGISTRY_HTTP_HEADERS_X-Name is one to an engine
        raise UsageError("environment", f"{name!r} is no name of a variable", "letters, digits and _")
    plain = value == value.strip() and value.isprintable() and not value.startswith('"')
    return f"{name}={value if plain else json.dumps(value)}\n"


def read_extra(text: str) -> dict[str, str]:
    """What ``write_extra`` wrote, or a person: empty lines and lines that begin with # count for nothing.

    Raises UsageError with the line's number, never with its value.
    """
    return dict(_assignments(text))


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for number, whole in enumerate(text.split("\n"), start=1):
        one = whole.strip()
        if not one or one.startswith("#"):
            continue
        name, equals, value = one.partition("=")
        where = f"secrets/environment, line {number}"
        if not equals or not _NAME.fullmatch(name.replace("-", "_")):
            raise UsageError(where, "is not NAME=VALUE", "one variable a line")
        if value.startswith('"'):
            try:
                value = json.loads(value)
            except ValueError:
                raise UsageError(
                    where, f"{name} begins with a quote and is no JSON string", 'as in "a \\" b"'
                ) from None
        yield name, value
