from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from regdeploy.engine.facts import container_facts, engine_facts, image_facts, publishers
from regdeploy.engine.model import Attachment, Mount, Publish

VERSION = {"Version": "28.2.2", "ApiVersion": "1.50", "Os": "linux", "Arch": "amd64"}


def inspected(**parts: Any) -> dict[str, Any]:
    return {"Id": "1f", "Name": "/registry", "Image": "sha256:2e", "State": {"Status": "running"}, **parts}


def test_a_container_about_which_little_is_said_is_described_all_the_same() -> None:
    facts = container_facts({"Id": "1f", "Name": "/registry"})
    assert (facts.id, facts.name, facts.state, facts.health) == ("1f", "registry", "dead", "none")
    assert (facts.started_at, facts.exit_code, facts.restart_policy) == (None, None, "no")


def test_times_are_read_to_the_microsecond_and_never_is_none() -> None:
    state = {"Status": "exited", "StartedAt": "2026-11-24T08:00:00.123456789Z", "FinishedAt": "0001-01-01T00:00:00Z"}
    facts = container_facts(inspected(State=state))
    assert facts.started_at == datetime(2026, 11, 24, 8, 0, 0, 123456, tzinfo=UTC)
    assert facts.finished_at is None
    state = {"Status": "running", "StartedAt": "2026-11-24T16:00:00.5+08:00"}
    assert container_facts(inspected(State=state)).started_at == datetime(2026, 11, 24, 8, 0, 0, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "started", "code"),
    [("created", "0001-01-01T00:00:00Z", None), ("running", "2026-11-24T08:00:00Z", None)]
    + [(status, "2026-11-24T08:00:00Z", 137) for status in ("exited", "dead", "restarting")],
)
def test_only_what_ran_and_ended_has_an_exit_code(status: str, started: str, code: int | None) -> None:
    state = {"Status": status, "StartedAt": started, "ExitCode": 137}
    assert container_facts(inspected(State=state)).exit_code == code


def test_a_container_that_is_being_removed_is_as_good_as_dead() -> None:
    assert container_facts(inspected(State={"Status": "removing"})).state == "dead"


@pytest.mark.parametrize(
    ("health", "said"), [({"Status": "healthy"}, "healthy"), ({"Status": ""}, "none"), (None, "none")]
)
def test_health_is_the_containers_own(health: Any, said: str) -> None:
    assert container_facts(inspected(State={"Status": "running", "Health": health})).health == said


@pytest.mark.parametrize(
    ("option", "on"),
    [
        ("no-new-privileges", True),
        ("no-new-privileges:true", True),
        ("no-new-privileges=true", True),
        ("no-new-privileges:false", False),
        ("apparmor=no-new-privileges", False),
        ("seccomp=unconfined", False),
    ],
)
def test_no_new_privileges_is_known_in_every_spelling(option: str, on: bool) -> None:
    assert container_facts(inspected(HostConfig={"SecurityOpt": [option]})).no_new_privileges is on


def test_capabilities_are_named_without_their_prefix() -> None:
    facts = container_facts(inspected(HostConfig={"CapDrop": ["all"], "CapAdd": ["CAP_NET_BIND_SERVICE", "chown"]}))
    assert (facts.cap_drop, facts.cap_add) == (("ALL",), ("NET_BIND_SERVICE", "CHOWN"))


@pytest.mark.parametrize(("limit", "said"), [(None, None), (0, None), (-1, None), (7, 7)])
def test_no_limit_of_processes_is_none(limit: int | None, said: int | None) -> None:
    assert container_facts(inspected(HostConfig={"PidsLimit": limit})).pids_limit == said


def test_only_json_files_have_the_options_that_we_ask_for() -> None:
    options = {"max-size": "10m"}
    as_files = {"LogConfig": {"Type": "json-file", "Config": options}}
    assert container_facts(inspected(HostConfig=as_files)).log_options == options
    assert container_facts(inspected(HostConfig={"LogConfig": {"Type": "local", "Config": options}})).log_options == {}


def test_a_variable_without_a_value_is_none_and_one_with_an_empty_value_is_empty() -> None:
    facts = container_facts(inspected(Config={"Env": ["A=b=c", "EMPTY=", "UNSET"]}))
    assert facts.environment == {"A": "b=c", "EMPTY": ""}


