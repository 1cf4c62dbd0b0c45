"""What regdeploy's container has no counterpart for is listed, each with why, and nothing secret with it."""

from __future__ import annotations

from typing import Any

import pytest

from regdeploy.deployment.left import kept_environment, left_behind
from regdeploy.engine.model import Attachment, ContainerFacts, ImageFacts, Mount, Publish

IMAGE = ImageFacts(id="sha256:2e", environment={"PATH": "/bin", "OF_IMAGE": "1"}, labels={"maintainer": "them"})
REGISTRY = Publish("", 5000, 5000)
DATA = Mount("/srv/images", "/var/lib/registry")
HARDENED = "regdeploy's container has no rights but to listen on low ports"
NETWORK = "regdeploy's container is in the engine's default network: others reach the registry by its domain"
OWN_FOLDERS = "regdeploy mounts its own folders"
LOGS = "regdeploy's container writes json-file, three files of 10 MB at most"


def container(**changes: Any) -> ContainerFacts:
    """As ``docker run -d -p 5000:5000 --restart always -v /srv/images:/var/lib/registry registry:2`` makes it."""
    usual: dict[str, Any] = {
        "environment": {"PATH": "/bin", "OF_IMAGE": "1"},
        "mounts": (DATA,),
        "publishes": (REGISTRY,),
        "command": ("/etc/docker/registry/config.yml",),
        "labels": {"maintainer": "them"},
        "restart_policy": "always",
        "log_driver": "json-file",
        "network_mode": "default",
        "networks": (Attachment(network="bridge"),),
    }
    return ContainerFacts(id="1f", name="old", state="running", **{**usual, **changes})


def left(**changes: Any) -> str:
    told = left_behind(container(**changes), IMAGE, read=("/var/lib/registry",), published=(REGISTRY,))
    return "\n".join(" | ".join(each) for each in told)


def test_of_the_tutorials_registry_nothing_is_left_behind() -> None:
    assert left() == ""
    assert left(restart_policy="unless-stopped", user="0:0", cap_add=("NET_BIND_SERVICE",)) == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"restart_policy": "no"}, "--restart | no | regdeploy's container is started again unless it was stopped"),
        (
            {"restart_policy": "on-failure", "restart_retries": 3},
            "--restart | on-failure:3 | regdeploy's container is started again unless it was stopped",
        ),
        (
            {"auto_remove": True},
            "--rm | true | the old container is gone as soon as it stops, so that it cannot be kept",
        ),
        (
            {"healthcheck": True},
            "--health-cmd | set | regdeploy asks the registry itself; one that the image brings stays",
        ),
        ({"hostname": "box"}, "--hostname | box | nothing in a registry depends on it"),
        ({"network_mode": "host"}, f"--network | host | {NETWORK}"),
        ({"network_mode": "container:2e"}, f"--network | container:2e | {NETWORK}"),
        (
            {
                "networks": (
                    Attachment(network="back", aliases=("images", "hub"), address="10.7.0.9"),
                    Attachment(network="bridge"),
                    Attachment(network="front"),
                    Attachment(network="podman"),
                )
            },
            f"--network | back (images, hub, 10.7.0.9) | {NETWORK}\n--network | front | {NETWORK}",
        ),
        (
            {"publishes": (REGISTRY, Publish("127.0.0.1", 5001, 5001))},
            "--publish | 127.0.0.1:5001:5001 | regdeploy publishes nothing but the registry itself",
        ),
        ({"log_driver": "none"}, f"--log-driver | none | {LOGS}"),
        ({"log_driver_options": {"max-size": "1g"}}, f"--log-opt | max-size=1g | {LOGS}"),
        ({"privileged": True}, f"--privileged | true | {HARDENED}"),
        ({"user": "1000"}, "--user | 1000 | regdeploy's container runs as root without root's rights"),
        ({"cap_add": ("SYS_ADMIN", "NET_BIND_SERVICE")}, f"--cap-add | SYS_ADMIN | {HARDENED}"),
        ({"userns_mode": "host"}, "--userns | host | regdeploy chooses it as the engine needs"),
        (
            {"flags": {"--memory": ("512m",), "--dns": ("10.0.0.1", "10.0.0.2"), "--uts": ("host",)}},
            (
                "--memory | 512m | regdeploy limits processes only\n"
                "--dns | 10.0.0.1, 10.0.0.2 | regdeploy's container resolves names as the engine does\n"
                "--uts | host | regdeploy starts its container without it"
            ),
        ),
    ],
)
def test_each_thing_is_told_by_its_flag_with_why(changes: dict[str, Any], told: str) -> None:
    assert left(**changes) == told


