"""The rig is what it says it is: real parts, apart from the machine's own, and gone afterwards."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from testcontainers.core.container import DockerContainer

from regdeploy.errors import ImageError
from regdeploy.registry.images import Generation, generation_of
from tests.rig.parts.engine import DockerEngine, mounts_below
from tests.rig.parts.isolation import ADDRESS
from tests.rig.parts.names import HOSTS, hosts_entry, hosts_line, put, take_away, trusted
from tests.rig.parts.pebble import Pebble
from tests.rig.parts.processes import RigError, alive, eventually, listening, of_folder
from tests.rig.parts.rig import Rig

#: Another run of the rig, with the same ports and a registry on 443; says where it lies, and ends with its input.
OTHER_RUN = """
import sys
from tests.rig.parts.isolation import isolate
from tests.rig.parts.pebble import Pebble, PebbleOptions
from tests.rig.parts.rig import running_rig
with running_rig(isolate()) as rig:
    pebble = Pebble(rig.folder / "pebble", PebbleOptions(directory_port=14000)).start()
    rig.clients.docker("run", "--detach", "--name", "registry", "--publish", "443:5000", "registry:2.8")
    print(rig.folder, flush=True)
    sys.stdin.read()
    pebble.stop()
"""


def answers(url: str, authority: trustme.CA | None = None) -> bool:
    """Whether that URL gives 200 now; the engine's proxy accepts connections before the container does."""
    context = ssl.create_default_context()
    if authority is not None:
        authority.configure_trust(context)
    try:
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def plain_registry(rig: Rig) -> Iterator[str]:
    """HOST:PORT of a registry as somebody would start it by hand."""
    with DockerContainer("registry:2.7").with_exposed_ports(5000) as container:
        address = f"127.0.0.1:{container.get_exposed_port(5000)}"
        eventually(lambda: answers(f"http://{address}/v2/"))
        yield address


@pytest.fixture
def other_run(rig: Rig) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_the_engine_is_the_rigs_own_and_has_the_images(rig: Rig) -> None:
    client = rig.docker()
    assert client.info()["DockerRootDir"].startswith(str(rig.folder))
    assert {tag for image in client.images.list() for tag in image.tags} >= {
        *("registry:2.7", "registry:2.8", "registry:3", "notaregistry:1", "busybox:latest")
    }


@pytest.mark.parametrize(
    ("reference", "generation"),
    [("registry:2.7", Generation.V2), ("registry:2.8", Generation.V2), ("registry:3", Generation.V3)],
)
def test_a_registry_image_answers_and_is_known_by_what_it_runs(
    rig: Rig, reference: str, generation: Generation
) -> None:
    config = rig.docker().images.get(reference).attrs["Config"]
    assert generation_of(config["Entrypoint"], config["Cmd"]) is generation
    with DockerContainer(reference).with_exposed_ports(5000) as container:
        port = int(container.get_exposed_port(5000))
        eventually(lambda: answers(f"http://127.0.0.1:{port}/v2/"))
        assert container.exec(["registry", "--version"]).output.startswith(b"registry ")


def test_the_image_that_is_no_registry_is_not_taken_for_one(rig: Rig) -> None:
    config = rig.docker().images.get("notaregistry:1").attrs["Config"]
    with pytest.raises(ImageError):
        generation_of(config["Entrypoint"] or [], config["Cmd"])
    assert rig.clients.docker("run", "--rm", "notaregistry:1", "id", "-u") == "0\n"


def test_the_usual_ca_answers_with_a_nonce_and_has_a_root(pebble: Pebble) -> None:
    context = ssl.create_default_context(cafile=str(pebble.ca_bundle))
    with urllib.request.urlopen(pebble.directory, context=context) as answer:
        directory = json.load(answer)
    request = urllib.request.Request(directory["newNonce"], method="HEAD")
    with urllib.request.urlopen(request, context=context) as answer:
        assert answer.headers["Replay-Nonce"]
    assert pebble.root_pem().startswith(b"-----BEGIN CERTIFICATE-----")


def test_a_second_ca_runs_beside_the_usual_one_with_its_own_options(
    pebble: Pebble, start_pebble: Callable[..., Pebble]
) -> None:
    second = start_pebble(eab=True, alternate_roots=1, chain_length=2)
    context = ssl.create_default_context(cafile=str(second.ca_bundle))
    with urllib.request.urlopen(second.directory, context=context) as answer:
        assert json.load(answer)["meta"]["externalAccountRequired"] is True
    assert len({pebble.root_pem(), second.root_pem(0), second.root_pem(1)}) == 3


