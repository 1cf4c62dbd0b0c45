"""What a hand-made registry's configuration means to a deployment: what goes on, what does not, and why. Pure.

A person's settings go on as ``REGISTRY_*`` variables. What regdeploy decides itself is said only where it was set to
something else than the registry's own image has it, so that a registry without settings leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import field
from typing import Any

from regdeploy.frozen import frozen
from regdeploy.registry.configuration import merged
from regdeploy.registry.environment import REALM
from regdeploy.registry.fitting import Left, fitted, left, take, translate
from regdeploy.registry.images import Generation
from regdeploy.registry.variables import (
    FILESYSTEM,
    as_variables,
    driver_of,
    is_secret,
    read_extra,
    storage_driver,
    write_extra,
)
from regdeploy.registry.yamltext import Plain
from regdeploy.secret import Secret

__all__ = [
    "Carried",
    "Left",
    "carried",
    "is_secret",
    "merged",
    "read_extra",
    "storage_driver",
    "translate",
    "write_extra",
]

ROOT_DIRECTORY = "/var/lib/registry"
_PORT = 5000
_REALMS = (REALM, "Registry Realm", "basic-realm")  # ours, and those of Docker's pages
_NAMES_FILE = "it names a file of the old container, which is not in regdeploy's"
_OLD_ADDRESS = "clients would be sent to the old address; the registry answers by the name that it is asked by"
_OWN_LOGIN = "regdeploy's registry asks for a name and password"
#: What regdeploy decides: the path, what the images bring (dropped in silence), and why another value is not kept.
_OURS: tuple[tuple[str, tuple[object, ...], str], ...] = (
    ("version", ("0.1",), "there is one version"),
    ("http.net", ("tcp", ""), "regdeploy's registry listens on TCP"),
    ("http.host", ("",), _OLD_ADDRESS),
    ("http.prefix", ("", "/"), "Docker's clients know no path before /v2/"),
    (
        "http.draintimeout",
        ("30s", "0", "0s"),
        "regdeploy gives a stopping registry 30 seconds, and its container longer",
    ),
    (
        "http.debug",
        ({"addr": ":5001", "prometheus": {"enabled": "true", "path": "/metrics"}},),
        "the port has no login",
    ),
    ("http.tls.clientcas", ([],), f"{_NAMES_FILE}, and clients are not asked for certificates; {_OWN_LOGIN}"),
    ("http.tls.clientauth", (), f"clients are not asked for certificates; {_OWN_LOGIN}"),
    ("http.tls.ciphersuites", ([],), "regdeploy leaves the choice to Go"),
    ("http.tls.letsencrypt", ({},), "regdeploy gets and renews the certificate"),
    ("storage.delete", ({"enabled": "true"}, {}), "`regdeploy rm` needs to delete; who may push may delete"),
    ("log.level", ("info",), ""),
    ("log.fields", ({"service": "registry"}, {"service": "registry", "environment": "development"}), ""),
    ("log.accesslog", ({"disabled": "false"},), ""),
    ("health.storagedriver", ({"enabled": "true", "interval": "10s", "threshold": "3"},), ""),
    ("http.headers", ({"X-Content-Type-Options": ["nosniff"]},), ""),
    ("storage.tag", ({"concurrencylimit": "5"}, {"concurrencylimit": "8"}), ""),
    (
        "storage.maintenance.uploadpurging",
        ({"enabled": "true", "age": "168h", "interval": "24h", "dryrun": "false"},),
        "",
    ),
    ("storage.maintenance.readonly", ({"enabled": "false"},), ""),
)
_FILES = ("compatibility.schema1.signingkeyfile", "health.file", "proxy.exec")
_FILE_OPTIONS = frozenset({"privatekey"})
_KNOWN = frozenset(
    {
        *("log", "storage", "middleware", "reporting", "http", "notifications", "redis"),
        *("health", "catalog", "tags", "proxy", "compatibility", "validation", "policy"),
    }
)
_IMAGE_3_LOG = {"level": "debug", "fields": {"service": "registry", "environment": "development"}}


@frozen
class Carried:
    """What a registry's configuration amounts to.

    ``variables`` are to be set in the new container; those in ``secret`` hold secrets. ``driver`` keeps the images,
    and ``rootdirectory`` is where they lie in the old container, empty for any but ``filesystem``. ``htpasswd`` and
    ``tls`` (certificate, key) are paths in the old container, empty and None where there is none; ``port`` is the one
    inside it, 0 for none. ``files`` are further paths there, by the variable that names each. ``left`` holds no secret.
    """

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: frozenset[str] = frozenset()
    driver: str = FILESYSTEM
    rootdirectory: str = ROOT_DIRECTORY
    htpasswd: str = ""
    tls: tuple[str, str] | None = None
    http_secret: Secret | None = None
    port: int = _PORT
    files: Mapping[str, str] = field(default_factory=dict)
    left: tuple[Left, ...] = ()


def carried(configuration: Mapping[str, object], generation: Generation = Generation.V3) -> Carried:
    """What of a ``merged`` configuration goes on in a registry of ``generation``, the one that is to run. Pure."""
    whole: dict[str, Any] = deepcopy(dict(configuration))
    driver = driver_of(whole) or FILESYSTEM
    root = take(whole, f"storage.{FILESYSTEM}.rootdirectory") if driver == FILESYSTEM else ""
    pair = tuple(str(take(whole, f"http.tls.{name}") or "") for name in ("certificate", "key"))
    secret = take(whole, "http.secret")
    port = _port(take(whole, "http.addr"), str(_at(whole, "http", "net") or "tcp"))
    htpasswd, unkept = _access(whole)
    _level(whole)
    unkept += _minimum_tls(whole)
    unkept += _cache(whole)
    unkept += _ours(whole)
    unkept += _files(whole)
    unkept += [left(name, Plain(), "is no setting of a registry") for name in list(whole) if name not in _KNOWN]
    known = {name: value for name, value in whole.items() if name in _KNOWN and value not in (None, {}, [])}
    fitting, lost = fitted(known, generation)
    _complete(fitting)
    variables = as_variables(fitting)
    return Carried(
        variables=variables,
        secret=frozenset(filter(is_secret, variables)),
        driver=driver,
        rootdirectory=str(root or ROOT_DIRECTORY) if driver == FILESYSTEM else "",
        htpasswd=htpasswd,
        tls=(pair[0], pair[1]) if all(pair) else None,
        http_secret=Secret(str(secret)) if secret else None,
        port=port,
        files={name: value for name, value in variables.items() if name.endswith("KEYFILE")},
        left=(*unkept, *lost),
    )


def _at(tree: Mapping[str, Any], *names: str) -> Any:  # noqa: ANN401 - whatever somebody wrote there
    found: Any = tree
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _port(address: object, net: str) -> int:
    """Port of ``:5000``, ``0.0.0.0:5000``, ``[::]:5000``; without an address the kernel chooses, and nobody knows."""
    if net != "tcp" or not address:
        return 0
    port = str(address).rpartition(":")[2]
    return int(port) if port.isdecimal() else 0


def _access(tree: dict[str, Any]) -> tuple[str, list[Left]]:
    """The path of htpasswd, and what there is of access that does not go on."""
    auth = tree.pop("auth", None)
    kinds = dict(auth) if isinstance(auth, Mapping) else {}
    htpasswd = kinds.pop("htpasswd", None)
    path = str(_at({"auth": htpasswd}, "auth", "path") or "")
    realm = _at({"auth": htpasswd}, "auth", "realm")
    found = []
    if realm not in (None, *_REALMS):
        found.append(left("auth.htpasswd.realm", realm, f"regdeploy's is {REALM}; nothing depends on it"))
    for kind, given in kinds.items():
        if kind == "token":
            issuer = _at({"token": given}, "token", "issuer") or "nobody"
            who = f"who had a token of {issuer} was let in"
        elif kind == "silly":
            who = "it let everybody in who sent any Authorization at all"
        else:
            who = "the registry's image brings no such access"
        found.append(left(f"auth.{kind}", Plain(), f"{who}; {_OWN_LOGIN}"))
    return path, found


def _level(tree: dict[str, Any]) -> None:
    """``loglevel`` counts where ``log.level`` says nothing; what the image of 3.x brings is nobody's setting."""
    old = tree.pop("loglevel", None)
    log = tree.get("log")
    log = tree["log"] = dict(log) if isinstance(log, Mapping) else {}
    if old and not log.get("level"):
        log["level"] = old
    if {name: log.get(name) for name in _IMAGE_3_LOG} == _IMAGE_3_LOG:
        del log["level"]


