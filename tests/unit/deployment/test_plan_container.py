"""The container is not what it should be, or a replacement was cut off half way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from regdeploy.engine.model import LABEL_DEPLOYMENT, ContainerFacts, ObservedWorkload
from regdeploy.registry.api import EndpointFacts
from tests.builders import acme, container, deployed, foreign, resolved
from tests.unit.deployment.sheet import planned, sheet

WAS = acme()


def beside(**other: ContainerFacts | None) -> ObservedWorkload:
    """The right container, running, and others beside it; or instead of it with ``current``."""
    return replace(ObservedWorkload(current=container(WAS)), **other)


def previous(**changes: Any) -> ContainerFacts:
    return container(WAS, **{"name": "registry-previous", "state": "exited", "exit_code": 0, **changes})


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"state": "exited", "exit_code": 137}, "it is stopped (exited, exit 137)"),
        ({"state": "exited", "exit_code": 0}, "it is stopped (exited, exit 0)"),
        ({"state": "dead"}, "it is stopped (dead)"),
        ({"state": "created"}, "it was never started"),
    ],
)
def test_a_container_that_does_not_run_is_started(state: dict[str, Any], words: str) -> None:
    found = deployed(WAS, workload=beside(current=container(WAS, **state)), served=None)
    assert planned(WAS, found) == sheet(f"""
         1. start the container          {words}
         2. verify what is served        only a handshake shows what is served
    """)


def test_a_container_that_does_not_answer_is_restarted_and_nobody_needs_asking() -> None:
    found = deployed(WAS, served=EndpointFacts(error="refuses connections"))
    assert planned(WAS, found) == sheet("""
         1. restart the container        it runs but does not answer: refuses connections
         2. verify what is served        only a handshake shows what is served
    """)


@pytest.mark.parametrize("served", [None, EndpointFacts()])
def test_where_the_endpoint_says_nothing_the_containers_state_is_told(served: EndpointFacts | None) -> None:
    found = deployed(WAS, workload=beside(current=container(WAS, state="paused")), served=served)
    assert planned(WAS, found) == sheet("""
         1. restart the container        it runs but does not answer: paused
         2. verify what is served        only a handshake shows what is served
    """)


def test_a_container_that_is_gone_is_made_anew() -> None:
    assert planned(WAS, deployed(WAS, workload=ObservedWorkload(), served=None)) == sheet("""
         1. create the container         nothing runs yet
         2. start it in its place        nothing runs yet
         3. verify what is served        a container that does not serve must not replace one that did
    """)


def test_killed_between_the_two_renames_the_replacement_is_made_again() -> None:
    found = deployed(WAS, workload=ObservedWorkload(previous=previous()), served=None)
    assert planned(WAS, found) == sheet("""
         1. create the container         a replacement was interrupted
         2. start it in its place        a replacement was interrupted
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container the new one is verified
    """)


def test_killed_between_the_two_renames_the_prepared_container_is_used() -> None:
    prepared = container(WAS, name="registry-next", state="created")
    found = deployed(WAS, workload=ObservedWorkload(candidate=prepared, previous=previous()), served=None)
    assert planned(WAS, found) == sheet("""
         1. start it in its place        a replacement was interrupted
         2. verify what is served        a container that does not serve must not replace one that did
         3. clear away the old container the new one is verified
    """)


def test_killed_before_the_start_the_new_container_is_started_and_the_old_one_cleared_away() -> None:
    found = deployed(WAS, workload=beside(current=container(WAS, state="created"), previous=previous()), served=None)
    assert planned(WAS, found) == sheet("""
         1. start the container          it was never started
         2. verify what is served        only a handshake shows what is served
         3. clear away the old container the new one is verified
    """)


def test_killed_before_the_old_one_was_cleared_away_it_is_verified_once_more() -> None:
    assert planned(WAS, deployed(WAS, workload=beside(previous=previous()))) == sheet("""
         1. verify what is served        only a handshake shows what is served
         2. clear away the old container the new one is verified
    """)


def test_killed_before_a_stranger_was_put_aside_the_stranger_is_kept() -> None:
    stranger = foreign(name="registry-previous", state="exited", exit_code=0)
    assert planned(WAS, deployed(WAS, workload=beside(previous=stranger))) == sheet("""
         1. verify what is served        only a handshake shows what is served
         2. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
    """)  # noqa: E501 - the plan as it is shown


def test_beside_an_unproved_container_the_one_before_it_decides_what_is_kept() -> None:
    stranger = foreign(name="registry-previous", state="exited", exit_code=0)
    assert planned(acme(port=8443), deployed(WAS, workload=beside(previous=stranger))) == sheet("""
         1. create the container         port: 443:443 → 8443:443
         2. start it in its place        port: 443:443 → 8443:443 [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
         5. save regdeploy.toml          changed: port
    """)  # noqa: E501 - the plan as it is shown


def test_a_prepared_container_that_fits_is_used() -> None:
    asked = acme(port=8443)
    prepared = container(asked, name="registry-next", state="created")
    assert planned(asked, deployed(WAS, workload=beside(candidate=prepared))) == sheet("""
         1. start it in its place        port: 443:443 → 8443:443 [interrupts]
         2. verify what is served        a container that does not serve must not replace one that did
         3. clear away the old container the new one is verified
         4. save regdeploy.toml          changed: port
    """)


def test_a_prepared_container_that_does_not_fit_is_prepared_again() -> None:
    prepared = container(acme(port=9443), name="registry-next", state="created")
    assert planned(acme(port=8443), deployed(WAS, workload=beside(candidate=prepared))) == sheet("""
         1. create the container         port: 443:443 → 8443:443
         2. start it in its place        port: 443:443 → 8443:443 [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container the new one is verified
         5. save regdeploy.toml          changed: port
    """)


def test_a_prepared_container_of_somebody_elses_is_not_used() -> None:
    asked = acme(port=8443)
    prepared = container(asked, name="registry-next", labels={**container(asked).labels, LABEL_DEPLOYMENT: "other"})
    assert planned(asked, deployed(WAS, workload=beside(candidate=prepared))) == sheet("""
         1. create the container         port: 443:443 → 8443:443
         2. start it in its place        port: 443:443 → 8443:443 [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container the new one is verified
         5. save regdeploy.toml          changed: port
    """)


def test_a_prepared_container_that_nobody_needs_any_more_is_removed() -> None:
    prepared = container(acme(port=8443), name="registry-next", state="created")
    assert planned(WAS, deployed(WAS, workload=beside(candidate=prepared))) == sheet("""
         1. remove a prepared container  it was prepared and never needed
    """)


def test_a_strangers_running_container_is_stopped_and_kept_under_a_name_of_its_own() -> None:
    asked = resolved()
    found = deployed(asked, workload=ObservedWorkload(current=foreign()))
    assert planned(asked, found) == sheet("""
         1. create the container         registry was not made by regdeploy (registry:2.7, 5000→5000, data inside the container); it is stopped and kept, and nothing in it is removed, but its settings and images are not taken over (`regdeploy migrate-to-https` does that)
         2. start it in its place        registry was not made by regdeploy (registry:2.7, 5000→5000, data inside the container); it is stopped and kept, and nothing in it is removed, but its settings and images are not taken over (`regdeploy migrate-to-https` does that) [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
    """)  # noqa: E501 - the plan as it is shown


def test_a_container_that_was_changed_behind_our_back_is_made_anew() -> None:
    loosened = container(WAS, restart_policy="no", read_only=False, cap_add=("NET_BIND_SERVICE", "SYS_ADMIN"))
    assert planned(WAS, deployed(WAS, workload=beside(current=loosened))) == sheet("""
         1. create the container         added capabilities: NET_BIND_SERVICE,SYS_ADMIN → NET_BIND_SERVICE; read-only root file system: no → yes; restart policy: no → unless-stopped
         2. start it in its place        added capabilities: NET_BIND_SERVICE,SYS_ADMIN → NET_BIND_SERVICE; read-only root file system: no → yes; restart policy: no → unless-stopped [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container the new one is verified
    """)  # noqa: E501 - the plan as it is shown


def test_a_stopped_container_that_must_be_replaced_interrupts_nobody() -> None:
    stopped = container(WAS, state="exited", exit_code=0)
    assert planned(acme(port=8443), deployed(WAS, workload=beside(current=stopped), served=None)) == sheet("""
         1. create the container         port: 443:443 → 8443:443
         2. start it in its place        port: 443:443 → 8443:443
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container the new one is verified
         5. save regdeploy.toml          changed: port
    """)