def test_docker_pushes_and_pulls(rig: Rig, plain_registry: str) -> None:
    name = f"{plain_registry}/by-docker:1"
    rig.images.random(name)
    client = rig.docker()
    before = client.images.get(name).id
    rig.clients.docker("push", name)
    rig.images.forget(name)
    rig.clients.docker("pull", name)
    assert client.images.get(name).id == before
    rig.images.forget(name)


def test_skopeo_pushes_every_platform_and_pulls_one(rig: Rig, plain_registry: str, tmp_path: Path) -> None:
    index = rig.images.platforms(tmp_path / "index")
    target = f"{plain_registry}/by-skopeo:1"
    rig.images.push_layout(tmp_path / "index", target, "--dest-tls-verify=false")
    raw = rig.clients.skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{target}")
    assert index in rig.clients.skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{target}")
    assert [entry["platform"]["architecture"] for entry in json.loads(raw)["manifests"]] == ["amd64", "arm64", "arm"]
    rig.clients.skopeo("copy", "--src-tls-verify=false", f"docker://{target}", f"dir:{tmp_path / 'copy'}")


def test_podman_and_buildah_push_and_pull(rig: Rig, plain_registry: str, tmp_path: Path) -> None:
    archive = rig.images.save("busybox:latest", tmp_path / "busybox.tar")
    target = f"{plain_registry}/by-podman:1"
    rig.clients.podman("load", "--quiet", "--input", str(archive))
    rig.clients.podman("push", "--quiet", "--tls-verify=false", "busybox:latest", target)
    container = rig.clients.buildah("from", "--quiet", "--tls-verify=false", target).strip()
    assert rig.clients.buildah("run", container, "--", "sh", "-c", "echo $((40 + 2))") == "42\n"
    rig.clients.buildah("rm", container)
    rig.clients.podman("rmi", "--all", "--force")
    rig.clients.podman("pull", "--quiet", "--tls-verify=false", target)


def test_an_archive_and_an_oci_layout_of_an_image_hold_that_image(rig: Rig, tmp_path: Path) -> None:
    archive = rig.images.save("registry:3", tmp_path / "saved.tar")
    layout = rig.images.oci_layout("registry:3", tmp_path / "layout")
    for source in (f"docker-archive:{archive}", f"oci:{layout}:latest"):
        config = json.loads(rig.clients.skopeo("inspect", "--config", source))
        assert config["config"]["Cmd"] == ["/etc/distribution/config.yml"]


def test_a_client_that_fails_shows_what_it_said(rig: Rig) -> None:
    with pytest.raises(RigError, match="No such image: nowhere:1"):
        rig.clients.docker("image", "inspect", "nowhere:1")


def test_every_client_trusts_a_name_for_as_long_as_it_is_told(rig: Rig, clean_engine: None, tmp_path: Path) -> None:
    authority, domain = trustme.CA(), "regisry.lagoudocker.io"
    leaf = authority.issue_cert(domain)
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    rig.clients.docker(
        *("run", "--detach", "--publish", "443:443", "--volume", f"{tmp_path}:/certs:ro"),
        *("--env", "REGISTRY_HTTP_ADDR=:443", "--env", "REGISTRY_HTTP_TLS_CERTIFICATE=/certs/cert.pem"),
        *("--env", "REGISTRY_HTTP_TLS_KEY=/certs/key.pem", "registry:3"),
    )
    hosts = HOSTS.read_bytes()
    name = f"{domain}/trusted:1"
    rig.images.random(name)
    with hosts_entry(domain, ADDRESS):
        eventually(lambda: answers(f"https://{domain}/v2/", authority))
        with trusted(domain, authority.cert_pem.bytes()):
            rig.clients.docker("push", name)
            rig.clients.skopeo("inspect", f"docker://{name}")
            rig.clients.podman("pull", "--quiet", name)
        with pytest.raises(RigError, match="certificate"):
            rig.clients.docker("push", name)
        with pytest.raises(RigError, match="certificate"):
            rig.clients.skopeo("inspect", f"docker://{name}")
    assert HOSTS.read_bytes() == hosts
    assert not Path("/etc/docker/certs.d", domain).exists()
    rig.images.forget(name)


@pytest.mark.parametrize("before", ["127.0.0.1 localhost\n", "127.0.0.1 localhost", "", "10.0.0.1 a.example\n"])
def test_a_hosts_file_is_the_same_byte_for_byte_after_an_entry(tmp_path: Path, before: str) -> None:
    file = tmp_path / "hosts"
    file.write_text(before)
    with hosts_entry("a.example", "127.0.0.1", file):
        assert file.read_text().endswith("127.0.0.1 a.example\n")
    assert file.read_text() == before