def _minimum_tls(tree: dict[str, Any]) -> list[Left]:
    minimum = _at(tree, "http", "tls", "minimumtls")
    if minimum in (None, "", "tls1.3"):
        return []
    take(tree, "http.tls.minimumtls")
    if minimum == "tls1.2":
        return []
    return [left("http.tls.minimumtls", minimum, "regdeploy's registry speaks TLS 1.2 at least")]


def _cache(tree: dict[str, Any]) -> list[Left]:
    """A cache in memory would go on to know blobs that a garbage collection beside it has removed."""
    cache = _at(tree, "storage", "cache")
    if not isinstance(cache, dict):
        take(tree, "storage.cache")
        return []
    if "redis" in (cache.get("blobdescriptor"), cache.get("layerinfo")):
        return []
    take(tree, "storage.cache")
    if cache in ({}, {"blobdescriptor": "inmemory"}):
        return []
    return [left("storage.cache", cache, "after a garbage collection a cache in memory gives broken images")]


def _ours(tree: dict[str, Any]) -> list[Left]:
    found = []
    for path, silent, why in _OURS:
        value = _at(tree, *path.split("."))
        if value is None or _as_text(value) in silent:
            take(tree, path)
        elif why:
            found.append(left(path, value, why))
            take(tree, path)
    return found


