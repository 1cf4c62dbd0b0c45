"""``rollback``: back to the state after an earlier operation, by ``up``'s own way: spec, image, certificate.

history → the entry → the spec and image that it kept → plan → show and ask → apply → history. Data stays as it is. It
is an operation like any other, and so can be rolled back itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import regdeploy
from regdeploy.deployment import giving_back
from regdeploy.deployment.calling import Hooks
from regdeploy.deployment.giving_back import GivingBack
from regdeploy.deployment.history import Entry, State, read, record
from regdeploy.deployment.hooks import Hook
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.operations import Planned, agreed, carry_out, planned, refuse_unsafe
from regdeploy.deployment.reporting import Reporter
from regdeploy.deployment.request import Request, deployed_spec, read_text, resolve_request
from regdeploy.deployment.settings import BY_NAME, SETTINGS, Tls
from regdeploy.deployment.spec import Raw, Resolved, Spec, flag_layer, resolve
from regdeploy.deployment.steps import InstallCertificate
from regdeploy.deployment.targets import HINT, Present, before_regdeploy, choose_certificate, find_target
from regdeploy.deployment.workload import is_ours, short
from regdeploy.deployment.world import World
from regdeploy.engine.model import ImageFacts
from regdeploy.engine.protocol import Engine
from regdeploy.errors import CheckFailed, RegdeployError, UsageError
from regdeploy.frozen import frozen
from regdeploy.host.lock import Lock
from regdeploy.tls.store import CertificateStore, StoredVersion

_MEANWHILE = "something was deployed meanwhile"


@frozen
class Rollback:
    """What a rollback does, or did: the entry that it goes back to, the plan, and what is not as it was, and why."""

    entry: Entry
    planned: Planned
    notes: tuple[str, ...]


def plan_rollback(request: Request, world: World, number: int | None = None) -> Rollback | GivingBack:
    """Look, and say what going back would mean: to a state of ours, or to what was there before regdeploy.

    Changes nothing. Raises what ``rollback`` raises.
    """
    spec = deployed_spec(request)
    refuse_unsafe(spec.root, world.uid)
    half_way = giving_back.under_way(spec)
    if half_way is not None and not number:
        return giving_back.plan_giving_back(spec, world, half_way)
    refuse_migrating(spec)
    target = find_target(read(Layout(spec.root).history), number, _present(spec, world))
    kept = before_regdeploy(target.entry) if target.before else None
    if kept is not None:
        return giving_back.plan_giving_back(spec, world, kept)
    return _planned(request, spec, target.entry, world)


def rollback(
    request: Request, world: World, reporter: Reporter, number: int, *, ignore: Collection[str] = ()
) -> Rollback:
    """Go back to the state after entry ``number``, and return what was done.

    Raises NotDeployed, UsageError where there is no such state, CheckFailed and NeedsConfirmation before anything is
    touched; otherwise what the failing step raised, with all undone. Killed at any moment, the same call goes on, and
    ``up`` makes of it what is saved by then: the state before or the one after.
    """
    spec = deployed_spec(request)
    with Lock(spec.root, "rollback"):
        found = plan_rollback(request, world, number)
        if isinstance(found, GivingBack):
            raise UsageError(str(spec.root), _MEANWHILE, "look again, then repeat the command")
        if found.planned.plan.steps:
            host = agreed(found.planned, world, reporter, ignore)
            _note_present(spec, world)
            operation = f"rollback --to {found.entry.number}"
            carry_out(found.planned, world, reporter, host, operation=operation, ignore=ignore)
            if any(isinstance(step, InstallCertificate) for step in found.planned.plan.flat):
                hooks = Hooks(found.planned.spec, world)
                hooks.call(Hook.DEPLOY)  # whoever else serves this certificate is told of a change by that
                hooks.raise_problems()
    return found


def give_back(request: Request, world: World, agreed_to: GivingBack, number: int | None = None) -> GivingBack:
    """Have the registry serve again that was there before regdeploy; ``agreed_to`` is what was shown, and agreed to.

    Raises UsageError where it is not that any more, and what ``giving_back.give_back`` raises.
    """
    with Lock(agreed_to.spec.root, "rollback"):
        found = plan_rollback(request, world, number)
        if not isinstance(found, GivingBack) or found.text() != agreed_to.text():
            raise UsageError(str(agreed_to.spec.root), _MEANWHILE, "look again, then repeat the command")
        giving_back.give_back(found, world)
    return found


def refuse_migrating(spec: Spec) -> None:
    """Raise CheckFailed while a hand-made registry is being taken over: half way there is no state to change."""
    half_way = giving_back.under_way(spec)
    if half_way is not None:
        what = f"the registry {half_way.name} is being taken over, and that is not at its end"
        raise CheckFailed(str(spec.root), what, "`regdeploy up` goes on with it, `regdeploy rollback` gives it back")


def _present(spec: Spec, world: World) -> Present:
    layout = Layout(spec.root)
    current, named = world.engine.observe(spec.name).current, world.engine.image(spec.image)
    ours = current is not None and is_ours(current, spec.name)
    image = world.engine.image(current.image_id) if current is not None and ours else None
    state = State(
        saved=tomllib.loads(read_text(layout.saved) or ""),
        image_id=current.image_id if current is not None and ours else "",
        image_digests=image.repo_digests if image is not None else (),
        certificate=CertificateStore(layout.certs).read().current if spec.tls is not Tls.OFF else None,
    )
    return Present(state=state, named=named.id if named is not None else "")


def _planned(request: Request, spec: Spec, entry: Entry, world: World) -> Rollback:
    """The plan that makes the state after ``entry`` true again. Raises UsageError and CheckFailed."""
    state = entry.state
    assert state is not None, "find_target() returns no other"
    asked = _resolved(state, spec.root, entry.number)
    if asked.spec.name != spec.name:
        raise UsageError(f"entry {entry.number}", f"is of the deployment {asked.spec.name!r}, not {spec.name!r}", HINT)
    values, image_note = _with_image(state, asked.spec, world.engine, entry.number)
    resolved = _resolved(State(saved=values), spec.root, entry.number)

    def choose(wanted: Spec, observed: Observed, now: datetime) -> StoredVersion | None:
        return choose_certificate(state, wanted, observed, now)[0]

    found = planned(resolved, world, None, choose=choose)
    _, certificate_note = choose_certificate(state, resolved.spec, found.observed, world.now())
    notes = (image_note, certificate_note, _overruled(request, resolved.spec))
    return Rollback(entry=entry, planned=found, notes=tuple(filter(None, notes)))


def _resolved(state: State, root: Path, number: int) -> Resolved:
    """The spec of the values that were saved then, and of nothing else. Raises UsageError where they are not valid."""
    unknown = [key for key in state.saved if key not in BY_NAME]
    if unknown:
        what = f"has a setting that this version does not know: {', '.join(unknown)}"
        raise UsageError(f"entry {number}", what, "choose another entry, or the version of regdeploy that wrote it")
    layer = {key: Raw(value, "saved", f"entry {number}: {key}") for key, value in state.saved.items()}
    return resolve([flag_layer({"root": str(root)}), layer])


def _overruled(request: Request, spec: Spec) -> str:
    """What the environment or a file says otherwise, so that the next ``up`` would take that; empty for nothing."""
    asked = resolve_request(request)
    given = [
        f"{setting.name} ({asked.sources[setting.name]})"
        for setting in SETTINGS
        if asked.sources[setting.name] in ("environment", "file")
        and getattr(asked.spec, setting.field) != getattr(spec, setting.field)
    ]
    return f"given otherwise, and taken by the next `regdeploy up`: {', '.join(given)}" if given else ""


def _with_image(state: State, spec: Spec, engine: Engine, number: int) -> tuple[dict[str, object], str]:
    """The values to be saved, so that they name the image that ran then, and what there is to say of that.

    A tag that names another image by now gives way to the digest, or to the id. Raises CheckFailed where the engine
    has the image no more and nobody knows where it is.
    """
    values, named = dict(state.saved), engine.image(spec.image)
    if not state.image_id or (named is not None and named.id == state.image_id):
        return values, ""
    pinned = {key: value for key, value in values.items() if key != "image-archive"}
    if engine.image(state.image_id) is not None:
        found = [one for one in state.image_digests if (image := engine.image(one)) and image.id == state.image_id]
        reference = _likest(found, spec.image) or state.image_id
        what = "names another image" if named is not None else "names no image"
        return {**pinned, "image": reference}, f"{spec.image} {what} now: {reference} is saved in its place"
    if named is None and _archived(spec, state.image_id, engine):
        return values, ""
    digest = _likest(state.image_digests, spec.image)
    if digest:
        return {**pinned, "image": digest}, f"the engine has that image no more: {digest} is pulled, and saved"
    what = f"the engine has {spec.image} of entry {number} ({short(state.image_id)}) no more, and it has no digest"
    raise CheckFailed(f"entry {number}", f"{what} to pull it by", "`docker load` it, then run the same command again")


def _likest(digests: Sequence[str], reference: str) -> str:
    """Of the references by digest the one of the same repository, or the first; empty where there is none."""
    bare = reference.partition("@")[0]
    name, _, tag = bare.rpartition(":")
    repository = name if name and "/" not in tag else bare
    same = [one for one in digests if one.partition("@")[0] == repository]
    return next(iter((*same, *digests)), "")


def _archived(spec: Spec, image_id: str, engine: Engine) -> bool:
    """Whether the archive that is saved holds that image still."""
    if spec.image_archive is None or not spec.image_archive.exists():
        return False
    from regdeploy.engine.archives import archived_image  # noqa: PLC0415 - tarfile, only where there is an archive

    with suppress(RegdeployError):
        there = archived_image(spec.image_archive, engine.facts().architecture, spec.image)
        return there.is_same(ImageFacts(id=image_id))
    return False


def _note_present(spec: Spec, world: World) -> None:
    """Have the state before in history too, where it is not: regdeploy.toml was edited, or a note of it was lost."""
    path, present = Layout(spec.root).history, _present(spec, world)
    with suppress(RegdeployError):  # as for every operation: none fails for want of a note
        now = present.state
        known = [entry.state for entry in read(path) if entry.state is not None]
        if any(state.saved == now.saved and now.image_id in ("", state.image_id) for state in known):
            return
        entry = Entry(
            at=world.now(),
            operation="found",
            by=world.who,
            seconds=0,
            steps=(("note-state", "what was there before the rollback was in no entry"),),
            image=spec.image,
            version=regdeploy.__version__,
            state=present.state,
        )
        record(path, entry)
