"""The way back to a registry that somebody started by hand: it serves again under its own name, as it did before.

Ours is stopped and moved aside first, and removed last; its images stay in ROOT/data, and are what the next
``migrate-to-https`` goes on from. Killed at any moment, the same call does what is left.
"""

from __future__ import annotations

import time
from contextlib import suppress

import regdeploy
from regdeploy.deployment.bringing import bring_back
from regdeploy.deployment.history import Entry, Kept, record
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observe import read_migration
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.workload import STOP_TIMEOUT, is_ours
from regdeploy.deployment.world import World
from regdeploy.engine.model import ContainerFacts
from regdeploy.errors import EngineError, NotDeployed, RegdeployError
from regdeploy.files import refusal, sync_folder, write_whole
from regdeploy.frozen import frozen

_LOOKS, _LOOK_EVERY = 10, 0.1


@frozen
class GivingBack:
    """What is to be done: ``old`` gets its name and its place again, ``ours`` go; ``only_new`` are the tags that were
    pushed since and stay behind, in ROOT/data.
    """

    spec: Spec
    kept: Kept
    old: ContainerFacts
    ours: tuple[ContainerFacts, ...]
    only_new: tuple[str, ...] = ()

    def text(self) -> str:
        """The plan for a person, a step a line."""
        steps = [
            *(f"stop {one.name}: {self.kept.name_before} takes its place again [interrupts]" for one in self._running),
            f"start {self.old.name} as {self.kept.name_before}, with all that it had",
            *(
                f"remove the container {one.name}; its images stay in {Layout(self.spec.root).data}"
                for one in self.ours
            ),
            f"rename {Layout(self.spec.root).saved.name}: nothing is deployed any more",
        ]
        return "\n".join(f"{number:2}. {words}" for number, words in enumerate(steps, 1))

    @property
    def _running(self) -> tuple[ContainerFacts, ...]:
        return tuple(one for one in self.ours if one.running)


def under_way(spec: Spec) -> Kept | None:
    """The container of a migration that was begun and is not over; None where there is none. Raises HostError."""
    migration = read_migration(Layout(spec.root).migration)
    if migration is None:
        return None
    return Kept(
        id=migration.container,
        name=migration.name,
        name_before=migration.name,
        restart_policy=migration.restart_policy,
        restart_retries=migration.restart_retries,
    )


def plan_giving_back(spec: Spec, world: World, kept: Kept) -> GivingBack:
    """Look, and say what would be done. Raises NotDeployed where the old container is not there any more."""
    found = {one.id: one for one in world.engine.containers()}
    old = found.get(kept.id)
    if old is None:
        what = f"{kept.name} is not there any more: there is nothing to go back to"
        raise NotDeployed(f"container {kept.name}", what, "the images are all in the registry that serves now")
    ours = tuple(one for one in found.values() if is_ours(one, spec.name))
    return GivingBack(spec=spec, kept=kept, old=old, ours=ours)


def give_back(plan: GivingBack, world: World) -> None:
    """Carry it out; under the lock. Raises what fails, with ours serving again."""
    engine, spec, layout = world.engine, plan.spec, Layout(plan.spec.root)
    started, clock = world.now(), time.monotonic()
    world.timers.remove(spec.name)
    aside = f"{spec.name}-given-back"
    serving = next((one for one in plan.ours if one.name in (spec.name, aside)), None)
    in_the_way = serving is not None and serving.name == plan.kept.name_before
    try:
        for one in plan.ours:
            engine.stop(one.name, STOP_TIMEOUT)
        bring_back(spec.root)
        if serving is not None and in_the_way:
            engine.rename(serving.id, aside)
        engine.rename(plan.kept.id, plan.kept.name_before)
        engine.set_restart_policy(plan.kept.name_before, plan.kept.restart_policy, plan.kept.restart_retries)
        engine.start(plan.kept.name_before)
        _must_run(world, plan.kept)
    except (EngineError, KeyboardInterrupt):
        with suppress(RegdeployError):
            engine.stop(plan.kept.id, STOP_TIMEOUT)
            engine.rename(plan.kept.id, plan.old.name)
            if serving is not None:
                engine.rename(serving.id, serving.name)
                engine.start(serving.name)
        raise
    _forget(layout, plan.kept)
    for one in plan.ours:
        engine.remove(aside if one == serving and in_the_way else one.name)
    with suppress(RegdeployError):  # it serves: a line that cannot be written does not change that
        record(
            layout.history,
            Entry(
                at=started,
                operation="rollback",
                by=world.who,
                seconds=time.monotonic() - clock,
                steps=(("start-workload", f"{plan.kept.name_before} serves again, as it did before regdeploy"),),
                image=plan.old.image,
                version=regdeploy.__version__,
            ),
        )


def _must_run(world: World, kept: Kept) -> None:
    """A container that ends at once is no way back."""
    for _ in range(_LOOKS):
        old = next((one for one in world.engine.containers() if one.id == kept.id), None)
        if old is None or old.state not in ("running", "created"):
            state = old.state if old is not None else "gone"
            raise EngineError(f"container {kept.name_before}", f"was started and is {state}", "see `docker logs`")
        time.sleep(_LOOK_EVERY)


def _forget(layout: Layout, kept: Kept) -> None:
    """What is asked for and what is under way: from here on nothing is deployed, and its images can be gone on from."""
    write_whole(layout.copied_from, f"{kept.id}\n".encode(), 0o600)
    try:
        if layout.saved.exists():
            layout.saved.replace(layout.saved.with_name(f"{layout.saved.name}.before-rollback"))
        layout.listed.unlink(missing_ok=True)
        layout.migration.unlink(missing_ok=True)
        for folder in (layout.root, layout.secrets):
            sync_folder(folder)
    except OSError as error:
        raise refusal(layout.saved, error) from error
