"""A registry that somebody started by hand: how it is found, and what it amounts to. Pure.

From the engine's facts and the registry's own configuration to what regdeploy needs to take it over; what has no
counterpart is listed, with why, and no secret is in that list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from regdeploy.deployment.left import Left, kept_environment, left_behind
from regdeploy.deployment.origins import FILESYSTEM, Origin, host_path, images_origin
from regdeploy.engine.model import ContainerFacts, ImageFacts, Publish
from regdeploy.errors import ImageError
from regdeploy.frozen import frozen
from regdeploy.registry.images import generation_of
from regdeploy.secret import Secret

__all__ = ["Handmade", "Left", "Origin", "candidates", "handmade", "is_registry", "read_handmade"]

PORT = 5000
_ROOT = "/var/lib/registry"
#: Keys of ``storage`` that are no driver: Distribution, configuration.go, Storage.Type.
_NO_DRIVERS = frozenset({"maintenance", "cache", "delete", "redirect", "tag"})
_KEEPERS = {
    "com.docker.swarm.service.name": "the Swarm service {}",
    "io.kubernetes.pod.name": "the Kubernetes pod {}",
    "PODMAN_SYSTEMD_UNIT": "the systemd unit {}",
    "com.docker.compose.project": "the Compose project {}",
}


@frozen
class Handmade:
    """What a hand-made registry amounts to.

    ``tls`` (certificate, key) and ``htpasswd`` are paths of the host, None where there is none or it is not a file of
    the host: then ``left`` says so. ``htpasswd_inside`` is the path as the registry sees it, empty where anybody may
    do anything. ``published`` are the ports that lead to the registry itself, in the engine's order; one in the host's
    network publishes what it listens on. ``variables`` are the settings that are carried over.
    """

    container: ContainerFacts
    origin: Origin
    published: tuple[Publish, ...] = ()
    tls: tuple[Path, Path] | None = None
    htpasswd: Path | None = None
    htpasswd_inside: str = ""
    http_secret: Secret | None = None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    left: tuple[Left, ...] = ()

    @property
    def vanishes(self) -> bool:
        """Whether stopping it removes it (``--rm``), and with it what lies in its layer and nameless volumes."""
        return self.container.auto_remove

    @property
    def keeper(self) -> str:
        """Who would start it again, or another in its place: ``the Compose project shop``; empty for nobody known."""
        labels = self.container.labels
        return next((words.format(labels[label]) for label, words in _KEEPERS.items() if label in labels), "")


def is_registry(container: ContainerFacts, image: ImageFacts | None) -> bool:
    """Whether it runs a registry as regdeploy knows them, told by its image, or by what it runs itself."""
    started = (container.entrypoint, container.command)
    return any(_is_known(*words) for words in (*([(image.entrypoint, image.command)] if image else []), started))


def _is_known(entrypoint: tuple[str, ...], command: tuple[str, ...]) -> bool:
    try:
        generation_of(entrypoint, command)
    except ImageError:
        return False
    return True


def candidates(
    containers: Iterable[ContainerFacts], images: Mapping[str, ImageFacts], name: str
) -> tuple[ContainerFacts, ...]:
    """The containers that may be the registry to take over, the likeliest first; ``images`` is by id.

    The one called ``name``, then those of a registry's image, then those that publish port 5000 of an image called
    after a registry; of each, those that run before those that do not. None of them was made by regdeploy.
    """

    def rank(container: ContainerFacts) -> tuple[bool, bool, bool]:
        return (container.name != name, not known[container.id], not container.running)

    strangers = [container for container in containers if not container.deployment]
    known = {container.id: is_registry(container, images.get(container.image_id)) for container in strangers}
    likely = [container for container in strangers if known[container.id] or _looks_like_one(container)]
    return tuple(sorted(likely, key=lambda container: (*rank(container), container.name)))


def _looks_like_one(container: ContainerFacts) -> bool:
    """By the image's name without its host: ``registry.example.com/blog`` is called ``blog``."""
    host, slash, rest = container.image.partition("/")
    name = rest if slash and (set(".:") & set(host) or host == "localhost") else container.image
    return "registry" in name and any(publish.container_port == PORT for publish in container.publishes)


