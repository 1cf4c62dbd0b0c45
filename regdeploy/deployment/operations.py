"""The operations behind the commands: resolve → lock → observe → plan → show and ask → apply → history."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import regdeploy
from regdeploy.deployment.apply import Application, describe_image
from regdeploy.deployment.archived import with_archive
from regdeploy.deployment.checks import Check, Verdict, checks
from regdeploy.deployment.generations import unsupported
from regdeploy.deployment.history import Entry, kept_container, record, state_after
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.migration import Migration
from regdeploy.deployment.observe import EngineView, look_at_engine, observe
from regdeploy.deployment.observed import HostFacts, Observed
from regdeploy.deployment.obtain import acme_settings
from regdeploy.deployment.plan import Plan, plan
from regdeploy.deployment.reporting import Reporter
from regdeploy.deployment.request import Request, is_saved, read_text, resolve_request, root_of
from regdeploy.deployment.saved import fresh_text
from regdeploy.deployment.settings import BY_NAME, Tls
from regdeploy.deployment.spec import Resolved, Spec, flag_layer, plain
from regdeploy.deployment.steps import WORDS, IssueCertificate
from regdeploy.deployment.surroundings import host_facts
from regdeploy.deployment.workload import is_ours
from regdeploy.deployment.world import World
from regdeploy.engine.model import ContainerFacts
from regdeploy.errors import CheckFailed, NotDeployed, RegdeployError
from regdeploy.files import refusal
from regdeploy.frozen import frozen
from regdeploy.host.folders import folder_facts, unsafe
from regdeploy.host.lock import Lock
from regdeploy.registry import users
from regdeploy.registry.config import render_config
from regdeploy.registry.variables import storage_driver
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import AcmeSettings
from regdeploy.tls.store import CertificateStore, StoredVersion

#: From a spec and what is there to the stored certificate that is to be served, None for the newest that fits.
Choose = Callable[[Spec, Observed, datetime], StoredVersion | None]


@frozen
class Planned:
    """What ``up`` would do: the spec, what was found, and the plan."""

    resolved: Resolved
    observed: Observed
    plan: Plan

    @property
    def spec(self) -> Spec:
        """The spec that the plan makes true."""
        return self.resolved.spec


def plan_up(request: Request, world: World, *, password: Secret | None = None) -> Planned:
    """Look, and say what ``up`` would do. Changes nothing, takes no lock, makes no file. Raises what ``up`` raises."""
    refuse_unsafe(resolve_request(request).spec.root, world.uid)
    return _planned_up(request, world, password)


def up(
    request: Request,
    world: World,
    reporter: Reporter,
    *,
    password: Secret | None = None,
    operation: str = "up",
    ignore: Collection[str] = (),
) -> Planned:
    """Make the deployment true, and return the plan that was carried out, which is empty when nothing was to do.

    ``ignore`` are the names of checks that stop nothing.
    Raises CheckFailed and NeedsConfirmation before anything is touched; otherwise what the failing step raised, with
    all undone. Killed at any moment, the same call goes on from what is there.
    """
    refuse_unsafe(resolve_request(request).spec.root, world.uid)
    with Lock(resolve_request(request).spec.root, operation):
        found = _planned_up(request, world, password)  # what was saved may have changed until now
        migration = found.observed.migration
        old_root = migration.moved_from if migration is not None else None
        with Lock(old_root, operation) if old_root is not None else nullcontext():
            if found.plan.steps:
                host = agreed(found, world, reporter, ignore)
                carry_out(found, world, reporter, host, operation=operation, password=password, ignore=ignore)
    return found


def agreed(found: Planned, world: World, reporter: Reporter, ignore: Collection[str]) -> HostFacts:
    """Look at the host, check, and ask where the plan interrupts or destroys; returns what the host is like.

    ``ignore`` are the names of checks that stop nothing. Raises CheckFailed and NeedsConfirmation: nothing was touched.
    """
    host = host_facts(found.spec, found.observed, world, found.plan)
    image = found.observed.archived or found.observed.image
    refuse(
        reporter,
        (*checks(found.spec, found.observed, host), *unsupported(found.spec, found.observed, image)),
        ignore,
    )
    if found.plan.interrupts or found.plan.destroys:
        reporter.confirm(found.plan, _question(found))
    return host


def _planned_up(request: Request, world: World, password: Secret | None) -> Planned:
    """The plan of ``up``. A hand-made registry that serves what is asked for already is adopted with what it has."""
    resolved = resolve_request(request)
    spec = resolved.spec
    view = look_at_engine(spec, world)
    current = view.workload.current
    if is_saved(spec.root) or current is None:
        return planned(resolved, world, password, view=view)
    if is_ours(current, spec.name):
        return _planned_move(request, resolved, world, password, current) or planned(resolved, world, password)
    if spec.tls is Tls.OFF:
        return planned(resolved, world, password, view=view)
    from regdeploy.deployment import adopting  # noqa: PLC0415 - only where there is one

    handmade = adopting.adoptable(current, world, spec)
    if handmade is None:
        return planned(resolved, world, password, view=view)
    resolved = resolve_request(request, adopting.adopted_settings(handmade, spec))
    migration = adopting.to_migration(resolved.spec, handmade, world)
    return planned(resolved, world, password, migration=migration)


def _planned_move(
    request: Request, resolved: Resolved, world: World, password: Secret | None, current: ContainerFacts
) -> Planned | None:
    """The plan by which a deployment that lies in another folder moves here; None where it does not."""
    from regdeploy.deployment import relocating  # noqa: PLC0415 - only where something of ours runs from elsewhere

    old_root = root_of(current)
    if old_root is None or old_root == resolved.spec.root:
        return None
    resolved = resolve_request(request, relocating.values_at(old_root))
    observed = relocating.observe_from(resolved.spec, world, old_root, password)
    return _with_plan(resolved, observed, world)


def planned(
    resolved: Resolved,
    world: World,
    password: Secret | None,
    *,
    migration: Migration | None = None,
    view: EngineView | None = None,
    choose: Choose | None = None,
) -> Planned:
    """Look, and plan for ``resolved``; ``migration`` is one that is to begin. Changes nothing.

    ``choose`` says which stored certificate is gone back to, None for the one that fits.
    """
    observed = observe(resolved.spec, world, password=password, migration=migration, view=view)
    return _with_plan(resolved, with_archive(resolved, observed), world, choose)


def _with_plan(resolved: Resolved, observed: Observed, world: World, choose: Choose | None = None) -> Planned:
    spec = resolved.spec
    config_text = render_config(tls=spec.tls is not Tls.OFF, driver=storage_driver(observed.variables))
    now = world.now()
    chosen = choose(spec, observed, now) if choose is not None else None
    steps = plan(resolved, observed, config_text, now, chosen=chosen)
    return Planned(resolved=resolved, observed=observed, plan=steps)


def refuse_unsafe(root: Path, uid: int) -> None:
    """Raise CheckFailed for a root folder that another user could have prepared."""
    reason = unsafe(folder_facts(root), uid)
    if reason:
        raise CheckFailed(str(root), reason, "mend that, or choose another folder with --root")


def refuse(reporter: Reporter, found: Sequence[Check], ignore: Collection[str]) -> None:
    """Show the checks. Raises CheckFailed for the first that says stop and is not in ``ignore``."""
    reporter.checked(found)
    passed = {name.lower() for name in ignore}
    for check in found:
        if check.verdict is Verdict.STOP and check.item.lower() not in passed:
            raise CheckFailed(check.item, check.message, check.hint)


def _question(planned: Planned) -> str:
    gone = "something is gone afterwards" if planned.plan.destroys else "clients are refused for a moment"
    return f"{planned.spec.url}: {gone}. Go on?"


def carry_out(
    planned: Planned,
    world: World,
    reporter: Reporter,
    host: HostFacts,
    *,
    operation: str,
    password: Secret | None = None,
    ignore: Collection[str] = (),
) -> None:
    """Do what is planned and write history. Raises what the failing step raised, with all undone."""
    issuing = any(isinstance(step, IssueCertificate) for step in planned.plan.flat)
    application = Application(
        planned.resolved,
        planned.observed,
        world,
        reporter,
        password=password,
        acme=order_settings(planned) if issuing and planned.spec.tls is Tls.ACME else None,
        directory=host.directory,
        ignore=ignore,
    )
    started, clock = world.now(), time.monotonic()
    error = "interrupted"
    try:
        application.run(planned.plan)
        error = ""
    except RegdeployError as failure:
        error = str(failure)
        raise
    finally:
        entry = Entry(
            at=started,
            operation=operation,
            by=world.who,
            seconds=time.monotonic() - clock,
            steps=tuple((WORDS[type(step)][0], step.why) for step in planned.plan.flat),
            image=describe_image(planned.spec.image, application.image) if application.image else planned.spec.image,
            version=regdeploy.__version__,
            error=error,
            state=None
            if error
            else state_after(planned.spec, planned.observed, planned.plan, application.image, world),
            replaced=None if error else kept_container(planned.spec, planned.observed, planned.plan),
        )
        remember(planned.spec, entry)
    application.forget()


def order_settings(planned: Planned) -> AcmeSettings:
    """What an order is asked with, and the certificate that it replaces. Raises UsageError and CertificateError."""
    spec, facts = planned.spec, planned.observed.certificates
    settings, store = acme_settings(spec), CertificateStore(Layout(spec.root).certs)
    if spec.reuse_key and facts.current is not None:
        settings = replace(settings, reuse_key=store.key(facts.current))
    for version in reversed(facts.versions):
        same = version.directory == spec.acme_directory and set(version.names) & set(spec.domains)
        if same and not version.problem:
            with suppress(RegdeployError):  # a file that is gone is replaced all the same
                return replace(settings, replaces=store.fullchain(version.number))
    return settings


def remember(spec: Spec, entry: Entry) -> None:
    """History must not turn a success into a failure: on a disk that is full, the deployment still stands."""
    with suppress(RegdeployError):
        record(Layout(spec.root).history, entry)


def first_login(spec: Spec) -> tuple[str, Secret] | None:
    """The user and the generated password that nobody has been shown yet; None when there is none."""
    text = read_text(Layout(spec.root).first_password)
    user, colon, password = (text or "").strip().rpartition(":")
    return (user, Secret(password)) if colon else None


def first_login_shown(spec: Spec) -> None:
    """Forget the generated password: from now on only its hash is kept. Raises HostError."""
    path = Layout(spec.root).first_password
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise refusal(path, error) from error


def user_without_password(request: Request) -> str:
    """The user that was asked for by name and cannot log in yet; empty when there is no such one."""
    resolved = resolve_request(request)
    spec = resolved.spec
    if not spec.auth or resolved.sources["user"] == "default":
        return ""
    return "" if spec.user in users.read(Layout(spec.root).htpasswd) else spec.user


def renewal_words(planned: Planned, world: World) -> str:
    """What renews the certificate, for the last line of ``up``; empty where there is nothing to renew."""
    spec = planned.spec
    if spec.tls in (Tls.OFF, Tls.FILES):
        return ""
    timer = world.timers.facts(spec.root, spec.name) if spec.timer else None
    if timer is not None and timer.active:
        return f" Renewal: systemd{f', next {timer.next_run:%Y-%m-%d %H:%M} UTC' if timer.next_run else ''}."
    return " Nothing renews it yet: start `regdeploy agent`, or let cron run `regdeploy renew` twice a day."


def initial_file(flags: Mapping[str, object]) -> str:
    """The text of a new regdeploy.toml in which ``flags`` are set. Raises UsageError for bad values."""
    layer = flag_layer(flags)
    values = {name: BY_NAME[name].parse(raw.value, raw.where) for name, raw in layer.items()}
    return fresh_text({name: plain(value) for name, value in values.items()}, where="file")


def log_lines(request: Request, world: World, tail: int, *, follow: bool) -> Iterator[str]:
    """The registry's log, the last ``tail`` lines. Raises NotDeployed and EngineError."""
    spec = resolve_request(request).spec
    if world.engine.observe(spec.name).current is None:
        raise NotDeployed(spec.name, "there is no such container", "`regdeploy up` deploys a registry")
    return world.engine.logs(spec.name, tail, follow=follow)
