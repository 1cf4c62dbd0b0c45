"""``upgrade`` on real parts: a registry that images are pulled from, and one that is upgraded and keeps its images."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import answers, inspect, names
from tests.rig.parts.images import Image, layer
from tests.rig.parts.processes import eventually
from tests.rig.parts.programs import library
from tests.rig.parts.rig import Rig
from tests.stored import Stored

PORT = "5001"
REFERENCE = "localhost:5005/library/registry:stable"
SCHEMA1 = {"schemaVersion": 1, "name": "old/app", "tag": "1", "fsLayers": [], "signatures": []}


@dataclass(frozen=True)
class Upstream:
    """A registry that images are pulled from. ``publish`` moves its tag; the engine's own stays where it is."""

    rig: Rig

    def publish(self, source: str) -> str:
        """Have REFERENCE be that image there; returns the image's id."""
        docker = self.rig.clients.docker
        before = self.id(REFERENCE)
        docker("tag", source, REFERENCE)
        docker("push", REFERENCE)
        docker("rmi", "--no-prune", REFERENCE)
        if before:
            docker("tag", before, REFERENCE)
        return self.id(source)

    def id(self, reference: str) -> str:
        """The id of an image that the engine has; empty for none."""
        listed = self.rig.clients.docker("images", "--no-trunc", "--quiet", reference)
        return listed.split()[0] if listed.split() else ""


@pytest.fixture
def upstream(rig: Rig, clean_engine: None) -> Iterator[Upstream]:
    """A registry on port 5005."""
    rig.clients.docker("run", "--detach", "--name", "upstream", "--publish", "5005:5000", "registry:2.8")
    eventually(lambda: answers(5005))
    made = Upstream(rig)
    yield made
    for name in ("registry", "registry-next", "registry-previous"):
        rig.clients.docker("rm", "--force", "--volumes", name) if name in names(rig.clients) else ""
    if made.id(REFERENCE):
        rig.images.forget(REFERENCE)


def push(rig: Rig, port: str = PORT) -> None:
    """Have an image in the registry that must never be lost."""
    rig.images.random(f"localhost:{port}/precious:1")
    rig.clients.docker("push", f"localhost:{port}/precious:1")
    rig.images.forget(f"localhost:{port}/precious:1")


def pull(rig: Rig, port: str = PORT) -> None:
    """Have it back."""
    rig.clients.docker("pull", f"localhost:{port}/precious:1")
    rig.images.forget(f"localhost:{port}/precious:1")


def runs(rig: Rig) -> str:
    """The id of the image that the registry runs."""
    return str(inspect(rig.clients)["Image"])


def test_a_patch_under_the_same_tag_is_pulled_and_rollback_and_up_keep_to_the_one_before(
    command: Command, rig: Rig, upstream: Upstream
) -> None:
    old = upstream.publish("registry:2.7")
    command("up", "--port", PORT, "--image", REFERENCE)
    push(rig)
    assert "is what runs already: nothing to do" in command("upgrade").out
    new = upstream.publish("registry:2.8")
    assert runs(rig) == old
    dry = command("upgrade", "--dry-run").out
    assert f"there may be another {REFERENCE} by now" in dry
    assert upstream.id(REFERENCE) == old

    assert "There is no terminal to ask" in command("upgrade", code=2).err
    assert (runs(rig), upstream.id(REFERENCE)) == (old, old)
    done = command("upgrade", "--yes", "--json").document

    assert (done["changed"], runs(rig), upstream.id(REFERENCE)) == (True, new, new)
    assert f"{REFERENCE} (" in done["message"]
    assert "nothing to do" in command("up").out
    pull(rig)
    back = command("rollback", "--yes")
    assert "names another image now" in back.out
    assert (runs(rig), upstream.id(REFERENCE)) == (old, new)
    assert "nothing to do" in command("up").out
    assert "names one image for good" in command("upgrade", code=2).err
    pull(rig)
    command("rollback", "--yes")
    assert runs(rig) == new
    assert "nothing to do" in command("up").out


