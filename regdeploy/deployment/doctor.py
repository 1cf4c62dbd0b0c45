"""Everything that would stop ``up`` here, looked at without touching anything."""

from __future__ import annotations

from dataclasses import replace

from regdeploy.deployment.checks import Check, Verdict, checks
from regdeploy.deployment.observe import NO_ENGINE, EngineView, look_at_engine, observe, read_pair
from regdeploy.deployment.request import Request, resolve_request
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.surroundings import host_facts
from regdeploy.deployment.world import World
from regdeploy.errors import EngineError, UsageError


def examine(request: Request, world: World) -> tuple[Check, ...]:
    """Judge engine, permissions, ports, names, CA, clock, disk and folders. Raises UsageError for bad input only."""
    spec = resolve_request(request).spec
    try:
        view = look_at_engine(spec, world)
    except EngineError as error:
        absent = Check("engine", Verdict.STOP, str(error), error.hint)
        rest = _judged(spec, world, NO_ENGINE)
        return (absent, *(check for check in rest if check.item != "engine"))
    return _judged(spec, world, view)


def _judged(spec: Spec, world: World, view: EngineView) -> tuple[Check, ...]:
    pair: tuple[Check, ...] = ()
    if spec.tls is Tls.FILES:
        try:
            read_pair(spec, world)
            pair = (Check("pair", Verdict.OK, f"{spec.cert} and {spec.key} belong together"),)
        except UsageError as error:
            pair = (Check("pair", Verdict.STOP, str(error), error.hint),)
            spec = replace(spec, tls=Tls.OFF)  # the pair is judged: look at all the rest without it
    observed = observe(spec, world, view=view)
    return (
        *pair,
        *checks(spec, observed, host_facts(spec, observed, world, None, engine_answers=view is not NO_ENGINE)),
    )
