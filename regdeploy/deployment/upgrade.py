"""``upgrade``: another image, by ``up``'s own way: what there is under the saved name by now, or the one that is named.

lock → pull → what the new generation serves no more → plan → show and ask → apply → history. What fails puts the tag
back that the pull has moved, and the container before: the next ``up`` finds nothing to do.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from regdeploy.deployment.apply import describe_image
from regdeploy.deployment.check import Verdict
from regdeploy.deployment.checks import human_bytes
from regdeploy.deployment.generations import unsupported
from regdeploy.deployment.operations import Planned, agreed, carry_out, planned, refuse_unsafe
from regdeploy.deployment.plan import Plan
from regdeploy.deployment.reporting import Event, Reporter
from regdeploy.deployment.request import Request, deployed_spec, resolve_request
from regdeploy.deployment.rollback import refuse_migrating
from regdeploy.deployment.spec import Resolved, Spec
from regdeploy.deployment.steps import FetchImage
from regdeploy.deployment.workload import is_ours
from regdeploy.deployment.world import World
from regdeploy.engine.model import ContainerFacts, ImageFacts, PullProgress
from regdeploy.errors import ImageError, RegdeployError, UsageError
from regdeploy.frozen import frozen
from regdeploy.host.lock import Lock


@frozen
class Upgrade:
    """What an upgrade does, or did: the plan, a sentence, and what is to be known beside it."""

    planned: Planned
    words: str
    notes: tuple[str, ...] = ()


def plan_upgrade(request: Request, world: World) -> Upgrade:
    """Look, and say what ``upgrade`` would do. Changes nothing, pulls nothing: what a pull brings is not known.

    Raises what ``upgrade`` raises.
    """
    resolved = _asked(request, world)
    found = planned(resolved, world, None)
    spec, image = found.spec, found.observed.image
    steps = [step for step in found.plan.steps if not isinstance(step, FetchImage)]
    fetch = FetchImage(reference=spec.image, archive=None, why=_why(spec, image))
    notes = [check.message for check in unsupported(spec, found.observed, image) if check.verdict is not Verdict.OK]
    return Upgrade(
        planned=replace(found, plan=Plan((fetch, *steps))),
        words=f"{spec.url}: what comes after the pull is known then; an image that is there already changes nothing",
        notes=tuple(notes),
    )


def upgrade(request: Request, world: World, reporter: Reporter, *, ignore: Collection[str] = ()) -> Upgrade:
    """Have the registry run what there is under its image's name by now, or with ``--image`` that one.

    An image that cannot be pulled is used as it is there, where it was named now. Raises NotDeployed, UsageError for
    an image that cannot become another one, ImageError in the registry's words, CheckFailed with what the new
    generation serves no more, NeedsConfirmation; then, as where a step fails, container and tag are as they were.
    Killed at any moment, the next ``up`` goes on with the image that the tag names, or ``rollback`` goes back.
    """
    with Lock(deployed_spec(request).root, "upgrade"):
        resolved = _asked(request, world)
        spec = resolved.spec
        before = _runs(spec, world)
        with _fetched(spec, world, reporter, named=_named(request)) as note:
            found = planned(resolved, world, None)
            if found.plan.steps:
                host = agreed(found, world, reporter, ignore)
                carry_out(found, world, reporter, host, operation="upgrade")
    words = _words(found, before, _runs(spec, world))
    return Upgrade(planned=found, words=words, notes=tuple(filter(None, (note,))))


def _asked(request: Request, world: World) -> Resolved:
    spec = deployed_spec(request)
    refuse_unsafe(spec.root, world.uid)
    refuse_migrating(spec)
    if not _named(request) and _is_fixed(spec.image):
        what = f"is missing: {spec.image} names one image for good"
        raise UsageError("--image", what, "name another one: `regdeploy upgrade --image registry:3`")
    return resolve_request(request)


def _named(request: Request) -> bool:
    """Whether the image was named with this command."""
    return bool(request.flags.get("image"))


def _is_fixed(reference: str) -> bool:
    return "@" in reference or reference.startswith("sha256:")


def _why(spec: Spec, image: ImageFacts | None) -> str:
    return f"there may be another {spec.image} by now" if image else f"the engine does not have {spec.image}"


def _runs(spec: Spec, world: World) -> ImageFacts | None:
    """The image of the deployment's container, None where there is none, or its image was removed."""
    proved = _proved(spec, world)
    return world.engine.image(proved.image_id) if proved is not None else None


