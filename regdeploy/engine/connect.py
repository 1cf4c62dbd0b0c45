"""Which engine to speak to: by flag, environment or Docker context, as Docker's own client decides."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from regdeploy.errors import EngineError, UsageError

if TYPE_CHECKING:
    from regdeploy.engine.docker_engine import DockerEngine

DEFAULT_URL = "unix:///var/run/docker.sock"
_SCHEMES = ("unix", "tcp", "http", "https", "ssh")


@dataclass(frozen=True)
class Tls:
    """How to prove an engine behind TLS, and ourselves to it: files that may be absent."""

    folder: Path
    verify: bool = True

    def file(self, name: str) -> str | None:
        """The path of ``ca.pem``, ``cert.pem`` or ``key.pem``, None where there is no such file."""
        path = self.folder / name
        return str(path) if path.exists() else None


@dataclass(frozen=True)
class Endpoint:
    """Where an engine listens. ``url`` is unix://PATH, tcp://HOST:PORT, http(s)://HOST:PORT or ssh://[USER@]HOST."""

    url: str
    tls: Tls | None = None

    @property
    def remote(self) -> bool:
        """Whether the engine's host is, or may be, another one than ours."""
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return False
        return parts.scheme == "ssh" or not _is_loopback(parts.hostname or "")


def connect(docker_host: str | None = None, *, timeout: float = 60) -> DockerEngine:
    """Return the engine at ``docker_host``, else DOCKER_HOST, DOCKER_CONTEXT, the current context, the usual socket.

    Nothing is sent before the first method is called; each then waits ``timeout`` seconds at most for an answer.
    Raises UsageError for a URL that is none and EngineError ``engine.context`` for a context that is not there.
    """
    from regdeploy.engine.docker_engine import DockerEngine  # noqa: PLC0415 - the other way round it is needed at once

    return DockerEngine(find_endpoint(docker_host, os.environ), timeout=timeout)


def find_endpoint(docker_host: str | None, environ: Mapping[str, str]) -> Endpoint:
    """Where the engine listens, from the flag, ``environ`` and Docker's config folder; raises as :func:`connect`."""
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "/root", ".docker"))
    if docker_host:
        return Endpoint(_checked("--docker-host", docker_host), _tls_of(environ, folder))
    if host := environ.get("DOCKER_HOST"):
        return Endpoint(_checked("DOCKER_HOST", host), _tls_of(environ, folder))
    if context := environ.get("DOCKER_CONTEXT"):
        return _of_context("DOCKER_CONTEXT", context, folder)
    config = folder / "config.json"
    return _of_context(str(config), str(_json(config).get("currentContext") or "default"), folder)


def _checked(where: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not (parts.path if parts.scheme == "unix" else parts.hostname):
        hint = "such as unix:///var/run/docker.sock, tcp://127.0.0.1:2375 or ssh://user@host"
        raise UsageError(where, f"{url} is not the URL of an engine", hint)
    return url


def _tls_of(environ: Mapping[str, str], folder: Path) -> Tls | None:
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    if not verify and not environ.get("DOCKER_TLS"):
        return None
    return Tls(Path(environ.get("DOCKER_CERT_PATH") or folder), verify)


def _of_context(where: str, name: str, folder: Path) -> Endpoint:
    """The endpoint of a Docker context; its folder's name is the SHA-256 of its own (docker/cli, context/store)."""
    if name == "default":
        return Endpoint(DEFAULT_URL)
    key = hashlib.sha256(name.encode()).hexdigest()
    try:
        meta = _json(folder / "contexts" / "meta" / key / "meta.json", missing_ok=False)
        docker = meta["Endpoints"]["docker"]
        url, verify = docker["Host"], not docker.get("SkipTLSVerify")
    except FileNotFoundError as error:
        raise _unfit(where, f"there is no Docker context {name}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _unfit(where, f"the Docker context {name} names no engine") from error
    files = folder / "contexts" / "tls" / key / "docker"
    tls = Tls(files, verify) if files.is_dir() or not verify else None
    return Endpoint(_checked(f"Docker context {name}", str(url)), tls)


def _unfit(where: str, what: str) -> EngineError:
    return EngineError(
        where, what, "`docker context ls` lists them; --docker-host names an engine", code="engine.context"
    )


def _json(path: Path, *, missing_ok: bool = True) -> dict[str, Any]:
    """A JSON object of Docker's; broken or unreadable ones count as empty, as they do for Docker's client."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        if not missing_ok:
            raise
        return {}
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