def _as_text(value: object) -> object:
    """``value`` for comparing: what YAML reads as true is ``true``."""
    if isinstance(value, Mapping):
        return {str(key): _as_text(one) for key, one in value.items()}
    return value.lower() if isinstance(value, str) and value.lower() in ("true", "false") else value


def _files(tree: dict[str, Any]) -> list[Left]:
    """Settings that name files of the old container; a storage driver's own stay, and are told of as ``files``."""
    found = []
    if _at(tree, "redis", "tls"):
        found.append(left("redis", Plain(), f"{_NAMES_FILE} (redis.tls), and it goes on without that cache"))
        take(tree, "redis")
        take(tree, "storage.cache")
    for path in _FILES:
        value = _at(tree, *path.split("."))
        if value not in (None, [], {}):
            why = "it names a program of the old container" if path == "proxy.exec" else _NAMES_FILE
            found.append(left(path, value, why))
        take(tree, path)
    storage = _at(tree, "middleware", "storage")
    for entry in list(storage) if isinstance(storage, list) else []:
        options = entry.get("options") if isinstance(entry, Mapping) else None
        if isinstance(options, Mapping) and _FILE_OPTIONS & options.keys():
            storage.remove(entry)
            found.append(Left("middleware.storage", str(entry.get("name")), _NAMES_FILE))
    return found


def _complete(tree: dict[str, Any]) -> None:
    """What replaces a mapping of our config.yml as a whole has that mapping's own entries too."""
    headers = _at(tree, "http", "headers")
    if isinstance(headers, dict) and "x-content-type-options" not in {str(name).lower() for name in headers}:
        headers["X-Content-Type-Options"] = ["nosniff"]
    health = tree.get("health")
    if isinstance(health, dict):
        health.setdefault("storagedriver", {"enabled": True, "interval": "10s", "threshold": 3})
