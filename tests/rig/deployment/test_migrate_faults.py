"""What happens to the old registry, the disk and the engine while a migration is under way."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from regdeploy.host.ports import holder
from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask, inspect, names
from tests.rig.parts.engine import DockerEngine
from tests.rig.parts.processes import eventually, run
from tests.rig.parts.rig import Rig
from tests.rig.parts.stock import Pusher, stock

from .test_migrate import answers, has_all, start


@pytest.fixture
def migrate(domain: str, acme: tuple[str, ...]) -> tuple[str, ...]:
    """The command line of a migration."""
    return ("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes")


def test_whatever_was_pushed_until_the_pause_is_in_the_new_registry(
    rig: Rig, command: Command, migrate: tuple[str, ...]
) -> None:
    start(rig)
    stock(5000, tags=200)
    acknowledged: list[str] = []

    def push() -> None:
        pusher = Pusher(5000)
        try:
            while True:
                acknowledged.append(pusher.manifest("late", "", pusher.image("late", size=20_000)))
        except (OSError, AssertionError, ValueError, KeyError):
            pusher.close()  # the pause, or the first answer in TLS

    thread = threading.Thread(target=push)
    thread.start()
    command(*migrate)
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert len(acknowledged) > 5
    for digest in acknowledged:
        assert ask(f"/v2/late/manifests/{digest}", port=443)[0] == 200


@pytest.fixture
def small_disk(command: Command) -> Iterator[Path]:
    """The root folder on a disk of its own with room for little."""
    command.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=711", "tmpfs", command.root], check=True)
    yield command.root
    subprocess.run(["umount", "--lazy", command.root], check=True)


def test_a_disk_that_is_too_small_is_seen_before_and_one_that_gets_full_costs_nothing(
    rig: Rig, command: Command, migrate: tuple[str, ...], small_disk: Path
) -> None:
    start(rig)
    pusher = Pusher(5000)
    for number in range(3):
        pusher.manifest("big", f"v{number}", pusher.image("big", size=700_000))
    pusher.close()
    pushed = stock(5000, tags=2)
    seen = command(*migrate, "--ignore", "disk", code=2)
    assert "are to be copied and" in seen.err
    assert not (small_disk / "regdeploy.toml").exists()
    full = command(*migrate, "--ignore", "disk", "--ignore", "space", code=1)
    assert "no space left" in full.err.lower() or "full" in full.err.lower()
    assert names(rig.clients) == {"registry"}
    has_all(pushed, 5000, tls=False)
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    command("up", "--yes", "--ignore", "disk")
    has_all(pushed, 443, tls=True)
    assert ask("/v2/big/manifests/v2", port=443)[0] == 200


def test_an_old_one_that_was_stopped_or_started_again_meanwhile_is_taken_over_all_the_same(
    rig: Rig, command: Command, migrate: tuple[str, ...]
) -> None:
    start(rig)
    pushed = stock(5000, tags=2)
    command.mortal(45, *migrate)
    assert (command.root / "secrets" / "migration.json").exists()
    assert "registry is being taken over, and that is not at its end" in command("status", code=4).out
    rig.clients.docker("restart", "registry")
    eventually(lambda: answers(5000))
    pushed.tags |= stock(5000, tags=4).tags
    rig.clients.docker("stop", "registry")
    command("up", "--yes")
    has_all(pushed, 443, tls=True)


def test_one_that_was_removed_meanwhile_is_gone_on_from_where_its_images_are(
    rig: Rig, command: Command, migrate: tuple[str, ...], tmp_path: Path
) -> None:
    start(rig, "-v", f"{tmp_path}/images:/var/lib/registry")
    pushed = stock(5000, tags=2)
    command.mortal(45, *migrate)
    rig.clients.docker("rm", "--force", "registry")
    command("up", "--yes")
    has_all(pushed, 443, tls=True)
    assert names(rig.clients) == {"registry"}


def test_what_is_not_well_in_a_registry_is_migrated_as_it_is(
    rig: Rig, command: Command, migrate: tuple[str, ...]
) -> None:
    """An upload half done, a deleted manifest, a tag whose link is broken: nothing of that is in the way."""
    start(rig, "-e", "REGISTRY_STORAGE_DELETE_ENABLED=true")
    pushed = stock(5000, tags=2)
    pusher = Pusher(5000)
    gone = pusher.manifest("deleted", "1", pusher.image("deleted"))
    assert pusher.ask("DELETE", f"/v2/deleted/manifests/{gone}")[0] == 202
    _, headers, _ = pusher.ask("POST", "/v2/half/blobs/uploads/")
    location = "/v2/" + headers["Location"].partition("/v2/")[2]
    pusher.ask("PATCH", location, b"half", {"Content-Type": "application/octet-stream", "Content-Range": "0-3"})
    pusher.close()
    (data,) = (mount["Source"] for mount in inspect(rig.clients)["Mounts"])
    broken = Path(data, "docker/registry/v2/repositories/many/_manifests/tags/broken/current")
    broken.mkdir(parents=True)
    (broken / "link").write_text("sha256:" + "0" * 64)
    command(*migrate)
    has_all(pushed, 443, tls=True)
    assert ask(f"/v2/deleted/manifests/{gone}", port=443)[0] == 404


def test_an_old_registry_can_be_removed_for_good_later(rig: Rig, command: Command, migrate: tuple[str, ...]) -> None:
    start(rig)
    stock(5000, tags=1)
    kept = json.loads(command(*migrate, "--json").out)["kept_as"]
    assert command("migrate-to-https", "--discard-old", code=2).code == 2
    assert kept in command("migrate-to-https", "--discard-old", "--yes").out
    assert names(rig.clients) == {"registry"}
    assert "no registry that was taken over" in command("migrate-to-https", "--discard-old", "--yes", code=3).err
    assert not answers(5000)


@pytest.mark.parametrize("moment", ["created", "stopped", "starting", "serving"])
def test_an_engine_that_is_killed_meanwhile_leaves_what_the_next_run_ends(
    rig: Rig, command: Command, migrate: tuple[str, ...], moment: str
) -> None:
    engine = rig.second_engine("moved").start()
    try:
        environ = {**rig.environ, "DOCKER_HOST": engine.docker_host}
        archive = rig.images.save("registry:2.7", rig.folder / "moved.tar")
        run(["docker", "load", "--quiet", "--input", str(archive)], environ)
        run(["docker", "run", "-d", "-p", "5000:5000", "--restart=always", "--name", "old", "registry:2.7"], environ)
        eventually(lambda: answers(5000))
        pushed = stock(5000, tags=2)
        reached = {
            "created": lambda: "registry" in run(["docker", "ps", "-a", "--format", "{{.Names}}"], environ).split(),
            "stopped": lambda: not answers(5000),
            "starting": lambda: holder("", 443) is not None,
            "serving": _serves,
        }
        process = command.start(*migrate, "--docker-host", engine.docker_host)
        eventually(reached[moment])
        engine.power_cut()
        process.communicate(timeout=60)
        engine.start()
        _goes_on(engine, command, migrate)
        has_all(pushed, 443, tls=True)
    finally:
        engine.stop()


def _serves() -> bool:
    try:
        return ask("/v2/", port=443)[0] == 200
    except OSError:
        return False


def _goes_on(engine: DockerEngine, command: Command, migrate: tuple[str, ...]) -> None:
    """Run again what a user would. An engine that lost its power at a start may keep the ports, and says how to end it.

    That is Docker's (20.10): it restores the ports of what never started, and nothing but its restart frees them.
    """
    options = ("up", "--yes") if (command.root / "regdeploy.toml").exists() else migrate
    published = run(["docker", "-H", engine.docker_host, "ps", "--quiet", "--filter", "publish=443"])
    if holder("", 443) is not None and not published:
        refused = command(*options, "--docker-host", engine.docker_host, code=2)
        assert "443 is held by docker-proxy" in refused.err
        assert "systemctl restart docker" in refused.err
        engine.restart()
    command(*options, "--docker-host", engine.docker_host)


def test_podmans_service_is_refused_with_the_reason_before_anything_is_touched(
    rig: Rig, command: Command, migrate: tuple[str, ...], tmp_path: Path
) -> None:
    short = rig.folder / "pod"  # a runroot of more than 50 characters is refused
    storage = ("--root", str(tmp_path / "storage"), "--runroot", str(short), "--storage-driver", "vfs")
    podman = ["podman", *storage, "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
    archive = rig.images.save("registry:2.7", tmp_path / "registry.tar")
    run([*podman, "load", "--quiet", "--input", str(archive)], rig.environ)
    run([*podman, "create", "--name", "registry", "--network", "host", "registry:2.7"], rig.environ)
    socket = tmp_path / "podman.sock"
    service = subprocess.Popen([*podman, "system", "service", "--time=0", f"unix://{socket}"], env=rig.environ)
    try:
        eventually(socket.exists)
        refused = command(*migrate, "--docker-host", f"unix://{socket}", code=2)
        assert "podman" in refused.err.lower()
        assert not (command.root / "regdeploy.toml").exists()
    finally:
        service.terminate()
        service.wait(timeout=20)
        run([*podman, "rm", "--force", "registry"], rig.environ)
        run([*podman, "rmi", "--force", "--all"], rig.environ)
