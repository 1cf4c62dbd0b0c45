"""A Docker engine (20.10 or newer, or Podman's service) as :class:`regdeploy.engine.protocol.Engine`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from regdeploy.engine import facts
from regdeploy.engine.client import Client
from regdeploy.engine.connect import Endpoint
from regdeploy.engine.containers import DockerContainers
from regdeploy.engine.images import Images
from regdeploy.engine.model import ContainerFacts, EngineFacts, ImageFacts
from regdeploy.engine.protocol import Report
from regdeploy.engine.workloads import Workloads


class DockerEngine(Workloads):
    """The engine at ``endpoint``. Made without a word to it; one connection is kept. For one thread at a time.

    ``timeout`` is how long one answer may take, in seconds; stopping may take its own patience more.
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float = 60) -> None:
        self._client = Client(endpoint, timeout)
        self._images = Images(self._client)
        self._docker = DockerContainers(self._client, self._images)
        super().__init__(self._docker)

    def facts(self) -> EngineFacts:
        """Describe the engine, from two requests the first time and none later; see Engine."""
        return self._facts

    @cached_property
    def _facts(self) -> EngineFacts:
        endpoint = self._client.endpoint
        with self._client.speaking():
            info = self._client.api.info()
            return facts.engine_facts(self._client.version, info, url=endpoint.url, remote=endpoint.remote)

    def image(self, reference: str) -> ImageFacts | None:
        """Return the local image of that name, digest or id, or None."""
        return self._images.find(reference)

    def pull(self, reference: str, report: Report) -> ImageFacts:
        """Fetch an image with the credentials of Docker's config file; see Engine."""
        return self._images.pull(reference, report)

    def load(self, archive: Path, report: Report, tag_as: str = "") -> ImageFacts:
        """Load the one image of an archive; see Engine."""
        return self._images.load(archive, report, self._client.version.get("Arch") or "", tag_as)

    def tag(self, image_id: str, reference: str) -> None:
        """Have ``reference`` name that image; see Engine."""
        self._images.tag(image_id, reference)

    def publishers(self, port: int) -> tuple[tuple[str, str], ...]:
        """Return (container name, host ip) for each running container that publishes that TCP port of the host."""
        with self._client.speaking():
            return facts.publishers(self._client.api.containers(), port)

    def containers(self) -> tuple[ContainerFacts, ...]:
        """Return every container, running or not, by whomever it was made."""
        return self._docker.all()
