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
_PROGRAMS = frozenset({"registry", "docker-registry"})
_DRIVERS = frozenset({"filesystem", "inmemory", "s3", "s3aws", "azure", "gcs"})
_DRIVERS_OF_2 = frozenset({"swift", "oss"})


def config_folder(generation: Generation) -> str:
    """The folder in the container that holds ``config.yml``; mounting over it leaves the image's command valid."""
    return _CONFIG_FOLDERS[generation]


def drivers(generation: Generation) -> frozenset[str]:
    """The storage drivers that a generation's images have (cmd/registry/main.go; 3.0 lost two)."""
    return _DRIVERS | _DRIVERS_OF_2 if generation is Generation.V2 else _DRIVERS


def generation_of(entrypoint: Sequence[str], command: Sequence[str]) -> Generation:
    """The generation of an image from its Entrypoint and Cmd.

    Takes the library image (``/entrypoint.sh`` + config path) and the upstream one (``registry`` + ``serve`` + config
    path), the program with or without its folder, the words in either list. Raises ImageError
    ``image.not-a-registry`` for anything else, also for a registry whose config lies elsewhere: what regdeploy mounts
    would then not be read.
    """
    words = [*entrypoint, *command]
    config = _served_config(words)
    for generation, folder in _CONFIG_FOLDERS.items():
        if config == f"{folder}/config.yml":
            return generation
    raise ImageError(
        "--image",
        f"is not a registry as regdeploy knows them: it runs `{' '.join(words) or 'nothing'}`",
        "use registry:3 (or registry:2.8), or an image of yours that keeps its entrypoint and config path",
        code="image.not-a-registry",
    )


def _served_config(words: Sequence[str]) -> str:
    """The config that a registry started with these words serves from; empty when they start something else.

    The library image's script puts ``registry serve`` before a path and ``registry`` before ``serve``.
    """
    match [PurePosixPath(word).name for word in words[:-1]]:
        case [program, "serve"] if program in _PROGRAMS:
            return words[-1]
        case ["entrypoint.sh"] | ["entrypoint.sh", "serve"]:
            return words[-1]
        case ["entrypoint.sh", program, "serve"] if program in _PROGRAMS:
            return words[-1]
        case _:
            return ""
