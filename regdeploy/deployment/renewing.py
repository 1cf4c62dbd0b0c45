"""``renew``: the one thing that must never be late. Looks, asks the CA when it is to be, orders, deploys, verifies.

Run by a timer twice a day, and by hand. Nothing is due: nothing is touched. A failure is written down (``attempts``),
and the certificate before goes on serving.
"""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from regdeploy.deployment.authorities import LETS_ENCRYPT, LETS_ENCRYPT_STAGING
from regdeploy.deployment.calling import Hooks
from regdeploy.deployment.certificates import Renewal, newest_fitting, waiting
from regdeploy.deployment.checks import checks
from regdeploy.deployment.hooks import Hook
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observe import observe
from regdeploy.deployment.observed import HostFacts, Observed
from regdeploy.deployment.obtain import acme_settings, order
from regdeploy.deployment.operations import Planned, carry_out, refuse
from regdeploy.deployment.plan import Plan, plan_renewal, plan_start
from regdeploy.deployment.reporting import Reporter
from regdeploy.deployment.request import Request, deployed_spec, resolve_request
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Resolved, Spec
from regdeploy.deployment.steps import IssueCertificate, RestartWorkload, VerifyServing
from regdeploy.deployment.surroundings import host_facts
from regdeploy.deployment.undeployed import DEPLOYMENT, forget_undeployed, note_undeployed, waiting_to_deploy
from regdeploy.deployment.world import World
from regdeploy.errors import AcmeError, EngineError, RegdeployError, UsageError, VerifyFailed
from regdeploy.frozen import frozen
from regdeploy.host.lock import Lock
from regdeploy.tls.acme.settings import AcmeSettings
from regdeploy.tls.attempts import Attempt, write_attempts
from regdeploy.tls.renewal import Wait, choose_window, due_at, is_emergency, may_ask_window
from regdeploy.tls.store import CertificateStore


@frozen
class Renewed:
    """What came of it: the plan that was carried out, empty where nothing was to be done, and a sentence.

    ``waits`` says that something is to be done, and is put off because of what was tried before.
    """

    planned: Planned
    words: str
    waits: bool = False

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return bool(self.planned.plan.steps)


def renew(
    request: Request, world: World, reporter: Reporter, *, forced: bool = False, ignore: Collection[str] = ()
) -> Renewed:
    """Renew the certificate where it is due and have it served; ``forced`` renews it in any case.

    Raises NotDeployed where nothing is, CheckFailed and AcmeError with the certificate before still in place,
    VerifyFailed where the new one was not served: it is kept, and deployed by a later call, which is put off for longer
    each time. Killed at any moment, the same call goes on from what is there.
    """
    spec = deployed_spec(request)
    with Lock(spec.root, "renew"):
        resolved = resolve_request(request)
        spec = resolved.spec
        observed = _with_window(spec, _started(resolved, observe(spec, world), world, reporter), world)
        mode = Renewal(patient=not forced, forced="it was asked for with --force" if forced else "")
        found = plan_renewal(spec, observed, world.now(), mode)
        planned = Planned(resolved=resolved, observed=observed, plan=found)
        wait = None if forced else _put_off(spec, observed, found, world)
        hooks = Hooks(spec, world)
        if not found.steps or wait is not None:
            return _nothing_done(planned, wait, hooks, world)
        host = host_facts(spec, observed, world, found)
        refuse(reporter, checks(spec, observed, host, renewing=True), ignore)  # no attempt: what is mended is tried
        hooks.call(Hook.BEFORE)
        outcome = "interrupted"
        try:
            if _issues(found) and _staging_first(spec, observed, world):
                _try_staging(planned, world)
            _carry_out(planned, world, reporter, host, anew=forced)
            hooks.call(Hook.DEPLOY)
            outcome = "renewed"
        except RegdeployError as error:
            outcome = f"failed: {error}"
            raise
        finally:
            hooks.call(Hook.AFTER, outcome)
        hooks.raise_problems()
        served = any(isinstance(step, VerifyServing) for step in found.flat)
        return Renewed(
            planned=planned, words=f"{spec.url}: renewed{', and served' if served else ': nothing serves it'}"
        )


