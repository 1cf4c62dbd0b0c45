"""``up --root NEW`` on a deployment that lies elsewhere: the plan by which it moves, with the care of a migration.

The old folder keeps everything but its regdeploy.toml, which gets another name at the very end: else the next command
without --root would go on from images that are not served any more.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from regdeploy.deployment.layout import Layout
from regdeploy.deployment.migration import Migration
from regdeploy.deployment.observe import observe, wants_timer
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.request import saved_values
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.world import World
from regdeploy.host.folders import folder_facts
from regdeploy.registry.variables import storage_driver
from regdeploy.secret import Secret


def values_at(root: Path) -> dict[str, object]:
    """What was saved there. Raises UsageError and HostError."""
    return dict(saved_values(root))


def observe_from(spec: Spec, world: World, old_root: Path, password: Secret | None) -> Observed:
    """What is there of the deployment in ``old_root``, for a plan that goes on in ``spec.root``."""
    found = observe(replace(spec, root=old_root), world, password=password)
    current = found.workload.current
    assert current is not None, "asked only where one is there"
    elsewhere = storage_driver(found.variables) != "filesystem"
    migration = Migration(
        container=current.id,
        name=current.name,
        restart_policy=current.restart_policy,
        source=None if elsewhere else Layout(old_root).data,
        variables=tuple(sorted(found.variables.items())),
        moved_from=old_root,
    )
    return replace(
        found,
        folders={path: folder_facts(path) for path, _ in Layout(spec.root).folders},
        migration=migration,
        begun=False,
        timer=world.timers.facts(spec.root, spec.name) if wants_timer(spec) else None,
    )
