"""An image archive that is given: its image is to run, also where the engine has another one under that name."""

from __future__ import annotations

from dataclasses import replace

from regdeploy.deployment.plan import plan
from regdeploy.deployment.steps import FetchImage
from regdeploy.engine.model import ImageFacts, ObservedWorkload
from tests.builders import CONFIG, IMAGE, NOW, SECRET, acme, container, deployed
from tests.unit.deployment.sheet import planned, sheet

ARCHIVE = "/root/new.tar"
ASKED = acme(image_archive=ARCHIVE)
NEWER = replace(IMAGE, id="sha256:" + "b2" * 32, version="3.2.0", layers=("sha256:" + "12" * 32,))


def loading(archived: ImageFacts | None, image: ImageFacts | None = IMAGE) -> str:
    return planned(ASKED, deployed(ASKED, archived=archived, image=image))


def test_another_image_under_the_same_tag_is_loaded_before_anything_stops() -> None:
    assert loading(NEWER) == sheet("""
         1. fetch the image              /root/new.tar holds another registry:3 (sha256:b2b2b2b2b2b2) than the engine (sha256:a1a1a1a1a1a1)
         2. create the container         image: sha256:a1a1a1a1a1a1 → registry:3 (sha256:b2b2b2b2b2b2)
         3. start it in its place        image: sha256:a1a1a1a1a1a1 → registry:3 (sha256:b2b2b2b2b2b2) [interrupts]
         4. verify what is served        a container that does not serve must not replace one that did
         5. clear away the old container the new one is verified
    """)  # noqa: E501 - the plan as it is shown
    steps = plan(ASKED, deployed(ASKED, archived=NEWER), CONFIG, NOW).flat
    assert [(step.reference, step.archive) for step in steps if isinstance(step, FetchImage)] == [
        ("registry:3", ASKED.spec.image_archive)
    ]


def test_the_image_that_the_engine_has_is_not_loaded_again() -> None:
    assert loading(IMAGE) == ""
    assert loading(None) == ""


def test_an_engine_that_calls_the_same_image_otherwise_is_not_made_to_load_it_again() -> None:
    by_manifest = replace(NEWER, id="sha256:" + "c3" * 32, repo_digests=("registry@sha256:" + "c3" * 32,))
    runs = ObservedWorkload(current=container(ASKED, image_id=by_manifest.id))
    assert planned(ASKED, deployed(ASKED, archived=NEWER, image=by_manifest, workload=runs)) == ""
    for other in (
        replace(NEWER, layers=("sha256:" + "34" * 32,)),
        replace(NEWER, command=("/etc/docker/registry/config.yml",)),
        replace(NEWER, environment={"REGISTRY_LOG_LEVEL": "debug"}),
        replace(NEWER, version="3.2.1"),
    ):
        assert not by_manifest.is_same(other)


def test_where_nothing_is_known_of_the_layers_only_the_same_id_is_the_same_image() -> None:
    assert not replace(NEWER, layers=()).is_same(replace(NEWER, layers=(), id="sha256:" + "c3" * 32))


def test_where_the_container_runs_it_already_the_tag_alone_is_put_right() -> None:
    runs = ObservedWorkload(current=container(ASKED, image_id=NEWER.id))
    assert planned(ASKED, deployed(ASKED, archived=NEWER, workload=runs)) == sheet("""
         1. fetch the image              /root/new.tar holds another registry:3 (sha256:b2b2b2b2b2b2) than the engine (sha256:a1a1a1a1a1a1)
    """)  # noqa: E501 - the plan as it is shown


def test_a_container_that_was_prepared_from_it_is_used() -> None:
    prepared = container(ASKED, name="registry-next", state="created", image_id=NEWER.id)
    found = deployed(
        ASKED,
        archived=NEWER,
        workload=ObservedWorkload(current=container(ASKED), candidate=prepared),
        http_secret=SECRET,
    )
    assert planned(ASKED, found) == sheet("""
         1. fetch the image              /root/new.tar holds another registry:3 (sha256:b2b2b2b2b2b2) than the engine (sha256:a1a1a1a1a1a1)
         2. start it in its place        image: sha256:a1a1a1a1a1a1 → registry:3 (sha256:b2b2b2b2b2b2) [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container the new one is verified
    """)  # noqa: E501 - the plan as it is shown


def test_an_image_that_the_engine_lacks_is_loaded_whatever_it_is() -> None:
    assert loading(None, image=None) == sheet("""
         1. fetch the image              the engine does not have registry:3 of /root/new.tar
         2. create the container         the image is to be registry:3
         3. start it in its place        the image is to be registry:3 [interrupts]
         4. verify what is served        a container that does not serve must not replace one that did
         5. clear away the old container the new one is verified
    """)
