"""A container of somebody else's under one of the names that regdeploy uses while it replaces is never removed."""

from __future__ import annotations

from dataclasses import replace

from regdeploy.engine.model import ImageFacts, Mount, ObservedWorkload
from tests.builders import IMAGE, acme, container, deployed, foreign
from tests.unit.deployment.sheet import planned, sheet

WAS = acme()


def test_a_strangers_container_under_the_name_of_a_prepared_one_stays() -> None:
    there = ObservedWorkload(current=container(WAS), candidate=foreign(name="registry-next"))

    assert planned(WAS, deployed(WAS, workload=there)) == ""


def test_another_deployments_container_under_the_name_of_a_prepared_one_stays() -> None:
    other = container(acme(name="registry-next", port=8443))
    there = ObservedWorkload(current=container(WAS), candidate=other)

    assert planned(WAS, deployed(WAS, workload=there)) == ""


def test_a_strangers_stopped_container_before_ours_is_kept_under_another_name() -> None:
    there = ObservedWorkload(current=container(WAS), previous=foreign(name="registry-previous", state="exited"))

    kept = "registry-replaced-20261124-120000"
    assert planned(WAS, deployed(WAS, workload=there)) == sheet(f"""
         1. verify what is served        only a handshake shows what is served
         2. clear away the old container it was not made by regdeploy: kept, stopped, as {kept}
    """)


def test_variables_that_the_image_brings_are_no_reason_to_replace_its_container() -> None:
    image: ImageFacts = replace(IMAGE, environment={"PATH": "/bin", "REGISTRY_LOG_LEVEL": "warn"})
    ours = container(WAS)
    with_its_own = replace(ours, environment={**ours.environment, "REGISTRY_LOG_LEVEL": "warn"})

    assert planned(WAS, deployed(WAS, image=image, workload=ObservedWorkload(current=with_its_own))) == ""


def test_volumes_that_the_image_declares_are_no_reason_to_replace_its_container() -> None:
    ours = container(WAS)
    declared = Mount(source="0f" * 32, target="/cache", kind="volume")

    with_a_volume = replace(ours, mounts=(*ours.mounts, declared))

    assert planned(WAS, deployed(WAS, workload=ObservedWorkload(current=with_a_volume))) == ""
