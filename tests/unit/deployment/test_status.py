"""What ``status`` makes of facts: its documented JSON, its one word, its drift, how long it runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from regdeploy.deployment import status as module
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.plan import plan
from regdeploy.deployment.spec import Resolved
from regdeploy.deployment.standing import State, Status, uptime
from regdeploy.deployment.workload import Difference
from regdeploy.engine.model import ContainerFacts, ObservedWorkload
from regdeploy.host.disk import DiskFacts
from regdeploy.registry.api import EndpointFacts
from tests.builders import (
    CONFIG,
    DOMAIN,
    IMAGE,
    NOW,
    acme,
    bare,
    certificate,
    container,
    deployed,
    files,
    foreign,
    resolved,
    serving,
    store,
    stored,
)
from tests.certs import make_leaf

WAS = acme()


def seen(asked: Resolved, observed: Observed, **changes: Any) -> Status:
    """The status of what was observed; ``changes`` are what else was found."""
    found = Status(
        spec=asked.spec,
        observed=observed,
        container=observed.workload.current,
        image=observed.image,
        version="3.1.1",
        served=module._served(observed),
        certificate=module._current_version(observed),
        disk=DiskFacts(total_bytes=50 * 10**9, free_bytes=41 * 10**9, free_inodes=None),
        used_bytes=18_000_000,
        used_is_minimum=False,
        repositories=3,
        drift=(),
        problems=(),
    )
    return replace(found, **changes)


def test_the_document_has_the_documented_keys_and_what_was_found() -> None:
    found = deployed(WAS, served=serving(1, trusted_by="system"))
    assert seen(WAS, found).as_json() == {
        "name": "registry",
        "domain": DOMAIN,
        "url": "https://registry.example.com",
        "state": "serving",
        "image": {"ref": "registry:3", "digest": "sha256:" + "d1" * 32, "version": "3.1.1"},
        "container": {"id": "c0" * 32, "state": "running", "started_at": "2026-11-21T12:00:00Z", "health": "none"},
        "endpoint": {
            "reachable": True,
            "http_status": 401,
            "auth_required": True,
            "tls": {
                "issuer": "CN=R11,O=Let's Encrypt,C=US",
                "not_before": "2026-11-14T12:00:00Z",
                "not_after": "2027-02-12T12:00:00Z",
                "sans": [DOMAIN],
                "fingerprint_sha256": certificate(1).fingerprint_sha256,
                "trusted": True,
                "trusted_by": "system",
            },
        },
        "certificate": {
            "source": "acme",
            "not_after": "2027-02-12T12:00:00Z",
            "renew_after": "2027-01-13T12:00:00Z",
            "deployed": True,
        },
        "renewal": {
            "by": None,
            "next_run": None,
            "last_run": None,
            "last_outcome": None,
            "due": "2027-01-13T12:00:00Z",
        },
        "storage": {
            "driver": "filesystem",
            "path": "/var/lib/registry/data",
            "used_bytes": 18_000_000,
            "used_is_minimum": False,
            "free_bytes": 41 * 10**9,
            "repositories": 3,
        },
        "drift": [],
        "problems": [],
    }


def test_what_is_not_known_is_null_and_never_left_out() -> None:
    asked = resolved()
    document = seen(
        asked, bare(asked), version="", repositories=0, problems=("no container registry is there",)
    ).as_json()
    assert document["domain"] is None
    assert document["state"] == "down"
    assert document["image"] == {"ref": "registry:3", "digest": None, "version": None}
    assert document["container"] is None
    assert document["endpoint"] == {"reachable": False, "http_status": None, "auth_required": None, "tls": None}
    assert document["certificate"] is None
    assert document["problems"] == ["no container registry is there"]


def test_an_image_that_was_never_pulled_goes_by_what_the_container_runs() -> None:
    found = deployed(WAS, image=replace(IMAGE, repo_digests=()))
    assert seen(WAS, found).as_json()["image"] == {"ref": "registry:3", "digest": IMAGE.id, "version": "3.1.1"}


def test_a_certificate_of_the_users_own_has_no_day_of_renewal_and_one_that_nobody_trusts_says_so() -> None:
    document: Any = seen(files(), deployed(files())).as_json()
    assert document["certificate"]["renew_after"] is None
    assert document["endpoint"]["tls"]["trusted"] is False
    assert document["endpoint"]["tls"]["trusted_by"] is None


def test_a_certificate_that_is_current_and_not_served_is_not_deployed() -> None:
    found = deployed(WAS, certificates=store(stored(), stored(2), current=2))
    document: Any = seen(WAS, found).as_json()
    assert document["certificate"]["deployed"] is False
    assert document["endpoint"]["tls"]["fingerprint_sha256"] == certificate(1).fingerprint_sha256


def test_drift_is_told_item_by_item() -> None:
    found = seen(WAS, deployed(WAS), drift=(Difference("port", "8443:443", "443:443"),))
    assert found.as_json()["drift"] == [{"item": "port", "wanted": "8443:443", "found": "443:443"}]


@pytest.mark.parametrize(
    ("served", "problems", "state"),
    [
        (serving(1), (), State.SERVING),
        (serving(1), ("the engine's health check fails",), State.DEGRADED),
        (EndpointFacts(error="refuses connections"), (), State.DOWN),
        (None, ("no container registry is there",), State.DOWN),
    ],
)
def test_one_word_for_it_all(served: EndpointFacts | None, problems: tuple[str, ...], state: State) -> None:
    assert seen(WAS, deployed(WAS, served=served), problems=problems).state is state


def test_the_address_is_the_one_that_answers_now_and_not_the_one_that_was_edited_since() -> None:
    edited = acme(port=8443)
    assert seen(edited, deployed(WAS)).url == "https://registry.example.com"
    strangers = deployed(edited, workload=ObservedWorkload(current=foreign()))
    assert seen(edited, strangers).url == "https://registry.example.com:8443"
    assert seen(edited, bare(edited)).url == "https://registry.example.com:8443"


def test_a_broken_current_version_is_none() -> None:
    found = deployed(WAS, certificates=store(stored(problem="its cert.json is missing")))
    assert module._current_version(found) is None


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=60), "1 minute"),
        (timedelta(minutes=59, seconds=59), "59 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=47), "1 day"),
        (timedelta(days=300), "300 days"),
    ],
)
def test_how_long_it_runs_is_said_in_one_unit(ago: timedelta, words: str) -> None:
    found = deployed(WAS, workload=ObservedWorkload(current=container(WAS, started_at=NOW - ago)))
    assert uptime(seen(WAS, found), NOW) == words


@pytest.mark.parametrize(
    "current", [None, container(WAS, state="exited", exit_code=0), container(WAS, started_at=None)]
)
def test_what_does_not_run_has_run_for_no_time(current: ContainerFacts | None) -> None:
    assert uptime(seen(WAS, deployed(WAS, workload=ObservedWorkload(current=current))), NOW) == ""


def drift(asked: Resolved, found: Observed, config: str = CONFIG, now: datetime = NOW) -> list[str]:
    """The drift as a person reads it, with what the next ``up`` would do."""
    steps = plan(asked, found, config, now).flat
    items = module._drift(asked.spec, found, steps, config)
    return [str(item) if item.wanted else f"{item.item}: {item.found}" for item in items]


@pytest.mark.parametrize("asked", [resolved(), acme(), files()])
def test_where_nothing_is_to_be_done_there_is_no_drift(asked: Resolved) -> None:
    assert drift(asked, deployed(asked)) == []


def test_drift_of_the_container_is_told_once_and_then_what_else_would_be_done() -> None:
    found = deployed(WAS, config_text="version: 0.1\nproxy: {}\n", users=())
    assert drift(acme(port=8443), found) == [
        "port: 443:443 → 8443:443",
        "write config.yml: /var/lib/registry/config/config.yml is not what this version writes",
        "set a password: nobody can log in yet",
        "save regdeploy.toml: changed: port",
    ]


def test_a_certificate_that_is_due_is_drift() -> None:
    due = store(stored(leaf=certificate(begin=NOW - timedelta(days=61))))
    assert drift(WAS, deployed(WAS, certificates=due)) == [
        "obtain a certificate: renewal is due since 2026-11-23, it ends 2026-12-23",
        "make the certificate current: pair and chain change together",
        "restart the container: a registry reads its certificate only at start",
    ]


def test_without_a_container_of_ours_every_step_is_drift_but_the_proof() -> None:
    assert drift(WAS, deployed(WAS, workload=ObservedWorkload(), served=None)) == [
        "create the container: nothing runs yet",
        "start it in its place: nothing runs yet",
    ]


def test_a_folder_without_a_deployment_says_how_to_make_one_and_a_strangers_is_left_alone() -> None:
    nothing = module._not_deployed(WAS.spec, None)
    assert (str(nothing), nothing.hint, nothing.exit_status) == (
        "registry: nothing is deployed in /var/lib/registry",
        "`regdeploy up` deploys a registry",
        3,
    )
    strangers = module._not_deployed(WAS.spec, foreign(image=""))
    assert str(strangers) == (f"container registry: (sha256:{'27' * 32}, running) was not made by regdeploy")
    assert strangers.hint == "`regdeploy plan` shows what taking its place would mean"


def problems(asked: Resolved, found: Observed) -> list[str]:
    """What the status calls a problem, on a disk with room."""
    disk = DiskFacts(total_bytes=50 * 10**9, free_bytes=41 * 10**9, free_inodes=None)
    stored_now = module._current_version(found)
    return list(module._problems(asked.spec, found, module._served(found), stored_now, disk, NOW))


@pytest.mark.parametrize(
    ("current", "problem"),
    [
        (None, "no container registry is there"),
        (container(WAS, state="exited", exit_code=137), "the container is exited with code 137"),
        (container(WAS, state="dead", error="no such device"), "the container is dead: no such device"),
    ],
)
def test_a_container_that_does_not_run_is_one_problem(current: ContainerFacts | None, problem: str) -> None:
    assert problems(WAS, deployed(WAS, workload=ObservedWorkload(current=current), served=None)) == [problem]


def test_a_running_container_that_nobody_asked_has_no_problem() -> None:
    assert problems(WAS, deployed(WAS, served=None)) == []


def test_plain_http_without_a_login_is_no_problem_where_that_was_asked_for() -> None:
    assert problems(resolved(), deployed(resolved())) == []


def test_a_certificate_that_is_not_one_of_ours_is_read_from_the_handshake() -> None:
    other = make_leaf(None, DOMAIN)
    found = deployed(WAS, served=serving(1, leaf_der=other.der))
    read = module._served(found)
    assert read is not None
    assert (read.fingerprint_sha256, read.names) == (other.fingerprint, (DOMAIN,))
    ours = certificate(1).fingerprint_sha256
    assert problems(WAS, found) == [
        f"another certificate is served ({other.fingerprint[:16]}…) than the current one ({ours[:16]}…)"
    ]


def test_an_image_that_is_no_registry_is_drift_in_the_words_of_the_refusal() -> None:
    found = deployed(WAS, image=replace(IMAGE, entrypoint=("nginx",), command=()))
    assert [str(item) for item in module._drift(WAS.spec, found, (), CONFIG)] == [
        "image: is not a registry as regdeploy knows them: it runs `nginx` → a registry"
    ]


def test_of_images_that_lie_elsewhere_nothing_is_said_that_nobody_looked_at() -> None:
    found = seen(WAS, deployed(WAS, extra={"REGISTRY_STORAGE_S3_BUCKET": "images"}))
    assert found.as_json()["storage"] == {
        "driver": "s3",
        "path": None,
        "used_bytes": None,
        "used_is_minimum": None,
        "free_bytes": 41 * 10**9,
        "repositories": None,
    }
