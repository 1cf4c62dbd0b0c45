"""What a container was started with, in the words of ``docker run``: what regdeploy never asks for itself. Pure.

From ``GET /containers/ID/json`` (Docker Engine API 1.41 and later; Podman's service gives the same). What the engine
filled in by itself, and what is no different from the engine's default, is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

#: Docker's, and Podman's.
_USUAL_SHM = (0, 64 << 20, 65_536_000)
_DEFAULT_PERIOD = 100_000
#: ``HostConfig`` key → flag, for what is a list of texts or a text.
_TEXTS = {
    "CpusetCpus": "--cpuset-cpus",
    "ExtraHosts": "--add-host",
    "Dns": "--dns",
    "DnsSearch": "--dns-search",
    "DnsOptions": "--dns-option",
    "VolumesFrom": "--volumes-from",
    "GroupAdd": "--group-add",
    "CgroupParent": "--cgroup-parent",
}
_SIZES = {"Memory": "--memory", "MemoryReservation": "--memory-reservation"}
#: Modes, and what they are called where nothing was asked for.
_MODES = {
    "IpcMode": ("--ipc", ("private", "shareable", "")),
    "PidMode": ("--pid", ("private", "")),
    "UTSMode": ("--uts", ("private", "")),
    "Runtime": ("--runtime", ("runc", "crun", "oci", "")),
}


def run_flags(host: Json) -> dict[str, tuple[str, ...]]:
    """The flags, in alphabetical order, from the ``HostConfig`` of an inspection."""
    found: dict[str, tuple[str, ...]] = {}
    for read in _READERS:
        found |= {flag: values for flag, values in read(host) if values}
    return dict(sorted(found.items()))


def _texts(host: Json) -> Iterator[tuple[str, tuple[str, ...]]]:
    for key, flag in _TEXTS.items():
        value = host.get(key) or ()
        yield flag, (value,) if isinstance(value, str) else tuple(value)
    yield "--link", tuple(_link(link) for link in host.get("Links") or ())
    for key, (flag, usual) in _MODES.items():
        value = host.get(key) or ""
        yield flag, () if value in usual else (value,)


def _link(link: str) -> str:
    """``/redis:/registry/cache`` is the engine's way to say ``redis:cache``."""
    name, _, alias = link.partition(":")
    return f"{name.lstrip('/')}:{alias.rpartition('/')[2]}"


def _limits(host: Json) -> Iterator[tuple[str, tuple[str, ...]]]:
    for key, flag in _SIZES.items():
        yield flag, _when(host.get(key), _size)
    memory, swap = host.get("Memory") or 0, host.get("MemorySwap") or 0
    yield "--memory-swap", () if swap in (0, 2 * memory) else ("-1" if swap < 0 else _size(swap),)
    shm = host.get("ShmSize") or 0
    yield "--shm-size", () if shm in _USUAL_SHM else (_size(shm),)
    cpus = (host.get("NanoCpus") or 0) / 1e9
    if not cpus and (host.get("CpuQuota") or 0) > 0:
        cpus = host["CpuQuota"] / (host.get("CpuPeriod") or _DEFAULT_PERIOD)
    yield "--cpus", _when(cpus, lambda number: f"{number:g}")
    yield "--cpu-shares", _when(host.get("CpuShares"), str)
    yield "--oom-score-adj", _when(host.get("OomScoreAdj"), str)
    yield "--ulimit", tuple(_ulimit(one) for one in host.get("Ulimits") or () if not _is_podmans(one))


def _when(value: Any, say: Callable[[Any], str]) -> tuple[str, ...]:  # noqa: ANN401 - a number of the engine's
    return (say(value),) if value else ()


def _size(count: int) -> str:
    for unit, shift in (("g", 30), ("m", 20), ("k", 10)):
        if count % (1 << shift) == 0:
            return f"{count >> shift}{unit}"
    return str(count)


def _is_podmans(one: Json) -> bool:
    """Podman tells, for every container, the two limits that it passes on, both ends of each the same."""
    return str(one.get("Name")).startswith("RLIMIT_") and one.get("Soft") == one.get("Hard")


def _ulimit(one: Json) -> str:
    name = str(one.get("Name")).removeprefix("RLIMIT_").lower()
    return f"{name}={one.get('Soft')}:{one.get('Hard')}"


def _rights(host: Json) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "--device", tuple(_device(one) for one in host.get("Devices") or ())
    yield "--gpus", tuple(_gpus(one) for one in host.get("DeviceRequests") or ())
    yield "--sysctl", tuple(f"{name}={value}" for name, value in sorted((host.get("Sysctls") or {}).items()))
    implied = ("label=disable",) if host.get("Privileged") else ()
    options = [one for one in host.get("SecurityOpt") or () if not one.startswith("no-new-privileges")]
    yield "--security-opt", tuple(one for one in options if one not in implied)
    yield "--init", ("true",) if host.get("Init") else ()
    yield "--oom-kill-disable", ("true",) if host.get("OomKillDisable") else ()


def _device(one: Json) -> str:
    source, target = one.get("PathOnHost") or "", one.get("PathInContainer") or ""
    return source if target in ("", source) else f"{source}:{target}"


def _gpus(one: Json) -> str:
    count = one.get("Count") or 0
    return "all" if count < 0 else str(count or ",".join(one.get("DeviceIDs") or ()))


_READERS: tuple[Callable[[Json], Iterator[tuple[str, tuple[str, ...]]]], ...] = (_texts, _limits, _rights)
