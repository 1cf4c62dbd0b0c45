"""Bad input and faults, as the user meets them: the words, the exit status, and that nothing was touched."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.certs import Made, key_bytes, make_intermediate, make_key, make_leaf, make_root, openssl
from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask, inspect, names
from tests.rig.parts.pebble import Pebble
from tests.rig.parts.rig import Rig

DOMAIN = "registry.corp.example"


@pytest.fixture
def chain() -> tuple[Made, Made, Made]:
    """Root, intermediate, and a leaf for DOMAIN."""
    root = make_root()
    intermediate = make_intermediate(root)
    return root, intermediate, make_leaf(intermediate, DOMAIN)


def up_with(command: Command, folder: Path, certificate: bytes, key: bytes, code: int = 0) -> str:
    (folder / "pair.crt").write_bytes(certificate)
    (folder / "pair.key").write_bytes(key)
    pair = ("--cert", str(folder / "pair.crt"), "--key", str(folder / "pair.key"))
    result = command("up", "--domain", DOMAIN, *pair, "--no-auth", "--yes", code=code)
    return result.err.replace(str(folder), "").strip()


def test_a_pair_in_any_order_is_served_with_its_chain(
    command: Command, rig: Rig, tmp_path: Path, chain: tuple[Made, Made, Made]
) -> None:
    root, intermediate, leaf = chain

    up_with(command, tmp_path, root.pem + leaf.pem + intermediate.pem, leaf.key_pem)

    assert ask("/v2/", port=443)[2] == leaf.fingerprint
    stored = (command.root / "certs/current/fullchain.pem").read_bytes()
    assert stored == leaf.pem + intermediate.pem
    again = make_leaf(intermediate, DOMAIN)
    up_with(command, tmp_path, again.pem + intermediate.pem, again.key_pem)
    assert ask("/v2/", port=443)[2] == again.fingerprint, "the next pair is taken over"


@pytest.mark.parametrize("kind", ["RSA 2048", "P-256", "P-384", "Ed25519"])
def test_keys_of_every_common_type_serve(
    command: Command, tmp_path: Path, chain: tuple[Made, Made, Made], kind: str
) -> None:
    leaf = make_leaf(chain[1], DOMAIN, key=make_key(kind))

    up_with(command, tmp_path, leaf.pem + chain[1].pem, leaf.key_pem)

    assert ask("/v2/", port=443)[2] == leaf.fingerprint


def test_a_pair_that_is_not_fit_is_refused_before_anything_is_touched(
    command: Command, rig: Rig, tmp_path: Path, chain: tuple[Made, Made, Made]
) -> None:
    _, intermediate, leaf = chain
    now = datetime.now(UTC)
    old = make_leaf(intermediate, DOMAIN, begin=now - timedelta(days=30), lifetime=timedelta(days=10))
    early = make_leaf(intermediate, DOMAIN, begin=now + timedelta(days=3))
    other = make_leaf(intermediate, "other.example.com")
    stranger = key_bytes(make_key())
    locked = openssl(tmp_path, "pkey", "-aes256", "-passout", "pass:secret", data=leaf.key_pem)
    whole = leaf.pem + intermediate.pem
    refusals = [
        up_with(command, tmp_path, certificate, key, code=2)
        for certificate, key in (
            (whole, stranger),
            (old.pem + intermediate.pem, old.key_pem),
            (early.pem + intermediate.pem, early.key_pem),
            (other.pem + intermediate.pem, other.key_pem),
            (leaf.pem, leaf.key_pem),
            (b"junk", leaf.key_pem),
            (b"", leaf.key_pem),
            (whole, b""),
            (whole, locked),
        )
    ]
    assert names(rig.clients) == set()
    assert not (command.root / "certs").exists()
    firsts = [refusal.splitlines()[0] for refusal in refusals]
    wanted = ["key", "expired", "not valid", "other.example.com", "intermediate", "PEM", "empty", "empty", "encrypted"]
    assert [word for word, line in zip(wanted, firsts, strict=True) if word not in line] == [], firsts
    assert all(len(refusal.splitlines()) <= 3 for refusal in refusals)
    assert "openssl pkey -in /pair.key" in refusals[-1]


def test_a_taken_port_is_refused_with_its_holder(command: Command, rig: Rig) -> None:
    with subprocess.Popen(
        ["python3", "-m", "http.server", "5000", "--bind", "127.0.0.1"], stderr=subprocess.DEVNULL
    ) as other:
        try:
            _until_listening(5000)
            result = command("up", code=2)
        finally:
            other.kill()
    assert result.err.startswith(f"error: ports: 5000 is held by python3 (pid {other.pid})")
    assert names(rig.clients) == set()
    rig.clients.docker("run", "-d", "--name", "somebody", "-p", "5000:5000", "registry:2.7")
    assert command("up", code=2).err.startswith("error: ports: 5000 is held by the container somebody")


def _until_listening(port: int) -> None:
    import socket  # noqa: PLC0415 - only here

    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("nobody listens")


def test_a_root_that_is_a_link_a_file_or_anothers_is_refused(command: Command, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command.root.symlink_to(elsewhere)
    assert "is a symbolic link" in command("up", code=2).err
    command.root.unlink()
    command.root.write_text("")
    assert "is a file, not a folder" in command("up", code=2).err
    command.root.unlink()
    command.root.mkdir(mode=0o755)
    shutil.chown(command.root, 12345)
    assert "belongs to uid 12345" in command("up", code=2).err
    shutil.chown(command.root, 0)
    command.root.chmod(0o777)
    assert "can be written by other users" in command("up", code=2).err
    assert list(elsewhere.iterdir()) == []


@pytest.fixture
def small_disk(command: Command) -> Iterator[Path]:
    """The root is a disk that a test may fill."""
    command.root.mkdir(mode=0o711)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120m,mode=0711", "small", str(command.root)], check=True)
    yield command.root
    subprocess.run(["umount", "-l", str(command.root)], check=True)


def test_a_full_disk_is_refused_and_loses_nothing(command: Command, rig: Rig, small_disk: Path) -> None:
    with (small_disk / "filler").open("wb") as filler:
        filler.truncate(0)
        filler.write(b"x" * 60_000_000)
    result = command("up", code=2)
    assert result.err.startswith("error: disk: ")
    assert names(rig.clients) == set()
    (small_disk / "filler").unlink()
    command("up")
    assert ask("/v2/", port=5000, tls=False)[0] == 200


def test_an_engine_that_is_absent_or_remote_is_refused_with_the_reason(command: Command, tmp_path: Path) -> None:
    absent = command("up", "--docker-host", f"unix://{tmp_path}/none.sock", code=1)
    assert "the engine cannot be reached" in absent.err
    assert "hint: start it" in absent.err
    assert not command.root.exists(), "nothing was touched"
    doctor = command("doctor", "--docker-host", f"unix://{tmp_path}/none.sock", code=1)
    assert "stop     engine" in doctor.out


def test_an_image_that_is_not_there_or_no_registry_is_refused(command: Command, rig: Rig) -> None:
    assert "image.network" in command("up", "--image", "registry:99", "--json", code=1).out
    result = command("up", "--image", "notaregistry:1", code=1)
    assert "is not a registry" in result.err
    assert names(rig.clients) == set()


def test_an_image_from_a_file_needs_no_network(command: Command, rig: Rig, tmp_path: Path) -> None:
    archive = rig.images.save("registry:2.8", tmp_path / "registry.tar")
    layout = rig.images.oci_layout("registry:2.8", tmp_path / "layout")
    before = rig.clients.docker("image", "inspect", "--format", "{{.Id}}", "registry:2.8")
    rig.images.forget("registry:2.8")

    command("up", "--image-archive", str(archive))

    assert command("status", "--json").document["image"]["ref"] == "registry:2.8"
    assert rig.clients.docker("image", "inspect", "--format", "{{.Id}}", "registry:2.8") == before
    command("up", "--image", "registry:oci", "--image-archive", str(layout), "--yes")
    assert command("status", "--json").document["image"]["ref"] == "registry:oci"
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"not a tar")
    assert (
        "image.archive"
        in command("up", "--image", "registry:none", "--image-archive", str(broken), "--json", "--yes", code=1).out
    )
    rig.images.forget("registry:oci")


def test_a_second_up_at_the_same_time_says_who_is_at_work(command: Command, rig: Rig) -> None:
    import fcntl  # noqa: PLC0415 - only here

    command("up")
    first = command.start("up", "--port", "5001", "--yes")
    try:
        for _ in range(400):
            with (command.root / ".lock").open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    break
            time.sleep(0.005)
        result = command("up", code=1)
    finally:
        first.communicate(timeout=60)
    assert f"`regdeploy up` by root, pid {first.pid}, is at work here since" in result.err


def test_unknown_keys_and_broken_files_are_named(command: Command) -> None:
    command("up")
    saved = command.root / "regdeploy.toml"
    good = saved.read_text()
    saved.write_text(good + "\nprot = 5000\n")
    assert command("up", code=2).err == f"error: {saved}: prot: is not a known key\nhint: did you mean 'port'?\n"
    saved.write_text(good + "\nport = = 1\n")
    assert "is not valid TOML" in command("status", code=2).err
    saved.write_text(good)
    command("up")


def test_a_container_made_by_hand_is_kept_and_asked_about(command: Command, rig: Rig) -> None:
    rig.clients.docker("run", "-d", "--name", "registry", "--restart", "always", "-p", "5000:5000", "registry:2.7")
    rig.images.random("localhost:5000/theirs:1")
    rig.clients.docker("push", "localhost:5000/theirs:1")
    theirs = inspect(rig.clients)

    refused = command("up", code=2)
    assert "There is no terminal to ask" in refused.err
    assert "registry was not made by regdeploy (registry:2.7, 5000→5000, data in volume" in command("plan").out
    assert inspect(rig.clients)["State"]["Running"] is True
    command("up", "--yes")

    kept = next(name for name in names(rig.clients) if name.startswith("registry-replaced-"))
    assert names(rig.clients) == {"registry", kept}
    after = inspect(rig.clients, kept)
    assert (after["Id"], after["State"]["Running"]) == (theirs["Id"], False)
    assert after["HostConfig"]["RestartPolicy"]["Name"] == "no"
    command("down", "--yes")
    rig.clients.docker("start", kept)
    rig.images.forget("localhost:5000/theirs:1")
    time.sleep(0.5)
    assert b"theirs" in ask("/v2/_catalog", port=5000, tls=False)[1], "their image is still theirs"


def test_an_engine_with_userns_remap_works(command: Command, rig: Rig) -> None:
    subprocess.run(["sh", "-c", "grep -q dockremap /etc/passwd || useradd -r dockremap"], check=True)
    for path in ("/etc/subuid", "/etc/subgid"):
        with Path(path).open("a") as file:
            file.write("dockremap:200000:65536\n")
    engine = rig.second_engine("remap", "--userns-remap=default")
    engine.start()
    try:
        archive = rig.images.save("registry:2.8", rig.folder / "remap.tar")
        options = ("--docker-host", engine.docker_host, "--image-archive", str(archive))
        command("up", "--domain", "registry.corp.internal", "--tls", "internal", "--port", "6443", *options)
        assert ask("/v2/", port=6443)[0] == 401
        command("down", "--yes", "--docker-host", engine.docker_host)
    finally:
        engine.stop()


def test_the_challenge_port_held_by_our_own_registry_is_freed_and_said(
    command: Command, rig: Rig, domain: str, acme: tuple[str, ...]
) -> None:
    command("up", "--domain", domain, "--tls", "internal", "--port", "80")

    acme = (*acme, "--challenge", "http-01")
    plan = command("plan", "--tls", "acme", *acme, "--port", "80")
    assert "stop the container           it holds port 80, which the challenge needs [interrupts]" in plan.out
    command("up", "--tls", "acme", *acme, "--port", "443", "--yes")
    assert ask("/v2/", port=443)[0] == 401


def test_a_ca_that_refuses_is_quoted_and_what_served_still_serves(
    command: Command, domain: str, start_pebble: Callable[..., Pebble]
) -> None:
    authority = start_pebble(directory_port=14300, blocklist=("blocked.lagoudocker.io",))
    options = ("--acme-directory", authority.directory, "--acme-ca-bundle", str(authority.ca_bundle))
    command("up", "--domain", domain, *options)
    leaf = ask("/v2/", port=443)[2]

    result = command("up", "--domain", "blocked.lagoudocker.io", "--yes", code=1)

    assert "Order included an identifier for which issuance is forbidden by policy" in result.err
    assert ask("/v2/", port=443)[2] == leaf
    assert command("plan", "--exit-code").code == 0


_USER = 12345
#: A user who may read this Python, wherever it lies, and has no other privilege.
_AS_USER = (
    "setpriv",
    f"--reuid={_USER}",
    f"--regid={_USER}",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)


@pytest.fixture
def home(rig: Rig) -> Iterator[Path]:
    """A folder of somebody who may use the engine, and is not root."""
    socket = rig.engine.docker_host.removeprefix("unix://")
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        shutil.chown(folder, _USER, _USER)
        shutil.chown(socket, group=_USER)
        yield Path(folder)
        shutil.chown(socket, group=0)


def test_a_user_of_the_engine_who_is_not_root_is_refused_for_the_files_and_not_for_the_port(
    command: Command, home: Path
) -> None:
    arguments = (sys.executable, "-m", "regdeploy", "doctor", "--port", "81", "--root", str(home / "root"))
    environ = {**command.environ, "PYTHONPATH": str(Path(__file__).parents[3])}

    done = subprocess.run([*_AS_USER, *arguments], env=environ, cwd=home, capture_output=True, text=True, check=False)

    assert "81 is free" in done.stdout
    assert (
        f"would be uid {_USER}'s, and the registry runs as root without power over the files of others" in done.stdout
    )
    assert not (home / "root").exists()


def test_a_log_that_nobody_reads_any_more_ends(command: Command) -> None:
    command("up")
    follow = f"exec {sys.executable} -m regdeploy logs --follow | head -1"
    with subprocess.Popen(["sh", "-c", follow], env=command.environ, stdout=subprocess.PIPE) as following:
        for _ in range(200):  # each question is a line of the log
            ask("/v2/", port=5000, tls=False)
            with suppress(subprocess.TimeoutExpired):
                following.wait(0.05)
                break
        ended = following.poll()
        following.kill()
    assert ended == 0
