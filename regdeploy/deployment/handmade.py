"""A registry that somebody started by hand: how it is found, and what it amounts to. Pure.

From the engine's facts and the registry's own configuration to what regdeploy needs to take it over; what has no
counterpart is listed, with why, and no secret is in that list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Any

from regdeploy.deployment.left import kept_environment, left_behind
from regdeploy.deployment.origins import FILESYSTEM, Origin, host_path, images_origin
from regdeploy.engine.model import ContainerFacts, ImageFacts, Publish
from regdeploy.errors import ImageError
from regdeploy.frozen import frozen
from regdeploy.registry.carried import Carried, Left, carried, merged
from regdeploy.registry.images import Generation, generation_of
from regdeploy.secret import Secret

__all__ = ["Handmade", "Left", "Origin", "candidates", "is_registry", "read_handmade"]

PORT = 5000
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
    network publishes what it listens on. ``variables`` are the settings that are carried over, and ``files`` those of
    them that name a file of the container, by name.
    """

    container: ContainerFacts
    origin: Origin
    published: tuple[Publish, ...] = ()
    tls: tuple[Path, Path] | None = None
    htpasswd: Path | None = None
    htpasswd_inside: str = ""
    http_secret: Secret | None = None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict)
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
    return any(_is_known(*words) for words in _runs(container, image))


def _runs(container: ContainerFacts, image: ImageFacts | None) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Entrypoint and command, the image's own first: the container's may name a config that lies elsewhere."""
    started = (container.entrypoint, container.command)
    return (started,) if image is None else ((image.entrypoint, image.command), started)


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


def read_handmade(
    container: ContainerFacts, image: ImageFacts | None, config_yml: str, generation: Generation | None = None
) -> Handmade:
    """What ``container`` amounts to, with the text of its config.yml; ``image`` is its own, None where that is gone.

    ``generation`` is the one that is to run, its own where none is given. Raises RegdeployError (``registry.config``)
    for a text that is no YAML.
    """
    own = _generation(container, image)
    configuration = merged(config_yml, container.environment, generation=own)
    kept = carried(configuration, generation or own)
    origin = _origin(container, kept)
    published = _published(container, kept.port or PORT, _address(configuration))
    pair = [host_path(container, path) for path in kept.tls or ()]
    certificate, key = pair or (None, None)
    htpasswd = host_path(container, kept.htpasswd) if kept.htpasswd else None
    read = (*(kept.tls or ()), *kept.files.values(), *filter(None, (kept.htpasswd, origin.inside)))
    return Handmade(
        container=container,
        origin=origin,
        published=published,
        tls=(certificate, key) if certificate is not None and key is not None else None,
        htpasswd=htpasswd,
        htpasswd_inside=kept.htpasswd,
        http_secret=kept.http_secret,
        variables={**kept_environment(container, image), **kept.variables},
        files=kept.files,
        left=(
            *kept.left,
            *_unreachable(kept, pair, htpasswd),
            *left_behind(container, image, read=read, published=published),
        ),
    )


def _generation(container: ContainerFacts, image: ImageFacts | None) -> Generation:
    for entrypoint, command in _runs(container, image):
        with suppress(ImageError):
            return generation_of(entrypoint, command)
    return Generation.V2


def _origin(container: ContainerFacts, kept: Carried) -> Origin:
    if kept.driver == FILESYSTEM:
        return images_origin(container, kept.rootdirectory)
    why = "which is its memory: they are lost when it stops" if kept.driver == "inmemory" else ""
    return Origin(kind="driver", driver=kept.driver, why=why)


def _address(configuration: Mapping[str, Any]) -> str:
    """The host of ``http.addr``, as in 127.0.0.1:5000; empty for every address."""
    http = configuration.get("http")
    address = str(http.get("addr") or "") if isinstance(http, Mapping) else ""
    host = address.rpartition(":")[0].strip("[]")
    return "" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound


def _published(container: ContainerFacts, port: int, address: str) -> tuple[Publish, ...]:
    if container.network_mode == "host":
        return (Publish(address, port, port),)
    return tuple(publish for publish in container.publishes if publish.container_port == port)


def _unreachable(kept: Carried, pair: list[Path | None], htpasswd: Path | None) -> Iterable[Left]:
    inside = "lies in the container itself, not in a folder of this host: `docker cp` takes it out"
    if kept.tls and None in pair:
        yield Left("certificate", kept.tls[0], f"{inside}, for --cert and --key")
    if kept.htpasswd and htpasswd is None:
        yield Left("htpasswd", kept.htpasswd, inside)
