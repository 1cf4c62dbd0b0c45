"""From what is there to what is wanted: the ordered steps, each with its cause. Pure: no clock, no prompt, no I/O.

Read it in the order of :func:`plan`. The container's part is decided from scratch at every run, so a replacement that
was killed half way is just another thing that is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from regdeploy.deployment.certificates import CertificatePlan, Renewal, plan_certificate
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Resolved, Spec, to_saved
from regdeploy.deployment.steps import (
    WORDS,
    ActivateWorkload,
    FetchImage,
    MakeFolders,
    MakeSecret,
    PrepareWorkload,
    RemoveCandidate,
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
from regdeploy.deployment.workload import desired_workload, differences, is_ours
from regdeploy.engine.model import ContainerFacts, Workload


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


def plan(resolved: Resolved, observed: Observed, config_text: str, now: datetime) -> Plan:
    """The steps that make ``resolved.spec`` true, given what is there.

    ``config_text`` is the config.yml that the spec calls for. Raises ImageError when the image there is no registry.
    """
    spec = resolved.spec
    certificate = plan_certificate(spec, observed, now)
    container = _container(spec, observed, config_text, certificate, now)
    steps = (
        *_files(spec, observed, config_text),
        *_access(spec, resolved.sources, observed),
        *_obtain(certificate, container, observed),
        *certificate.install,
        *container.finish,
        *_save(resolved, observed),
    )
    return Plan(steps)


def plan_renewal(spec: Spec, observed: Observed, now: datetime, renewal: Renewal) -> Plan:
    """The steps that renew the certificate and have it served, and none that changes anything else.

    A container that is not ours, or does not run, is left alone: it reads the certificate when it is started.
    """
    certificate = plan_certificate(spec, observed, now, renewal)
    current = observed.workload.current
    serves = current is not None and current.running and is_ours(current, spec.name)
    if not certificate.changes and not (serves and observed.served_fingerprint != certificate.fingerprint):
        return Plan(())
    restart = RestartWorkload(why="a registry reads its certificate only at start", interrupts=True)
    verify = VerifyServing(why="only a handshake shows what is served")
    return Plan(
        (
            *_free_port(certificate, observed),
            *certificate.issue,
            *certificate.install,
            *((restart, verify) if serves else ()),
        )
    )


def _files(spec: Spec, observed: Observed, config_text: str) -> tuple[Step, ...]:
    layout = Layout(spec.root)
    steps: list[Step] = []
    missing = tuple((path, mode) for path, mode in layout.folders if not observed.folders[path].exists)
    if missing:
        some = "nothing is laid out there yet" if len(missing) == len(layout.folders) else "some are missing"
        steps.append(MakeFolders(folders=missing, why=f"{spec.root}: {some}"))
    if observed.http_secret is None:
        steps.append(MakeSecret(why="an upload must survive a replaced container"))
    if observed.config_text != config_text:
        what = "is not what this version writes" if observed.config_text else "is not there yet"
        steps.append(WriteConfig(text=config_text, why=f"{layout.config_file} {what}"))
    return tuple(steps)


def _access(spec: Spec, sources: Mapping[str, str], observed: Observed) -> tuple[Step, ...]:
    """Who may log in: the first user, a user named since, or a password that was given."""
    if not spec.auth:
        return ()
    named = sources["user"] != "default"
    if spec.user in observed.users:
        wanted, why = observed.password_given, f"another password was given for {spec.user}"
    else:
        wanted = named or not observed.users
        why = f"{spec.user} cannot log in yet" if observed.users else "nobody can log in yet"
    generated = not observed.password_given
    return (SetPassword(user=spec.user, generated=generated, why=why),) if wanted else ()


@dataclass(frozen=True)
class _Container:
    """The container's part: what can be done while the order is under way, and what must wait for the certificate."""

    prepare: tuple[Step, ...] = ()
    finish: tuple[Step, ...] = ()


def _container(
    spec: Spec, observed: Observed, config_text: str, certificate: CertificatePlan, now: datetime
) -> _Container:
    there = observed.workload
    fetch: tuple[Step, ...] = ()
    if observed.image is None:
        archived = f" of {spec.image_archive}" if spec.image_archive else ""
        why = f"the engine does not have {spec.image}{archived}"
        fetch = (FetchImage(reference=spec.image, archive=spec.image_archive, why=why),)
    desired = _desired(spec, observed, config_text)
    current = there.current
    if current is not None and is_ours(current, spec.name) and desired is not None:
        changed = differences(desired, current)
        if not changed:
            unwanted = there.candidate is not None and is_ours(there.candidate, spec.name)
            clear = (RemoveCandidate(why="it was prepared and never needed"),) if unwanted else ()
            stale = bool(observed.config_text) and observed.config_text != config_text
            finish = _keep(spec, observed, current, certificate, now, stale=stale)
            return _Container(prepare=fetch, finish=(*finish, *clear))
        why = "; ".join(map(str, changed))
    else:
        why = _why_new(spec, observed)
    return _replace(spec, observed, desired, fetch, why, now)


def _desired(spec: Spec, observed: Observed, config_text: str) -> Workload | None:
    if observed.image is None or observed.http_secret is None:
        return None
    return desired_workload(spec, observed.image, observed.engine, observed.http_secret, config_text)


