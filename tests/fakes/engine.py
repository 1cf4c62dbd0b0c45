"""An engine in memory, for tests that need no Docker: the workload algorithm is the real one, the verbs are not.

Killed half way, :meth:`FakeEngine.revived` is the next process on the same host.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from regdeploy.engine.archive_forms import familiar
from regdeploy.engine.archives import open_archive
from regdeploy.engine.images import refusal
from regdeploy.engine.model import ContainerFacts, EngineFacts, ImageFacts, PullProgress
from regdeploy.engine.protocol import Report
from regdeploy.engine.workloads import Workloads
from regdeploy.errors import ImageError
from tests.fakes.containers import FakeContainers, FakeHost
from tests.fakes.mortal import Killed, Mortal

__all__ = ["FACTS", "FakeEngine", "FakeHost", "Killed", "registry_image"]

FACTS = EngineFacts(
    version="28.2.2",
    api_version="1.50",
    os="linux",
    architecture="amd64",
    url="unix:///var/run/docker.sock",
    remote=False,
    rootless=False,
    userns_remap=False,
    selinux=False,
    data_root="/var/lib/docker",
)


def registry_image(version: str = "3.1.1", *, generation: int = 3) -> ImageFacts:
    """A library image of Distribution; another ``version`` is another image."""
    folder = "/etc/distribution" if generation == 3 else "/etc/docker/registry"
    number = "".join(f"{ord(letter):02x}" for letter in version)
    return ImageFacts(
        id=f"sha256:{number:0>64}",
        repo_digests=(f"registry@sha256:{number:f>64}",),
        entrypoint=("/entrypoint.sh",),
        command=(f"{folder}/config.yml",),
        environment={"PATH": "/bin"},
        architecture="amd64",
        os="linux",
        size=18_000_000,
        version=version,
    )


class FakeEngine(Workloads):
    """:class:`regdeploy.engine.protocol.Engine` on a :class:`FakeHost`, whose state a test may read and change.

    ``images`` (there already), ``available`` (can be pulled), ``refused`` (cannot: the engine's words),
    ``taken_ports``, ``broken`` (image id → lines: such a container ends at once) are the host's.
    """

    def __init__(
        self,
        images: Mapping[str, ImageFacts] | None = None,
        available: Mapping[str, ImageFacts] | None = None,
        *,
        facts: EngineFacts = FACTS,
        host: FakeHost | None = None,
    ) -> None:
        self.host = host or FakeHost(images=dict(images or {}), available=dict(available or {}))
        self._said = facts
        self._mortal = Mortal(FakeContainers(self.host))
        super().__init__(self._mortal)

    @property
    def images(self) -> dict[str, ImageFacts]:
        """What the engine has, by reference."""
        return self.host.images

    @property
    def available(self) -> dict[str, ImageFacts]:
        """What a pull can fetch, by reference."""
        return self.host.available

    @property
    def refused(self) -> dict[str, str]:
        """What a pull cannot fetch, by reference, with the engine's words."""
        return self.host.refused

    @property
    def taken_ports(self) -> set[int]:
        """What other programs listen on."""
        return self.host.taken_ports

    @property
    def broken(self) -> dict[str, tuple[str, ...]]:
        """Images, by id, whose containers end at once, with what they write before."""
        return self.host.broken

    @property
    def writes(self) -> list[str]:
        """What this object has changed, in order: ``create registry-next``, ``pull registry:3``."""
        return self._mortal.writes

    def die_after(self, writes: int) -> None:
        """Raise Killed right after that many more writes; with 0 before the next one."""
        self._mortal.die_after(writes)

    def die_before(self, write: int) -> None:
        """Raise Killed instead of the next write (1), the one after it (2), ..."""
        self._mortal.die_before(write)

    def revived(self) -> FakeEngine:
        """The engine as the next process finds it: all that is there, and nothing remembered."""
        return FakeEngine(facts=self._said, host=self.host)

    def add(self, container: ContainerFacts, *log: str) -> None:
        """Put a container there as somebody else would have; a running one takes its ports unasked."""
        self.host.containers[container.name] = container
        self.host.log[container.id] = list(log)

    def running(self, name: str) -> ContainerFacts | None:
        """The container NAME where it serves: neither stopped nor between two restarts."""
        container = self.host.containers.get(name)
        return container if container is not None and container.state == "running" else None

    def facts(self) -> EngineFacts:
        """What it was made with."""
        return self._said

    def image(self, reference: str) -> ImageFacts | None:
        """The image of that reference or id."""
        return self.host.images_by_any_name(reference)

    def pull(self, reference: str, report: Report) -> ImageFacts:
        """Move an image from ``available`` to ``images``."""
        where = f"image {reference}"
        if reference in self.refused:
            raise refusal(where, self.refused[reference])
        if reference not in self.available:
            raise refusal(where, f"manifest for {reference} not found: manifest unknown: manifest unknown")
        image = self.available[reference]
        report(PullProgress(0, image.size, "downloading"))
        self._mortal.write(f"pull {reference}", lambda: self._have(reference, image))
        report(PullProgress(image.size, image.size, "extracting"))
        return self.images[reference]

    def load(self, archive: Path, report: Report, tag_as: str = "") -> ImageFacts:
        """Read a real archive as the real engine's adapter does, and have its image."""
        with open_archive(archive, self._said.architecture, tag_as) as opened:
            done = 0
            for chunk in opened.chunks():
                done += len(chunk)
                report(PullProgress(min(done, opened.size), opened.size, "loading"))
            image = _image(opened.image.config, opened.size)
            tags = opened.tags
        if tag_as and "@" in tag_as:
            raise ImageError(str(archive), f"is not {tag_as}", "name it with --image", code="image.archive")

        def have() -> None:
            for tag in tags or (image.id,):
                self._have(tag, image)

        self._mortal.write(f"load {archive.name}", have)
        found = self.image(image.id)
        assert found is not None
        return found

    def _have(self, reference: str, image: ImageFacts) -> None:
        before = self.images.get(reference)
        if before is not None and before.id != image.id:  # it stays, without that tag
            left = tuple(tag for tag in before.tags if tag != familiar(reference))
            self.images[before.id] = replace(before, tags=left)
        tags = tuple(sorted({*image.tags, familiar(reference)} if not reference.startswith("sha256:") else image.tags))
        self.images[reference] = replace(image, tags=tags)

    def tag(self, image_id: str, reference: str) -> None:
        """Have that reference name that image, and no other one."""
        image = self.host.images_by_any_name(image_id)
        if image is None:
            words = f"No such image: {image_id}"
            raise ImageError(f"image {reference}", words, "`regdeploy up` fetches it", code="image.not-found")
        self._mortal.write(f"tag {reference}", lambda: self._name(reference, image))

    def _name(self, reference: str, image: ImageFacts) -> None:
        name = familiar(reference)
        for each, other in list(self.images.items()):
            if other.id != image.id:
                untagged = replace(other, tags=tuple(tag for tag in other.tags if tag != name))
                self.images[other.id] = self.images[each] = untagged  # by its id it stays
        tagged = replace(image, tags=tuple(sorted({*image.tags, name})))
        same = [each for each, other in self.images.items() if other.id == image.id]
        self.images.update(dict.fromkeys((*same, name), tagged))

    def publishers(self, port: int) -> tuple[tuple[str, str], ...]:
        """(container name, host ip) of each running container that publishes ``port``."""
        return tuple(
            (container.name, publish.host_ip)
            for container in self.host.containers.values()
            if container.running
            for publish in container.publishes
            if publish.host_port == port
        )

    def containers(self) -> tuple[ContainerFacts, ...]:
        """All of them."""
        return tuple(self.host.containers.values())


def _image(config: bytes, size: int) -> ImageFacts:
    about = json.loads(config)
    inner = about.get("config") or {}
    pairs = (entry.partition("=") for entry in inner.get("Env") or ())
    return ImageFacts(
        id=f"sha256:{hashlib.sha256(config).hexdigest()}",
        entrypoint=tuple(inner.get("Entrypoint") or ()),
        command=tuple(inner.get("Cmd") or ()),
        environment={name: value for name, _, value in pairs},
        architecture=about.get("architecture", ""),
        os=about.get("os", ""),
        size=size,
        version=(inner.get("Labels") or {}).get("org.opencontainers.image.version", ""),
    )
