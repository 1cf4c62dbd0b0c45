"""The generation is read from what an image runs."""

from __future__ import annotations

import pytest

from regdeploy.errors import ImageError
from regdeploy.registry.images import Generation, config_folder, generation_of

V2, V3 = "/etc/docker/registry/config.yml", "/etc/distribution/config.yml"


@pytest.mark.parametrize(
    ("entrypoint", "command"),
    [
        (["/entrypoint.sh"], []),  # the library image
        (["/entrypoint.sh"], ["serve"]),
        (["/entrypoint.sh", "registry", "serve"], []),
        (["registry"], ["serve"]),  # upstream's own
        (["/bin/registry"], ["serve"]),
        (["registry", "serve"], []),
        ([], ["/bin/registry", "serve"]),
        (["/usr/bin/docker-registry"], ["serve"]),  # Debian's
    ],
)
@pytest.mark.parametrize(("config", "generation"), [(V2, Generation.V2), (V3, Generation.V3)])
def test_a_registry_is_known_by_its_program_and_config(
    entrypoint: list[str], command: list[str], config: str, generation: Generation
) -> None:
    assert generation_of(entrypoint, [*command, config]) is generation
    assert f"{config_folder(generation)}/config.yml" == config


@pytest.mark.parametrize(
    ("entrypoint", "command"),
    [
        ([], []),
        ([], [V3]),
        (["/entrypoint.sh"], []),
        (["/entrypoint.sh"], ["/etc/registry.yml"]),
        (["/bin/registry"], [V3]),  # without serve it prints its help
        (["/bin/registry"], ["garbage-collect", V3]),
        (["/bin/registry"], ["serve", "--help", V3]),
        (["nginx"], ["-c", V3]),
        (["/bin/sh", "-c"], [V3]),
    ],
)
def test_anything_else_is_no_registry_and_its_words_are_shown(entrypoint: list[str], command: list[str]) -> None:
    with pytest.raises(ImageError) as caught:
        generation_of(entrypoint, command)
    words = " ".join([*entrypoint, *command]) or "nothing"
    assert caught.value.what == f"is not a registry as regdeploy knows them: it runs `{words}`"
    assert caught.value.code == "image.not-a-registry"