def test_mounts_are_told_by_target_whatever_their_order() -> None:
    mounts = [
        {"Type": "volume", "Name": "data", "Source": "/docker/volumes/data/_data", "Destination": "/z", "RW": True},
        {"Type": "bind", "Source": "/srv", "Destination": "/a", "RW": False},
        {"Type": "tmpfs", "Source": "", "Destination": "/run", "RW": True},
    ]
    expected = (
        Mount("/srv", "/a", read_only=True),
        Mount("", "/run", kind="tmpfs"),
        Mount("", "/tmp", kind="tmpfs"),
        Mount("data", "/z", kind="volume"),
    )
    for order in (mounts, mounts[::-1]):
        told = container_facts(inspected(Mounts=order, HostConfig={"Tmpfs": {"/tmp": "", "/run": ""}}))
        assert told.mounts == expected


def test_a_volume_lies_where_its_content_stays_when_its_last_container_stops() -> None:
    anonymous = "0f" * 32

    def path(volume: dict[str, Any] | None, name: str = "data", **entry: Any) -> str:
        mount = {"Type": "volume", "Name": name, "Source": "/v/data/_data", "Destination": "/z", "RW": True, **entry}
        volumes = {} if volume is None else {name: volume}
        (told,) = container_facts(inspected(Mounts=[mount]), volumes).mounts
        assert told.anonymous is (name == anonymous)
        return told.path

    bound = {"type": "none", "o": "rw,bind", "device": "/srv/images"}
    assert path({"Options": None}, Driver="local") == "/v/data/_data"
    assert path(None) == "/v/data/_data"
    assert path({"Options": {"size": "9G"}}, name=anonymous) == "/v/data/_data"
    assert path({"Options": bound}, Driver="local") == "/srv/images"
    assert path({"Options": {"type": "nfs", "device": ":/images", "o": "addr=10.0.0.2"}}) == ""
    assert path({"Options": {"type": "tmpfs", "device": "tmpfs"}}) == ""
    assert path({"Options": None}, Driver="convoy") == ""


def test_where_a_volume_lies_is_not_what_makes_two_mounts_different() -> None:
    assert Mount("data", "/z", kind="volume", volume_path="/v/data/_data") == Mount("data", "/z", kind="volume")


def test_of_what_is_no_volume_only_a_bind_has_a_folder_on_the_host() -> None:
    assert (Mount("/srv", "/a").path, Mount("", "/a", kind="tmpfs").path) == ("/srv", "")
    assert not Mount("/0f" * 32, "/a").anonymous


def test_a_network_has_the_names_that_were_given_there_and_not_the_engines() -> None:
    back = {"Aliases": ["1f", "images", "registry"], "IPAMConfig": {"IPv4Address": "10.7.0.9"}, "IPAddress": "10.7.0.9"}
    networks = {"front": {"Aliases": None, "IPAMConfig": None, "IPAddress": "10.8.0.2"}, "back": back}
    facts = container_facts(inspected(NetworkSettings={"Networks": networks}))
    assert facts.networks == (
        Attachment(network="back", aliases=("images",), address="10.7.0.9"),
        Attachment(network="front"),
    )


@pytest.mark.parametrize(
    ("hostname", "mode", "told"),
    [("1f", "default", ""), ("box", "default", "box"), ("host-name", "host", ""), ("box", "container:2e", "")],
)
def test_a_host_name_is_told_where_it_was_chosen(hostname: str, mode: str, told: str) -> None:
    answer = inspected(Config={"Hostname": hostname}, HostConfig={"NetworkMode": mode})
    assert container_facts(answer).hostname == told


@pytest.mark.parametrize(("test", "on"), [(["CMD", "true"], True), (["NONE"], False), ([], False), (None, False)])
def test_a_health_check_that_was_switched_off_is_none(test: list[str] | None, on: bool) -> None:
    assert container_facts(inspected(Config={"Healthcheck": {"Test": test}})).healthcheck is on


