"""From the engine's JSON to the values of :mod:`regdeploy.engine.model`. Pure.

The answers are those of ``GET /containers/ID/json``, ``/images/NAME/json``, ``/version`` and ``/info`` (Docker Engine
API 1.41 and later; Podman's service gives the same). A field that is missing is an empty one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast, get_args

from regdeploy.engine.model import (
    Attachment,
    ContainerFacts,
    ContainerState,
    EngineFacts,
    Health,
    ImageFacts,
    Mount,
    Publish,
)
from regdeploy.engine.run_flags import run_flags

Json = Mapping[str, Any]

_STATES = frozenset(get_args(ContainerState))
_HEALTH = frozenset(get_args(Health))
_ENDED = ("exited", "dead", "restarting")


def container_facts(answer: Json, volumes: Mapping[str, Json] | None = None) -> ContainerFacts:
    """One container from its inspection, and the volumes in it from theirs (``GET /volumes/NAME``), by name."""
    config, host, state = _part(answer, "Config"), _part(answer, "HostConfig"), _part(answer, "State")
    status = state.get("Status")
    started = _time(state.get("StartedAt"))
    health = _part(state, "Health").get("Status")
    logs, restart = _part(host, "LogConfig"), _part(host, "RestartPolicy")
    layers = _part(_part(answer, "GraphDriver"), "Data")
    return ContainerFacts(
        id=answer["Id"],
        name=answer["Name"].lstrip("/"),
        state=cast("ContainerState", status if status in _STATES else "dead"),
        started_at=started,
        finished_at=_time(state.get("FinishedAt")),
        exit_code=state.get("ExitCode") if started and status in _ENDED else None,
        health=cast("Health", health if health in _HEALTH else "none"),
        error=state.get("Error") or "",
        image=config.get("Image") or "",
        image_id=answer.get("Image") or "",
        environment=_environment(config),
        mounts=_mounts(answer, host, volumes or {}),
        publishes=_publishes(answer, host),
        command=tuple(config.get("Cmd") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        labels=dict(config.get("Labels") or {}),
        cap_drop=_capabilities(host.get("CapDrop")),
        cap_add=_capabilities(host.get("CapAdd")),
        read_only=bool(host.get("ReadonlyRootfs")),
        no_new_privileges=any(_sets_no_new_privileges(option) for option in host.get("SecurityOpt") or ()),
        pids_limit=limit if (limit := host.get("PidsLimit") or 0) > 0 else None,
        restart_policy=restart.get("Name") or "no",
        restart_retries=restart.get("MaximumRetryCount") or 0,
        auto_remove=bool(host.get("AutoRemove")),
        stop_timeout=config.get("StopTimeout"),
        log_options=dict(logs.get("Config") or {}) if logs.get("Type") == "json-file" else {},
        log_driver=logs.get("Type") or "",
        log_driver_options=dict(logs.get("Config") or {}),
        network_mode=host.get("NetworkMode") or "",
        networks=_networks(answer),
        user=config.get("User") or "",
        hostname=_hostname(answer, config, host),
        working_dir=config.get("WorkingDir") or "",
        privileged=bool(host.get("Privileged")),
        healthcheck=(_part(config, "Healthcheck").get("Test") or ["NONE"])[0] != "NONE",
        flags=run_flags(host),
        layer=layers.get("UpperDir") or "",
        lower=tuple(filter(None, (layers.get("LowerDir") or "").split(":"))),
        userns_mode=host.get("UsernsMode") or "",
        selinux_relabel=_relabelled(answer),
    )


def image_facts(answer: Json) -> ImageFacts:
    """One image from its inspection."""
    config = _part(answer, "Config")
    return ImageFacts(
        id=answer["Id"],
        tags=tuple(answer.get("RepoTags") or ()),
        repo_digests=tuple(answer.get("RepoDigests") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        environment=_environment(config),
        architecture=answer.get("Architecture") or "",
        os=answer.get("Os") or "",
        size=int(answer.get("Size") or 0),
        created=answer.get("Created") or "",
        version=(config.get("Labels") or {}).get("org.opencontainers.image.version", ""),
        labels=dict(config.get("Labels") or {}),
        layers=tuple(_part(answer, "RootFS").get("Layers") or ()),
    )


def archived_facts(config: Json, *, identity: str) -> ImageFacts:
    """One image from its configuration (OCI image-spec, config.md), as the engine will describe it once it has it."""
    return image_facts(
        {
            "Id": identity,
            "Config": config.get("config"),
            "Architecture": config.get("architecture"),
            "Os": config.get("os"),
            "Created": config.get("created"),
            "RootFS": {"Layers": _part(config, "rootfs").get("diff_ids")},
        }
    )


def engine_facts(version: Json, info: Json, *, url: str, remote: bool) -> EngineFacts:
    """The engine from ``/version`` and ``/info``."""
    security = {part for option in info.get("SecurityOptions") or () for part in option.split(",")}
    return EngineFacts(
        version=version.get("Version") or info.get("ServerVersion") or "",
        api_version=version.get("ApiVersion") or "",
        os=version.get("Os") or info.get("OSType") or "",
        architecture=version.get("Arch") or "",
        url=url,
        remote=remote,
        rootless="name=rootless" in security,
        userns_remap="name=userns" in security,
        selinux="name=selinux" in security,
        data_root=info.get("DockerRootDir") or "",
        runtime_name="podman" if is_podman(version) else "docker",
    )


def is_podman(version: Json) -> bool:
    """Whether that ``/version`` is Podman's."""
    return any("podman" in (part.get("Name") or "").lower() for part in version.get("Components") or ())


