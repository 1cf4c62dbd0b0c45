"""Which generation of Distribution an image is, read from what it runs: never from its tag."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import PurePosixPath

from regdeploy.errors import ImageError


class Generation(Enum):
    """The value is what users call it."""

    V2 = "2.x"
    V3 = "3.x"


_CONFIG_FOLDERS = {Generation.V2: "/etc/docker/registry", Generation.V3: "/etc/distribution"}
_PROGRAMS = frozenset({"registry", "entrypoint.sh", "docker-registry"})


def config_folder(generation: Generation) -> str:
    """The folder in the container that holds ``config.yml``; mounting over it leaves the image's command valid."""
    return _CONFIG_FOLDERS[generation]


def generation_of(entrypoint: Sequence[str], command: Sequence[str]) -> Generation:
    """The generation of an image from its Entrypoint and Cmd.

    Takes the library image (``/entrypoint.sh`` + config path) and the upstream one (``registry`` + ``serve`` + config
    path). Raises ImageError ``image.not-a-registry`` for anything else, also for a registry whose config lies
    elsewhere: what regdeploy mounts would then not be read.
    """
    words = [*entrypoint, *command]
    program = PurePosixPath(words[0]).name if words else ""
    config = words[-1] if words else ""
    arguments = [word for word in words[1:-1] if word != "serve"]
    if program in _PROGRAMS and not [word for word in arguments if PurePosixPath(word).name != "registry"]:
        for generation, folder in _CONFIG_FOLDERS.items():
            if config == f"{folder}/config.yml":
                return generation
    raise ImageError(
        "--image",
        f"is not a registry as regdeploy knows them: it runs `{' '.join(words) or 'nothing'}`",
        "use registry:3 (or registry:2.8), or an image of yours that keeps its entrypoint and config path",
        code="image.not-a-registry",
    )
