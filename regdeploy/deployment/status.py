"""The truth about a deployment: what runs, what is really served, and how that differs from the spec."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from regdeploy.deployment.hooks import read_failures
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observe import observe
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.plan import plan
from regdeploy.deployment.request import Request, is_saved, not_deployed, resolve_request, root_of
from regdeploy.deployment.runs import Run, read_runs, regular, tried
from regdeploy.deployment.serving import serving_problem
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.standing import Status, wants_renewal
from regdeploy.deployment.steps import (
    WORDS,
    ActivateWorkload,
    FetchImage,
    PrepareWorkload,
    SettleWorkload,
    Step,
    VerifyServing,
)
from regdeploy.deployment.undeployed import undeployed_words
from regdeploy.deployment.workload import Difference, as_deployed, desired_workload, differences, is_ours
from regdeploy.deployment.world import World
from regdeploy.engine.model import ContainerFacts
from regdeploy.errors import ImageError, NotDeployed
from regdeploy.host.disk import DiskFacts, disk_facts
from regdeploy.host.systemd import TimerFacts
from regdeploy.registry.config import render_config
from regdeploy.registry.storage import repositories_on_disk, used_bytes
from regdeploy.registry.variables import storage_driver
from regdeploy.tls.certificate import Certificate
from regdeploy.tls.renewal import due_at, renew_after
from regdeploy.tls.store import StoredVersion

#: Looking through a large store takes minutes: after this many seconds the figure is a minimum, and said to be one.
_COUNT_SECONDS = 0.1
_LEAST_FREE = 10**9
#: A timer comes twice a day; a certificate that is due and not renewed after that long is a problem.
_LATE = timedelta(hours=26)
_LOG_LINES = 200


def status(request: Request, world: World) -> Status:
    """Look at the deployment that is saved, and change nothing.

    Raises NotDeployed when nothing of regdeploy's is there; EngineError, HostError and UsageError as ``up`` does.
    """
    resolved = resolve_request(request)
    spec = resolved.spec
    observed = observe(spec, world)
    current = observed.workload.current
    if not is_saved(spec.root) and (current is None or not is_ours(current, spec.name) or root_of(current)):
        raise _not_deployed(spec, current)
    config_text = render_config(tls=spec.tls is not Tls.OFF, driver=storage_driver(observed.variables))
    planned = plan(resolved, observed, config_text, world.now())
    data = Layout(spec.root).data
    used, whole = used_bytes(data, _COUNT_SECONDS)
    disk = disk_facts(spec.root)
    served = _served(observed)
    stored = _current_version(observed)
    runs = read_runs(Layout(spec.root).runs)
    return Status(
        spec=spec,
        observed=observed,
        container=current,
        image=world.engine.image(current.image_id) if current else observed.image,
        version=registry_version(tuple(world.engine.logs(current.name, _LOG_LINES, follow=False))) if current else "",
        served=served,
        certificate=stored,
        disk=disk,
        used_bytes=used,
        used_is_minimum=not whole,
        repositories=repositories_on_disk(data),
        drift=tuple(_drift(spec, observed, planned.flat, config_text)),
        problems=(
            *_half_way(observed),
            *_problems(spec, observed, served, stored, disk, world.now()),
            *_renewal_problems(spec, observed, stored, runs, world.now()),
        ),
        runs=runs,
        renewed_by=_renewed_by(observed.timer, runs, world.now()),
    )


def _half_way(observed: Observed) -> Iterator[str]:
    if observed.migration is not None:
        ways = "`regdeploy up` goes on with it, `regdeploy rollback` gives it back"
        yield f"{observed.migration.name} is being taken over, and that is not at its end: {ways}"


def _not_deployed(spec: Spec, found: ContainerFacts | None) -> NotDeployed:
    if found is None or is_ours(found, spec.name):
        return not_deployed(spec, found)
    return NotDeployed(
        f"container {found.name}",
        f"({found.image or found.image_id}, {found.state}) was not made by regdeploy",
        "`regdeploy plan` shows what taking its place would mean",
    )


def registry_version(log: Sequence[str]) -> str:
    """The version that the registry says of itself in its log (field ``version``); empty when no line has it."""
    for line in reversed(log):
        found = re.search(r'(?<!\.)\bversion="?v?([0-9][^"\s+]*)', line)
        if found:
            return found[1]
    return ""


def _current_version(observed: Observed) -> StoredVersion | None:
    facts = observed.certificates
    found = [version for version in facts.versions if version.number == facts.current and not version.problem]
    return found[0] if found else None


def _served(observed: Observed) -> Certificate | None:
    """The certificate of the handshake; read from the store where it is one of those, which saves parsing it."""
    fingerprint = observed.served_fingerprint
    if not fingerprint or observed.served is None or observed.served.leaf_der is None:
        return None
    for version in observed.certificates.versions:
        if not version.problem and version.leaf.fingerprint_sha256 == fingerprint:
            return version.leaf
    from regdeploy.tls.bundle import describe  # noqa: PLC0415 - cryptography, only for a certificate that is not ours

    return describe(observed.served.leaf_der)


def _drift(spec: Spec, observed: Observed, steps: tuple[Step, ...], config_text: str) -> Iterator[Difference]:
    """Item by item: first the container's, then whatever else the next ``up`` would do, in its words."""
    there = observed.workload
    told: tuple[type[Step], ...] = (PrepareWorkload, ActivateWorkload, FetchImage, SettleWorkload, VerifyServing)
    if there.current is not None and is_ours(there.current, spec.name):
        if observed.image is None:
            yield Difference("image", spec.image, there.current.image)
        elif observed.http_secret is not None:
            try:
                secret, extra = observed.http_secret, observed.variables
                desired = desired_workload(spec, observed.image, observed.engine, secret, config_text, extra)
            except ImageError as error:
                yield Difference("image", "a registry", error.what)
            else:
                yield from differences(desired, there.current)
    else:
        told = (VerifyServing,)
    for step in steps:
        if not isinstance(step, told):
            yield Difference(WORDS[type(step)][1], "", step.why)


