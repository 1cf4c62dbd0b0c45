"""From what is there to what is wanted: the ordered steps, each with its cause. Pure: no clock, no prompt, no I/O.

Read it in the order of :func:`plan`. The container's part is decided from scratch at every run, so a replacement that
was killed half way is just another thing that is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from regdeploy.deployment.certificates import CertificatePlan, Renewal, plan_certificate, plan_use
from regdeploy.deployment.container import ContainerPlan, plan_container
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.moving import MovePlan, plan_move
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.spec import Resolved, Spec, to_saved
from regdeploy.deployment.steps import (
    WORDS,
    InstallTimer,
    MakeFolders,
    MakeSecret,
    RestartWorkload,
    SaveSpec,
    SetPassword,
    SettleWorkload,
    StartWorkload,
    Step,
    StopWorkload,
    Together,
    VerifyServing,
    WriteConfig,
    flat,
)
from regdeploy.deployment.workload import is_ours, start_of
from regdeploy.secret import Secret
from regdeploy.tls.store import StoredVersion


@dataclass(frozen=True)
class Plan:
    """The steps from observed to spec, in order. Empty means that nothing is to be done."""

    steps: tuple[Step, ...]

    @property
    def flat(self) -> tuple[Step, ...]:
        """The steps one by one, those done together too."""
        return flat(self.steps)

    @property
    def interrupts(self) -> bool:
        """Whether clients are refused for a moment."""
        return any(step.interrupts for step in self.flat)

    @property
    def destroys(self) -> bool:
        """Whether something is gone afterwards."""
        return any(step.destroys for step in self.flat)

    def text(self) -> str:
        """The plan for a person, a step a line."""
        lines = []
        for number, step in enumerate(self.flat, 1):
            marks = "".join(
                f" [{word}]" for word, on in (("interrupts", step.interrupts), ("destroys", step.destroys)) if on
            )
            lines.append(f"{number:2}. {WORDS[type(step)][1]:<29}{step.why}{marks}")
        return "\n".join(lines)

    def as_json(self) -> list[dict[str, object]]:
        """The plan for a program: ``step``, ``why``, ``interrupts``, ``destroys``."""
        return [
            {"step": WORDS[type(step)][0], "why": step.why, "interrupts": step.interrupts, "destroys": step.destroys}
            for step in self.flat
        ]


def plan(
    resolved: Resolved, observed: Observed, config_text: str, now: datetime, *, chosen: StoredVersion | None = None
) -> Plan:
    """The steps that make ``resolved.spec`` true, given what is there.

    ``config_text`` is the config.yml that the spec calls for; ``chosen`` a stored certificate that fits and is to be
    gone back to. Raises ImageError when the image there is no registry.
    """
    spec = resolved.spec
    aside, certificate = plan_use(spec, observed, chosen) if chosen else ((), plan_certificate(spec, observed, now))
    container = plan_container(spec, observed, config_text, certificate, now)
    free_port = _free_port(certificate, observed)
    move = plan_move(spec, observed, stopped=bool(free_port))
    save = _save(resolved, observed)
    early, late = (save, ()) if observed.migration is not None else ((), save)  # else the next run would not go on
    steps = (
        *_folders(spec, observed),
        *move.begin,
        *early,
        *_files(spec, observed, config_text),
        *move.keep,
        *_access(spec, resolved.sources, observed),
        *_obtain(certificate, container, move, free_port),
        *aside,
        *certificate.install,
        *(() if free_port else move.claim),
        *move.switch,
        *_proved(container.finish, move.prove),
        *move.end,
        *late,
        *_timer(observed),
    )
    return Plan(steps)


def plan_renewal(spec: Spec, observed: Observed, now: datetime, renewal: Renewal) -> Plan:
    """The steps that renew the certificate and have it served, and none that changes anything else.

    A container that is not ours, or does not run, is left alone: it reads the certificate when it is started.
    """
    return Plan(_served(spec, observed, plan_certificate(spec, observed, now, renewal)))


def plan_start(spec: Spec, observed: Observed) -> Plan:
    """The steps that start what a renewal stopped and, killed, never started again. What a person stopped stays so."""
    current = observed.workload.current
    if current is None or current.running or not is_ours(current, spec.name) or current.id != observed.stopped:
        return Plan(())
    start = StartWorkload(why="a renewal that was cut off had stopped it")
    return Plan((start, VerifyServing(why="only a handshake shows what is served")))


def plan_version(spec: Spec, observed: Observed, version: StoredVersion) -> Plan:
    """The steps that have the stored ``version``, which fits ``spec``, served from now on, and no others."""
    aside, certificate = plan_use(spec, observed, version)
    return Plan((*aside, *_served(spec, observed, certificate)))


def _served(spec: Spec, observed: Observed, certificate: CertificatePlan) -> tuple[Step, ...]:
    """The certificate, and where a container of ours runs that has not read it, its restart."""
    current = observed.workload.current
    serves = current is not None and current.running and is_ours(current, spec.name)
    stale = serves and certificate.unread_by(observed.served_fingerprint)
    if not certificate.install and not stale:
        return ()
    restart = RestartWorkload(why="a registry reads its certificate only at start", interrupts=True)
    verify = VerifyServing(why="only a handshake shows what is served")
    return (
        *_free_port(certificate, observed),
        *certificate.issue,
        *certificate.install,
        *((restart, verify) if stale else ()),
    )


def _folders(spec: Spec, observed: Observed) -> tuple[Step, ...]:
    folders = Layout(spec.root).folders
    missing = tuple((path, mode) for path, mode in folders if not observed.folders[path].exists)
    if not missing:
        return ()
    some = "nothing is laid out there yet" if len(missing) == len(folders) else "some are missing"
    return (MakeFolders(folders=missing, why=f"{spec.root}: {some}"),)


def _files(spec: Spec, observed: Observed, config_text: str) -> tuple[Step, ...]:
    layout = Layout(spec.root)
    steps: list[Step] = []
    if observed.http_secret is None:
        known = observed.migration.http_secret if observed.migration is not None else ""
        why = "an upload must survive a replaced container"
        steps.append(MakeSecret(given=Secret(known) if known else None, why=why))
    if observed.config_text != config_text:
        what = "is not what this version writes" if observed.config_text else "is not there yet"
        steps.append(
            WriteConfig(text=config_text, unread_by=_reader(spec, observed), why=f"{layout.config_file} {what}")
        )
    return tuple(steps)


def _reader(spec: Spec, observed: Observed) -> str:
    """The start of our container that may have read the config.yml which is about to be written over."""
    current = observed.workload.current
    read = bool(observed.config_text) and current is not None and current.running and is_ours(current, spec.name)
    return start_of(current) if current is not None and read else ""


def _access(spec: Spec, sources: Mapping[str, str], observed: Observed) -> tuple[Step, ...]:
    """Who may log in: the first user, a user named since, or a password that was given."""
    if not spec.auth:
        return ()
    named = sources["user"] != "default"
    if spec.user in observed.users:
        wanted, why = observed.password_given, f"another password was given for {spec.user}"
    else:
        kept = observed.migration is not None and bool(observed.migration.htpasswd)
        wanted = named or not (observed.users or kept)
        why = f"{spec.user} cannot log in yet" if observed.users else "nobody can log in yet"
    generated = not observed.password_given
    return (SetPassword(user=spec.user, generated=generated, why=why),) if wanted else ()


def _obtain(
    certificate: CertificatePlan, container: ContainerPlan, move: MovePlan, free_port: tuple[Step, ...]
) -> tuple[Step, ...]:
    """The certificate, the container's preparation and the images, at the same time where all take time.

    Where the certificate needs a stop, what can be done before it is: it is done while clients are served.
    """
    prepare = (*container.prepare, *move.copy)
    if free_port and move.copy:
        return (*prepare, *move.claim, *free_port, *certificate.issue)
    if not certificate.issue or not prepare:
        return (*free_port, *certificate.issue, *prepare)
    together = Together(lanes=(certificate.issue, prepare), why="neither waits for the other")
    return (*(move.claim if free_port else ()), *free_port, together)


def _proved(finish: tuple[Step, ...], prove: tuple[Step, ...]) -> tuple[Step, ...]:
    """``prove`` goes before the old container is cleared away."""
    at = next((at for at, step in enumerate(finish) if isinstance(step, SettleWorkload)), len(finish))
    return (*finish[:at], *prove, *finish[at:])


def _free_port(certificate: CertificatePlan, observed: Observed) -> tuple[Step, ...]:
    current = observed.workload.current
    port = certificate.needs_port
    if not port or current is None or not current.running:
        return ()
    if all(publish.host_port != port for publish in current.publishes):
        return ()
    why = f"it holds port {port}, which the challenge needs"
    return (StopWorkload(why=why, interrupts=True),)


def _timer(observed: Observed) -> tuple[Step, ...]:
    timer = observed.timer
    if timer is None or (timer.installed and timer.enabled and timer.active and not timer.differs):
        return ()
    why = "it is not what this version writes" if timer.differs else "it does not run" if timer.installed else ""
    return (InstallTimer(why=why or "a certificate that nobody renews ends"),)


def _save(resolved: Resolved, observed: Observed) -> tuple[Step, ...]:
    wanted = to_saved(resolved.spec, resolved.sources)
    if observed.saved == wanted:
        return ()
    if observed.saved is None:
        return (SaveSpec(why="so that no flag needs repeating"),)
    changed = [key for key in {**wanted, **observed.saved} if wanted.get(key) != observed.saved.get(key)]
    return (SaveSpec(why=f"changed: {', '.join(changed)}"),)
