"""A registry that somebody started by hand: which one it is, and what it amounts to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regdeploy.deployment.handmade import Handmade, Left, candidates, handmade, is_registry
from regdeploy.engine.model import LABEL_DEPLOYMENT, ContainerFacts, ImageFacts, Mount, Publish
from regdeploy.secret import Secret
from tests.fakes.engine import registry_image

NAMELESS = "0f" * 32
V2 = registry_image("2.8.2", generation=2)
V3 = registry_image("3.1.1")
WEB = ImageFacts(id="sha256:7e", entrypoint=("/entrypoint.sh",), command=("nginx",))
IMAGES = {image.id: image for image in (V2, V3, WEB)}

#: What the library image of 2.8 brings.
CONFIGURATION: Mapping[str, Any] = {
    "version": "0.1",
    "storage": {"cache": {"blobdescriptor": "inmemory"}, "filesystem": {"rootdirectory": "/var/lib/registry"}},
    "http": {"addr": ":5000", "headers": {"X-Content-Type-Options": ["nosniff"]}},
}


def container(name: str = "old", made_from: ImageFacts = V2, **changes: Any) -> ContainerFacts:
    """As ``docker run -d -p 5000:5000 --restart always --name NAME registry:2`` makes it."""
    anonymous = Mount(NAMELESS, "/var/lib/registry", kind="volume", volume_path="/volumes/0f/_data")
    facts = ContainerFacts(
        id=f"id of {name}",
        name=name,
        state="running",
        image="registry:2",
        image_id=made_from.id,
        entrypoint=made_from.entrypoint,
        command=made_from.command,
        environment=made_from.environment,
        mounts=(anonymous,),
        publishes=(Publish("", 5000, 5000),),
        restart_policy="always",
    )
    return replace(facts, **changes)


def configuration(**changes: Any) -> Mapping[str, Any]:
    return {**CONFIGURATION, **changes}


def read(of: ContainerFacts, configuration: Mapping[str, Any] = CONFIGURATION) -> Handmade:
    return handmade(of, V2, configuration, {}, ())


# --- which one it is


@pytest.mark.parametrize(
    ("of", "image", "is_one"),
    [
        (container(), V2, True),
        (container(), None, True),
        (container(made_from=V3), V3, True),
        (container(command=("serve", "/conf/my.yml")), V2, True),
        (container(command=("/conf/my.yml",)), None, False),
        (container(made_from=WEB), WEB, False),
        (container(made_from=WEB), None, False),
    ],
)
def test_a_registry_is_known_by_its_image_or_by_what_it_runs(
    of: ContainerFacts, image: ImageFacts | None, is_one: bool
) -> None:
    assert is_registry(of, image) is is_one


def test_the_registry_of_our_name_comes_first_then_those_that_run_then_what_only_looks_like_one() -> None:
    there = (
        container("web", WEB, publishes=()),
        container("own", WEB, image="my/registry:1"),
        container("stopped", state="exited"),
        container("b"),
        container("a", V3),
        container("registry", state="exited"),
    )
    for order in (there, there[::-1]):
        assert [one.name for one in candidates(order, IMAGES, "registry")] == ["registry", "a", "b", "stopped", "own"]


def test_what_regdeploy_made_is_no_candidate_whatever_its_deployment() -> None:
    ours = container("registry", labels={LABEL_DEPLOYMENT: "registry"})
    others = container("shop", labels={LABEL_DEPLOYMENT: "shop"})
    assert candidates([ours, others], IMAGES, "registry") == ()


@pytest.mark.parametrize(
    ("image", "port", "looks"),
    [
        ("my-registry", 5000, True),
        ("my-registry", 443, False),
        ("registry.example.com/blog:1", 5000, False),
        ("registry.example.com/registry:1", 5000, True),
        ("localhost/registry", 5000, True),
        ("registry:5000/blog", 5000, False),
        ("registry/blog", 5000, True),
        ("sha256:7e7e", 5000, False),
    ],
)
def test_what_is_no_known_registry_must_be_called_one_and_publish_its_port(image: str, port: int, looks: bool) -> None:
    one = container("x", WEB, image=image, publishes=(Publish("", 80, port),))
    assert candidates([one], IMAGES, "registry") == ((one,) if looks else ())


def test_our_name_alone_makes_no_registry() -> None:
    assert candidates([container("registry", WEB, image="nginx")], IMAGES, "registry") == ()


# --- what it amounts to


def test_the_tutorials_registry_amounts_to_its_images_and_its_port() -> None:
    old = container()
    told = read(old)
    assert told == Handmade(container=old, origin=told.origin, published=(Publish("", 5000, 5000),))
    assert (told.origin.kind, told.origin.path) == ("anonymous volume", Path("/volumes/0f/_data"))
    assert told.vanishes is False
    assert told.keeper == ""


@pytest.mark.parametrize(
    ("storage", "kind", "driver"),
    [
        ({"s3": {"bucket": "images"}, "cache": {}, "delete": {"enabled": True}, "redirect": {}}, "driver", "s3"),
        ("inmemory", "driver", "inmemory"),
        ("filesystem", "anonymous volume", "filesystem"),
        ({"filesystem": None, "maintenance": {}, "tag": {}}, "anonymous volume", "filesystem"),
        ({"cache": {"blobdescriptor": "redis"}}, "anonymous volume", "filesystem"),
        (None, "anonymous volume", "filesystem"),
    ],
)
def test_where_images_lie_is_up_to_the_driver(storage: object, kind: str, driver: str) -> None:
    origin = read(container(), configuration(storage=storage)).origin
    assert (origin.kind, origin.driver, origin.path is None) == (kind, driver, kind == "driver")


def test_images_in_memory_are_said_to_be_lost() -> None:
    origin = read(container(), configuration(storage={"inmemory": {}})).origin
    assert (
        origin.words
        == "its images lie in the storage driver inmemory, which is its memory: they are lost when it stops"
    )


def test_a_root_folder_of_its_own_is_looked_for_where_it_is() -> None:
    old = container(mounts=(Mount("/srv", "/data"), *container().mounts))
    told = read(old, configuration(storage={"filesystem": {"rootdirectory": "/data/images"}}))
    assert told.origin.path == Path("/srv/images")
    assert told.left == ()


@pytest.mark.parametrize(
    ("addr", "published"),
    [
        (":5000", [5000, 5005]),
        ("0.0.0.0:443", [443]),
        ("[::]:443", [443]),
        (":5001", [5001]),
        ("", [5000, 5005]),
        (":8080", []),
    ],
)
def test_the_ports_that_lead_to_it_are_those_of_the_port_that_it_listens_on(addr: str, published: list[int]) -> None:
    inside = {5000: 5000, 5001: 5001, 443: 443, 5005: 5000}
    old = container(publishes=tuple(Publish("", outside, port) for outside, port in inside.items()))
    told = read(old, configuration(http={"addr": addr}))
    assert [publish.host_port for publish in told.published] == published
    assert [left.item for left in told.left] == ["--publish"] * (4 - len(published))


@pytest.mark.parametrize(
    ("addr", "publish"),
    [(":5000", Publish("", 5000, 5000)), ("127.0.0.1:5050", Publish("127.0.0.1", 5050, 5050))],
)
def test_in_the_hosts_network_it_publishes_what_it_listens_on(addr: str, publish: Publish) -> None:
    told = read(container(network_mode="host", publishes=()), configuration(http={"addr": addr}))
    assert told.published == (publish,)


CERTS = Mount("/srv/certs", "/certs")
TLS = {"certificate": "/certs/domain.crt", "key": "/certs/domain.key"}


def test_a_certificate_and_logins_are_files_of_the_host() -> None:
    old = container(mounts=(*container().mounts, CERTS, Mount("/srv/passwords", "/auth/htpasswd", read_only=True)))
    auth = {"htpasswd": {"realm": "x", "path": "/auth/htpasswd"}}
    told = read(old, configuration(http={"addr": ":5000", "tls": TLS, "secret": "hunter2"}, auth=auth))
    assert told.tls == (Path("/srv/certs/domain.crt"), Path("/srv/certs/domain.key"))
    assert (told.htpasswd, told.htpasswd_inside) == (Path("/srv/passwords"), "/auth/htpasswd")
    assert told.http_secret == Secret("hunter2")
    assert told.left == ()
    assert "hunter2" not in repr(told)


def test_a_certificate_and_logins_that_are_no_files_of_the_host_are_told() -> None:
    told = read(
        container(), configuration(http={"tls": TLS}, auth={"htpasswd": {"realm": "x", "path": "/auth/htpasswd"}})
    )
    assert (told.tls, told.htpasswd, told.htpasswd_inside) == (None, None, "/auth/htpasswd")
    inside = "lies in the container itself, not in a folder of this host: `docker cp` takes it out"
    assert told.left == (
        Left("certificate", "/certs/domain.crt", f"{inside}, for --cert and --key"),
        Left("htpasswd", "/auth/htpasswd", inside),
    )


@pytest.mark.parametrize(
    "tls", [{"certificate": "/certs/a.crt", "key": "/elsewhere/a.key"}, {"certificate": "/certs/a.crt"}]
)
def test_half_a_pair_is_none(tls: Mapping[str, str]) -> None:
    told = read(container(mounts=(*container().mounts, CERTS)), configuration(http={"tls": tls}))
    assert told.tls is None
    assert [left.item for left in told.left] == ["certificate"]


@pytest.mark.parametrize("odd", [{"http": None}, {"http": "x", "auth": "htpasswd"}, {"auth": {"htpasswd": None}}])
def test_a_configuration_with_odd_corners_is_read_all_the_same(odd: Mapping[str, Any]) -> None:
    told = read(container(), configuration(**odd))
    assert (told.tls, told.htpasswd, told.http_secret) == (None, None, None)
    assert told.published == (Publish("", 5000, 5000),)


def test_settings_that_are_carried_over_come_with_the_proxies_and_those_that_are_not_are_told_first() -> None:
    old = container(environment={**V2.environment, "HTTPS_PROXY": "http://proxy", "REGISTRY_HTTP_SECRET": "x"})
    told = handmade(
        old, V2, CONFIGURATION, {"REGISTRY_PROXY_REMOTEURL": "https://hub"}, [("log.level", "debug", "it is not")]
    )
    assert told.variables == {"HTTPS_PROXY": "http://proxy", "REGISTRY_PROXY_REMOTEURL": "https://hub"}
    assert told.left == (Left("log.level", "debug", "it is not"),)


@pytest.mark.parametrize(
    ("labels", "keeper"),
    [
        ({"com.docker.compose.project": "shop"}, "the Compose project shop"),
        ({"com.docker.swarm.service.name": "images"}, "the Swarm service images"),
        ({"PODMAN_SYSTEMD_UNIT": "registry.service"}, "the systemd unit registry.service"),
        ({"other": "label"}, ""),
    ],
)
def test_who_would_start_it_again_is_known_by_its_label(labels: Mapping[str, str], keeper: str) -> None:
    assert read(container(labels=labels)).keeper == keeper


def test_one_that_is_removed_when_it_stops_vanishes() -> None:
    assert read(container(auto_remove=True)).vanishes