def read_handmade(container: ContainerFacts, image: ImageFacts | None, config_yml: str) -> Handmade:
    """What ``container`` amounts to, with the text of its config.yml; ``image`` is its own, None where that is gone.

    Raises what reading that text raises.
    """
    from regdeploy.registry.carried import carried, merged  # noqa: PLC0415 - YAML, only where there is one

    configuration = merged(config_yml, container.environment)
    kept = carried(configuration)
    return handmade(container, image, configuration, kept.variables, kept.left)


def handmade(
    container: ContainerFacts,
    image: ImageFacts | None,
    configuration: Mapping[str, Any],
    variables: Mapping[str, str],
    unkept: Iterable[tuple[str, str, str]],
) -> Handmade:
    """What ``container`` amounts to, its configuration merged; ``variables`` and ``unkept`` are what becomes of it."""
    certificate, key = (str(_at(configuration, "http", "tls", name) or "") for name in ("certificate", "key"))
    htpasswd = str(_at(configuration, "auth", "htpasswd", "path") or "")
    secret = _at(configuration, "http", "secret")
    port, address = _listens(str(_at(configuration, "http", "addr") or ""))
    published = _published(container, port, address)
    pair = [host_path(container, path) for path in (certificate, key) if path]
    known = [path for path in pair if path is not None]
    access = host_path(container, htpasswd) if htpasswd else None
    origin = _origin(container, configuration)
    read = (certificate, key, htpasswd, origin.inside)
    return Handmade(
        container=container,
        origin=origin,
        published=published,
        tls=(known[0], known[1]) if len(known) == 2 else None,  # noqa: PLR2004 - a pair
        htpasswd=access,
        htpasswd_inside=htpasswd,
        http_secret=Secret(str(secret)) if secret else None,
        variables={**kept_environment(container, image), **variables},
        left=(
            *(Left(*each) for each in unkept),
            *_unreachable(certificate, key, pair, htpasswd, access),
            *left_behind(container, image, variables, read=read, published=published),
        ),
    )


def _at(configuration: Mapping[str, Any], *names: str) -> Any:  # noqa: ANN401 - whatever somebody wrote there
    """What the configuration says there; None where it says nothing, or a scalar where a mapping should be."""
    found: Any = configuration
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _origin(container: ContainerFacts, configuration: Mapping[str, Any]) -> Origin:
    storage = configuration.get("storage") or {}
    drivers = [storage] if isinstance(storage, str) else [str(name) for name in storage if name not in _NO_DRIVERS]
    driver = drivers[0] if drivers else FILESYSTEM
    if driver != FILESYSTEM:
        why = "which is its memory: they are lost when it stops" if driver == "inmemory" else ""
        return Origin(kind="driver", driver=driver, why=why)
    return images_origin(container, str(_at(configuration, "storage", FILESYSTEM, "rootdirectory") or _ROOT))


def _listens(address: str) -> tuple[int, str]:
    """Port and host of ``http.addr``, as :5000 or 127.0.0.1:5000; no host is every address."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return int(port) if port.isdigit() else PORT, "" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound


def _published(container: ContainerFacts, port: int, address: str) -> tuple[Publish, ...]:
    if container.network_mode == "host":
        return (Publish(address, port, port),)
    return tuple(publish for publish in container.publishes if publish.container_port == port)


def _unreachable(
    certificate: str, key: str, pair: list[Path | None], htpasswd: str, access: Path | None
) -> Iterable[Left]:
    inside = "lies in the container itself, not in a folder of this host"
    if (certificate or key) and (None in pair or len(pair) == 1):
        yield Left("certificate", certificate or key, f"{inside}: `docker cp` takes it out, for --cert and --key")
    if htpasswd and access is None:
        yield Left("htpasswd", htpasswd, f"{inside}: `docker cp` takes it out")