def publishers(listed: Sequence[Json], port: int) -> tuple[tuple[str, str], ...]:
    """Who publishes TCP ``port`` of the host, from ``GET /containers/json``: (container name, host ip)."""
    found: dict[tuple[str, str], None] = {}
    for container in listed:
        for entry in container.get("Ports") or ():
            if entry.get("PublicPort") == port and entry.get("Type") == "tcp":
                address = entry.get("IP") or ""
                found[names_of(container)[0], "" if address in ("0.0.0.0", "::") else address] = None  # noqa: S104 - compared, not bound
    return tuple(found)


def names_of(listed: Json) -> tuple[str, ...]:
    """The names of a container in a list; one that is linked to has further ones, with two slashes."""
    return tuple(name.lstrip("/") for name in listed.get("Names") or ()) or (listed["Id"][:12],)


def _part(answer: Json, name: str) -> Json:
    return answer.get(name) or {}


def _time(text: str | None) -> datetime | None:
    """RFC 3339 with nanoseconds; the year 1 is Go's way to say never."""
    if not text or text.startswith("0001-"):
        return None
    short = re.sub(r"\.(\d{1,6})\d*", lambda match: f".{match[1]:0<6}", text)
    return datetime.fromisoformat(short).astimezone(UTC)


def _environment(config: Json) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return {name: value for name, equals, value in pairs if equals}


def _capabilities(names: list[str] | None) -> tuple[str, ...]:
    return tuple(name.upper().removeprefix("CAP_") for name in names or ())


def _sets_no_new_privileges(option: str) -> bool:
    name, _, value = option.replace("=", ":").partition(":")
    return name == "no-new-privileges" and value in ("", "true")


def _networks(answer: Json) -> tuple[Attachment, ...]:
    """Engines before 25 put the short id among the aliases."""
    known = {answer["Id"][:12], answer["Name"].lstrip("/")}
    there = _part(_part(answer, "NetworkSettings"), "Networks")
    return tuple(
        Attachment(
            network=name,
            aliases=tuple(alias for alias in entry.get("Aliases") or () if alias not in known),
            address=_part(entry, "IPAMConfig").get("IPv4Address") or "",
        )
        for name, entry in sorted(there.items())
    )


def _hostname(answer: Json, config: Json, host: Json) -> str:
    """Where it was chosen; in the host's network or another container's it is theirs."""
    name: str = config.get("Hostname") or ""
    shared = (host.get("NetworkMode") or "").partition(":")[0] in ("host", "container")
    return "" if shared or name == answer["Id"][:12] else name


def _mounts(answer: Json, host: Json, volumes: Mapping[str, Json]) -> tuple[Mount, ...]:
    mounts = [_mount(entry, volumes) for entry in answer.get("Mounts") or ()]
    told = {mount.target for mount in mounts}
    mounts += [Mount("", target, kind="tmpfs") for target in host.get("Tmpfs") or {} if target not in told]
    return tuple(sorted(mounts, key=lambda mount: mount.target))  # the engine's order changes from answer to answer


def _relabelled(answer: Json) -> bool:
    """By what each bind mount was asked with, which the engine tells where there is no SELinux as well."""
    modes = [entry.get("Mode") or "" for entry in answer.get("Mounts") or () if entry.get("Type") == "bind"]
    return bool(modes) and all({"z", "Z"} & set(mode.split(",")) for mode in modes)


def _mount(entry: Json, volumes: Mapping[str, Json]) -> Mount:
    kind = entry.get("Type")
    if kind == "volume":
        return Mount(
            entry["Name"],
            entry["Destination"],
            read_only=not entry.get("RW"),
            kind="volume",
            volume_path=_volume_path(entry, volumes.get(entry["Name"]) or {}),
            volume_driver=entry.get("Driver") or "",
        )
    if kind == "tmpfs":
        return Mount("", entry["Destination"], kind="tmpfs")
    return Mount(entry.get("Source") or "", entry["Destination"], read_only=not entry.get("RW"))


def _volume_path(entry: Json, volume: Json) -> str:
    """Where what is in a volume lies, also while no container uses it.

    A local volume with options is a mount of its own, which Docker unmounts when the last container stops: its folder
    is then an empty one. What is bound in there has a folder that stays.
    """
    options = volume.get("Options") or {}
    if (entry.get("Driver") or "local") != "local":
        return ""
    if options.get("device") and "bind" in (options.get("o") or "").split(","):
        return str(options["device"])
    return "" if options.get("device") or options.get("type") else entry.get("Source") or ""


def _publishes(answer: Json, host: Json) -> tuple[Publish, ...]:
    """The TCP ports as they were asked for; where the engine chose them, as they are now."""
    asked = host.get("PortBindings") or {}
    actual = _part(answer, "NetworkSettings").get("Ports") or {}
    found: dict[Publish, None] = {}
    for key in sorted({*asked, *actual}):
        port, _, protocol = key.partition("/")
        if protocol not in ("", "tcp"):
            continue
        entries = [entry for entry in asked.get(key) or () if (entry.get("HostPort") or "0") != "0"]
        if entries and all(entry["HostPort"].isdigit() for entry in entries):
            pairs = [(entry.get("HostIp") or "", entry["HostPort"]) for entry in entries]
        else:
            pairs = _without_twins(actual.get(key) or [])
        found |= {Publish(address, int(number), int(port)): None for address, number in pairs}
    return tuple(found)


def _without_twins(entries: list[Json]) -> list[tuple[str, str]]:
    """(host ip, host port); "every address" comes as one entry of IPv4 and one of IPv6."""
    pairs = [(entry.get("HostIp") or "", entry["HostPort"]) for entry in entries]
    twins = {number for address, number in pairs if address == "::" and ("0.0.0.0", number) in pairs}  # noqa: S104 - compared, not bound
    return [("" if number in twins else address, number) for address, number in pairs]
