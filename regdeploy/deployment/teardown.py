"""``down``: what it takes away, said before, and taken away under the lock."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

import regdeploy
from regdeploy.deployment.history import Entry
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.operations import refuse_unsafe, remember
from regdeploy.deployment.request import Request, is_saved, not_deployed, resolve_request, root_of
from regdeploy.deployment.rollback import refuse_migrating
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.workload import STOP_TIMEOUT, is_ours
from regdeploy.deployment.world import World
from regdeploy.engine.model import ContainerFacts
from regdeploy.errors import NotDeployed, UsageError
from regdeploy.files import refusal
from regdeploy.frozen import frozen
from regdeploy.host.lock import LOCK_FILE, Lock


@frozen
class Teardown:
    """What ``down`` takes away: containers by name, and where ``purge`` says so these paths, for good."""

    spec: Spec
    containers: tuple[ContainerFacts, ...]
    paths: tuple[Path, ...]
    purge: bool

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take away."""
        return not self.containers and not self.purge


def plan_down(request: Request, world: World, *, purge: bool) -> Teardown:
    """Look, and say what ``down`` would take away. Raises NotDeployed where nothing of a deployment is there."""
    spec = resolve_request(request).spec
    refuse_unsafe(spec.root, world.uid)
    if purge:
        refuse_migrating(spec)  # some of the old registry's images may be nowhere else
    there = world.engine.observe(spec.name)
    found = [container for container in (there.candidate, there.current, there.previous) if container]
    saved = is_saved(spec.root)
    elsewhere = None if saved else next((one for one in found if is_ours(one, spec.name) and root_of(one)), None)
    ours = tuple(one for one in found if is_ours(one, spec.name) and elsewhere is None)
    paths = _paths(spec.root) if purge else ()
    purge = bool(paths) or (purge and _is_leftover(spec.root))
    if not ours and not purge and not saved:
        foreign = there.current
        if foreign is not None and elsewhere is None:
            raise NotDeployed(
                f"container {foreign.name}",
                "was not made by regdeploy, and is left alone",
                f"`docker stop {foreign.name}` stops it",
            )
        raise not_deployed(spec, elsewhere)
    return Teardown(spec=spec, containers=ours, paths=paths, purge=purge)


def _paths(root: Path) -> tuple[Path, ...]:
    """What regdeploy lays out below ``root`` and finds there; whatever else lies there is not ours to delete."""
    layout = Layout(root)
    known = (
        layout.data,
        layout.certs,
        layout.auth,
        layout.config,
        layout.acme,
        layout.authority,
        layout.secrets,
        layout.history,
        layout.retired,
        layout.saved,
    )
    return tuple(path for path in known if path.exists() or path.is_symlink())


def _is_leftover(root: Path) -> bool:
    """Whether ``root`` is what a purge leaves that was killed near its end: a folder with the lock, or with nothing."""
    return root.is_dir() and {path.name for path in root.iterdir()} <= {LOCK_FILE}


def down(request: Request, world: World, teardown: Teardown) -> Teardown:
    """Stop (drained) and remove the deployment's containers; with paths in ``teardown``, delete those too.

    ``teardown`` is what was shown and agreed to; what is there is looked at again under the lock, and anything that
    was not in it raises UsageError. Killed at any moment, the same call goes on: regdeploy.toml goes last. Returns
    what was taken away.
    """
    spec = teardown.spec
    if not spec.root.exists():
        _remove_containers(world, teardown.containers)
        return teardown
    with Lock(spec.root, "down"):
        again = plan_down(request, world, purge=teardown.purge)
        if not set(again.paths) <= set(teardown.paths) or not set(_names(again)) <= set(_names(teardown)):
            raise UsageError(str(spec.root), "something was deployed meanwhile", "look again, then repeat the command")
        started = time.monotonic()
        world.timers.remove(spec.name)
        _remove_containers(world, again.containers)
        if again.purge:
            _delete(spec, again.paths)
        else:
            remember(
                spec,
                Entry(
                    at=world.now(),
                    operation="down",
                    by=world.who,
                    seconds=time.monotonic() - started,
                    steps=tuple(("remove-container", name) for name in _names(again)),
                    image=spec.image,
                    version=regdeploy.__version__,
                ),
            )
    if again.purge:
        with suppress(OSError):  # something that is not ours lies there
            spec.root.rmdir()
    return again


def _names(teardown: Teardown) -> tuple[str, ...]:
    return tuple(container.name for container in teardown.containers)


def _remove_containers(world: World, containers: tuple[ContainerFacts, ...]) -> None:
    for container in containers:
        world.engine.stop(container.name, STOP_TIMEOUT)
        world.engine.remove(container.name)


def _delete(spec: Spec, paths: tuple[Path, ...]) -> None:
    for path in (*paths, spec.root / LOCK_FILE):
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise refusal(path, error) from error
