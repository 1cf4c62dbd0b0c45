"""What a registry of 2.x keeps that one of 3.x serves no more, found before anything is stopped.

https://github.com/distribution/distribution/releases/tag/v3.0.0: the drivers oss and swift, and images of schema 1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from regdeploy.deployment.check import Check, Verdict, stop, warning
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.workload import is_ours
from regdeploy.engine.model import ContainerFacts, ImageFacts
from regdeploy.errors import ImageError
from regdeploy.registry.images import Generation, generation_of
from regdeploy.registry.variables import storage_driver

_DRIVERS = ("oss", "swift")
_SHOWN = 10


def unsupported(spec: Spec, observed: Observed, image: ImageFacts | None) -> tuple[Check, ...]:
    """What the container serves that ``image`` in its place would not; nothing where both are of one generation.

    Reads ROOT/data where a container of 2.x is to become one of 3.x, and not otherwise.
    """
    there = observed.workload
    current = there.current if there.current is not None and is_ours(there.current, spec.name) else there.previous
    if current is None or image is None:
        return ()
    return lost_between(current, image, Layout(spec.root).data)


def lost_between(before: ContainerFacts, image: ImageFacts, data: Path) -> tuple[Check, ...]:
    """What ``before`` serves, with images of the filesystem driver in ``data``, and ``image`` would not."""
    if _generation(before) is not Generation.V2 or _generation(image) is not Generation.V3:
        return ()
    driver = storage_driver(before.environment)
    if driver in _DRIVERS:
        what = f"the images lie in {driver}, and a registry of 3.x has no driver for that"
        return (stop("storage", what, "stay with an image of 2.x, or copy them to a registry with another storage"),)
    if driver != "filesystem":
        what = f"the images lie in {driver}: those of schema 1, should there be any, are not served by 3.x"
        return (warning("schema1", what),)
    return tuple(_schema1(schema1_images(data)))


def refuse_unsupported(spec: Spec, observed: Observed, image: ImageFacts, ignore: Collection[str]) -> None:
    """Raise ImageError ``image.unsupported`` for the first that stops an image just pulled and is not in ``ignore``."""
    passed = {name.lower() for name in ignore}
    for check in unsupported(spec, observed, image):
        if check.verdict is Verdict.STOP and check.item not in passed:
            raise ImageError(f"image {spec.image}", check.message, check.hint, code="image.unsupported")


def schema1_images(data: Path) -> tuple[str, ...]:
    """Every image of schema 1 below ``data``, as a reference without the registry, in their order. Raises HostError."""
    from regdeploy.registry.inventory import read_inventory  # noqa: PLC0415 - only where the generation changes
    from regdeploy.registry.manifests import SCHEMA1  # noqa: PLC0415 - as above

    found = []
    for name, repository in sorted(read_inventory(data).repositories.items()):
        old = {digest for digest, facts in repository.manifests.items() if facts.media_type in SCHEMA1}
        tagged = {tag: digest for tag, digest in sorted(repository.tags.items()) if digest in old}
        found += [f"{name}:{tag}" for tag in tagged]
        found += [f"{name}@{digest}" for digest in sorted(old - set(tagged.values()))]
    return tuple(found)


def _schema1(images: tuple[str, ...]) -> Iterator[Check]:
    if images:
        more = f", and {len(images) - _SHOWN} more" if images[_SHOWN:] else ""
        what = f"3.x serves no images of schema 1, and there are {len(images)}: {', '.join(images[:_SHOWN])}{more}"
        hint = "pull each and push it again with a Docker of today, or give them up with --ignore schema1"
        yield stop("schema1", what, hint)


def _generation(one: ContainerFacts | ImageFacts) -> Generation | None:
    try:
        return generation_of(one.entrypoint, one.command)
    except ImageError:
        return None