@pytest.mark.parametrize(
    ("host", "flags"),
    [
        (
            {"Memory": 512 << 20, "MemorySwap": 1 << 30, "MemoryReservation": 1500},
            {"--memory": "512m", "--memory-reservation": "1500"},
        ),
        ({"Memory": 1 << 30, "MemorySwap": -1}, {"--memory": "1g", "--memory-swap": "-1"}),
        ({"CpuQuota": 50_000, "CpuPeriod": 0}, {"--cpus": "0.5"}),
        ({"CpuQuota": -1, "NanoCpus": 0}, {}),
        ({"ShmSize": 64 << 20, "IpcMode": "private", "Runtime": "runc", "PidMode": ""}, {}),
        (
            {"ShmSize": 1 << 30, "IpcMode": "host", "Runtime": "kata"},
            {"--shm-size": "1g", "--ipc": "host", "--runtime": "kata"},
        ),
        ({"SecurityOpt": ["no-new-privileges:true", "label=disable"]}, {"--security-opt": "label=disable"}),
        ({"SecurityOpt": ["label=disable"], "Privileged": True}, {}),
        ({"DeviceRequests": [{"Count": -1}], "Init": True}, {"--gpus": "all", "--init": "true"}),
        ({"Links": ["/redis:/registry/cache"]}, {"--link": "redis:cache"}),
        ({"CgroupParent": "/slow", "CpusetCpus": "0-1"}, {"--cgroup-parent": "/slow", "--cpuset-cpus": "0-1"}),
    ],
)
def test_what_was_asked_for_is_told_by_its_flag_and_what_the_engine_added_is_not(
    host: dict[str, Any], flags: dict[str, str]
) -> None:
    assert container_facts(inspected(HostConfig=host)).flags == {flag: (value,) for flag, value in flags.items()}


def test_podman_says_the_same_in_its_own_way() -> None:
    host = {
        "LogConfig": {"Type": "json-file", "Config": None},
        "NetworkMode": "bridge",
        "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
        "IpcMode": "shareable",
        "PidMode": "private",
        "UTSMode": "private",
        "ShmSize": 65536000,
        "Runtime": "oci",
        "Ulimits": [
            {"Name": "RLIMIT_NOFILE", "Hard": 2048, "Soft": 1024},
            {"Name": "RLIMIT_NPROC", "Hard": 32768, "Soft": 32768},
        ],
    }
    layers = {"UpperDir": "/p/overlay/u/diff", "LowerDir": "/p/overlay/l2/diff:/p/overlay/l1/diff"}
    state = {"Status": "created", "Health": {"Status": "", "FailingStreak": 0, "Log": None}}
    facts = container_facts(
        inspected(
            State=state,
            HostConfig=host,
            GraphDriver={"Name": "overlay", "Data": layers},
            NetworkSettings={"Networks": {"podman": {"Aliases": ["1f"], "IPAMConfig": None}}},
        )
    )
    assert facts.flags == {"--ulimit": ("nofile=1024:2048",)}
    assert facts.networks == (Attachment(network="podman"),)
    assert (facts.restart_policy, facts.auto_remove, facts.healthcheck, facts.log_driver) == (
        "no",
        False,
        False,
        "json-file",
    )
    assert (facts.layer, facts.lower) == ("/p/overlay/u/diff", ("/p/overlay/l2/diff", "/p/overlay/l1/diff"))


def test_a_layer_of_which_the_engine_tells_no_folder_is_unknown() -> None:
    for driver in (None, {"Name": "vfs", "Data": {"MergedDir": "/x"}}, {"Name": "btrfs", "Data": None}):
        facts = container_facts(inspected(GraphDriver=driver))
        assert (facts.layer, facts.lower) == ("", ())


def test_what_a_logs_driver_is_told_stays_out_of_sight() -> None:
    config = {"Type": "splunk", "Config": {"splunk-token": "hunter2"}}
    facts = container_facts(inspected(HostConfig={"LogConfig": config}))
    assert (facts.log_driver, facts.log_driver_options["splunk-token"]) == ("splunk", "hunter2")
    assert "hunter2" not in repr(facts)


@pytest.mark.parametrize(
    ("modes", "on"),
    [([], False), ([""], False), (["ro"], False), (["z"], True), (["ro,Z", "z"], True), (["z", "ro"], False)],
)
def test_folders_are_relabelled_where_every_one_of_them_was_asked_to_be(modes: list[str], on: bool) -> None:
    mounts: list[dict[str, Any]] = [{"Type": "volume", "Name": "data", "Destination": "/x", "RW": True, "Mode": "z"}]
    mounts += [{"Type": "bind", "Source": "/srv", "Destination": f"/{mode}", "Mode": mode} for mode in modes]
    assert container_facts(inspected(Mounts=mounts)).selinux_relabel is on


