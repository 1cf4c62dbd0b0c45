"""The part of the plan that takes a hand-made registry over with its images. Pure.

It surrounds the container's part: what is written down before, copied beside the preparation, copied again between
stop and start, and proved before the old container is cleared away.
"""

from __future__ import annotations

from regdeploy.deployment.observed import Observed
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.steps import (
    BeginMigration,
    BringFiles,
    CopyData,
    CopyRest,
    EndMigration,
    KeepAccess,
    KeepSettings,
    ListImages,
    MoveAside,
    RenameWorkload,
    RetireRoot,
    Step,
    StopWorkload,
    VerifyImages,
)
from regdeploy.frozen import frozen
from regdeploy.secret import Secret


@frozen
class MovePlan:
    """The steps in the order of their places: ``begin`` before all but the folders, ``keep`` with the access,
    ``copy``, or the question what there is, beside the container's preparation, ``claim`` before the first stop,
    ``switch`` before the new one starts, ``prove`` once it serves, ``end`` when the old one is cleared away.
    """

    begin: tuple[Step, ...] = ()
    keep: tuple[Step, ...] = ()
    copy: tuple[Step, ...] = ()
    claim: tuple[Step, ...] = ()
    switch: tuple[Step, ...] = ()
    prove: tuple[Step, ...] = ()
    end: tuple[Step, ...] = ()


def plan_move(spec: Spec, observed: Observed, *, stopped: bool) -> MovePlan:
    """What is left to do of a migration, nothing where there is none. ``stopped``: it is stopped before that anyway.

    Nothing is copied once ours has the old one's place: from then on, clients may have pushed to it. If both have
    served, what the old one got last must not be lost.
    """
    migration = observed.migration
    if migration is None:
        return MovePlan()
    source, current, previous = migration.source, observed.workload.current, observed.workload.previous
    # The one before too: an engine that was restarted may have started it again, whatever had stopped it.
    old = next((one for one in (current, previous) if one is not None and one.id == migration.container), None)
    came_back = old is not None and old == previous and old.running
    replaced = current is not None and current != old and not came_back
    copy: tuple[Step, ...] = ()
    switch: list[Step] = []
    if migration.address and old is not None and old.running:  # anew at each try: clients delete as well
        why = f"{old.name} at {migration.address}: the new one must hold it too"
        copy = (ListImages(address=migration.address, full=migration.full, why=why),)
    if source is not None and old is not None and old.running and not stopped:
        why = f"nothing may be pushed to {old.name} from here on"
        switch.append(StopWorkload(why=why, interrupts=True, cleared=False))
    if source is not None and migration.move and not replaced:
        why = f"{source} has them no more then: there is no room for two copies"
        switch.append(CopyRest(source=source, move=True, why=why, interrupts=True, destroys=True))
    elif source is not None and not replaced:
        while_serving = f", while {migration.name} serves" if old is not None and old.running else ""
        copy = (CopyData(source=source, why=f"from {source}{while_serving}"),)
        switch.append(CopyRest(source=source, why="what was pushed meanwhile"))
    return MovePlan(
        begin=_begin(observed),
        keep=_keep(observed),
        copy=copy,
        claim=()
        if old is None or old != current or old.name == spec.name
        else (RenameWorkload(found=old.name, why=f"{old.name} gives its place to {spec.name}"),),
        switch=tuple(switch),
        prove=()
        if not (source or copy or observed.listed) or (replaced and previous is None)  # it was proved, and cleared away
        else (VerifyImages(source=source, full=migration.full, why="every image of the old one must be in the new"),),
        end=(*_retire(observed), EndMigration(why="every image is there")),
    )


def _begin(observed: Observed) -> tuple[Step, ...]:
    assert observed.migration is not None, "asked only where there is one"
    if observed.begun:
        return ()
    why = "whatever happens, the next run goes on from there"
    begin = BeginMigration(migration=observed.migration, why=why)
    root = observed.migration.moved_from
    return (begin,) if root is None else (begin, BringFiles(old_root=root, why=f"the deployment lies in {root}"))


def _retire(observed: Observed) -> tuple[Step, ...]:
    assert observed.migration is not None, "asked only where there is one"
    root = observed.migration.moved_from
    why = "it is not served any more; nothing in it is deleted"
    return () if root is None else (RetireRoot(old_root=root, why=f"{root}: {why}"),)


def _keep(observed: Observed) -> tuple[Step, ...]:
    migration = observed.migration
    assert migration is not None, "asked only where there is one"
    steps: list[Step] = []
    if migration.htpasswd and not observed.users:
        steps.append(KeepAccess(htpasswd=Secret(migration.htpasswd), why=f"who logs in to {migration.name} goes on to"))
    if observed.aside:
        names = ", ".join(before.name for before, _ in observed.aside)
        steps.append(MoveAside(files=observed.aside, why=f"{names} will be links to what is current"))
    if observed.variables != observed.extra:
        steps.append(
            KeepSettings(variables=migration.variables, files=migration.files, why=f"{migration.name} has them")
        )
    return tuple(steps)