def _issues(found: Plan) -> bool:
    return any(isinstance(step, IssueCertificate) for step in found.flat)


def _put_off(spec: Spec, observed: Observed, found: Plan, world: World) -> Wait | None:
    """Why what is planned is not done now, if so.

    An order is put off although there is no certificate to go on with, or only one that has ended, for the CA alone;
    a certificate that was not served is left alone for a while, since each try stops the registry.
    """
    if _issues(found):
        return waiting(spec, observed.attempts, world.now(), patient=False)
    restarts = any(isinstance(step, RestartWorkload) for step in found.flat)
    return waiting_to_deploy(spec, observed, world.now()) if restarts else None


def _nothing_done(planned: Planned, wait: Wait | None, hooks: Hooks, world: World) -> Renewed:
    """Call a hook that failed before again, and say why there was nothing else to do. Raises what a hook raises."""
    spec, again = planned.spec, hooks.call_again()
    hooks.raise_problems()
    words, waits = _words(spec, planned.observed, wait, world)
    if again:
        words = f"{spec.url}: the deploy hook was called again"
    return Renewed(planned=replace(planned, plan=replace(planned.plan, steps=())), words=words, waits=waits)


def _carry_out(planned: Planned, world: World, reporter: Reporter, host: HostFacts, *, anew: bool) -> None:
    """Do what is planned, and note where it ends with a certificate that is not served. Raises what that raises."""
    spec = planned.spec
    try:
        carry_out(planned, world, reporter, host, operation="renew")
    except (VerifyFailed, EngineError) as error:
        with suppress(RegdeployError):  # what cannot be noted is tried again too early
            there = replace(planned.observed, certificates=CertificateStore(Layout(spec.root).certs).read())
            note_undeployed(spec, there, world.now(), str(error), anew=anew)
            wait = waiting_to_deploy(spec, there, world.now())
            if wait is not None:
                later = f"it is tried again from {wait.until:%Y-%m-%d %H:%M} UTC on, by `regdeploy up` at once"
                error.hint = f"{error.hint}; {later}" if error.hint else later
        raise
    with suppress(RegdeployError):
        forget_undeployed(spec)


def prove(request: Request, world: World, report: Callable[[str], None]) -> str:
    """Order a certificate as ``renew`` would, and throw it away; returns what that proved, as a sentence.

    At Let's Encrypt the staging CA is asked, which counts against no limit. Touches nothing that serves. Raises
    UsageError where the challenge would need a port that the registry itself holds, and AcmeError.
    """
    spec = deployed_spec(request)
    if spec.tls is not Tls.ACME:
        raise UsageError(
            "--dry-run", f"with --tls {spec.tls} no CA is asked", "`regdeploy status` shows what is served"
        )
    observed = observe(spec, world)
    kind, current = observed.challenges[0], observed.workload.current
    if kind.port and current and current.running and any(port.host_port == kind.port for port in current.publishes):
        raise UsageError(
            "--dry-run",
            f"{kind.kind} needs port {kind.port}, which the registry serves on: it would have to be stopped",
            f"a renewal stops it for that moment; free port {spec.http_01_port}, or use dns-01, to prove it without",
        )
    settings = _staging(acme_settings(spec)) if spec.acme_directory == LETS_ENCRYPT else acme_settings(spec)
    with tempfile.TemporaryDirectory(prefix="regdeploy-") as folder:
        bundle, how = order(
            settings,
            observed.challenges,
            Path(folder),
            world,
            directory=None,
            report=report,
            cancel=threading.Event(),
        )
    names = ", ".join(bundle.leaf.names)
    return f"{settings.directory} issued a certificate for {names} by {how}: a renewal would work. It was thrown away."


def _started(resolved: Resolved, observed: Observed, world: World, reporter: Reporter) -> Observed:
    """What is there once the registry runs that a renewal before this one had stopped, and was killed."""
    found = plan_start(resolved.spec, observed)
    if not found.steps:
        return observed
    planned = Planned(resolved=resolved, observed=observed, plan=found)
    carry_out(planned, world, reporter, host_facts(resolved.spec, observed, world, found), operation="renew")
    return observe(resolved.spec, world)