def _why_new(spec: Spec, observed: Observed) -> str:
    there = observed.workload
    current = there.current
    if current is None:
        return "a replacement was interrupted" if there.previous else "nothing runs yet"
    if not is_ours(current, spec.name):
        return describe_foreign(current)
    if observed.image is None:
        return f"the image is to be {spec.image}"
    return "the upload secret is missing"


def describe_foreign(container: ContainerFacts) -> str:
    """What a container is that somebody else made under our name, and what becomes of it."""
    ports = ", ".join(f"{port.host_port}→{port.container_port}" for port in container.publishes) or "no port"
    data = [mount for mount in container.mounts if mount.target == "/var/lib/registry"]
    where = f"data in {data[0].kind} {data[0].source}" if data else "data inside the container"
    return (
        f"{container.name} was not made by regdeploy ({container.image or container.image_id}, {ports}, {where}); "
        "it is stopped and kept, and nothing in it is removed, but its settings and images are not taken over"
    )


def _replace(
    spec: Spec, observed: Observed, desired: Workload | None, fetch: tuple[Step, ...], why: str, now: datetime
) -> _Container:
    there = observed.workload
    prepared = desired is not None and there.candidate is not None and is_ours(there.candidate, spec.name)
    prepared = prepared and not differences(desired, there.candidate)  # type: ignore[arg-type]  # both are there
    prepare: tuple[Step, ...] = fetch if prepared else (*fetch, PrepareWorkload(why=why))
    serving = there.current is not None and there.current.running
    foreign = there.current is not None and not is_ours(there.current, spec.name)
    activate = ActivateWorkload(why=why, interrupts=serving, destroys=False)
    verify = VerifyServing(why="a container that does not serve must not replace one that did")
    # What the engine keeps as the one before: our own current container counts as unproved beside a previous one.
    unproved = there.current is not None and there.previous is not None and is_ours(there.current, spec.name)
    old = there.previous if unproved else there.current or there.previous
    finish: list[Step] = [activate, verify]
    if old is not None:
        finish.append(_settle(spec, old, now))
    if foreign and not serving:
        finish[0] = ActivateWorkload(why=why, interrupts=True)  # it may be somebody's: always asked about
    return _Container(prepare=prepare, finish=tuple(finish))


def _settle(spec: Spec, old: ContainerFacts, now: datetime) -> SettleWorkload:
    if is_ours(old, spec.name):
        return SettleWorkload(why="the new one is verified")
    kept = f"{spec.name}-replaced-{now:%Y%m%d-%H%M%S}"
    return SettleWorkload(keep_as=kept, why=f"it was not made by regdeploy: kept, stopped, as {kept}")


def _keep(
    spec: Spec, observed: Observed, current: ContainerFacts, certificate: CertificatePlan, now: datetime, *, stale: bool
) -> tuple[Step, ...]:
    """The container is the right one: start it, restart it for a certificate, or leave it alone.

    ``stale`` says that config.yml was changed by hand: the registry may have been started with that.
    """
    verify = VerifyServing(why="only a handshake shows what is served")
    previous = observed.workload.previous
    settle: tuple[Step, ...] = (_settle(spec, previous, now),) if previous else ()
    if not current.running:
        code = f", exit {current.exit_code}" if current.exit_code is not None else ""
        why = "it was never started" if current.state == "created" else f"it is stopped ({current.state}{code})"
        return (StartWorkload(why=why), verify, *settle)
    served = observed.served
    if served is None or not served.reachable:
        reason = served.error if served and served.error else current.state
        return (RestartWorkload(why=f"it runs but does not answer: {reason}"), verify, *settle)
    if spec.tls is not Tls.OFF and (certificate.changes or observed.served_fingerprint != certificate.fingerprint):
        why = "a registry reads its certificate only at start"
        return (RestartWorkload(why=why, interrupts=True), verify, *settle)
    if stale:
        return (RestartWorkload(why="it may have read the config.yml that was there", interrupts=True), verify, *settle)
    return (verify, *settle) if settle else ()


def _obtain(certificate: CertificatePlan, container: _Container, observed: Observed) -> tuple[Step, ...]:
    """The certificate and the container's preparation, at the same time where both take time."""
    if not certificate.issue or not container.prepare:
        return (*_free_port(certificate, observed), *certificate.issue, *container.prepare)
    together = Together(lanes=(certificate.issue, container.prepare), why="neither waits for the other")
    return (*_free_port(certificate, observed), together)


def _free_port(certificate: CertificatePlan, observed: Observed) -> tuple[Step, ...]:
    current = observed.workload.current
    port = certificate.needs_port
    if not port or current is None or not current.running:
        return ()
    if all(publish.host_port != port for publish in current.publishes):
        return ()
    why = f"it holds port {port}, which the challenge needs"
    return (StopWorkload(why=why, interrupts=True),)


def _save(resolved: Resolved, observed: Observed) -> tuple[Step, ...]:
    wanted = to_saved(resolved.spec, resolved.sources)
    if observed.saved == wanted:
        return ()
    if observed.saved is None:
        return (SaveSpec(why="so that no flag needs repeating"),)
    changed = [key for key in {**wanted, **observed.saved} if wanted.get(key) != observed.saved.get(key)]
    return (SaveSpec(why=f"changed: {', '.join(changed)}"),)
