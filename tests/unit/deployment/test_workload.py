"""The container as it should be, and every way in which one that is there may differ from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import regdeploy
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Resolved
from regdeploy.deployment.workload import as_deployed, desired_workload, differences, is_ours, short
from regdeploy.engine.model import (
    LABEL_DEPLOYMENT,
    LABEL_FILES,
    LABEL_SPEC,
    LABEL_VERSION,
    ContainerFacts,
    ImageFacts,
    Mount,
    Publish,
)
from regdeploy.errors import ImageError
from tests.builders import (
    CONFIG,
    DOMAIN,
    ENGINE,
    IMAGE,
    SECRET,
    acme,
    container,
    files,
    foreign,
    internal,
    resolved,
    wanted,
)

OLDER = replace(IMAGE, command=("/etc/docker/registry/config.yml",))
DATA = Mount("/var/lib/registry/data", "/var/lib/registry")
CONFIG_3 = Mount("/var/lib/registry/config", "/etc/distribution", read_only=True)
CERTS = Mount("/var/lib/registry/certs", "/certs", read_only=True)
AUTH = Mount("/var/lib/registry/auth", "/auth", read_only=True)

HTTP = {"REGISTRY_HTTP_ADDR": "0.0.0.0:5000", "REGISTRY_HTTP_SECRET": SECRET.reveal()}
HTTPS = {
    "REGISTRY_HTTP_ADDR": "0.0.0.0:443",
    "REGISTRY_HTTP_SECRET": SECRET.reveal(),
    "REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/registry.example.com.crt",
    "REGISTRY_HTTP_TLS_KEY": "/certs/registry.example.com.key",
}
LOGIN = {
    "REGISTRY_AUTH": "htpasswd",
    "REGISTRY_AUTH_HTPASSWD_REALM": "Registry",
    "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd",
}
QUIET = {"OTEL_TRACES_EXPORTER": "none"}


@pytest.mark.parametrize(
    ("asked", "environment", "mounts", "publish"),
    [
        (resolved(), HTTP, (DATA, CONFIG_3), Publish("127.0.0.1", 5000, 5000)),
        (resolved(auth=True), {**HTTP, **LOGIN}, (DATA, CONFIG_3, AUTH), Publish("127.0.0.1", 5000, 5000)),
        (acme(), {**HTTPS, **LOGIN}, (DATA, CONFIG_3, CERTS, AUTH), Publish("", 443, 443)),
        (acme(auth=False, port=8443), HTTPS, (DATA, CONFIG_3, CERTS), Publish("", 8443, 443)),
        (internal(bind="10.0.0.7"), {**HTTPS, **LOGIN}, (DATA, CONFIG_3, CERTS, AUTH), Publish("10.0.0.7", 443, 443)),
        (files(auth=False), HTTPS, (DATA, CONFIG_3, CERTS), Publish("", 443, 443)),
    ],
)
def test_what_is_mounted_published_and_set_follows_from_tls_and_login(
    asked: Resolved, environment: dict[str, str], mounts: tuple[Mount, ...], publish: Publish
) -> None:
    made = wanted(asked)
    assert made.environment == {**environment, **QUIET}
    assert made.mounts == mounts
    assert made.publishes == (publish,)


def test_the_older_generation_reads_its_config_elsewhere_and_sends_no_traces() -> None:
    made = wanted(acme(auth=False), image=OLDER)
    assert made.environment == HTTPS
    assert made.mounts == (DATA, replace(CONFIG_3, target="/etc/docker/registry"), CERTS)


def test_the_container_is_what_a_careful_administrator_would_type() -> None:
    made = wanted(acme(image="registry:3.1"))
    assert (made.name, made.image, made.image_id, made.command) == ("registry", "registry:3.1", IMAGE.id, None)
    assert (made.tmpfs, made.cap_add, made.pids_limit) == (("/tmp",), ("NET_BIND_SERVICE",), 1024)
    assert (made.stop_timeout, made.log_max_size, made.log_max_files) == (40, "10m", 5)
    assert (made.selinux_relabel, made.host_userns) == (False, False)


def test_the_registry_may_drain_before_the_engine_kills_it() -> None:
    from regdeploy.registry.config import DRAIN_SECONDS, render_config  # noqa: PLC0415 - what the config says of it

    assert f"draintimeout: {DRAIN_SECONDS}s" in render_config(tls=True)
    assert wanted(acme()).stop_timeout > DRAIN_SECONDS


def test_the_host_may_ask_for_a_label_and_for_its_own_user_namespace() -> None:
    made = wanted(acme(selinux_relabel=True), engine=replace(ENGINE, userns_remap=True))
    assert (made.selinux_relabel, made.host_userns) == (True, True)


def test_labels_say_whose_it_is_and_what_it_was_made_from() -> None:
    first, other_port = wanted(acme()), wanted(acme(port=8443))
    other_config = desired_workload(acme().spec, IMAGE, ENGINE, SECRET, "version: 0.2\n", {})
    assert set(first.labels) == {LABEL_DEPLOYMENT, LABEL_VERSION, LABEL_SPEC, LABEL_FILES}
    assert (first.labels[LABEL_DEPLOYMENT], first.labels[LABEL_VERSION]) == ("registry", regdeploy.__version__)
    assert first.labels[LABEL_SPEC] == wanted(acme()).labels[LABEL_SPEC] != other_port.labels[LABEL_SPEC]
    assert first.labels[LABEL_FILES] == other_port.labels[LABEL_FILES] != other_config.labels[LABEL_FILES]
    assert SECRET.reveal() not in str(first.labels)
    assert SECRET.reveal() not in repr(first)


def test_a_wildcards_files_have_no_star() -> None:
    made = wanted(files(domain=[DOMAIN, "*.example.com"]))
    assert made.environment["REGISTRY_HTTP_TLS_KEY"] == "/certs/registry.example.com.key"


def test_what_the_image_sets_for_the_registry_is_part_of_what_is_wanted_and_ours_is_stronger() -> None:
    image = replace(IMAGE, environment={"PATH": "/bin", "REGISTRY_LOG_LEVEL": "warn", "REGISTRY_HTTP_ADDR": ":5000"})
    assert wanted(resolved(), image=image).environment == {**HTTP, **QUIET, "REGISTRY_LOG_LEVEL": "warn"}


def test_an_image_that_is_no_registry_is_refused() -> None:
    with pytest.raises(ImageError, match=r"^--image: is not a registry as regdeploy knows them: it runs `nginx`$"):
        wanted(acme(), image=replace(IMAGE, entrypoint=("nginx",), command=()))


def lines(asked: Resolved, found: ContainerFacts) -> list[str]:
    return [str(item) for item in differences(wanted(asked), found)]


def without(environment: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}


WAS = acme()
THERE = container(WAS)
VARIABLES = dict(THERE.environment)


def test_a_container_that_was_made_as_wanted_does_not_differ() -> None:
    for asked in (resolved(), acme(), internal(auth=False), files(bind="10.0.0.7")):
        assert differences(wanted(asked), container(asked)) == ()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"image": "registry:2.8", "image_id": "sha256:28"}, "image: registry:2.8 → registry:3"),
        ({"image_id": "sha256:" + "28" * 32}, "image: sha256:282828282828 → registry:3 (sha256:a1a1a1a1a1a1)"),
        (
            {"environment": {**VARIABLES, "REGISTRY_LOG_LEVEL": "debug"}},
            "environment REGISTRY_LOG_LEVEL: debug should not be there",
        ),
        (
            {"environment": without(VARIABLES, "REGISTRY_AUTH")},
            "environment REGISTRY_AUTH: htpasswd is missing",
        ),
        (
            {"environment": without(VARIABLES, "OTEL_TRACES_EXPORTER")},
            "environment OTEL_TRACES_EXPORTER: none is missing",
        ),
        ({"environment": {**VARIABLES, "REGISTRY_HTTP_SECRET": "old"}}, "environment REGISTRY_HTTP_SECRET: *** → ***"),
        (
            {"environment": without(VARIABLES, "REGISTRY_HTTP_SECRET")},
            "environment REGISTRY_HTTP_SECRET: *** is missing",
        ),
        (
            {"environment": {**VARIABLES, "REGISTRY_REDIS_PASSWORD": "hunter2"}},
            "environment REGISTRY_REDIS_PASSWORD: *** should not be there",
        ),
        ({"mounts": THERE.mounts[1:]}, "mount: /var/lib/registry/data:/var/lib/registry is missing"),
        (
            {"mounts": (*THERE.mounts, Mount("/srv", "/srv"))},
            "mount: /srv:/srv should not be there",
        ),
        (
            {"mounts": (replace(CERTS, read_only=False), *(m for m in THERE.mounts if m != CERTS))},
            "mount: /var/lib/registry/certs:/certs → /var/lib/registry/certs:/certs:ro",
        ),
        ({"publishes": ()}, "port: 443:443 is missing"),
        ({"publishes": (Publish("127.0.0.1", 443, 443),)}, "port: 127.0.0.1:443:443 → 443:443"),
        (
            {"publishes": (Publish("", 443, 443), Publish("", 8443, 443))},
            "port: 443:443, 8443:443 → 443:443",
        ),
        (
            {"publishes": (Publish("", 443, 443), Publish("", 5001, 5001))},
            "port: 5001:5001 should not be there",
        ),
        ({"labels": without(dict(THERE.labels), LABEL_FILES)}, "config.yml: unknown → 311c19eebe97a53d"),
        ({"cap_drop": ()}, "dropped capabilities: none → ALL"),
        ({"cap_add": ()}, "added capabilities: none → NET_BIND_SERVICE"),
        ({"read_only": False}, "read-only root file system: no → yes"),
        ({"no_new_privileges": False}, "no-new-privileges: no → yes"),
        ({"pids_limit": None}, "process limit: none → 1024"),
        ({"restart_policy": ""}, "restart policy: no → unless-stopped"),
        ({"stop_timeout": None}, "stop timeout: 10 s → 40 s"),
        ({"log_options": {"max-file": "5"}}, "log size: unlimited → 10m"),
        ({"log_options": {"max-size": "10m"}}, "log files: 1 → 5"),
        ({"selinux_relabel": True}, "SELinux label: shared → as it was"),
        ({"userns_mode": "host"}, "user namespace: host → default"),
    ],
)
def test_one_thing_that_differs_is_one_line(changes: dict[str, Any], line: str) -> None:
    assert lines(WAS, replace(THERE, **changes)) == [line]


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": {**THERE.labels, LABEL_VERSION: "0.0.1", LABEL_SPEC: "0" * 16}},
        {"environment": {**VARIABLES, "PATH": "/usr/bin", "TZ": "UTC"}},
        {"mounts": (*reversed(THERE.mounts), Mount("", "/tmp", kind="tmpfs"), Mount("0f", "/x", kind="volume"))},
        {"publishes": (Publish("0.0.0.0", 443, 443),)},
        {"image": "registry:latest"},
    ],
)
def test_what_does_not_matter_is_no_difference(changes: dict[str, Any]) -> None:
    assert lines(WAS, replace(THERE, **changes)) == []


def test_the_order_is_always_the_same() -> None:
    told = lines(WAS, foreign(environment={"REGISTRY_B": "b", "REGISTRY_A": "a"}))
    shuffled = lines(WAS, foreign(environment={"REGISTRY_A": "a", "REGISTRY_B": "b"}))
    assert told == shuffled
    assert told == [
        "image: registry:2.7 → registry:3",
        "environment OTEL_TRACES_EXPORTER: none is missing",
        "environment REGISTRY_A: a should not be there",
        "environment REGISTRY_AUTH: htpasswd is missing",
        "environment REGISTRY_AUTH_HTPASSWD_PATH: /auth/htpasswd is missing",
        "environment REGISTRY_AUTH_HTPASSWD_REALM: Registry is missing",
        "environment REGISTRY_B: b should not be there",
        "environment REGISTRY_HTTP_ADDR: 0.0.0.0:443 is missing",
        "environment REGISTRY_HTTP_SECRET: *** is missing",
        "environment REGISTRY_HTTP_TLS_CERTIFICATE: /certs/registry.example.com.crt is missing",
        "environment REGISTRY_HTTP_TLS_KEY: /certs/registry.example.com.key is missing",
        "mount: /var/lib/registry/auth:/auth:ro is missing",
        "mount: /var/lib/registry/certs:/certs:ro is missing",
        "mount: /var/lib/registry/config:/etc/distribution:ro is missing",
        "mount: /var/lib/registry/data:/var/lib/registry is missing",
        "port: 443:443 is missing",
        "port: 5000:5000 should not be there",
        "config.yml: unknown → 311c19eebe97a53d",
        "dropped capabilities: none → ALL",
        "added capabilities: none → NET_BIND_SERVICE",
        "read-only root file system: no → yes",
        "no-new-privileges: no → yes",
        "process limit: none → 1024",
        "restart policy: always → unless-stopped",
        "stop timeout: 10 s → 40 s",
        "log size: unlimited → 10m",
        "log files: 1 → 5",
    ]


def test_with_remapped_users_the_hosts_namespace_is_wanted() -> None:
    desired = wanted(WAS, engine=replace(ENGINE, userns_remap=True))
    assert [str(item) for item in differences(desired, THERE)] == ["user namespace: default → host"]


def test_folders_that_are_to_be_relabelled_need_another_container() -> None:
    assert lines(acme(selinux_relabel=True), THERE) == ["SELinux label: as it was → shared"]
    assert lines(acme(selinux_relabel=True), replace(THERE, selinux_relabel=True)) == []


def test_a_container_is_ours_by_its_label_and_that_of_this_deployment_only() -> None:
    assert is_ours(THERE, "registry")
    assert not is_ours(THERE, "other")
    assert not is_ours(foreign(), "registry")


@pytest.mark.parametrize(
    ("digest", "shown"),
    [("sha256:" + "1c9f" * 16, "sha256:1c9f1c9f1c9f"), ("1c9f" * 16, "1c9f1c9f1c9f"), ("", "")],
)
def test_a_digest_is_short_enough_for_a_line(digest: str, shown: str) -> None:
    assert short(digest) == shown


@pytest.mark.parametrize(
    "asked",
    [
        resolved(),
        acme(),
        internal(bind="10.0.0.7", port=8443),
        files(auth=False),
        acme(localhost_port=5000),
        acme(bind="127.0.0.1", localhost_port=5000),
    ],
)
def test_a_spec_that_was_not_edited_is_as_deployed(asked: Resolved) -> None:
    assert as_deployed(asked.spec, container(asked)) == asked.spec


def test_the_port_of_localhost_leads_to_the_same_registry() -> None:
    made = wanted(acme(localhost_port=5000))
    assert made.publishes == (Publish("", 443, 443), Publish("127.0.0.1", 5000, 443))
    (missing,) = differences(made, container(acme()))
    assert str(missing) == "port: 443:443 → 127.0.0.1:5000:443, 443:443"


def test_where_it_is_reached_the_container_knows_and_not_the_edited_spec() -> None:
    now = as_deployed(internal(domain=["new.example.com"], port=9443, bind="10.0.0.7", auth=False).spec, THERE)
    assert (now.domains, now.port, now.bind, now.auth) == ((DOMAIN,), 443, "", True)
    plain = as_deployed(acme().spec, container(resolved()))
    assert (plain.tls, plain.url, plain.auth) == (Tls.OFF, "http://127.0.0.1:5000", False)
    secured = as_deployed(resolved().spec, THERE)
    assert (secured.tls, secured.url) == (Tls.INTERNAL, "https://registry.example.com")


def test_a_container_without_a_port_of_ours_leaves_the_specs() -> None:
    now = as_deployed(acme(port=8443).spec, replace(THERE, publishes=(Publish("", 80, 8080),)))
    assert (now.port, now.bind) == (8443, "")


def test_the_roots_own_place_is_in_every_mount() -> None:
    made = wanted(acme(root="/srv/registry"))
    assert {str(Path(mount.source).parent) for mount in made.mounts} == {"/srv/registry"}


def test_further_variables_are_said_as_the_generation_reads_them() -> None:
    extra = {"REGISTRY_REDIS": '{"addr": "redis:6379"}', "REGISTRY_LOG_LEVEL": "warn"}

    def made(image: ImageFacts) -> Mapping[str, str]:
        return desired_workload(acme().spec, image, ENGINE, SECRET, CONFIG, extra).environment

    newer, older = made(IMAGE), made(replace(IMAGE, command=("/etc/docker/registry/config.yml",)))
    assert (newer["REGISTRY_REDIS"], newer["REGISTRY_LOG_LEVEL"]) == ('{"addrs": ["redis:6379"]}', "warn")
    assert older["REGISTRY_REDIS"] == '{"addr": "redis:6379"}'
