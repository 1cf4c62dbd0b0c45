"""``migrate-to-https`` on registries that were started by hand, wherever their images lie."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regdeploy.registry.users import set_password
from regdeploy.secret import Secret
from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask, inspect, names
from tests.rig.parts.isolation import ADDRESS
from tests.rig.parts.pebble import Pebble
from tests.rig.parts.processes import eventually
from tests.rig.parts.rig import Rig
from tests.rig.parts.s3 import S3, SECRET_KEY
from tests.rig.parts.stock import INDEX, MANIFEST, Pusher, Stock, stock
from tests.stored import Stored, tree

NAMED = "hand-made-images"


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
    """Every tag is there and leads to its digest, and what has no tag is there by its digest."""
    pusher = Pusher(port, login, tls=tls)

    def get(path: str) -> bytes:
        status, _, body = pusher.ask("GET", path, headers={"Accept": f"{MANIFEST}, {INDEX}"})
        assert status == 200, path
        return body

    for repository in {named.partition(":")[0] for named in pushed.tags}:
        wanted = {named.partition(":")[2] for named in pushed.tags if named.startswith(f"{repository}:")}
        assert wanted <= set(json.loads(get(f"/v2/{repository}/tags/list?n=3000"))["tags"])
    by_tag = [(named.partition(":"), digest) for named, digest in pushed.tags.items()]
    asked = [(repository, tag, digest) for (repository, _, tag), digest in by_tag]
    asked += [(repository, digest, digest) for repository, digest in pushed.untagged]
    for repository, reference, digest in asked:
        body = get(f"/v2/{repository}/manifests/{reference}")
        assert "sha256:" + hashlib.sha256(body).hexdigest() == digest
    pusher.close()


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
    pushed = stock(5000, tags=2000)
    rig.images.random("localhost:5000/hello:1")
    rig.clients.docker("push", "localhost:5000/hello:1")
    (digest,) = json.loads(rig.clients.docker("inspect", "localhost:5000/hello:1"))[0]["RepoDigests"]
    digest = digest.partition("@")[2]
    old = images_of(rig, "registry")
    rig.clients.docker("stop", "registry")  # what it writes at its end is not ours
    before = tree(old)
    rig.clients.docker("start", "registry")
    eventually(lambda: answers(5000))
    done = command("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes", "--json")
    kept = json.loads(done.out)["kept_as"]
    assert names(rig.clients) == {"registry", kept}
    assert tree(old) == before
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


def test_ten_thousand_tags_of_another_user_are_all_there(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...], tmp_path: Path
) -> None:
    images = tmp_path / "images"
    stored = Stored(images)
    digest = stored.image("many", "v0")
    for number in range(1, 10_000):
        stored.tag("many", f"v{number}", digest)
    for path in (images, *images.rglob("*")):
        os.chown(path, 1000, 1000)
        path.chmod(0o700 if path.is_dir() else 0o600)
    start(rig, "-v", f"{images}:/var/lib/registry")
    before = tree(images)
    command("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes")
    assert tree(images) == before
    assert len(json.loads(ask("/v2/many/tags/list", port=443)[1])["tags"]) == 10_000
    body = ask("/v2/many/manifests/v9999", port=443)[1]
    assert "sha256:" + hashlib.sha256(body).hexdigest() == digest
    layer = json.loads(body)["layers"][0]["digest"]
    assert ask(f"/v2/many/blobs/{layer}", port=443)[0] == 200


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3]:
    """A server that containers reach."""
    server = S3(tmp_path / "s3", address=ADDRESS)
    try:
        yield server.start()
    finally:
        server.stop()


def in_bucket(s3: S3, **more: str) -> list[str]:
    """The options of a registry whose images lie there; ``more`` are settings of its driver."""
    variables = {"REGISTRY_STORAGE": "s3", "REGISTRY_STORAGE_REDIRECT_DISABLE": "true"}
    variables |= {f"REGISTRY_STORAGE_S3_{name.upper()}": value for name, value in {**s3.parameters, **more}.items()}
    return [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]


def test_images_in_s3_stay_there_and_are_served_over_https(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...], s3: S3, tmp_path: Path
) -> None:
    key = tmp_path / "key.json"
    key.write_text("a file that a setting names")
    options = in_bucket(s3, keyfile="/etc/key.json")  # which Google's driver has: here it is only carried
    start(rig, *options, "-v", f"{key}:/etc/key.json:ro")
    pushed = stock(5000, tags=2000)
    before = set(s3.objects())
    shown = command("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes").out
    assert "its images lie in the storage driver s3" in shown
    assert re.search(
        r"images +4 repositories, 2003 tags  .*\n(.*\n)*.*verified +4 repositories, 2003 tags, as be", shown
    )
    assert SECRET_KEY not in shown
    has_all(pushed, 443, tls=True)
    assert set(s3.objects()) == before
    found = inspect(rig.clients)["Config"]["Env"]
    (named,) = [line for line in found if line.startswith("REGISTRY_STORAGE_S3_KEYFILE=")]
    assert rig.clients.docker("exec", "registry", "cat", named.partition("=")[2]) == "a file that a setting names"
    assert list((command.root / "data").iterdir()) == []
    assert command("plan", "--exit-code").code == 0


def test_a_bucket_that_the_new_one_does_not_find_gives_the_old_one_its_place_back(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...], s3: S3
) -> None:
    """What a shell sets as it starts the registry is not to be seen from outside: it is not carried over."""
    run = "REGISTRY_STORAGE_S3_ROOTDIRECTORY=/deeper exec registry serve /etc/docker/registry/config.yml 2>&1"
    options = ("-d", "-p", "5000:5000", "--restart=always", "--name", "registry", "--entrypoint", "sh")
    rig.clients.docker("run", *options, *in_bucket(s3), "registry:2.7", "-c", run)
    eventually(lambda: answers(5000))
    pushed = stock(5000, tags=3)
    failed = command("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes", code=1)
    assert "many: has no tag, and had 3; a/b/c/d/e:1: is not there, and was sha256:" in failed.err
    assert "it serves again" in failed.err
    assert names(rig.clients) == {"registry"}
    eventually(lambda: answers(5000))
    has_all(pushed, 5000, tls=False)
    command("rollback", "--yes")
    assert not (command.root / "secrets" / "listed.json").exists()
    has_all(pushed, 5000, tls=False)


@pytest.fixture
def small(rig: Rig) -> Stock:
    """A hand-made registry on port 5000 with a few images."""
    start(rig)
    return stock(5000, tags=3)


def test_rollback_gives_the_old_registry_back_and_it_can_be_migrated_again(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...], small: Stock
) -> None:
    options = ("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes")
    command(*options)
    command("rollback", "--yes")
    assert names(rig.clients) == {"registry"}
    facts = inspect(rig.clients)
    assert (facts["HostConfig"]["RestartPolicy"]["Name"], facts["Config"]["Image"]) == ("always", "registry:2.7")
    eventually(lambda: answers(5000))
    has_all(small, 5000, tls=False)
    assert command("status", code=3).code == 3
    small.tags |= stock(5000, tags=5).tags
    command(*options)
    has_all(small, 443, tls=True)


def test_who_could_log_in_still_can_and_what_was_set_is_kept(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...], tmp_path: Path
) -> None:
    access = tmp_path / "auth"
    access.mkdir()
    set_password(access / "htpasswd", "lagou", Secret("a-password-of-old"))
    start(
        rig,
        *("-v", f"{access}:/auth", "-e", "REGISTRY_AUTH=htpasswd", "-e", "REGISTRY_AUTH_HTPASSWD_REALM=Realm"),
        *("-e", "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd", "-e", "REGISTRY_HTTP_SECRET=known-to-both"),
        *("-e", "REGISTRY_VALIDATION_DISABLED=true", "--memory", "512m"),
    )
    login = ("lagou", "a-password-of-old")
    pushed = stock(5000, tags=3, login=login)
    shown = command("migrate-to-https", "--domain", domain, *acme, "--yes").out
    assert "--memory" in shown
    has_all(pushed, 443, tls=True, login=login)
    assert ask("/v2/", port=443)[0] == 401
    assert (command.root / "secrets" / "http.secret").read_text() == "known-to-both"
    assert 'REGISTRY_VALIDATION={"disabled": true}' in inspect(rig.clients)["Config"]["Env"]
    assert (command.root / "auth" / "htpasswd").read_text() == (access / "htpasswd").read_text()


def test_a_push_under_way_at_the_pause_goes_on_and_ends_well(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...]
) -> None:
    start(rig, "-e", "REGISTRY_HTTP_SECRET=known-to-both")
    content = [secrets.token_bytes(100_000), secrets.token_bytes(50_000)]
    pusher = Pusher(5000)
    _, headers, _ = pusher.ask("POST", "/v2/late/blobs/uploads/")
    sized = {"Content-Type": "application/octet-stream", "Content-Range": "0-99999"}
    status, headers, _ = pusher.ask("PATCH", path_of(headers["Location"]), content[0], sized)
    assert status == 202
    pusher.close()
    command("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes")
    late = Pusher(443, tls=True)
    sized = {"Content-Type": "application/octet-stream", "Content-Range": "100000-149999"}
    status, headers, _ = late.ask("PATCH", path_of(headers["Location"]), content[1], sized)
    assert status == 202
    whole = "sha256:" + hashlib.sha256(b"".join(content)).hexdigest()
    assert late.ask("PUT", f"{path_of(headers['Location'])}&digest={whole}")[0] == 201
    status, headers, body = late.ask("GET", f"/v2/late/blobs/{whole}")
    assert (status, body) == (200, b"".join(content))
    late.close()


def path_of(location: str) -> str:
    """A Location without its host, which is another one afterwards."""
    return "/v2/" + location.partition("/v2/")[2]


def test_a_refused_certificate_leaves_the_old_one_serving(
    rig: Rig, command: Command, domain: str, small: Stock, start_pebble: Callable[..., Pebble]
) -> None:
    strict = start_pebble(directory_port=14600, blocklist=(domain,))
    options = ("--acme-directory", strict.directory, "--acme-ca-bundle", str(strict.ca_bundle))
    failed = command("migrate-to-https", "--domain", domain, *options, "--no-auth", "--yes", code=1)
    assert domain in failed.err
    assert names(rig.clients) == {"registry"}
    has_all(small, 5000, tls=False)
    command("rollback", "--yes")
    assert names(rig.clients) == {"registry"}
    has_all(small, 5000, tls=False)


def test_one_that_does_not_come_up_gives_its_place_back(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...], small: Stock, broken: str
) -> None:
    options = ("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes")
    failed = command(*options, "--image", broken, "--timeout", "5", code=1)
    assert "does not answer" in failed.err
    assert names(rig.clients) == {"registry"}
    eventually(lambda: answers(5000))
    has_all(small, 5000, tls=False)


@pytest.mark.parametrize("size", [0, 2000], ids=["cut short", "full of holes"])
def test_images_that_are_damaged_stop_it_and_are_named_unless_they_are_to_be_left(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...], small: Stock, size: int
) -> None:
    manifest = json.loads(ask(f"/v2/busybox/manifests/{small.tags['busybox:1']}", port=5000, tls=False)[1])
    layer = manifest["layers"][0]["digest"].partition(":")[2]
    (blob,) = (images_of(rig, "registry") / "docker/registry/v2/blobs").glob(f"*/*/{layer}/data")
    blob.write_bytes(b"")
    os.truncate(blob, size)
    options = ("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes")
    failed = command(*options, code=1)
    assert "1 damaged" in failed.err
    assert "(part of busybox:1" in failed.err
    assert "--leave-damaged" in failed.err
    assert answers(5000)
    command(*options, "--leave-damaged")
    assert ask(f"/v2/many/manifests/{small.tags['many:v0']}", port=443)[0] == 200


def test_of_two_registries_the_other_is_not_touched(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...]
) -> None:
    start(rig, name="one", port=5000)
    pushed = stock(5000, tags=2)
    start(rig, name="two", port=5001)
    options = ("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes")
    assert "several registries: one, two" in command(*options, code=2).err
    command(*options, "--from", "one")
    has_all(pushed, 443, tls=True)
    assert inspect(rig.clients, "two")["State"]["Running"]


def test_images_for_which_there_is_no_room_twice_are_moved_and_moved_back(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...], small: Stock
) -> None:
    old = images_of(rig, "registry")
    options = ("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--move")
    assert "there is no room for two copies [interrupts] [destroys]" in command(*options, "--dry-run").out
    command(*options, "--yes")
    has_all(small, 443, tls=True)
    assert list(old.rglob("data")) == []
    command("rollback", "--yes")
    eventually(lambda: answers(5000))
    has_all(small, 5000, tls=False)
    assert list((command.root / "data").rglob("data")) == []