def _with_window(spec: Spec, observed: Observed, world: World) -> Observed:
    """``observed`` with the CA's window for the newest certificate, asked for where it is time to. Never raises."""
    newest, record = newest_fitting(spec, observed, world.now()), observed.attempts
    if record is None or newest is None or not may_ask_window(record, newest.leaf, world.now()):
        return observed
    try:
        directory = world.authority.directory(spec.acme_directory, spec.acme_ca_bundle)
        pem = CertificateStore(Layout(spec.root).certs).fullchain(newest.number)
        info = world.authority.renewal_info(directory, spec.acme_ca_bundle, pem)
    except RegdeployError:
        return observed  # the window of before counts, or the certificate's life: a CA that is down must not stop that
    if info is None:
        return observed
    window = choose_window(
        newest.leaf,
        info.start,
        info.end,
        world.now(),
        before=record.window,
        ask_again=info.retry_after,
        reason=info.explanation,
        chance=random.random,
    )
    if window is None:
        return observed
    record = replace(record, window=window)
    with suppress(RegdeployError):
        write_attempts(Layout(spec.root).attempts, record)
    return replace(observed, attempts=record)


def _staging_first(spec: Spec, observed: Observed, world: World) -> bool:
    """Whether the staging CA is to be asked before the one that counts: after a failure, and while there is time."""
    newest = newest_fitting(spec, observed, world.now())
    failed = observed.attempts is not None and bool(observed.attempts.failures())
    return failed and spec.acme_directory == LETS_ENCRYPT and not (newest and is_emergency(newest.leaf, world.now()))


def _try_staging(planned: Planned, world: World) -> None:
    """Order from the staging CA. Raises AcmeError where that fails too, and the one that counts is not asked."""
    spec, observed = planned.spec, planned.observed
    try:
        order(
            _staging(acme_settings(spec)),
            observed.challenges,
            Layout(spec.root).acme,
            world,
            directory=None,
            report=lambda _words: None,
            cancel=threading.Event(),
        )
    except AcmeError as error:
        _note(spec, observed, world, error)
        raise


def _staging(settings: AcmeSettings) -> AcmeSettings:
    return replace(settings, directory=LETS_ENCRYPT_STAGING, replaces=b"", eab_kid="", eab_hmac_key=None)


def _note(spec: Spec, observed: Observed, world: World, error: AcmeError) -> None:
    """Write down that the staging CA refused. Its limits are its own: no Retry-After of it holds elsewhere."""
    if observed.attempts is None:
        return
    attempt = Attempt(at=world.now(), problem="staging", words=f"the staging CA: {error}")
    with suppress(RegdeployError):
        write_attempts(Layout(spec.root).attempts, observed.attempts.with_attempt(attempt))


def _words(spec: Spec, observed: Observed, put_off: Wait | None, world: World) -> tuple[str, bool]:
    """Why nothing is done now, and when something will be; and whether something that is due waits."""
    newest = newest_fitting(spec, observed, world.now())
    ends = f", ends {newest.leaf.not_after:%Y-%m-%d}" if newest else ""
    if put_off is not None and (newest is None or put_off.limit == DEPLOYMENT):
        return f"{spec.url}: {put_off.why}: not before {put_off.until:%Y-%m-%d %H:%M} UTC", True
    if spec.tls in (Tls.OFF, Tls.FILES) or newest is None:
        return f"{spec.url}: nothing renews --tls {spec.tls}{ends}", False
    due = due_at(newest.leaf, observed.attempts)
    patient = not is_emergency(newest.leaf, world.now())
    wait = waiting(spec, observed.attempts, world.now(), patient=patient) if world.now() >= due else None
    ends = f"the certificate ends {newest.leaf.not_after:%Y-%m-%d}"
    if wait:
        return f"{spec.url}: {ends}; due, but not before {wait.until:%Y-%m-%d %H:%M} UTC: {wait.why}", True
    return f"{spec.url}: {ends} and is renewed from {due:%Y-%m-%d %H:%M} UTC on", False
