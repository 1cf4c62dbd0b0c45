"""The programs that people push and pull with, each with folders of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.rig.parts.processes import run


class Clients:
    """Runs docker, skopeo, podman and buildah; each method returns what was printed, or raises RigError with it.

    Credentials, images and layers go below ``folder``; nothing of the user's is read or written.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        credentials = folder / "credentials"
        credentials.mkdir(mode=0o700, parents=True, exist_ok=True)
        (credentials / "auth.json").write_text("{}")  # buildah and podman refuse to start without the file
        #: The environment for everything that speaks to the rig, regdeploy itself as well.
        self.environ = {
            **environ,
            "DOCKER_CONFIG": str(credentials),
            "REGISTRY_AUTH_FILE": str(credentials / "auth.json"),
            "BUILDAH_ISOLATION": "chroot",
        }

    def docker(self, *arguments: str, text: str = "") -> str:
        """Docker's own client, against the engine of the environment."""
        return run(["docker", *arguments], self.environ, text)

    def skopeo(self, *arguments: str, text: str = "") -> str:
        """The client that needs no engine; ``--src-tls-verify=false`` and ``--dest-cert-dir`` are its flags."""
        return run(["skopeo", "--insecure-policy", *arguments], self.environ, text)

    def podman(self, *arguments: str, text: str = "") -> str:
        """Podman with storage of its own and without systemd."""
        return run(
            ["podman", *self._storage(), "--cgroup-manager", "cgroupfs", "--events-backend", "file", *arguments],
            self.environ,
            text,
        )

    def buildah(self, *arguments: str, text: str = "") -> str:
        """Buildah on the same storage as podman."""
        return run(["buildah", *self._storage(), *arguments], self.environ, text)

    def _storage(self) -> list[str]:
        folder = self._folder
        return ["--root", str(folder / "storage"), "--runroot", str(folder / "run"), "--storage-driver", "vfs"]
