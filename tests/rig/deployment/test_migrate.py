"""``migrate-to-https`` on registries that were started by hand, wherever their images lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask, inspect, names
from tests.rig.parts.processes import eventually
from tests.rig.parts.rig import Rig
from tests.rig.parts.stock import Stock, stock

NAMED = "hand-made-images"


def fingerprint(folder: Path) -> str:
    """A hash of the whole tree: names, kinds, modes, owners, times of change, contents."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        whole.update(f"{path} {facts.st_mode} {facts.st_uid} {facts.st_mtime_ns} {facts.st_size}\n".encode())
        if path.is_file():
            whole.update(path.read_bytes())
    return whole.hexdigest()


def start(rig: Rig, *options: str, name: str = "registry", port: int = 5000, image: str = "registry:2.7") -> None:
    """What the tutorials say, and wait until it answers."""
    rig.clients.docker("run", "-d", "-p", f"{port}:5000", "--restart=always", "--name", name, *options, image)
    eventually(lambda: answers(port))


def answers(port: int) -> bool:
    """Whether a plain-HTTP registry answers."""
    try:
        return ask("/v2/", port=port, tls=False)[0] in (200, 401)
    except OSError:
        return False


def images_of(rig: Rig, name: str) -> Path:
    """The folder of this machine with the images of a container."""
    facts = inspect(rig.clients, name)
    for mount in facts["Mounts"]:
        if mount["Destination"] == "/var/lib/registry":
            return Path(mount["Source"])
    return Path(facts["GraphDriver"]["Data"]["UpperDir"]) / "srv" / "images"


def has_all(pushed: Stock, port: int, *, tls: bool, login: tuple[str, str] | None = None) -> None:
    """Every tag leads to its digest, and what has no tag is there by its digest."""
    for named, digest in pushed.tags.items():
        repository, _, tag = named.partition(":")
        status, body, _ = ask(f"/v2/{repository}/manifests/{digest}", port=port, tls=tls, login=login)
        assert (status, "sha256:" + hashlib.sha256(body).hexdigest()) == (200, digest), named
        assert tag in json.loads(ask(f"/v2/{repository}/tags/list?n=3000", port=port, tls=tls, login=login)[1])["tags"]
    for repository, digest in pushed.untagged:
        status, body, _ = ask(f"/v2/{repository}/manifests/{digest}", port=port, tls=tls, login=login)
        assert (status, "sha256:" + hashlib.sha256(body).hexdigest()) == (200, digest), repository


@pytest.fixture
def no_volume(rig: Rig, clean_engine: None) -> Iterator[None]:
    """The named volume goes with the test."""
    yield
    for name in sorted(names(rig.clients)):
        rig.clients.docker("rm", "--force", "--volumes", name)
    rig.clients.docker("volume", "rm", "--force", NAMED)


ORIGINS: dict[str, tuple[str, ...]] = {
    "anonymous volume": (),
    "named volume": ("-v", f"{NAMED}:/var/lib/registry"),
    "folder": ("-v", "{folder}:/var/lib/registry"),
    "its own layer": ("-e", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/srv/images"),
}


@pytest.mark.usefixtures("no_volume")
@pytest.mark.parametrize("origin", ORIGINS)
def test_every_image_is_there_over_https_and_the_old_data_as_it_was(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...], tmp_path: Path, origin: str
) -> None:
    start(rig, *(option.format(folder=tmp_path / "images") for option in ORIGINS[origin]))
    pushed = stock(5000, tags=2000 if origin == "anonymous volume" else 30)
    rig.images.random("localhost:5000/hello:1")
    rig.clients.docker("push", "localhost:5000/hello:1")
    (digest,) = json.loads(rig.clients.docker("inspect", "localhost:5000/hello:1"))[0]["RepoDigests"]
    digest = digest.partition("@")[2]
    old = images_of(rig, "registry")
    rig.clients.docker("stop", "registry")  # what it writes at its end is not ours
    before = fingerprint(old)
    rig.clients.docker("start", "registry")
    eventually(lambda: answers(5000))
    done = command("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes", "--json")
    kept = json.loads(done.out)["kept_as"]
    assert names(rig.clients) == {"registry", kept}
    assert fingerprint(old) == before
    has_all(pushed, 443, tls=True)
    has_all(pushed, 5000, tls=True)
    rig.clients.skopeo("inspect", "--raw", f"docker://{domain}/multi/arch:latest")
    rig.images.forget("localhost:5000/hello:1")
    for host in (domain, "localhost:5000"):
        rig.clients.docker("pull", f"{host}/hello@{digest}")
        rig.images.forget(f"{host}/hello@{digest}")
    facts = inspect(rig.clients, kept)
    assert (facts["State"]["Running"], facts["HostConfig"]["RestartPolicy"]["Name"]) == (False, "no")
    assert not (command.root / "secrets" / "migration.json").exists()
    assert command("plan", "--exit-code").code == 0