def _problems(
    spec: Spec,
    observed: Observed,
    served: Certificate | None,
    stored: StoredVersion | None,
    disk: DiskFacts,
    now: datetime,
) -> Iterator[str]:
    current = observed.workload.current
    if current is None:
        yield f"no container {spec.name} is there"
    elif not current.running:
        code = f" with code {current.exit_code}" if current.exit_code is not None else ""
        yield f"the container is {current.state}{code}" + (f": {current.error}" if current.error else "")
    elif observed.served is not None:
        problem = serving_problem(
            as_deployed(spec, current), observed.served, stored.leaf.fingerprint_sha256 if stored else ""
        )
        if problem:
            yield problem
    if current is not None and current.health == "unhealthy":
        yield "the engine's health check fails"
    yield from _certificate_problems(spec, observed, served, now)
    if spec.auth and observed.users_problem:
        yield f"{Layout(spec.root).htpasswd} {observed.users_problem}"
    if disk.free_bytes < _LEAST_FREE:
        yield f"only {disk.free_bytes // 10**6} MB are free for images"


def _certificate_problems(spec: Spec, observed: Observed, served: Certificate | None, now: datetime) -> Iterator[str]:
    for version in observed.certificates.versions:
        if version.number == observed.certificates.current and version.problem:
            yield f"the current certificate {version.problem}"
    if served is None:
        return
    if served.not_after <= now:
        yield f"the certificate served expired on {served.not_after:%Y-%m-%d %H:%M} UTC"
    elif spec.tls is Tls.FILES and now >= renew_after(served):
        yield f"the certificate served ends on {served.not_after:%Y-%m-%d}: bring the next one with --cert and --key"


def _renewed_by(timer: TimerFacts | None, runs: Sequence[Run], now: datetime) -> str:
    if timer is not None and timer.enabled and timer.active:
        return "systemd"
    return regular([run for run in runs if run.by != "systemd"], now)


def _renewal_problems(
    spec: Spec, observed: Observed, stored: StoredVersion | None, runs: Sequence[Run], now: datetime
) -> Iterator[str]:
    """A renewal that failed is a problem from the first time on, long before anybody is refused."""
    if not wants_renewal(spec):
        return
    failed, last = observed.attempts.failures() if observed.attempts else (), tried(runs)[-1:]
    undeployed = undeployed_words(spec, observed, now)
    if undeployed:
        yield undeployed
    if last and last[0].failed and last[0].words not in undeployed:
        yield f"the last renewal failed ({last[0].at:%Y-%m-%d %H:%M} UTC): {last[0].words}"
    elif failed:
        yield f"the last order failed ({failed[-1].at:%Y-%m-%d %H:%M} UTC): {failed[-1].words}"
    elif stored is not None and now >= (due := due_at(stored.leaf, observed.attempts)) + _LATE:
        yield f"the certificate is due for renewal since {due:%Y-%m-%d}, and nothing renewed it: run `regdeploy renew`"
    for failure in read_failures(Layout(spec.root).hooks):
        yield str(failure)
