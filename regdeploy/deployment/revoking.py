"""``cert revoke``: the CA takes a certificate back. One in use is replaced first, so that nobody is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace

import regdeploy
from regdeploy.deployment.certs import show
from regdeploy.deployment.history import Entry, record
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.obtain import acme_settings
from regdeploy.deployment.renewing import renew
from regdeploy.deployment.reporting import Reporter
from regdeploy.deployment.request import Request, deployed_spec
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.world import World
from regdeploy.errors import CertificateError, RegdeployError, UsageError
from regdeploy.frozen import frozen
from regdeploy.host.lock import Lock
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import Errand
from regdeploy.tls.store import CertificateStore, StoredVersion

_COMPROMISED = "keyCompromise"


@frozen
class Revocation:
    """What is to be revoked and why; ``replaced`` says that another certificate is obtained and deployed before.

    ``certificate`` (PEM, leaf first) and ``key`` are kept here: a renewal may remove the version from the store.
    """

    spec: Spec
    version: StoredVersion
    certificate: bytes
    key: Secret | None
    reason: str
    replaced: bool

    @property
    def question(self) -> str:
        """What a person is asked, who answers with the name."""
        ends = f"ends {self.version.leaf.not_after:%Y-%m-%d}"
        first = ", and is replaced first" if self.replaced else ", and is not in use"
        what = f"Version {self.version.number:04} (serial {self.version.leaf.serial:x}) {ends}{first}."
        return f"{what} Revoked is for good. Type {self.spec.domain} to go on:"


@frozen
class Revoked:
    """What came of it; ``new`` is False where the CA had revoked it before, ``replaced`` as in :class:`Revocation`."""

    version: int
    reason: str
    new: bool
    replaced: bool
    words: str

    def as_json(self) -> dict[str, object]:
        """The stable keys."""
        return {
            "version": self.version,
            "reason": self.reason,
            "newly_revoked": self.new,
            "replaced": self.replaced,
            "message": self.words,
        }


def plan_revocation(request: Request, world: World, number: int | None, reason: str) -> Revocation:
    """What revoking the version in use, or ``number``, would mean. Changes nothing.

    Raises NotDeployed, UsageError for a version that no CA of ACME issued, and what ``certs.show`` raises.
    """
    from regdeploy.tls.acme.revoke import REASONS  # noqa: PLC0415 - acme, only where a certificate is revoked

    if reason not in REASONS:
        raise UsageError("--reason", f"{reason!r} is no reason to revoke", f"choose one of {', '.join(REASONS)}")
    spec = deployed_spec(request)
    held = show(request, world, number)
    version, where = held.stored, f"version {held.stored.number:04}"
    if version.problem:
        raise CertificateError(where, f"cannot be revoked: {version.problem}", "put the file back from a backup")
    if version.source != Tls.ACME.value:
        raise UsageError(where, f"came from {version.source}: no CA that regdeploy knows can revoke it")
    used = held.current or held.served
    if used and spec.tls is not Tls.ACME:
        raise UsageError(
            where, f"is in use, though --tls is {spec.tls}", "`regdeploy up` replaces it; then repeat this"
        )
    store = CertificateStore(Layout(spec.root).certs)
    return Revocation(
        spec=spec,
        version=version,
        certificate=store.fullchain(version.number),
        key=store.key(version.number) if version.key_matches else None,
        reason=reason,
        replaced=used,
    )


def revoke(
    request: Request, world: World, reporter: Reporter, wanted: Revocation, *, ignore: Collection[str] = ()
) -> Revoked:
    """Replace the certificate where it is in use, then have its CA revoke it; it is never served again.

    Raises what ``renew`` raises, with nothing revoked; AcmeError, with the new certificate in use. Killed after the CA
    revoked it, the same call with its number says that it was revoked, and notes it.
    """
    number = wanted.version.number
    if wanted.replaced:
        _replace(request, world, reporter, wanted, ignore)
    started, clock, error = world.now(), time.monotonic(), ""
    layout = Layout(wanted.spec.root)
    try:
        with Lock(wanted.spec.root, "cert revoke"):
            new = _ask(wanted, world)
            with suppress(CertificateError):  # the renewal removed it: nothing serves it any more
                CertificateStore(layout.certs).mark_revoked(number, world.now())
    except RegdeployError as failure:
        error = str(failure)
        failure.hint = failure.hint or f"`regdeploy cert revoke {number}` asks again"
        raise
    finally:
        entry = Entry(
            at=started,
            operation="cert revoke",
            by=world.who,
            seconds=time.monotonic() - clock,
            steps=(("revoke-certificate", f"version {number:04}: {wanted.reason}"),),
            image=wanted.spec.image,
            version=regdeploy.__version__,
            error=error,
        )
        with suppress(RegdeployError):  # as for every operation: no success fails for want of its note
            record(layout.history, entry)
    what = "is revoked" if new else "was revoked already"
    after = "; another is in use" if wanted.replaced else ""
    words = f"{wanted.spec.url}: version {number:04} {what}{after}"
    return Revoked(version=number, reason=wanted.reason, new=new, replaced=wanted.replaced, words=words)


def _replace(request: Request, world: World, reporter: Reporter, wanted: Revocation, ignore: Collection[str]) -> None:
    """Have another certificate in use. Raises what ``renew`` does, and CertificateError where this one still is."""
    if wanted.reason == _COMPROMISED:  # a key that others have is not used again, whatever is saved
        request = replace(request, flags={**request.flags, "reuse-key": False})
    renew(request, world, reporter, forced=True, ignore=ignore)
    number = wanted.version.number
    if CertificateStore(Layout(wanted.spec.root).certs).read().current == number:
        raise CertificateError(
            f"version {number:04}", "is still in use: nothing was revoked", "`regdeploy renew` says why"
        )


def _ask(wanted: Revocation, world: World) -> bool:
    errand = Errand(
        settings=replace(acme_settings(wanted.spec), directory=wanted.version.directory),
        state=Layout(wanted.spec.root).acme,
        now=world.now,
        report=lambda _words: None,
        cancel=threading.Event(),
    )
    return world.authority.revoke(errand, wanted.certificate, key=wanted.key, reason=wanted.reason)
