"""``migrate-to-https``: finds a registry that somebody started by hand, and has ``up``'s own way take it over.

find → read how it was started → the spec it amounts to, under what is asked → plan → show and ask → apply → history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from regdeploy.deployment import operations
from regdeploy.deployment.adopting import migrated_settings, read, to_migration
from regdeploy.deployment.check import Check, ok, stop, warning
from regdeploy.deployment.checks import checks, human_bytes
from regdeploy.deployment.generations import lost_between
from regdeploy.deployment.handmade import Handmade, candidates
from regdeploy.deployment.history import read as read_history
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observe import read_migration
from regdeploy.deployment.operations import Planned
from regdeploy.deployment.reporting import Reporter
from regdeploy.deployment.request import Request, is_saved, resolve_request
from regdeploy.deployment.rollback import refuse_migrating
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.steps import CopyData, CopyRest, ListImages, SettleWorkload
from regdeploy.deployment.surroundings import host_facts
from regdeploy.deployment.workload import is_ours
from regdeploy.deployment.world import World
from regdeploy.engine.model import ContainerFacts
from regdeploy.errors import NotDeployed, UsageError
from regdeploy.frozen import frozen
from regdeploy.host.lock import Lock
from regdeploy.registry.storage import repository_names
from regdeploy.secret import Secret

_ASK = "say which with --from"


@frozen
class Wishes:
    """How a migration is gone about: ``container`` is the old registry's name, empty to find it; the rest as in
    :class:`regdeploy.deployment.migration.Migration`. ``keep_localhost`` None keeps a port it was published on.
    """

    container: str = ""
    keep_localhost: bool | None = None
    leave_damaged: bool = False
    full: bool = False
    move: bool = False


@frozen
class Migrating:
    """What ``migrate-to-https`` would do. ``handmade`` is None where an earlier run is gone on with."""

    planned: Planned
    handmade: Handmade | None

    @property
    def kept_as(self) -> str:
        """The name of the old container from now on; empty where it was not there any more."""
        kept = (step.keep_as for step in self.planned.plan.flat if isinstance(step, SettleWorkload))
        return next(filter(None, kept), "")

    @property
    def repositories(self) -> tuple[str, ...]:
        """The repositories that this host has now, by name; none of a registry whose images lie elsewhere."""
        return repository_names(Layout(self.planned.spec.root).data)


def to_choose_from(request: Request, world: World) -> tuple[ContainerFacts, ...]:
    """The registries of which a person must choose one; none where it is clear which is meant. Raises EngineError."""
    spec = resolve_request(request).spec
    if is_saved(spec.root) or read_migration(Layout(spec.root).migration) is not None:
        return ()
    found = old_registries(request, world)
    return found if len(found) > 1 and found[0].name != spec.name else ()


def old_registries(request: Request, world: World) -> tuple[ContainerFacts, ...]:
    """The registries on this engine that somebody started by hand, the likeliest first. Raises EngineError."""
    spec = resolve_request(request).spec
    found = world.engine.containers()
    images = {one.image_id: world.engine.image(one.image_id) for one in found}
    return candidates(found, {key: image for key, image in images.items() if image is not None}, spec.name)


def plan_migration(request: Request, world: World, wishes: Wishes, *, password: Secret | None = None) -> Migrating:
    """Look, and say what ``migrate`` would do. Changes nothing. Raises what ``migrate`` raises."""
    resolved = resolve_request(request)
    operations.refuse_unsafe(resolved.spec.root, world.uid)
    noted = read_migration(Layout(resolved.spec.root).migration)
    if noted is not None:
        if wishes.container not in ("", noted.name):
            what = f"{wishes.container!r} is not {noted.name!r}, whose migration to {resolved.spec.root} is under way"
            raise UsageError("--from", what, "go on with that one, or choose another folder with --root")
        _refuse_plain(resolved.spec)
        now = replace(
            noted,
            leave_damaged=noted.leave_damaged or wishes.leave_damaged,
            full=noted.full or wishes.full,
            move=noted.move or (wishes.move and noted.source is not None),
        )
        return Migrating(planned=operations.planned(resolved, world, password, migration=now), handmade=None)
    container = _chosen(request, world, wishes, resolved.spec)
    handmade = read(container, world)
    keep = wishes.keep_localhost is not False
    resolved = resolve_request(request, migrated_settings(handmade, keep_localhost=keep))
    _refuse_plain(resolved.spec)
    migration = to_migration(
        resolved.spec,
        handmade,
        world,
        leave_damaged=wishes.leave_damaged,
        full=wishes.full,
        move=wishes.move,
    )
    return Migrating(
        planned=operations.planned(resolved, world, password, migration=migration),
        handmade=handmade,
    )


def migrate(
    request: Request,
    world: World,
    reporter: Reporter,
    wishes: Wishes,
    *,
    password: Secret | None = None,
    ignore: Collection[str] = (),
) -> Migrating:
    """Take a hand-made registry over, to HTTPS, with every image, and return what was done.

    Its data is never written to; it stays, stopped and renamed. Raises CheckFailed and NeedsConfirmation before
    anything is touched; otherwise what the failing step raised, with the old one serving again. Killed at any moment,
    the same call, or ``up``, goes on from what is there.
    """
    with Lock(resolve_request(request).spec.root, "migrate-to-https"):
        migrating = plan_migration(request, world, wishes, password=password)
        planned = migrating.planned
        host = host_facts(planned.spec, planned.observed, world, planned.plan)
        found = [*checks(planned.spec, planned.observed, host), *migration_checks(migrating)]
        operations.refuse(reporter, found, ignore)
        reporter.confirm(planned.plan, _question(planned))
        operations.carry_out(planned, world, reporter, host, operation="migrate-to-https", password=password)
    return migrating


def kept_one(request: Request, world: World) -> ContainerFacts:
    """The container of the registry that was taken over last, kept and stopped. Raises NotDeployed without one."""
    spec = resolve_request(request).spec
    ids = [entry.replaced.id for entry in read_history(Layout(spec.root).history) if entry.replaced is not None]
    found = [one for one in world.engine.containers() if one.id in ids and not one.running]
    if not found:
        raise NotDeployed(spec.name, "no registry that was taken over is kept here", "`docker ps --all` shows what is")
    return found[-1]


def discard(request: Request, world: World) -> ContainerFacts:
    """Remove that container for good; folders and volumes stay. ``rollback`` cannot go back before it any more."""
    spec = resolve_request(request).spec
    with Lock(spec.root, "migrate-to-https"):
        refuse_migrating(spec)
        kept = kept_one(request, world)
        world.engine.remove(kept.id)
    return kept


def migration_checks(migrating: Migrating) -> Iterator[Check]:
    """What is to be known before a registry is taken over: what is left behind, and whether there is room."""
    handmade, planned = migrating.handmade, migrating.planned
    if handmade is not None:
        yield ok("registry", f"{handmade.container.name}, {handmade.origin.words}")
        if handmade.keeper:
            what = f"{handmade.keeper} would start {handmade.container.name} again, or another in its place"
            yield warning("registry", what, "take it out there once this is done")
        for left in handmade.left:
            yield warning(left.item, f"{left.value} is not carried over: {left.why}")
    migration, image = planned.observed.migration, planned.observed.image
    if handmade is not None and migration is not None and image is not None:
        yield from lost_between(handmade.container, image, migration.source or Layout(planned.spec.root).data)
    if (
        handmade is not None
        and handmade.origin.kind == "driver"
        and not any(isinstance(step, ListImages) for step in planned.plan.flat)
    ):
        why = "no port of this host leads to it" if handmade.container.running else "it does not run"
        yield warning("images", f"what {handmade.container.name} holds is not compared: {why}")
    for step in planned.plan.flat:
        if isinstance(step, CopyData | CopyRest) and not (isinstance(step, CopyRest) and not step.move):
            yield from _room(step.source, Layout(planned.spec.root).data, move=isinstance(step, CopyRest))


def _room(source: Path, data: Path, *, move: bool) -> Iterator[Check]:
    from regdeploy.registry.transfer import Transfer  # noqa: PLC0415 - only where something is to be copied

    space = Transfer(source, data, move=move).needs()
    hint = "make room, choose a folder on another disk with --root, or move them with --move"
    if space.missing_bytes:
        what = f"{human_bytes(space.bytes)} are to be copied and {human_bytes(space.free_bytes)} are free"
        yield stop("space", what, hint)
    elif space.missing_files:
        yield stop("space", f"{space.files} files are to be made and the disk has room for {space.free_files}", hint)
    elif space.links:
        yield ok("space", f"{data} is on the disk of the images: they are linked, not copied")
    else:
        yield ok("space", f"{human_bytes(space.bytes)} to copy, {human_bytes(space.free_bytes)} free")


def _question(planned: Planned) -> str:
    migration = planned.observed.migration
    name = migration.name if migration is not None else planned.spec.name
    return f"{planned.spec.url} takes the place of {name}: clients are refused for a moment. Go on?"


def _refuse_plain(spec: Spec) -> None:
    if spec.tls is Tls.OFF:
        raise UsageError("--domain", "is missing: HTTPS needs a name", "add --domain registry.example.com")


def _chosen(request: Request, world: World, wishes: Wishes, spec: Spec) -> ContainerFacts:
    """The registry to take over. Raises UsageError where it cannot be, or several could be meant."""
    if wishes.container:
        found = [one for one in world.engine.containers() if wishes.container in (one.name, one.id, one.id[:12])]
        if not found:
            names = ", ".join(one.name for one in old_registries(request, world)) or "none was found"
            raise UsageError("--from", f"there is no container {wishes.container!r}", f"registries: {names}")
    else:
        found = list(old_registries(request, world))
        current = world.engine.observe(spec.name).current
        if current is not None and is_ours(current, spec.name):
            found = [current]
    if not found:
        what = "no registry runs here that could be taken over"
        raise NotDeployed("containers", what, "`regdeploy up --domain NAME` starts a new one; --from names a container")
    if len(found) > 1 and found[0].name != spec.name:
        raise UsageError("containers", f"several registries: {', '.join(one.name for one in found)}", _ASK)
    return _takeable(world, found[0], spec)


def _takeable(world: World, container: ContainerFacts, spec: Spec) -> ContainerFacts:
    where = f"container {container.name}"
    if container.deployment:
        hint = "`regdeploy up --domain NAME` takes it to HTTPS" if is_saved(spec.root) else "`regdeploy status`"
        raise UsageError(where, "is regdeploy's own: there is nothing to migrate", hint)
    taken = world.engine.observe(spec.name).current
    if taken is not None and taken.id != container.id:
        what = f"cannot become {spec.name}: another container has that name"
        raise UsageError(where, what, "choose another name with --name (and another folder with --root)")
    if is_saved(spec.root):
        raise UsageError(str(spec.root), "holds a deployment already", "choose another folder with --root")
    return container
