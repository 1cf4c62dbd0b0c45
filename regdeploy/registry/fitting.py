"""From one generation's configuration to the other's: what is called something else there, and what is not there.

Read from configuration.go, app.go and the drivers of Distribution 2.8.2 and 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import NamedTuple

from regdeploy.registry.configuration import merged
from regdeploy.registry.images import Generation, drivers
from regdeploy.registry.variables import PREFIX, as_variables, driver_of, is_secret
from regdeploy.registry.yamltext import Plain, line

_Tree = dict[str, object]
_NO_SCHEMA_1 = "3.x has no manifests of schema 1, as a Docker before 1.10 pushed them: they cannot be pulled any more"
#: What only the other generation has, and why it matters.
_ABSENT: Mapping[Generation, Mapping[str, str]] = {
    Generation.V3: {
        "compatibility.schema1": _NO_SCHEMA_1,
        "reporting": "3.x reports to neither Bugsnag nor New Relic",
    },
    Generation.V2: {
        "storage.tag": "2.x looks tags up one by one",
        "tags": "2.x lists all tags at once",
        "log.reportcaller": "2.x does not log where it was called",
        "proxy.ttl": "2.x keeps what it fetched for seven days",
        "proxy.exec": "2.x asks no program for its upstream's password",
        "proxy.cachewritetimeout": "2.x waits as long as it takes",
        "proxy.remotenamespace": "2.x fetches from its upstream's own names",
        "validation.manifests.indexes": "2.x wants every platform of an index",
        "http.h2c": "2.x speaks no HTTP/2 without TLS",
        "http.tls.clientauth": "2.x asks every client for a certificate, or none",
        "http.tls.letsencrypt.directoryurl": "2.x knows one CA only",
    },
}
#: Storage middleware by generation; of other kinds there is none in the image.
_MIDDLEWARE = {
    Generation.V2: {"cloudfront", "redirect", "alicdn"},
    Generation.V3: {"cloudfront", "redirect", "rewrite"},
}
#: What redis.pool held in 2.x is called in 3.x.
_POOL = {"maxidle": "maxidleconns", "maxactive": "poolsize", "idletimeout": "connmaxidletime"}
_REDIS_BOTH = ("password", "db", "dialtimeout", "readtimeout", "writetimeout")


class Left(NamedTuple):
    """One setting that is not carried over: its path, its value (``***`` where that is secret), and why."""

    item: str
    value: str
    why: str


def left(item: str, value: object, why: str) -> Left:
    """``Left`` with the value in words, and no secret in it."""
    secret = is_secret(PREFIX + item.replace(".", "_").upper())
    return Left(item, "***" if secret and value else line(value), why)


def fitted(tree: Mapping[str, object], generation: Generation) -> tuple[_Tree, tuple[Left, ...]]:
    """A merged configuration as ``generation`` calls things, and what it has no counterpart for. Pure."""
    result = deepcopy(dict(tree))
    lost = [
        left(path, taken, why) for path, why in _ABSENT[generation].items() if (taken := take(result, path)) is not None
    ]
    lost += _driver(result, generation)
    lost += _middleware(result, generation)
    redis = result.pop("redis", None)
    if isinstance(redis, Mapping):
        renamed, unknown = _redis_of_3(redis) if generation is Generation.V3 else _redis_of_2(redis)
        lost += unknown
        result |= {"redis": renamed} if renamed else {}
    return result, tuple(lost)


def translate(
    variables: Mapping[str, str], from_generation: Generation, to_generation: Generation
) -> tuple[dict[str, str], tuple[str, ...]]:
    """A deployment's further variables for another generation's image, and what it will not have, in sentences.

    A section without differences keeps its variables as they were written. Raises RegdeployError where a variable of
    another section is no YAML.
    """
    if from_generation is to_generation:
        return dict(variables), ()
    before = merged("", variables, generation=from_generation)
    after, lost = fitted(before, to_generation)
    changed = {name for name in before if before[name] != after.get(name)}
    kept = {name: value for name, value in variables.items() if _section(name) not in changed}
    made = as_variables({name: value for name, value in after.items() if name in changed})
    return kept | made, tuple(f"{' '.join(filter(None, one[:2]))}: {one.why}" for one in lost)


def _section(name: str) -> str:
    return name.removeprefix(PREFIX).partition("_")[0].lower() if name.startswith(PREFIX) else ""


def take(tree: _Tree, path: str) -> object:
    """The value at ``a.b.c``, which is then no longer there, nor any mapping that got empty by that; None for none."""
    key, _, rest = path.partition(".")
    if not rest:
        return tree.pop(key, None)
    inner = tree.get(key)
    if not isinstance(inner, dict):
        return None
    found = take(inner, rest)
    if found is not None and not inner:
        del tree[key]
    return found


def _driver(tree: _Tree, generation: Generation) -> list[Left]:
    driver = driver_of(tree)
    if not driver or driver in drivers(generation):
        return []
    take(tree, f"storage.{driver}")
    why = f"{generation.value} has no such storage driver, and the images lie where nothing else reaches"
    return [left(f"storage.{driver}", Plain(), why)]


def _middleware(tree: _Tree, generation: Generation) -> list[Left]:
    section = tree.get("middleware")
    if not isinstance(section, dict):
        return []
    lost = []
    for kind, found in list(section.items()):
        entries = found if isinstance(found, list) else []
        names = [str(one.get("name")) if isinstance(one, Mapping) else "" for one in entries]
        known = _MIDDLEWARE[generation] if kind == "storage" else set()
        lost += [
            Left(f"middleware.{kind}", name, f"{generation.value} has none of that name")
            for name in names
            if name not in known
        ]
        section[kind] = [one for one, name in zip(entries, names, strict=True) if name in known]
        if not section[kind]:
            del section[kind]
    if not section:
        del tree["middleware"]
    return lost


def _redis_of_3(redis: Mapping[str, object]) -> tuple[_Tree, list[Left]]:
    result = deepcopy(dict(redis))
    pool = result.pop("pool", None)
    address = result.pop("addr", None)
    if address is not None:
        result.setdefault("addrs", [address])
    for old, new in _POOL.items():
        value = pool.get(old) if isinstance(pool, Mapping) else None
        if value is not None and value != "0":  # 0 is no limit in 2.x, and the default in 3.x
            result.setdefault(new, value)
    return result, []


def _redis_of_2(redis: Mapping[str, object]) -> tuple[_Tree, list[Left]]:
    rest = deepcopy(dict(redis))
    result: _Tree = {key: rest.pop(key) for key in _REDIS_BOTH if key in rest}
    pool = rest.pop("pool", None)
    pool = dict(pool) if isinstance(pool, Mapping) else {}
    for old, new in _POOL.items():
        if new in rest:
            pool.setdefault(old, rest.pop(new))
    addresses = rest.pop("addrs", None)
    several = addresses if isinstance(addresses, list) else []
    address = rest.pop("addr", several[0] if several else None)
    result |= {"addr": address} if address is not None else {}
    result |= {"pool": pool} if pool else {}
    lost = [Left("redis.addrs", f"{len(several)} of them", "2.x speaks to one Redis")] if len(several) > 1 else []
    lost += [Left(f"redis.{key}", "***", "2.x has no such setting") for key in rest]
    return result, lost
