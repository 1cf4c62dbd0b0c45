"""The demo shows what it promises and takes all of it away; here on the rig's machine, not on the user's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rig.parts.names import HOSTS
from tests.rig.parts.processes import of_folder, stop_pid
from tests.rig.parts.rig import Rig

Demo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(rig: Rig) -> Path:
    return rig.folder / "demo"


@pytest.fixture
def demo(rig: Rig, folder: Path) -> Iterator[Demo]:
    """Runs the demo as on a machine without an engine, unless told of one."""

    def run(command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return subprocess.run(
            [sys.executable, "-m", "tests.rig.demo", command],
            env={**inherited, "REGDEPLOY_DEMO": str(folder), **environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    yield run
    run("down")
    for pid in of_folder(folder):  # where even that failed
        stop_pid(pid)


def machine(rig: Rig) -> dict[str, object]:
    """What a demo may change on a machine."""
    places = [path for place in ("/etc", "/run", "/var/lib") for path in Path(place).rglob("*")]
    inner = {Path("/run/changes"), Path("/run/work"), Path("/run/disk"), rig.folder}
    return {
        "hosts": HOSTS.read_bytes(),
        "files": {path for path in places if not inner & {path, *path.parents}},
        "links": [link["ifname"] for link in json.loads(subprocess.check_output(["ip", "-json", "link", "show"]))],
        "rules": subprocess.check_output(["iptables-save"], text=True).count("-A "),
        "forward": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
    }


def names_of_images(rig: Rig) -> set[str]:
    return set(rig.clients.docker("images", "--all", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines())


def test_the_demo_ends_with_an_image_pulled_and_leaves_nothing_behind(rig: Rig, demo: Demo, folder: Path) -> None:
    before = machine(rig)
    up = demo("up")
    assert up.returncode == 0, up.stdout + up.stderr
    shown = [line.split()[1:3] for line in up.stdout.splitlines() if line.startswith("$ ")]
    assert shown == [
        ["regdeploy", "up"],
        *(["docker", verb] for verb in ("login", "tag", "push", "rmi", "pull", "run")),
        ["regdeploy", "status"],
    ]
    assert "\nHello from an image in your own registry\n" in up.stdout
    down = demo("down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert not folder.exists()
    assert list(of_folder(folder)) == []
    assert machine(rig) == before
    assert demo("down").stdout == "No demo is there.\n"


def test_with_an_engine_of_the_users_only_what_the_demo_made_goes(rig: Rig, demo: Demo) -> None:
    rig.clients.docker("run", "--rm", "notaregistry:1", "true")  # an engine makes folders in /run at its first one
    containers, images = rig.clients.docker("ps", "-aq"), names_of_images(rig)
    before = machine(rig)
    up = demo("up", DOCKER_HOST=rig.docker_host)
    assert up.returncode == 0, up.stdout + up.stderr
    assert rig.clients.docker("ps", "--quiet", "--filter", "name=^registry$")
    down = demo("down", DOCKER_HOST=rig.docker_host)
    assert down.returncode == 0, down.stdout + down.stderr
    assert machine(rig) == before
    assert rig.clients.docker("ps", "-aq") == containers
    assert names_of_images(rig) == images


def test_a_demo_that_failed_half_way_is_taken_away_as_well(rig: Rig, demo: Demo, folder: Path) -> None:
    trust = Path("/etc/containers/certs.d/regisry.lagoudocker.io/ca.crt")
    trust.parent.mkdir(parents=True)
    trust.write_text("theirs")
    before = machine(rig)
    up = demo("up")
    assert up.returncode == 1
    assert f"{trust} is there already" in up.stderr
    down = demo("down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert machine(rig) == before
    assert trust.read_text() == "theirs"
    trust.unlink()
    trust.parent.rmdir()
    trust.parent.parent.rmdir()