@pytest.mark.parametrize(
    ("asked", "actual", "told"),
    [
        ([("", "443")], [("0.0.0.0", "443"), ("::", "443")], [("", 443)]),
        ([("0.0.0.0", "443")], [("0.0.0.0", "443")], [("0.0.0.0", 443)]),
        ([("127.0.0.1", "443"), ("::1", "443")], [], [("127.0.0.1", 443), ("::1", 443)]),
        ([("", "")], [("0.0.0.0", "32768"), ("::", "32768")], [("", 32768)]),
        ([("", "0")], [("0.0.0.0", "32768"), ("::", "32769")], [("0.0.0.0", 32768), ("::", 32769)]),
        ([("", "8000-8010")], [("0.0.0.0", "8001"), ("::", "8001")], [("", 8001)]),
        ([("", "")], [], []),
        ([], [("127.0.0.1", "32768")], [("127.0.0.1", 32768)]),
    ],
)
def test_ports_are_told_as_asked_for_or_as_the_engine_chose(
    asked: list[tuple[str, str]], actual: list[tuple[str, str]], told: list[tuple[str, int]]
) -> None:
    def bindings(pairs: list[tuple[str, str]]) -> dict[str, Any]:
        return {"5000/tcp": [{"HostIp": ip, "HostPort": port} for ip, port in pairs] or None, "53/udp": None}

    answer = inspected(HostConfig={"PortBindings": bindings(asked)}, NetworkSettings={"Ports": bindings(actual)})
    assert container_facts(answer).publishes == tuple(Publish(ip, port, 5000) for ip, port in told)


def test_an_images_version_comes_from_its_label() -> None:
    config = {"Labels": {"org.opencontainers.image.version": "3.1.1"}, "Cmd": ["x"], "Env": ["PATH=/bin"]}
    facts = image_facts({"Id": "sha256:2e", "Config": config, "RepoTags": None, "Size": 5})
    assert (facts.version, facts.command, facts.tags, facts.size) == ("3.1.1", ("x",), (), 5)
    assert image_facts({"Id": "sha256:2e", "Config": {"Labels": None}}).version == ""


@pytest.mark.parametrize(
    ("options", "rootless", "remapped", "selinux"),
    [
        (None, False, False, False),
        (["name=seccomp,profile=builtin", "name=rootless"], True, False, False),
        (["name=userns", "name=selinux"], False, True, True),
    ],
)
def test_the_engines_security_is_read_from_its_options(
    options: list[str] | None, rootless: bool, remapped: bool, selinux: bool
) -> None:
    facts = engine_facts(VERSION, {"SecurityOptions": options}, url="unix:///x", remote=False)
    assert (facts.rootless, facts.userns_remap, facts.selinux) == (rootless, remapped, selinux)


@pytest.mark.parametrize(
    ("component", "runtime"), [("Podman Engine", "podman"), ("Engine", "docker"), (None, "docker")]
)
def test_podman_is_known_by_its_component(component: str | None, runtime: str) -> None:
    version = {**VERSION, "Components": [{"Name": component}]}
    assert engine_facts(version, {}, url="unix:///x", remote=False).runtime_name == runtime


def test_who_publishes_a_port_is_told_once_for_both_families() -> None:
    def listed(name: str, ip: str, public: int | None, kind: str = "tcp") -> dict[str, Any]:
        return {"Id": "1" * 64, "Names": [f"/{name}"], "Ports": [{"IP": ip, "PublicPort": public, "Type": kind}]}

    containers = [
        listed("web", "0.0.0.0", 443),
        listed("web", "::", 443),
        listed("local", "127.0.0.1", 443),
        listed("quic", "0.0.0.0", 443, "udp"),
        listed("other", "0.0.0.0", 80),
        listed("inside", "", None),
        {"Id": "2" * 64, "Names": None, "Ports": None},
    ]
    assert publishers(containers, 443) == (("web", ""), ("local", "127.0.0.1"))
