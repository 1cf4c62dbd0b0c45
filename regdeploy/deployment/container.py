"""The container's part of the plan: keep it, start it, restart it, or have another one in its place. Pure.

Decided from scratch at every run, so a replacement that was killed half way is just another thing that is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from regdeploy.deployment.certificates import CertificatePlan
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.steps import (
    ActivateWorkload,
    FetchImage,
    PrepareWorkload,
    RemoveCandidate,
    RestartWorkload,
    SettleWorkload,
    StartWorkload,
    Step,
    VerifyServing,
)
from regdeploy.deployment.workload import desired_workload, differences, is_ours, short, start_of
from regdeploy.engine.model import ContainerFacts, ImageFacts, Workload
from regdeploy.secret import Secret


@dataclass(frozen=True)
class ContainerPlan:
    """What can be done while the order is under way, and what must wait for the certificate."""

    prepare: tuple[Step, ...] = ()
    finish: tuple[Step, ...] = ()


def plan_container(
    spec: Spec, observed: Observed, config_text: str, certificate: CertificatePlan, now: datetime
) -> ContainerPlan:
    """Decide from what is there now, whatever came before it. Raises ImageError when the image is no registry."""
    there = observed.workload
    image, fetch = _image(spec, observed)
    desired = None
    if image is not None and observed.http_secret is not None:
        secret, extra = observed.http_secret, observed.variables
        desired = desired_workload(spec, image, observed.engine, secret, config_text, extra)
    current = there.current
    if current is not None and is_ours(current, spec.name) and desired is not None:
        changed = differences(desired, current)
        if not changed:
            unwanted = there.candidate is not None and is_ours(there.candidate, spec.name)
            clear = (RemoveCandidate(why="it was prepared and never needed"),) if unwanted else ()
            edited = bool(observed.config_text) and observed.config_text != config_text
            stale = edited or observed.config_unread_by == start_of(current)
            finish = _keep(spec, observed, current, certificate, now, stale=stale)
            return ContainerPlan(prepare=fetch, finish=(*finish, *clear))
        why = "; ".join(map(str, changed))
    else:
        why = _why_new(spec, observed, config_text)
    return _replace(spec, observed, desired, fetch, why, now)


def _image(spec: Spec, observed: Observed) -> tuple[ImageFacts | None, tuple[Step, ...]]:
    """The image that is to run, None where nobody knows it yet, and how the engine comes by it."""
    there, given = observed.image, observed.archived
    if there is None:
        archived = f" of {spec.image_archive}" if spec.image_archive else ""
        why = f"the engine does not have {spec.image}{archived}"
        return None, (FetchImage(reference=spec.image, archive=spec.image_archive, why=why),)
    if given is None or given.is_same(there):
        return there, ()
    why = f"{spec.image_archive} holds another {spec.image} ({short(given.id)}) than the engine ({short(there.id)})"
    return given, (FetchImage(reference=spec.image, archive=spec.image_archive, why=why),)


def _why_new(spec: Spec, observed: Observed, config_text: str) -> str:
    there = observed.workload
    current = there.current
    if current is None:
        return "a replacement was interrupted" if there.previous else "nothing runs yet"
    if not is_ours(current, spec.name):
        return describe_foreign(current) if observed.migration is None else _taken_over(spec, observed, config_text)
    if observed.image is None:
        return f"the image is to be {spec.image}"
    return "the upload secret is missing"


def _taken_over(spec: Spec, observed: Observed, config_text: str) -> str:
    """Why a hand-made registry is replaced: to serve over HTTPS, or where it does so, each thing that changes."""
    there, migration = observed.workload.current, observed.migration
    if there is None or migration is None or migration.source is not None or observed.image is None:
        return "it is to serve over HTTPS, with every image"
    secret = observed.http_secret or Secret(migration.http_secret or "a new one")
    desired = desired_workload(spec, observed.image, observed.engine, secret, config_text, observed.variables)
    return f"{there.name} is taken over as it is, but for: {'; '.join(map(str, differences(desired, there)))}"


def describe_foreign(container: ContainerFacts) -> str:
    """What a container is that somebody else made under our name, and what becomes of it."""
    ports = ", ".join(f"{port.host_port}→{port.container_port}" for port in container.publishes) or "no port"
    data = [mount for mount in container.mounts if mount.target == "/var/lib/registry"]
    where = f"data in {data[0].kind} {data[0].source}" if data else "data inside the container"
    return (
        f"{container.name} was not made by regdeploy ({container.image or container.image_id}, {ports}, {where}); "
        "it is stopped and kept, and nothing in it is removed, but its settings and images are not taken over "
        "(`regdeploy migrate-to-https` does that)"
    )


def _replace(
    spec: Spec, observed: Observed, desired: Workload | None, fetch: tuple[Step, ...], why: str, now: datetime
) -> ContainerPlan:
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
    return ContainerPlan(prepare=prepare, finish=tuple(finish))


def _settle(spec: Spec, old: ContainerFacts, now: datetime) -> SettleWorkload:
    if is_ours(old, spec.name):
        return SettleWorkload(why="the new one is verified")
    kept = f"{spec.name}-replaced-{now:%Y%m%d-%H%M%S}"
    return SettleWorkload(keep_as=kept, why=f"it was not made by regdeploy: kept, stopped, as {kept}")


def _keep(
    spec: Spec, observed: Observed, current: ContainerFacts, certificate: CertificatePlan, now: datetime, *, stale: bool
) -> tuple[Step, ...]:
    """The container is the right one: start it, restart it for a certificate, or leave it alone.

    ``stale`` says that it may have been started with another config.yml than the one that is wanted.
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
    if spec.tls is not Tls.OFF and certificate.unread_by(observed.served_fingerprint):
        why = "a registry reads its certificate only at start"
        return (RestartWorkload(why=why, interrupts=True), verify, *settle)
    if stale:
        return (RestartWorkload(why="it may have read the config.yml that was there", interrupts=True), verify, *settle)
    return (verify, *settle) if settle else ()
