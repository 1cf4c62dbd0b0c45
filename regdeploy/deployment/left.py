"""How a container was started that regdeploy's own is not: item, value, and why it is left behind. Pure.

No secret is among the values: of what may hold one only the name is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from regdeploy.deployment.origins import mount_of
from regdeploy.engine.model import ContainerFacts, ImageFacts, Mount, Publish
from regdeploy.registry.carried import Left

#: Variables that the registry's libraries read by themselves, and that mean the same in any container.
_KEPT = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TZ", "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT"})
#: What an engine adds by itself.
_ENGINES = frozenset({"PATH", "HOME", "HOSTNAME", "TERM", "container"})
_KEPT_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_")
_SECRETS = ("secret", "token", "password", "credential", "key")
_OWN_LIMITS = "regdeploy limits processes only"
_OWN_NAMES = "regdeploy's container resolves names as the engine does"
_HARDENED = "regdeploy's container has no rights but to listen on low ports"
_WHY = {
    "--memory": _OWN_LIMITS,
    "--memory-reservation": _OWN_LIMITS,
    "--memory-swap": _OWN_LIMITS,
    "--cpus": _OWN_LIMITS,
    "--cpu-shares": _OWN_LIMITS,
    "--cpuset-cpus": _OWN_LIMITS,
    "--ulimit": "the engine's own limits hold",
    "--add-host": _OWN_NAMES,
    "--dns": _OWN_NAMES,
    "--dns-search": _OWN_NAMES,
    "--dns-option": _OWN_NAMES,
    "--link": "regdeploy's container is in the engine's default network alone",
    "--volumes-from": "regdeploy mounts its own folders",
    "--device": _HARDENED,
    "--gpus": _HARDENED,
    "--security-opt": _HARDENED,
}


def kept_environment(container: ContainerFacts, image: ImageFacts | None) -> dict[str, str]:
    """The variables that are no setting of the registry's and are carried over all the same: proxies, clouds' logins.

    One that names a file of the container is not: the file would not be there.
    """
    given = _given(container, image)
    return {name: value for name, value in given.items() if _is_kept(name) and not value.startswith("/")}


def left_behind(
    container: ContainerFacts,
    image: ImageFacts | None,
    *,
    read: tuple[str, ...],
    published: tuple[Publish, ...],
) -> Iterator[Left]:
    """All of the container's that has no counterpart.

    ``read`` are the files and folders in there that were understood, ``published`` the ports that lead to the registry.
    """
    yield from _life(container)
    yield from _networks(container, published)
    yield from _mounts(container, read)
    yield from _environment(container, image)
    yield from _logs(container)
    yield from _rights(container)
    for flag, values in container.flags.items():
        yield Left(flag, ", ".join(values), _WHY.get(flag, "regdeploy starts its container without it"))
    yield from _labels(container, image)


def _life(container: ContainerFacts) -> Iterator[Left]:
    if container.auto_remove:
        yield Left("--rm", "true", "the old container is gone as soon as it stops, so that it cannot be kept")
    retries = f":{container.restart_retries}" if container.restart_retries else ""
    if container.restart_policy in ("", "no", "on-failure"):
        policy = f"{container.restart_policy or 'no'}{retries}"
        yield Left("--restart", policy, "regdeploy's container is started again unless it was stopped")
    if container.healthcheck:
        yield Left("--health-cmd", "set", "regdeploy asks the registry itself; one that the image brings stays")


def _networks(container: ContainerFacts, published: tuple[Publish, ...]) -> Iterator[Left]:
    why = "regdeploy's container is in the engine's default network: others reach the registry by its domain"
    mode = container.network_mode
    if mode in ("host", "none") or mode.startswith("container:"):
        yield Left("--network", mode, why)
    else:
        for one in container.networks:
            if one.network not in ("bridge", "podman"):
                known = ", ".join(filter(None, (*one.aliases, one.address)))
                yield Left("--network", f"{one.network} ({known})" if known else one.network, why)
    if container.hostname:
        yield Left("--hostname", container.hostname, "nothing in a registry depends on it")
    for publish in container.publishes:
        if publish not in published:
            address = f"{publish.host_ip}:" if publish.host_ip else ""
            value = f"{address}{publish.host_port}:{publish.container_port}"
            yield Left("--publish", value, "regdeploy publishes nothing but the registry itself")


def _mounts(container: ContainerFacts, read: tuple[str, ...]) -> Iterator[Left]:
    understood = [mount_of(container, path) for path in (*read, *_configs(container))]
    for mount in container.mounts:
        named = mount.kind == "bind" or (mount.kind == "volume" and not mount.anonymous)
        if named and mount not in understood and not any(_is_below(mount, path) for path in read):
            yield Left("--volume", f"{mount.source}:{mount.target}", "regdeploy mounts its own folders")


def _configs(container: ContainerFacts) -> tuple[str, ...]:
    named = [word for word in container.command if word.endswith((".yml", ".yaml"))]
    return (*named, "/etc/docker/registry/config.yml", "/etc/distribution/config.yml")


def _is_below(mount: Mount, path: str) -> bool:
    return mount.target.startswith(f"{path.rstrip('/')}/")


def _environment(container: ContainerFacts, image: ImageFacts | None) -> Iterator[Left]:
    kept = kept_environment(container, image)
    for name in sorted(_given(container, image).keys() - kept.keys()):
        if _is_kept(name):
            yield Left("--env", name, "it names a file that is not there in regdeploy's container")
        elif name.startswith("OTEL_"):
            yield Left("--env", name, "regdeploy's registry sends no traces")
        else:
            yield Left("--env", name, "no registry reads it")


def _given(container: ContainerFacts, image: ImageFacts | None) -> dict[str, str]:
    """What was added to the image's own variables, the registry's settings aside."""
    own = dict(image.environment) if image is not None else {}
    return {
        name: value
        for name, value in container.environment.items()
        if not name.startswith("REGISTRY_") and name not in _ENGINES and own.get(name) != value
    }


def _is_kept(name: str) -> bool:
    return name.upper() in _KEPT or name.startswith(_KEPT_PREFIXES)


def _logs(container: ContainerFacts) -> Iterator[Left]:
    options = ", ".join(f"{name}={_shown(name, value)}" for name, value in sorted(container.log_driver_options.items()))
    why = "regdeploy's container writes json-file, three files of 10 MB at most"
    if container.log_driver not in ("", "json-file"):
        yield Left("--log-driver", f"{container.log_driver} ({options})" if options else container.log_driver, why)
    elif options:
        yield Left("--log-opt", options, why)


def _shown(name: str, value: str) -> str:
    return "***" if any(word in name.lower() for word in _SECRETS) or "@" in value else value


def _rights(container: ContainerFacts) -> Iterator[Left]:
    if container.privileged:
        yield Left("--privileged", "true", _HARDENED)
    if container.user not in ("", "0", "root", "0:0", "root:root"):
        yield Left("--user", container.user, "regdeploy's container runs as root without root's rights")
    added = [name for name in container.cap_add if name != "NET_BIND_SERVICE"]
    if added:
        yield Left("--cap-add", ", ".join(added), _HARDENED)
    if container.userns_mode:
        yield Left("--userns", container.userns_mode, "regdeploy chooses it as the engine needs")


def _labels(container: ContainerFacts, image: ImageFacts | None) -> Iterator[Left]:
    """Their names alone: a reverse proxy's labels hold hashes of passwords."""
    labels = container.labels
    project = labels.get("com.docker.compose.project")
    if project:
        files = labels.get("com.docker.compose.project.config_files") or "its file"
        service = labels.get("com.docker.compose.service", "")
        why = f"`docker compose up` would start it again beside regdeploy's: take it out of {files}"
        yield Left("Compose", f"{project}/{service}", why)
    images = dict(image.labels) if image is not None else {}
    others = [name for name in labels if not name.startswith("com.docker.compose.") and name not in images]
    if others:
        yield Left("--label", ", ".join(sorted(others)), "regdeploy's container has labels of its own")