def _proved(spec: Spec, world: World) -> ContainerFacts | None:
    """The deployment's container: of two, which a kill leaves, the one that has served."""
    there = world.engine.observe(spec.name)
    ours = (one for one in (there.previous, there.current) if one is not None and is_ours(one, spec.name))
    return next(ours, None)


@contextmanager
def _fetched(spec: Spec, world: World, reporter: Reporter, *, named: bool) -> Iterator[str]:
    """Have the image that is to be had, and yield what is to be said of it; an error takes the tag back.

    Where the container was made from that very tag, it goes back to the container's image, which a run before this
    one may have left behind: with it the next ``up`` has nothing to do.
    """
    engine, reference = world.engine, spec.image
    there, proved = engine.image(reference), _proved(spec, world)
    before = there.id if there is not None else ""
    if proved is not None and proved.image == reference and engine.image(proved.image_id) is not None:
        before = proved.image_id
    pulled = False
    try:
        note = _pull(spec, world, reporter, there if named else None)
        pulled = True
        yield note
    except BaseException as error:
        now = engine.image(reference)
        moved = now is not None and now.id != before and (pulled or there is None or now.id != there.id)
        if before and moved and not _is_fixed(reference):
            _tag_back(world, before, reference, error)
        raise


def _tag_back(world: World, image_id: str, reference: str, cause: BaseException) -> None:
    try:
        world.engine.tag(image_id, reference)
    except RegdeployError as error:
        cause.add_note(f"{reference} could not be given back: {error}")
        if isinstance(cause, RegdeployError):
            cause.hint = f"{reference} still names the new image ({error}): `docker tag {image_id} {reference}`"


def _pull(spec: Spec, world: World, reporter: Reporter, there: ImageFacts | None) -> str:
    """Pull it; where that fails and it is ``there``, say so. Raises ImageError in the registry's words."""
    step = FetchImage(reference=spec.image, archive=None, why=_why(spec, there))
    began, moved = time.monotonic(), 0

    def report(progress: PullProgress) -> None:
        nonlocal moved
        moved = max(moved, progress.done_bytes)
        done, total = progress.done_bytes, progress.total_bytes
        reporter.event(Event(step=step, phase="under way", words=progress.note, done_bytes=done, total_bytes=total))

    reporter.event(Event(step=step, phase="began"))
    note = ""
    try:
        image = world.engine.pull(spec.image, report)
        how = f"pulled {human_bytes(moved)}"
    except ImageError as error:
        if there is None:
            raise
        image, how, note = there, "is there", f"it could not be pulled, and the one that is there is used: {error}"
    words = f"{describe_image(spec.image, image)} {how}"
    reporter.event(Event(step=step, phase="done", words=words, seconds=time.monotonic() - began))
    return note


def _words(found: Planned, before: ImageFacts | None, after: ImageFacts | None) -> str:
    spec, reference = found.spec, found.spec.image
    now = describe_image(reference, after) if after is not None else reference
    if not found.plan.steps:
        return f"{spec.url}: {now} is what runs already: nothing to do"
    if before is None or after is None or before.id == after.id:
        return f"{spec.url}: {now} runs"
    return f"{spec.url}: {describe_image(_name(before, reference), before)} → {now}"


def _name(image: ImageFacts, reference: str) -> str:
    """What the image before is called: by its tag, where it has one still."""
    return next(iter(image.tags), reference)