def test_a_folder_that_was_not_understood_is_told_and_one_without_a_name_is_not() -> None:
    mounts = (
        DATA,
        Mount("/srv/extra", "/extra"),
        Mount("named", "/named", kind="volume"),
        Mount("0f" * 32, "/nameless", kind="volume"),
        Mount("", "/fast", kind="tmpfs"),
        Mount("/srv/config.yml", "/etc/docker/registry/config.yml"),
        Mount("/srv/docker", "/var/lib/registry/docker"),
    )
    assert left(mounts=mounts) == (
        f"--volume | /srv/extra:/extra | {OWN_FOLDERS}\n--volume | named:/named | {OWN_FOLDERS}"
    )


def test_a_config_that_lies_elsewhere_is_understood_where_it_is_served_from() -> None:
    mounts = (DATA, Mount("/srv/conf", "/conf"))
    assert left(mounts=mounts, command=("serve", "/conf/my.yaml")) == ""


def test_proxies_and_logins_of_clouds_are_kept_and_other_variables_told_by_name_alone() -> None:
    environment = {
        "PATH": "/usr/bin",
        "OF_IMAGE": "1",
        "HOME": "/",
        "REGISTRY_LOG_LEVEL": "debug",
        "https_proxy": "http://u:p@proxy:3128",
        "NO_PROXY": "10.0.0.0/8",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "GOOGLE_APPLICATION_CREDENTIALS": "/conf/key.json",
        "OTEL_TRACES_EXPORTER": "otlp",
        "DB_PASSWORD": "hunter3",
    }
    assert kept_environment(container(environment=environment), IMAGE) == {
        "https_proxy": "http://u:p@proxy:3128",
        "NO_PROXY": "10.0.0.0/8",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
    }
    assert left(environment=environment) == (
        "--env | DB_PASSWORD | no registry reads it\n"
        "--env | GOOGLE_APPLICATION_CREDENTIALS | it names a file that is not there in regdeploy's container\n"
        "--env | OTEL_TRACES_EXPORTER | regdeploy's registry sends no traces"
    )


def test_a_variable_of_the_image_that_was_changed_is_told() -> None:
    assert left(environment={"OF_IMAGE": "2"}) == "--env | OF_IMAGE | no registry reads it"


def test_what_may_be_secret_among_a_logs_options_is_hidden() -> None:
    options = {"splunk-token": "hunter2", "splunk-url": "https://u:hunter3@logs", "tag": "registry"}
    assert left(log_driver="splunk", log_driver_options=options) == (
        f"--log-driver | splunk (splunk-token=***, splunk-url=***, tag=registry) | {LOGS}"
    )


def test_what_compose_made_it_would_make_again() -> None:
    labels = {
        "maintainer": "them",
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "images",
        "com.docker.compose.project.config_files": "/srv/shop/compose.yml",
        "traefik.http.middlewares.auth.basicauth.users": "anna:$2y$hunter2",
        "a.label": "",
    }
    assert left(labels=labels) == (
        "Compose | shop/images | `docker compose up` would start it again beside regdeploy's: take it out of"
        " /srv/shop/compose.yml\n"
        "--label | a.label, traefik.http.middlewares.auth.basicauth.users | regdeploy's container has labels of its own"
    )