def test_what_others_add_to_the_hosts_file_in_the_meantime_stays(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n")
    added = hosts_line("a.example", "127.0.0.1", file)
    put(added)
    with file.open("a") as hosts:
        hosts.write("10.0.0.1 theirs\n")
    take_away(added)
    take_away(added)
    assert file.read_text() == "127.0.0.1 localhost\n10.0.0.1 theirs\n"


def test_the_engine_sees_a_name_as_soon_as_it_is_there(rig: Rig) -> None:
    for _ in range(2):
        with pytest.raises(RigError, match="name resolution"):
            rig.clients.docker("pull", "soon.example:81/x:1")
        with hosts_entry("soon.example", "127.0.0.1"), pytest.raises(RigError, match="refused"):
            rig.clients.docker("pull", "soon.example:81/x:1")


def test_trust_leaves_neither_file_nor_folder_but_those_of_others(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.example"
    theirs.mkdir()
    with trusted("a.example:5000", b"PEM", [tmp_path, tmp_path / "new" / "certs.d"]):
        assert (tmp_path / "new" / "certs.d" / "a.example:5000" / "ca.crt").read_bytes() == b"PEM"
    assert list(tmp_path.iterdir()) == [theirs]


def test_trust_never_replaces_a_ca_that_somebody_put_there(tmp_path: Path) -> None:
    file = tmp_path / "b" / "a.example" / "ca.crt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"theirs")
    with pytest.raises(FileExistsError), trusted("a.example", b"ours", [tmp_path / "a", tmp_path / "b"]):
        pass
    assert file.read_bytes() == b"theirs"
    assert not (tmp_path / "a").exists()


def test_a_second_engine_remaps_users_and_publishes_a_port(rig: Rig) -> None:
    second = rig.second_engine("remap", "--userns-remap=default").start()
    try:
        host = ("--host", second.docker_host)
        archive = rig.images.save("registry:2.8", rig.folder / "remap.tar")
        rig.clients.docker(*host, "load", "--input", str(archive))
        archive.unlink()
        rig.clients.docker(
            *host, "run", "--detach", "--name", "one", "--publish", "127.0.0.1:5055:5000", "registry:2.8"
        )
        eventually(lambda: answers("http://127.0.0.1:5055/v2/"))
        pid = rig.clients.docker(*host, "inspect", "--format", "{{.State.Pid}}", "one").strip()
        assert Path(f"/proc/{pid}/uid_map").read_text().split()[1] != "0"
    finally:
        second.stop()
    assert_nothing_left(second)


def test_an_engine_that_was_killed_leaves_nothing_once_it_is_stopped(rig: Rig) -> None:
    second = rig.second_engine("killed").start()
    host = ("--host", second.docker_host)
    archive = rig.images.save("busybox:latest", rig.folder / "killed.tar")
    rig.clients.docker(*host, "load", "--input", str(archive))
    archive.unlink()
    rig.clients.docker(*host, "run", "--detach", "--name", "one", "busybox:latest", "sleep", "1000")
    pid = int(rig.clients.docker(*host, "inspect", "--format", "{{.State.Pid}}", "one"))
    second.kill()
    assert alive(pid)
    second.stop()
    assert not alive(pid)
    assert_nothing_left(second)


def test_an_engine_that_cannot_start_says_why(rig: Rig) -> None:
    second = rig.second_engine("broken", "--storage-driver=nonsense")
    with pytest.raises(RigError, match="nonsense"):
        second.start()
    second.stop()
    assert_nothing_left(second)


def test_two_runs_with_the_same_ports_do_not_meet(
    rig: Rig, pebble: Pebble, other_run: tuple[subprocess.Popen[str], Path]
) -> None:
    process, folder = other_run
    assert process.poll() is None
    assert not listening(443)
    assert not folder.exists()
    assert rig.clients.docker("ps", "--quiet", "--filter", "name=registry") == ""
    assert listening(pebble.port)
    process.communicate("", timeout=20)
    assert process.returncode == 0
    assert list(of_folder(folder)) == []


def test_a_run_that_is_killed_takes_its_engine_with_it(other_run: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = other_run
    assert list(of_folder(folder))
    process.send_signal(signal.SIGKILL)
    eventually(lambda: not list(of_folder(folder)))
    engine = DockerEngine(folder / "engine", tied=True)
    engine.stop()  # only the cgroups are left by now: the kernel has no end for those
    assert_nothing_left(engine)


def assert_nothing_left(engine: DockerEngine) -> None:
    assert list(of_folder(engine.folder)) == []
    assert mounts_below(engine.folder) == []
    assert not engine.folder.exists()
    assert not engine.bridge or engine.bridge not in subprocess.check_output(["ip", "link", "show"], text=True)
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{engine.cgroup}"))
