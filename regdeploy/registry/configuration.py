"""What a registry makes of its ``config.yml`` and its environment together.

As Distribution does it (configuration/parser.go; the same in 2.7, 2.8 and 3.x but for lists): variables in the order of
their names, each part of a name a step down; a step into a struct is the field's name in Go, which is not always the
one in YAML; a step into a map is a key, whatever its case; the value is YAML. What cannot be set that way is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from regdeploy.errors import RegdeployError
from regdeploy.registry.images import Generation
from regdeploy.registry.variables import PREFIX
from regdeploy.registry.yamltext import read


class _Kind(Enum):
    SCALAR = "a value"
    LIST = "a list"
    ANY = "a map of anything"
    MAPS = "a map of maps of anything"
    LISTS = "a map of lists"


_S, _L = _Kind.SCALAR, _Kind.LIST
_Shape = Mapping[str, Any]  # a key in YAML to its kind, or to the shape of the struct there


def _scalars(*keys: str) -> dict[str, object]:
    return dict.fromkeys(keys, _S)


#: Every struct of both generations: what only one of them has makes no difference to the other.
_SHAPE: _Shape = {
    **_scalars("version", "loglevel"),
    "log": {
        **_scalars("level", "formatter", "reportcaller"),
        "accesslog": _scalars("disabled"),
        "fields": _Kind.ANY,
        "hooks": _L,
    },
    "storage": _Kind.MAPS,
    "auth": _Kind.MAPS,
    "middleware": _Kind.LISTS,
    "reporting": {
        "bugsnag": _scalars("apikey", "releasestage", "endpoint"),
        "newrelic": _scalars("licensekey", "name", "verbose"),
    },
    "http": {
        **_scalars("addr", "net", "host", "prefix", "secret", "relativeurls", "draintimeout"),
        "tls": {
            **_scalars("certificate", "key", "clientauth", "minimumtls"),
            "clientcas": _L,
            "ciphersuites": _L,
            "letsencrypt": {**_scalars("cachefile", "email", "directoryurl"), "hosts": _L},
        },
        "headers": _Kind.LISTS,
        "debug": {"addr": _S, "prometheus": _scalars("enabled", "path")},
        "http2": _scalars("disabled"),
        "h2c": _scalars("enabled"),
    },
    "notifications": {"events": _scalars("includereferences"), "endpoints": _L},
    "redis": {
        **_scalars("addr", "password", "db", "dialtimeout", "readtimeout", "writetimeout"),
        "pool": _scalars("maxidle", "maxactive", "idletimeout"),
        "addrs": _L,
        **_scalars("clientname", "protocol", "username", "sentinelusername", "sentinelpassword", "maxretries"),
        **_scalars("minretrybackoff", "maxretrybackoff", "contexttimeoutenabled", "poolfifo", "poolsize"),
        **_scalars("pooltimeout", "minidleconns", "maxidleconns", "maxactiveconns", "connmaxidletime"),
        **_scalars("connmaxlifetime", "maxredirects", "readonly", "routebylatency", "routerandomly"),
        **_scalars("mastername", "disableidentity", "identitysuffix", "unstableresp3"),
        "tls": {**_scalars("certificate", "key"), "rootcas": _L},
    },
    "health": {"file": _L, "http": _L, "tcp": _L, "storagedriver": _scalars("enabled", "interval", "threshold")},
    "catalog": _scalars("maxentries"),
    "tags": _scalars("maxtags"),
    "proxy": {
        **_scalars("remoteurl", "username", "password", "ttl", "cachewritetimeout", "remotenamespace"),
        "exec": _scalars("command", "lifetime"),
    },
    "compatibility": {"schema1": _scalars("signingkeyfile", "enabled")},
    "validation": {
        **_scalars("enabled", "disabled"),
        "manifests": {"urls": {"allow": _L, "deny": _L}, "indexes": {"platforms": _S, "platformlist": _L}},
    },
    "policy": {"repository": {"classes": _L}},
}
#: Fields that Go calls something else than YAML does.
_IN_GO = {
    "FILECHECKERS": "file",
    "HTTPCHECKERS": "http",
    "TCPCHECKERS": "tcp",
    "EVENTCONFIG": "events",
    "TRUSTKEY": "signingkeyfile",
    "MAILOPTIONS": "options",
}
_ONLY_IN_YAML = {"health": {"file", "http", "tcp"}, "notifications": {"events"}, "schema1": {"signingkeyfile"}}


class _Made(dict[str, object]):
    """A map that a variable made; into one that came as YAML no variable leads (its keys are no strings to Go)."""


def merged(
    config_yml: str, environment: Mapping[str, str], *, generation: Generation = Generation.V3
) -> Mapping[str, object]:
    """The configuration that ``config_yml`` and the ``REGISTRY_*`` in ``environment`` give together.

    Values are dict, list, str or None; a :class:`~regdeploy.registry.yamltext.Plain` str had no quotes. An empty text
    is an empty configuration. ``generation`` is the registry's own: 2.x cannot set an element of a list. Raises
    RegdeployError (``registry.config``) for what is no YAML, without showing any of it.
    """
    found = read(config_yml, "config.yml")
    if found is None:
        found = {}
    if not isinstance(found, dict):
        raise RegdeployError("config.yml", "is not a mapping", code="registry.config")
    tree = {str(key): value for key, value in found.items()}
    for section in ("storage", "auth"):
        tree |= {section: _named(tree[section])} if section in tree else {}
    for name in sorted(environment):
        if name.startswith(PREFIX):
            _in_struct(tree, _SHAPE, "", name.split("_")[1:], _Given(name, environment[name], generation))
    return tree


class _Given:
    """A variable: its value is read where it is put."""

    def __init__(self, name: str, text: str, generation: Generation) -> None:
        self._name = name
        self._text = text
        self.lists = generation is Generation.V3

    def value(self) -> object:
        return read(self._text, self._name)


def _named(value: object) -> object:
    """``storage: filesystem`` is short for ``storage: {filesystem: {}}``."""
    return {str(value): {}} if isinstance(value, str) else value


def _in_struct(node: dict[str, object], shape: _Shape, name: str, path: Sequence[str], given: _Given) -> None:
    hidden = _ONLY_IN_YAML.get(name, set())
    names = {key.upper(): key for key in shape if key not in hidden}
    names |= {inside: key for inside, key in _IN_GO.items() if key in hidden}
    key = names.get(path[0])
    if key is None:
        return
    kind = shape[key]
    if len(path) == 1:
        node[key] = _named(given.value()) if kind is _Kind.MAPS else given.value()
    elif isinstance(kind, Mapping):
        _in_struct(_folder(node, key), kind, key, path[1:], given)
    elif kind is _L:
        _in_list(node, key, path[1:], given)
    elif kind is not _S:
        _in_map(_folder(node, key), kind, path[1:], given)


def _folder(node: dict[str, object], key: str) -> dict[str, object]:
    found = node.get(key)
    if not isinstance(found, dict):
        found = node[key] = _Made()
    return found


def _in_map(node: dict[str, object], kind: _Kind, path: Sequence[str], given: _Given) -> None:
    there = next((key for key in node if key.upper() == path[0] and node[key] is not None), None)
    key = path[0].lower()
    if len(path) == 1:
        node[key] = given.value()
    elif kind is _Kind.LISTS:
        _in_list(node, key if there is None else there, path[1:], given)
    elif there is None:
        made = node[key] = _Made()
        _in_map(made, _Kind.ANY, path[1:], given)
    else:
        found = node[there]
        if isinstance(found, _Made) or (kind is _Kind.MAPS and isinstance(found, dict)):
            _in_map(found, _Kind.ANY, path[1:], given)


def _in_list(node: dict[str, object], key: str, path: Sequence[str], given: _Given) -> None:
    """3.x sets elements, and appends the one after the last."""
    found = node.get(key)
    items = list(found) if isinstance(found, list) else []
    if not given.lists or not path[0].isdecimal() or int(path[0]) > len(items):
        return
    index = int(path[0])
    if index == len(items):
        items.append(_Made())
    if len(path) == 1:
        items[index] = given.value()
    else:
        one = items[index] = _Made(items[index]) if isinstance(items[index], dict) else _Made()
        _in_map(one, _Kind.ANY, path[1:], given)
    node[key] = items
