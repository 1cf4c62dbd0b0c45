"""A registry that somebody started by hand: which one it is, and what it amounts to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regdeploy.deployment.handmade import Handmade, Left, candidates, is_registry, read_handmade
from regdeploy.engine.model import LABEL_DEPLOYMENT, ContainerFacts, ImageFacts, Mount, Publish
from regdeploy.errors import RegdeployError
from regdeploy.registry.images import Generation
from regdeploy.secret import Secret
from tests.fakes.engine import registry_image
from tests.library import IMAGE_2

NAMELESS = "0f" * 32
V2 = registry_image("2.8.2", generation=2)
V3 = registry_image("3.1.1")
WEB = ImageFacts(id="sha256:7e", entrypoint=("/entrypoint.sh",), command=("nginx",))
IMAGES = {image.id: image for image in (V2, V3, WEB)}


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


def read(of: ContainerFacts, config: str = IMAGE_2, **environment: str) -> Handmade:
    """With the registry's variables as given after ``-e``."""
    return read_handmade(replace(of, environment={**of.environment, **environment}), V2, config)


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


def test_the_tutorials_registry_amounts_to_its_images_and_its_port_and_leaves_nothing() -> None:
    old = container()
    told = read(old)
    assert told == Handmade(container=old, origin=told.origin, published=(Publish("", 5000, 5000),))
    assert (told.origin.kind, told.origin.path) == ("anonymous volume", Path("/volumes/0f/_data"))
    assert told.vanishes is False
    assert told.keeper == ""


@pytest.mark.parametrize(
    ("storage", "kind", "driver"),
    [
        ("{s3: {region: eu, bucket: images}, cache: {}, delete: {enabled: true}}", "driver", "s3"),
        ("inmemory", "driver", "inmemory"),
        ("filesystem", "anonymous volume", "filesystem"),
        ("{filesystem: , maintenance: {}}", "anonymous volume", "filesystem"),
        ("", "anonymous volume", "filesystem"),
    ],
)
def test_where_images_lie_is_up_to_the_driver(storage: str, kind: str, driver: str) -> None:
    origin = read(container(), f"storage: {storage}").origin
    assert (origin.kind, origin.driver, origin.path is None) == (kind, driver, kind == "driver")


def test_images_in_memory_are_said_to_be_lost() -> None:
    words = read(container(), "storage: {inmemory: {}}").origin.words
    assert words == "its images lie in the storage driver inmemory, which is its memory: they are lost when it stops"


def test_a_root_folder_of_its_own_is_looked_for_where_it_is() -> None:
    old = container(mounts=(Mount("/srv", "/data"), *container().mounts))
    told = read(old, REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY="/data/images")
    assert told.origin.path == Path("/srv/images")
    assert told.left == ()


@pytest.mark.parametrize(
    ("addr", "published"),
    [
        (":5000", [5000, 5005]),
        ("0.0.0.0:443", [443]),
        ("'[::]:443'", [443]),
        (":5001", [5001]),
        (":8080", []),
    ],
)
def test_the_ports_that_lead_to_it_are_those_of_the_port_that_it_listens_on(addr: str, published: list[int]) -> None:
    inside = {5000: 5000, 5001: 5001, 443: 443, 5005: 5000}
    old = container(publishes=tuple(Publish("", outside, port) for outside, port in inside.items()))
    told = read(old, REGISTRY_HTTP_ADDR=addr)
    assert [publish.host_port for publish in told.published] == published
    assert [left.item for left in told.left] == ["--publish"] * (4 - len(published))


def test_where_no_configuration_can_be_read_the_usual_port_leads_to_it() -> None:
    assert read(container(), "").published == (Publish("", 5000, 5000),)


@pytest.mark.parametrize(
    ("addr", "publish"),
    [
        (":5000", Publish("", 5000, 5000)),
        ("0.0.0.0:5050", Publish("", 5050, 5050)),
        ("'[::1]:5050'", Publish("::1", 5050, 5050)),
    ],
)
def test_in_the_hosts_network_it_publishes_what_it_listens_on(addr: str, publish: Publish) -> None:
    told = read(container(network_mode="host", publishes=()), REGISTRY_HTTP_ADDR=addr)
    assert told.published == (publish,)


TLS = {"REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/domain.crt", "REGISTRY_HTTP_TLS_KEY": "/certs/domain.key"}
LOGIN = {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd"}


def test_a_certificate_and_logins_are_files_of_the_host() -> None:
    certs, passwords = Mount("/srv/certs", "/certs"), Mount("/srv/passwords", "/auth/htpasswd", read_only=True)
    old = container(mounts=(*container().mounts, certs, passwords))
    told = read(old, **TLS, **LOGIN, REGISTRY_HTTP_SECRET="hunter2")
    assert told.tls == (Path("/srv/certs/domain.crt"), Path("/srv/certs/domain.key"))
    assert (told.htpasswd, told.htpasswd_inside) == (Path("/srv/passwords"), "/auth/htpasswd")
    assert told.http_secret == Secret("hunter2")
    assert told.left == ()
    assert "hunter2" not in repr(told)


def test_a_certificate_and_logins_that_are_no_files_of_the_host_are_told() -> None:
    told = read(container(), **TLS, **LOGIN)
    assert (told.tls, told.htpasswd, told.htpasswd_inside) == (None, None, "/auth/htpasswd")
    inside = "lies in the container itself, not in a folder of this host: `docker cp` takes it out"
    assert told.left == (
        Left("certificate", "/certs/domain.crt", f"{inside}, for --cert and --key"),
        Left("htpasswd", "/auth/htpasswd", inside),
    )


def test_a_pair_of_which_half_is_no_file_of_the_host_is_none() -> None:
    told = read(container(mounts=(*container().mounts, Mount("/srv/domain.crt", "/certs/domain.crt"))), **TLS)
    assert told.tls is None
    assert [left.item for left in told.left] == ["certificate"]


def test_settings_are_carried_over_with_the_proxies_and_what_is_not_is_told_before_what_the_container_had() -> None:
    old = container(hostname="box")
    told = read(
        old,
        HTTPS_PROXY="http://proxy",
        REGISTRY_PROXY_REMOTEURL="https://hub.example",
        REGISTRY_HTTP_HOST="https://old.example",
    )
    assert told.variables == {"HTTPS_PROXY": "http://proxy", "REGISTRY_PROXY_REMOTEURL": "https://hub.example"}
    assert [(left.item, left.value) for left in told.left] == [
        ("http.host", "https://old.example"),
        ("--hostname", "box"),
    ]


def test_what_goes_on_is_what_the_generation_that_is_to_run_knows() -> None:
    old = container(environment={"REGISTRY_REPORTING_NEWRELIC_NAME": "shop"})
    assert [left.item for left in read_handmade(old, V2, IMAGE_2).left] == []
    (left,) = read_handmade(old, V2, IMAGE_2, Generation.V3).left
    assert left.item.startswith("reporting")


def test_a_file_that_a_setting_names_comes_along() -> None:
    key = Mount(source="/srv/key.json", target="/etc/key.json", kind="bind", read_only=True)
    told = read(container(mounts=(key,)), "storage: {gcs: {bucket: images, keyfile: /etc/key.json}}")
    assert told.files == {"REGISTRY_STORAGE_GCS_KEYFILE": "/etc/key.json"}
    assert told.left == ()


def test_a_configuration_that_is_no_yaml_is_refused_without_a_word_of_it() -> None:
    with pytest.raises(RegdeployError) as raised:
        read(container(), "http: {secret: hunter2")
    assert raised.value.code == "registry.config"
    assert "hunter2" not in str(raised.value)


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
