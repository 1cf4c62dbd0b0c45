"""Work that is easily missed: an image behind a tag, a label on folders, a link, and a config that nobody has read."""

from __future__ import annotations

import itertools
import signal
from dataclasses import replace
from pathlib import Path

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask, inspect, names
from tests.rig.parts.images import Image, digest, docker_archive, layer, oci_layout
from tests.rig.parts.programs import library
from tests.rig.parts.rig import Rig

TAG = "registry:offline"
NOTHING = "is as it should be: nothing to do.\n"


def other(content: bytes) -> Image:
    """A registry that is not the one behind TAG."""
    good = library()["registry:3"]
    return replace(good, layers=(*good.layers, layer({"other": content})))


def test_an_archive_with_another_image_under_the_same_tag_upgrades_once(
    command: Command, rig: Rig, tmp_path: Path
) -> None:
    rig.images.load({TAG: library()["registry:3"]})
    command("up", "--image", TAG)
    newer, newest = other(b"newer"), other(b"newest")
    archive, layout = tmp_path / "new.tar", tmp_path / "layout"
    archive.write_bytes(docker_archive({TAG: newer}))
    oci_layout(layout, [newest], TAG)

    plan = command("plan", "--image-archive", str(archive))
    command("up", "--image-archive", str(archive), "--yes")

    assert f"{archive} holds another {TAG} ({digest(newer.configuration())[:19]}) than the engine" in plan.out
    assert inspect(rig.clients)["Image"] == digest(newer.configuration())
    assert ask("/v2/", port=5000, tls=False)[0] == 200
    assert names(rig.clients) == {"registry"}
    assert command("up", "--image-archive", str(archive)).out.endswith(NOTHING)
    archive.unlink()
    assert command("up").out.endswith(NOTHING)
    command("up", "--image", TAG, "--image-archive", str(layout), "--yes")
    assert inspect(rig.clients)["Image"] == digest(newest.configuration())
    command("down", "--yes")
    rig.images.forget(TAG)


def test_folders_that_are_to_be_relabelled_are_so_by_another_container(command: Command, rig: Rig) -> None:
    command("up")
    before = inspect(rig.clients)["Id"]

    plan = command("plan", "--selinux-relabel")
    command("up", "--selinux-relabel", "--yes")

    assert "SELinux label: as it was → shared" in plan.out
    found = inspect(rig.clients)
    assert found["Id"] != before
    assert {bind.rpartition(":")[2] for bind in found["HostConfig"]["Binds"]} == {"z", "ro,z"}
    assert command("up").out.endswith(NOTHING)
    command("up", "--no-selinux-relabel", "--yes")
    assert not any("z" in bind.rpartition(":")[2] for bind in inspect(rig.clients)["HostConfig"]["Binds"])


def test_a_link_that_is_gone_is_made_anew_while_the_registry_goes_on(command: Command, rig: Rig) -> None:
    command("up", "--domain", "registry.corp.example", "--tls", "internal")
    before, link = inspect(rig.clients), command.root / "certs/registry.corp.example.crt"
    link.unlink()

    command("up")

    assert str(link.readlink()) == "current/fullchain.pem"
    assert inspect(rig.clients) == before
    assert command("up").out.endswith(NOTHING)


def test_a_config_put_right_by_an_up_that_is_killed_then_is_read_by_the_next_one(command: Command, rig: Rig) -> None:
    command("up")
    config = command.root / "config/config.yml"
    right = config.read_text()
    config.write_text(f"{right}auth:\n  silly:\n    realm: edited\n    service: edited\n")
    rig.clients.docker("restart", "registry")
    for write in itertools.count(1):
        result = command.mortal(write, "up", "--yes")
        assert result.code == -signal.SIGKILL, result.err
        if config.read_text() == right:
            break
    assert ask("/v2/", port=5000, tls=False)[0] == 401, "what was edited is still in use"

    command("up", "--yes")

    assert ask("/v2/", port=5000, tls=False)[0] == 200
    assert command("up").out.endswith(NOTHING)
