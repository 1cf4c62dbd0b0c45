"""The rig's images in an engine, and out of it again as archives."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.rig.parts.clients import Clients
from tests.rig.parts.images import Image, docker_archive, oci_layout, random_image, random_platforms
from tests.rig.parts.processes import run


class Images:
    """Puts images into one engine; ``folder`` is scratch space."""

    def __init__(self, clients: Clients, folder: Path) -> None:
        self._clients = clients
        self._folder = folder

    def load(self, images: Mapping[str, Image]) -> None:
        """Put these into the engine under these references."""
        self._folder.mkdir(parents=True, exist_ok=True)
        load(images, self._clients.environ, self._folder)

    def random(self, reference: str, layers: int = 3, size: int = 4096) -> Image:
        """Put an image that nobody else has into the engine; returns what it is made of."""
        image = random_image(layers, size)
        self.load({reference: image})
        return image

    def save(self, reference: str, path: Path) -> Path:
        """Write what ``docker save`` writes for an image of the engine."""
        self._clients.docker("save", "--output", str(path), reference)
        return path

    def oci_layout(self, reference: str, folder: Path) -> Path:
        """Write an image of the engine as an OCI layout, by way of skopeo."""
        archive = self.save(reference, folder.with_suffix(".tar"))
        self._clients.skopeo("copy", f"docker-archive:{archive}", f"oci:{folder}:latest")
        archive.unlink()
        return folder

    def platforms(self, folder: Path) -> str:
        """Write an OCI layout of an index with three platforms, and return the index's digest."""
        return oci_layout(folder, random_platforms())

    def push_layout(self, layout: Path, target: str, *flags: str) -> None:
        """Push an OCI layout with all its platforms to ``HOST/NAME:TAG``."""
        self._clients.skopeo("copy", "--all", *flags, f"oci:{layout}:latest", f"docker://{target}")

    def forget(self, *references: str) -> None:
        """Remove references from the engine."""
        self._clients.docker("rmi", "--force", *references)

    def discard(self) -> None:
        """Remove the scratch space."""
        shutil.rmtree(self._folder, ignore_errors=True)


def load(images: Mapping[str, Image], environ: Mapping[str, str], folder: Path) -> None:
    """Put images into the engine of that environment; ``folder`` is scratch space."""
    archive = folder / "load.tar"
    archive.write_bytes(docker_archive(images))
    try:
        run(["docker", "load", "--quiet", "--input", str(archive)], environ)
    finally:
        archive.unlink()
