"""A deployment whose images lie in S3: its further variables say so, and its config.yml has no secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask, inspect
from tests.rig.parts.isolation import ADDRESS
from tests.rig.parts.rig import Rig
from tests.rig.parts.s3 import S3, SECRET_KEY


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3]:
    """A server that containers reach."""
    server = S3(tmp_path / "s3", address=ADDRESS)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.mark.parametrize("image", ["registry:2.8", "registry:3"])
def test_images_are_pushed_to_s3_and_pulled_from_it(command: Command, rig: Rig, s3: S3, image: str) -> None:
    command("up", "--image", image)
    extra = command.root / "secrets/environment"
    lines = [f"REGISTRY_STORAGE_S3_{name.upper()}={value}\n" for name, value in sorted(s3.parameters.items())]
    extra.write_text("".join([*lines, "REGISTRY_STORAGE_REDIRECT_DISABLE=true\n"]))
    extra.chmod(0o600)

    shown = command("plan").out
    command("up", "--yes")

    assert SECRET_KEY not in shown
    config = (command.root / "config/config.yml").read_text()
    assert "\n  s3: {}\n" in config
    assert "filesystem" not in config
    assert SECRET_KEY not in config
    rig.images.random("localhost:5000/team/image:1", size=6_000_000)
    rig.clients.docker("push", "localhost:5000/team/image:1")
    rig.images.forget("localhost:5000/team/image:1")
    rig.clients.docker("pull", "localhost:5000/team/image:1")
    rig.images.forget("localhost:5000/team/image:1")
    assert "docker/registry/v2/repositories/team/image/_manifests/tags/1/current/link" in s3.objects()
    assert list((command.root / "data").iterdir()) == []
    assert str(command.root / "data") not in {mount["Source"] for mount in inspect(rig.clients)["Mounts"]}

    assert "the images lie in s3, which is not looked into" in command("status").out
    command("plan", "--exit-code")
    extra.unlink()
    command("up", "--yes")
    assert ask("/v2/_catalog", port=5000, tls=False)[1] == b'{"repositories":[]}\n'
