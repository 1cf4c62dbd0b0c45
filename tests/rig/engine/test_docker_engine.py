"""The real engine keeps the contract, and does what only a real one can show."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from regdeploy.engine.connect import connect
from regdeploy.engine.docker_engine import DockerEngine
from regdeploy.engine.model import Attachment, Mount, Publish
from regdeploy.errors import EngineError
from tests.contract.engine_contract import NAME, PATIENCE, EngineContract, ignore, shape
from tests.rig.engine.conftest import Shelf
from tests.rig.engine.subject import IMAGE, DockerSubject
from tests.rig.parts.processes import stop_pid
from tests.rig.parts.rig import Rig


class TestDockerEngine(EngineContract):
    @pytest.fixture
    def subject(self, rig: Rig, tmp_path: Path, clean_engine: None) -> DockerSubject:
        return DockerSubject(rig, tmp_path)

    @pytest.fixture
    def missing_image(self, shelf: Shelf) -> str:
        return f"{shelf.host}/nobody/has:this"


def wait_for(true: Callable[[], bool]) -> None:
    """Return once it is true; the test hangs, and is ended, where it never is."""
    while not true():
        time.sleep(0.02)


def _inspect(rig: Rig, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(rig.clients.docker("inspect", name))
    return found[0]


def test_docker_shows_the_container_as_a_careful_administrator_would_have_typed_it(
    rig: Rig, subject: DockerSubject, engine: DockerEngine
) -> None:
    port = subject.port()
    engine.prepare(
        subject.workload(
            environment={"REGISTRY_HTTP_ADDR": "0.0.0.0:443"},
            mounts=(
                Mount(str(subject.folder), "/var/lib/registry"),
                Mount(str(subject.folder), "/certs", read_only=True),
            ),
            publishes=(Publish("", port, 443), Publish("127.0.0.1", port + 1, 443)),
            stop_timeout=40,
            pids_limit=1024,
            selinux_relabel=False,
        )
    )
    found = _inspect(rig, f"{NAME}-next")
    config, host = found["Config"], found["HostConfig"]
    assert config["Image"] == IMAGE
    assert config["StopTimeout"] == 40
    assert "REGISTRY_HTTP_ADDR=0.0.0.0:443" in config["Env"]
    assert config["ExposedPorts"] == {"443/tcp": {}}
    assert config["Tty"] is False
    assert host["Binds"] == [f"{subject.folder}:/var/lib/registry", f"{subject.folder}:/certs:ro"]
    assert host["PortBindings"] == {
        "443/tcp": [
            {"HostIp": "", "HostPort": str(port)},
            {"HostIp": "127.0.0.1", "HostPort": str(port + 1)},
        ]
    }
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] == ["NET_BIND_SERVICE"]
    assert host["Privileged"] is False
    assert host["ReadonlyRootfs"] is True
    assert host["Tmpfs"] == {"/tmp": ""}
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PidsLimit"] == 1024
    assert host["RestartPolicy"] == {"Name": "unless-stopped", "MaximumRetryCount": 0}
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert host["NetworkMode"] == "default"
    assert host["UsernsMode"] == ""
    assert host["AutoRemove"] is False


def test_the_shared_selinux_label_is_asked_for_as_after_v(
    rig: Rig, subject: DockerSubject, engine: DockerEngine
) -> None:
    mounts = (Mount(str(subject.folder), "/data"), Mount(str(subject.folder), "/certs", read_only=True))
    engine.prepare(subject.workload(mounts=mounts, selinux_relabel=True))
    binds = _inspect(rig, f"{NAME}-next")["HostConfig"]["Binds"]
    assert binds == [f"{subject.folder}:/data:z", f"{subject.folder}:/certs:ro,z"]
    candidate = engine.observe(NAME).candidate
    assert candidate is not None
    assert [mount for mount in candidate.mounts if mount.kind == "bind"] == [mounts[1], mounts[0]]
    assert candidate.selinux_relabel


def test_inside_nothing_can_be_written_but_where_it_should_be(subject: DockerSubject, engine: DockerEngine) -> None:
    data, certs = subject.folder / "data", subject.folder / "certs"
    data.mkdir()
    certs.mkdir()
    script = "for f in /x /certs/x /tmp/x /data/x; do touch $f 2>/dev/null && echo $f; done; true"
    mounts = (Mount(str(data), "/data"), Mount(str(certs), "/certs", read_only=True))
    engine.prepare(subject.workload(command=("sh", "-c", script), mounts=mounts))
    engine.activate(NAME, PATIENCE)
    assert list(islice(engine.logs(NAME, 2, follow=True), 2)) == ["/tmp/x", "/data/x"]


def test_a_folder_that_is_missing_is_not_made_by_docker(subject: DockerSubject, engine: DockerEngine) -> None:
    missing = subject.folder / "data"
    with pytest.raises(EngineError) as raised:
        engine.prepare(subject.workload(mounts=(Mount(str(missing), "/data"),)))
    assert str(missing) in str(raised.value)
    assert raised.value.code == "host.files"
    assert not missing.exists()
    assert shape(engine.observe(NAME)) == {}


def test_an_image_whose_name_has_moved_on_is_started_by_its_id(
    rig: Rig, subject: DockerSubject, engine: DockerEngine
) -> None:
    rig.clients.docker("tag", "registry:3", "moving:1")
    engine.prepare(subject.workload(image="moving:1"))
    candidate = engine.observe(NAME).candidate
    rig.clients.docker("rmi", "moving:1")
    assert candidate is not None
    assert candidate.image_id == candidate.image == subject.workload().image_id


def test_a_log_is_followed_to_the_containers_end_whatever_its_bytes(
    subject: DockerSubject, engine: DockerEngine
) -> None:
    # printf's 40 000 spaces make a line that the engine stores in three parts
    script = r"echo one; printf 'a\377b\r\n'; printf '%40000s|\n' x >&2; sleep 0.3; printf last"
    engine.prepare(subject.workload(command=("sh", "-c", script)))
    engine.activate(NAME, PATIENCE)
    lines = engine.logs(NAME, 50, follow=True)
    first = {next(lines), next(lines), next(lines)}  # in any order: the two streams reach the engine by two pipes
    engine.stop(NAME, PATIENCE)
    assert first == {"one", "a\N{REPLACEMENT CHARACTER}b", f"{'x':>40000}|"}
    assert list(lines) in (["last"], [])


def test_a_log_that_is_followed_can_be_left(subject: DockerSubject, engine: DockerEngine) -> None:
    engine.prepare(subject.workload())
    engine.activate(NAME, PATIENCE)
    for _ in range(15):
        with closing(engine.logs(NAME, 5, follow=True)) as lines:  # type: ignore[type-var]  # a generator
            assert next(lines) == "up"
    assert shape(engine.observe(NAME)).keys() == {"current"}


def test_the_log_of_the_errors_stream_is_read_too(subject: DockerSubject, engine: DockerEngine) -> None:
    engine.prepare(subject.workload(command=("sh", "-c", "echo out; echo err >&2; sleep 100 & wait")))
    engine.activate(NAME, PATIENCE)
    assert set(islice(engine.logs(NAME, 5, follow=True), 2)) == {"out", "err"}


def test_ports_that_the_engine_chose_are_told_as_they_are(rig: Rig, engine: DockerEngine) -> None:
    rig.clients.docker("run", "-d", "--name", NAME, "-p", "5000", IMAGE, "sleep", "100")
    current = engine.observe(NAME).current
    assert current is not None
    (publish,) = current.publishes
    port = int(rig.clients.docker("port", NAME, "5000/tcp").splitlines()[0].rpartition(":")[2])
    assert (publish.host_port, publish.container_port) == (port, 5000)
    assert [name for name, _ in engine.publishers(port)] == [NAME]


def test_containers_of_other_people_are_described_without_a_fault(rig: Rig, engine: DockerEngine) -> None:
    options = ["--tmpfs", "/run", "-v", "somewhere:/data", "-p", "127.0.0.1:53535:53/udp"]
    rig.clients.docker("run", "-d", "--name", NAME, "--log-driver", "none", *options, IMAGE, "sleep", "100")
    try:
        current = engine.observe(NAME).current
        assert current is not None
        assert {mount.kind: (mount.source, mount.target) for mount in current.mounts} == {
            "volume": ("somewhere", "/data"),
            "tmpfs": ("", "/run"),
        }
        assert (current.publishes, current.cap_drop, current.read_only) == ((), (), False)
        assert (current.restart_policy, current.log_options, current.stop_timeout) == ("no", {}, None)
        assert current.pids_limit is None
        assert current.deployment == ""
    finally:
        rig.clients.docker("rm", "--force", NAME)
        rig.clients.docker("volume", "rm", "somewhere")


def test_what_somebody_else_asked_for_is_told_by_the_flags_that_they_typed(rig: Rig, engine: DockerEngine) -> None:
    docker = rig.clients.docker
    flags = {
        "--memory": ("512m",),
        "--cpus": ("1.5",),
        "--cpu-shares": ("512",),
        "--add-host": ("store:10.0.0.9",),
        "--dns": ("10.0.0.53",),
        "--device": ("/dev/null:/dev/nothing",),
        "--ulimit": ("nofile=1024:2048",),
        "--sysctl": ("net.core.somaxconn=99",),
        "--security-opt": ("seccomp=unconfined",),
        "--link": ("helper:cache",),
        "--volumes-from": ("helper:ro",),
    }
    typed = [f"{flag}={value}" for flag, values in flags.items() for value in values]
    rest = ["--user=65534:65534", "--hostname=box", "--workdir=/tmp", "--privileged", "--log-driver=none"]
    health = ["--health-cmd=true", "--restart=on-failure:4", "--shm-size=64m"]
    docker("run", "-d", "--name", "helper", "-v", "/kept", IMAGE, "sleep", "100")
    docker("run", "-d", "--name", NAME, *typed, *rest, *health, IMAGE, "sleep", "100")
    plain, current = engine.observe("helper").current, engine.observe(NAME).current
    assert plain is not None
    assert current is not None
    assert plain.flags == {}
    assert current.flags == dict(sorted(flags.items()))
    assert (current.user, current.hostname, current.working_dir) == ("65534:65534", "box", "/tmp")
    assert (current.privileged, current.healthcheck, current.log_driver) == (True, True, "none")
    assert (current.restart_policy, current.restart_retries) == ("on-failure", 4)
    assert [mount.target for mount in current.mounts] == ["/kept"]


def test_networks_are_told_with_the_names_and_addresses_that_were_asked_for(rig: Rig, engine: DockerEngine) -> None:
    docker = rig.clients.docker
    docker("network", "create", "--subnet", "10.77.0.0/24", "back")
    try:
        options = ["--network=back", "--network-alias=images", "--ip=10.77.0.9"]
        docker("run", "-d", "--name", NAME, *options, IMAGE, "sleep", "100")
        docker("network", "connect", "bridge", NAME)
        current = engine.observe(NAME).current
        assert current is not None
        assert current.networks == (
            Attachment(network="back", aliases=("images",), address="10.77.0.9"),
            Attachment(network="bridge"),
        )
        docker("rm", "--force", NAME)
    finally:
        docker("network", "rm", "back")


def test_where_data_lies_on_the_host_is_told_while_it_runs_and_after(
    rig: Rig, engine: DockerEngine, tmp_path: Path
) -> None:
    docker = rig.clients.docker
    bound, held = tmp_path / "bound", tmp_path / "held"
    bound.mkdir()
    held.mkdir()
    docker("volume", "create", "--opt=type=none", f"--opt=device={held}", "--opt=o=bind", "elsewhere")
    docker("volume", "create", "--opt=type=tmpfs", "--opt=device=tmpfs", "fleeting")
    try:
        options = ["-v", f"{bound}:/bound", "-v", "named:/named", "-v", "/nameless", "--tmpfs", "/fast"]
        options += ["-v", "elsewhere:/elsewhere", "-v", "fleeting:/fleeting"]
        script = (
            "for d in bound named nameless elsewhere fleeting layer; do mkdir -p /$d; echo $d > /$d/it; done; sleep 99"
        )
        docker("run", "-d", "--name", NAME, *options, IMAGE, "sh", "-c", script)
        wait_for(lambda: engine.read_file(NAME, "/layer/it") is not None)
        for _ in range(2):
            current = engine.observe(NAME).current
            assert current is not None
            paths = {mount.target: mount.path for mount in current.mounts}
            assert (paths.pop("/fast"), paths.pop("/fleeting")) == ("", "")
            assert paths.keys() == {"/bound", "/named", "/nameless", "/elsewhere"}
            told = {target: Path(path, "it").read_text().strip() for target, path in paths.items()}
            assert told == {target: target[1:] for target in paths}
            assert Path(current.layer, "layer/it").read_text() == "layer\n"
            assert any(Path(folder, "bin/sh").exists() for folder in current.lower)
            assert [mount.target for mount in current.mounts if mount.anonymous] == ["/nameless"]
            engine.stop(NAME, 0)
        docker("rm", "--volumes", NAME)
    finally:
        docker("volume", "rm", "elsewhere", "fleeting", "named")


def test_a_file_is_read_from_mounts_and_through_links(rig: Rig, engine: DockerEngine, tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("bound")
    links = {"a": "../conf/config.yml", "b": "/l/a", "none": "/nowhere", "folder": "/conf"}
    script = " ".join(["mkdir /l;", *(f"ln -s {target} /l/{name};" for name, target in links.items()), "sleep 99"])
    command = ["-v", f"{tmp_path}:/conf:ro", IMAGE, "sh", "-c", script]
    rig.clients.docker("run", "-d", "--name", NAME, *command)
    wait_for(lambda: engine.read_file(NAME, "/l/folder/config.yml") is not None)
    for _ in range(2):
        paths = ["/conf/config.yml", "/l/a", "/l/b", "/l/folder/config.yml", "/conf/../conf/config.yml"]
        assert {engine.read_file(NAME, path) for path in paths} == {b"bound"}
        assert [engine.read_file(NAME, path) for path in ("/l/none", "/l/folder", "/dev/zero")] == [None] * 3
        engine.stop(NAME, 0)


def test_of_a_large_folder_no_more_is_read_than_its_name(rig: Rig, engine: DockerEngine, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(4 << 30)
    rig.clients.docker("create", "--name", NAME, "-v", f"{tmp_path}:/conf:ro", IMAGE)
    for _ in range(15):
        assert engine.read_file(NAME, "/conf") is None
    assert shape(engine.observe(NAME)).keys() == {"current"}


def test_removing_a_container_leaves_its_volumes(rig: Rig, engine: DockerEngine) -> None:
    rig.clients.docker("run", "-d", "--name", NAME, "registry:2.8")
    (mount,) = engine.observe(NAME).current.mounts  # type: ignore[union-attr]  # it was just made
    engine.remove(NAME)
    assert mount.source in rig.clients.docker("volume", "ls", "--quiet")
    rig.clients.docker("volume", "rm", mount.source)


def test_the_engine_is_asked_only_once_what_it_is(rig: Rig) -> None:
    engine = connect(rig.docker_host)
    facts = engine.facts()
    engine._client.api.close()
    started = time.monotonic()
    assert [engine.facts() for _ in range(1000)] == [facts] * 1000
    assert time.monotonic() - started < 0.1


def test_what_is_kept_stays_stopped_when_the_engine_starts_again(rig: Rig, tmp_path: Path) -> None:
    second = rig.second_engine("restart").start()
    try:
        archive = rig.images.save(IMAGE, tmp_path / "image.tar")
        connect(second.docker_host).load(archive, ignore)
        subject = DockerSubject(rig, tmp_path, second.docker_host)
        engine, _ = subject.process()
        subject.make_foreign(NAME, "always")
        engine.prepare(subject.workload())
        engine.activate(NAME, PATIENCE)
        engine.settle(NAME, f"{NAME}-kept")
        assert second.pid is not None
        stop_pid(second.pid)
        second.start()
        states = {container.name: container.state for container in subject.process()[0].containers()}
        assert states == {NAME: "running", f"{NAME}-kept": "exited"}
    finally:
        second.stop()


def test_a_container_can_leave_the_engines_user_namespace(rig: Rig, tmp_path: Path) -> None:
    remapped = rig.second_engine("remap", "--userns-remap=default").start()
    try:
        engine = connect(remapped.docker_host)
        engine.load(rig.images.save(IMAGE, tmp_path / "image.tar"), ignore)
        assert engine.facts().userns_remap
        subject = DockerSubject(rig, tmp_path, remapped.docker_host)
        engine.prepare(subject.workload(command=("sh", "-c", "cat /proc/self/uid_map"), host_userns=True))
        engine.activate(NAME, PATIENCE)
        current = engine.observe(NAME).current
        assert current is not None
        assert current.userns_mode == "host"
        assert next(iter(engine.logs(NAME, 1, follow=True))).split() == ["0", "0", "4294967295"]
    finally:
        remapped.stop()
