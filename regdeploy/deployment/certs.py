"""The stored certificates, for a person: looked at, gone back to, and the user's own brought in."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from regdeploy.deployment.calling import Hooks
from regdeploy.deployment.certificates import why_unusable
from regdeploy.deployment.checks import checks
from regdeploy.deployment.hooks import Hook
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observe import observe
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.operations import Planned, carry_out, plan_up, refuse, up
from regdeploy.deployment.plan import plan_version
from regdeploy.deployment.reporting import Reporter
from regdeploy.deployment.request import Request, deployed_spec, resolve_request
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.standing import rfc3339, wants_renewal
from regdeploy.deployment.surroundings import host_facts
from regdeploy.deployment.world import World
from regdeploy.errors import CertificateError, UsageError
from regdeploy.frozen import frozen
from regdeploy.host.lock import Lock
from regdeploy.tls.attempts import Window
from regdeploy.tls.renewal import due_at
from regdeploy.tls.store import CertificateStore, StoredVersion


@frozen
class Held:
    """A stored version as it was found: ``served`` is what a handshake gave.

    ``due`` is from when on it is renewed, None for one that is not current or that nothing renews; ``window`` is the
    CA's for it (RFC 9773), None where none is recorded; ``chain`` are the subjects above the leaf, in order, where it
    was looked at; ``now`` is when that was.
    """

    stored: StoredVersion
    current: bool
    served: bool
    now: datetime
    due: datetime | None = None
    window: Window | None = None
    chain: tuple[str, ...] = ()

    @property
    def days_left(self) -> int:
        """Whole days until it ends; negative afterwards."""
        return (self.stored.leaf.not_after - self.now).days

    def as_json(self) -> dict[str, object]:
        """The stable keys. Times are RFC 3339 UTC; what is not known is null, and so is all of a broken leaf."""
        stored, leaf = self.stored, self.stored.leaf
        readable = bool(leaf.fingerprint_sha256)
        return {
            "version": stored.number,
            "current": self.current,
            "served": self.served,
            "set_aside": rfc3339(stored.set_aside),
            "revoked": rfc3339(stored.revoked),
            "problem": stored.problem or (None if stored.key_matches else "its key does not match"),
            "names": list(leaf.names),
            "issuer": leaf.issuer or None,
            "serial": f"{leaf.serial:x}" if readable else None,
            "not_before": rfc3339(leaf.not_before) if readable else None,
            "not_after": rfc3339(leaf.not_after) if readable else None,
            "days_left": self.days_left if readable else None,
            "key_type": leaf.key_type or None,
            "fingerprint_sha256": leaf.fingerprint_sha256 or None,
            "source": stored.source or None,
            "directory": stored.directory or None,
            "profile": stored.profile or None,
            "issued_at": rfc3339(stored.issued_at) if stored.source else None,
            "deployed_at": rfc3339(stored.deployed_at),
            "renewed_from": rfc3339(self.due),
            "window": _window_json(self.window),
        }


def _window_json(window: Window | None) -> dict[str, object] | None:
    if window is None:
        return None
    return {
        "start": rfc3339(window.start),
        "end": rfc3339(window.end),
        "moment": rfc3339(window.moment),
        "reason": window.reason or None,
    }


def versions(request: Request, world: World) -> tuple[Held, ...]:
    """Every stored version, ascending. Changes nothing. Raises NotDeployed, EngineError, HostError and UsageError."""
    spec = deployed_spec(request)
    observed = observe(spec, world)
    return tuple(_held(version, spec, observed, world.now()) for version in observed.certificates.versions)


def show(request: Request, world: World, number: int | None = None) -> Held:
    """The current version, or that ``number``, with its chain. Changes nothing.

    Raises CertificateError where no certificate is current, UsageError for a number that is not there, and what
    :func:`versions` does.
    """
    spec = deployed_spec(request)
    observed = observe(spec, world)
    chosen = observed.certificates.current if number is None else number
    if chosen is None:
        raise CertificateError(spec.url, "has no certificate in use", "`regdeploy cert list` shows those there are")
    version = _version(observed, chosen)
    chain: tuple[str, ...] = ()
    with suppress(CertificateError):  # what is broken is said by ``problem``
        bundle = CertificateStore(Layout(spec.root).certs).bundle(version.number)
        chain = tuple(issuer.subject for issuer in bundle.chain)
    return replace(_held(version, spec, observed, world.now()), chain=chain)


def _held(version: StoredVersion, spec: Spec, observed: Observed, now: datetime) -> Held:
    fingerprint = version.leaf.fingerprint_sha256
    current = observed.certificates.current == version.number
    record = observed.attempts
    window = record.window if record and record.window and record.window.fingerprint == fingerprint else None
    renewed = current and bool(fingerprint) and wants_renewal(spec)
    return Held(
        stored=version,
        current=current,
        served=bool(fingerprint) and observed.served_fingerprint == fingerprint,
        now=now,
        due=due_at(version.leaf, record) if renewed else None,
        window=window,
    )


def _version(observed: Observed, number: int) -> StoredVersion:
    there = observed.certificates.versions
    for version in there:
        if version.number == number:
            return version
    numbers = ", ".join(str(version.number) for version in there) or "none"
    raise UsageError(
        f"version {number}", f"is not stored; there are: {numbers}", "`regdeploy cert list` says what each is"
    )


@frozen
class Used:
    """What came of ``use``: the plan that was carried out, empty where nothing was to be done, and a sentence."""

    planned: Planned
    words: str


def use(request: Request, world: World, reporter: Reporter, number: int, *, ignore: Collection[str] = ()) -> Used:
    """Have the stored version ``number`` served from now on; newer ones are set aside until another is issued.

    Raises NotDeployed, UsageError for a number that is not there, CertificateError for a version that cannot serve this
    deployment, CheckFailed and NeedsConfirmation before anything is touched; what the failing step raised, with all
    undone. Killed at any moment, the next ``up`` or ``renew`` serves it or the one before, and the same call goes on.
    """
    spec = deployed_spec(request)
    with Lock(spec.root, "cert use"):
        resolved = resolve_request(request)
        spec = resolved.spec
        observed = observe(spec, world)
        version = _version(observed, number)
        _refuse_unusable(version, spec, observed, world.now())
        planned = Planned(resolved=resolved, observed=observed, plan=plan_version(spec, observed, version))
        due = due_at(version.leaf, observed.attempts) if wants_renewal(spec) else None
        ends = f"it ends {version.leaf.not_after:%Y-%m-%d}"
        if due is not None and due <= world.now():
            ends += ", and is due: the next `regdeploy renew` makes another"
        if not planned.plan.steps:
            return Used(planned=planned, words=f"{spec.url}: version {number:04} is in use already; {ends}")
        host = host_facts(spec, observed, world, planned.plan)
        refuse(reporter, checks(spec, observed, host), ignore)
        if planned.plan.interrupts:
            reporter.confirm(planned.plan, f"{spec.url}: clients are refused for a moment. Go on?")
        carry_out(planned, world, reporter, host, operation="cert use")
        hooks = Hooks(spec, world)
        hooks.call(Hook.DEPLOY)  # whoever else serves this certificate is told of a change by that
        hooks.raise_problems()
    current = observed.workload.current
    unserved = "" if current is not None and current.running else ", and nothing serves it"
    return Used(planned=planned, words=f"{spec.url}: version {number:04} is in use{unserved}; {ends}")


def _refuse_unusable(version: StoredVersion, spec: Spec, observed: Observed, now: datetime) -> None:
    why = why_unusable(version, spec, observed, now)
    if not why:
        return
    hint = "`regdeploy cert list` shows the others"
    if spec.tls is Tls.FILES and not version.problem:
        hint = "`regdeploy cert import` brings a pair of yours, an older one too"
    raise CertificateError(f"version {version.number:04}", f"cannot be used: {why}", hint)


def plan_import(request: Request, world: World) -> Planned:
    """What :func:`bring` would do, its pair checked to be fit for this deployment. Changes nothing; raises the same."""
    return plan_up(_importing(request), world)


def bring(request: Request, world: World, reporter: Reporter, *, ignore: Collection[str] = ()) -> Planned:
    """Serve the pair in ``--cert`` and ``--key`` from now on; all else stays as it was saved. As ``up`` with the two.

    Raises NotDeployed, UsageError where one of the two is missing or unfit, and what ``up`` raises.
    """
    return up(_importing(request), world, reporter, operation="cert import", ignore=ignore)


def _importing(request: Request) -> Request:
    pair = {name: request.flags.get(name) for name in ("cert", "key")}
    others = {name: value for name, value in request.flags.items() if name not in pair}
    deployed_spec(replace(request, flags=others))
    for name, path in pair.items():
        if not path:
            raise UsageError(f"--{name}", "is missing: a certificate is served with its key", "give both files")
    return replace(request, flags={**others, **pair, "tls": Tls.FILES.value})
