from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from regdeploy.engine.facts import container_facts, engine_facts, image_facts, publishers
from regdeploy.engine.model import Mount, Publish

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