def test_an_image_that_was_removed_is_pulled_by_its_digest(command: Command, rig: Rig, upstream: Upstream) -> None:
    base = library()["registry:2.8"]
    rig.images.load({"passing:1": Image((*base.layers, layer({"note": b"1"})), base.config, base.architecture)})
    old = upstream.publish("passing:1")
    command("up", "--port", PORT, "--image", REFERENCE)
    upstream.publish("registry:2.8")
    command("upgrade", "--yes")
    rig.images.forget("passing:1")
    rig.clients.docker("rmi", "--force", old)

    done = command("rollback", "--yes")

    assert "the engine has that image no more: localhost:5005/library/registry@sha256:" in done.out
    assert runs(rig) == old
    assert "nothing to do" in command("up").out
    command("down", "--yes")
    rig.clients.docker("rmi", "--force", old)


def test_from_2_7_to_2_8_to_3_without_a_network_every_image_is_kept(command: Command, rig: Rig) -> None:
    command("up", "--port", PORT, "--image", "registry:2.7")
    push(rig)
    for image, folder in (("registry:2.8", "/etc/docker/registry"), ("registry:3", "/etc/distribution")):
        done = command("upgrade", "--image", image, "--yes")
        assert "could not be pulled, and the one that is there is used" in done.out
        assert folder in {mount["Destination"] for mount in inspect(rig.clients)["Mounts"]}
        assert "nothing to do" in command("up").out
        pull(rig)
    refused = command("upgrade", code=1)
    assert "error: image registry:3: " in refused.err
    assert inspect(rig.clients)["Config"]["Image"] == "registry:3"


def test_what_ends_at_once_leaves_the_old_container_and_the_old_tag(
    command: Command, rig: Rig, upstream: Upstream, broken: str
) -> None:
    old = upstream.publish("registry:2.8")
    command("up", "--port", PORT, "--image", REFERENCE)
    push(rig)
    identity = inspect(rig.clients)["Id"]
    upstream.publish(broken)

    failed = command("upgrade", "--yes", code=1)

    assert "panic: no such luck" in failed.err
    assert (inspect(rig.clients)["Id"], upstream.id(REFERENCE)) == (identity, old)
    assert "nothing to do" in command("up").out
    pull(rig)
    last = command("history", "--json", "-n", "1").document["entries"][0]
    assert (last["operation"], last["outcome"]) == ("upgrade", "failed")


def test_images_of_schema_1_stop_the_way_to_3(command: Command, rig: Rig) -> None:
    command("up", "--port", PORT, "--image", "registry:2.8")
    Stored(command.root / "data").manifest("old/app", SCHEMA1, "1")
    identity = inspect(rig.clients)["Id"]

    refused = command("upgrade", "--image", "registry:3", "--yes", code=2)

    assert "schema1: 3.x serves no images of schema 1, and there are 1: old/app:1" in refused.err
    assert inspect(rig.clients)["Id"] == identity
    command("upgrade", "--image", "registry:3", "--yes", "--ignore", "schema1")
    assert inspect(rig.clients)["Config"]["Image"] == "registry:3"


def test_killed_during_it_up_converges_and_nothing_is_lost(command: Command, rig: Rig, upstream: Upstream) -> None:
    images = itertools.cycle((upstream.publish("registry:2.7"), upstream.publish("registry:2.8")))
    command("up", "--port", PORT, "--image", REFERENCE)
    push(rig)
    for write in itertools.count(1, 2):  # before every one: in memory
        source = next(images)
        upstream.publish(source)
        result = command.mortal(write, "upgrade", "--yes")
        command("up", "--yes")
        assert names(rig.clients) == {"registry", "upstream"}
        assert "nothing to do" in command("up").out
        pull(rig)
        command("upgrade", "--yes")
        assert runs(rig) == source
        if result.code == 0:
            break
        assert result.code == -signal.SIGKILL, result.err
    assert write > 8, "the sweep saw hardly any write: it proves nothing"


def test_nothing_deployed_is_said(command: Command, tmp_path: Path) -> None:
    assert "nothing is deployed" in command("upgrade", code=3).err
    assert not (tmp_path / "root").exists()
