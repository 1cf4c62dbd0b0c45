"""The certificate's part of the plan: which stored version fits the spec, and whether another one is needed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from regdeploy.deployment.authorities import LETS_ENCRYPT
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.steps import InstallCertificate, IssueCertificate, SetAside, Step
from regdeploy.frozen import frozen
from regdeploy.registry.environment import certificate_name
from regdeploy.tls.attempts import Attempts
from regdeploy.tls.renewal import Wait, due_at, is_emergency, wait_before_order
from regdeploy.tls.store import StoredVersion


@dataclass(frozen=True)
class CertificatePlan:
    """What is to be done for the certificate.

    ``fingerprint`` is the leaf that should be served, empty where it is yet to be issued; ``changes`` says that another
    version will be current afterwards; ``needs_port`` is the host port that the challenge needs, 0 for none.
    """

    issue: tuple[Step, ...] = ()
    install: tuple[Step, ...] = ()
    fingerprint: str = ""
    changes: bool = False
    needs_port: int = 0

    def unread_by(self, served: str) -> bool:
        """Whether a registry that serves the leaf ``served`` (SHA-256, lower hex) must be restarted to read it."""
        return self.changes or served != self.fingerprint


@frozen
class Renewal:
    """How a renewal is gone about: ``patient`` is one that nobody watches, ``forced`` why one is made in any case."""

    patient: bool = False
    forced: str = ""


BY_HAND = Renewal()


def plan_certificate(spec: Spec, observed: Observed, now: datetime, renewal: Renewal = BY_HAND) -> CertificatePlan:
    """Decide from the stored versions, newest first; a version issued and never installed counts as issued.

    A renewal that the CA is not to be asked for yet is not in the plan: the certificate that is there goes on serving.
    """
    if spec.tls is Tls.OFF:
        return CertificatePlan()
    facts = observed.certificates
    newest = newest_fitting(spec, observed, now)
    why = _why_issue(spec, observed, newest, now, renewal)
    if why or newest is None:
        issue = IssueCertificate(names=spec.domains, why=why)
        install = InstallCertificate(version=None, domain=spec.domain, why="pair and chain change together")
        port = observed.challenges[0].port if observed.challenges else 0
        return CertificatePlan(issue=(issue,), install=(install,), changes=True, needs_port=port)
    if facts.current == newest.number and linked(observed, spec):
        return CertificatePlan(fingerprint=newest.leaf.fingerprint_sha256)
    changes = facts.current != newest.number
    reason = "it was issued and is not in place" if changes else "its links are missing"
    install = InstallCertificate(version=newest.number, domain=spec.domain, why=reason)
    return CertificatePlan(install=(install,), fingerprint=newest.leaf.fingerprint_sha256, changes=changes)


def plan_use(spec: Spec, observed: Observed, version: StoredVersion) -> tuple[tuple[Step, ...], CertificatePlan]:
    """What makes ``version``, which fits, the one that counts, and what installs it. Nothing is issued."""
    facts, number = observed.certificates, version.number
    newer = tuple(
        other.number
        for other in facts.versions
        if other.number > number and not other.problem and other.set_aside is None
    )
    aside: tuple[Step, ...] = ()
    if newer or version.set_aside is not None:
        why = f"version {number:04} was chosen"
        aside = (SetAside(chosen=number, newer=newer, why=f"{why}: no newer one is to take its place by itself"),)
    fingerprint = version.leaf.fingerprint_sha256
    if facts.current == number and linked(observed, spec):
        return aside, CertificatePlan(fingerprint=fingerprint)
    install = InstallCertificate(version=number, domain=spec.domain, why="it was asked for by its number")
    return aside, CertificatePlan(install=(install,), fingerprint=fingerprint, changes=facts.current != number)


def why_unusable(version: StoredVersion, spec: Spec, observed: Observed, now: datetime) -> str:
    """Why ``version`` cannot be chosen by its number: as :func:`why_unfit`, but for having been set aside."""
    return why_unfit(replace(version, set_aside=None), spec, observed, now)


def newest_fitting(spec: Spec, observed: Observed, now: datetime) -> StoredVersion | None:
    """The newest version that can serve ``spec``, None where there is none."""
    fitting = [version for version in observed.certificates.versions if not why_unfit(version, spec, observed, now)]
    return max(fitting, key=lambda version: version.number, default=None)


def linked(observed: Observed, spec: Spec) -> bool:
    """Whether the names that the container is told lead to the current version."""
    links, name = observed.certificates.links, certificate_name(spec.domain)
    return links.get(f"{name}.crt") == "current/fullchain.pem" and links.get(f"{name}.key") == "current/privkey.pem"


def why_unfit(version: StoredVersion, spec: Spec, observed: Observed, now: datetime) -> str:
    """Why ``version`` cannot serve ``spec``; empty when it can."""
    if version.problem:
        return version.problem
    if not version.key_matches:
        return "its key does not match"
    if version.revoked is not None:
        return f"it was revoked on {version.revoked:%Y-%m-%d}"
    if version.set_aside is not None:
        return f"it was set aside on {version.set_aside:%Y-%m-%d}"
    if version.source != spec.tls.value:
        return f"it came from {version.source}, and --tls is {spec.tls.value}"
    if version.leaf.not_after <= now:
        return f"it expired on {version.leaf.not_after:%Y-%m-%d}"
    if spec.tls is Tls.FILES:
        wanted = observed.pair.leaf.fingerprint_sha256 if observed.pair else ""
        return "" if not wanted or version.leaf.fingerprint_sha256 == wanted else "the files changed"
    return _why_asked_otherwise(version, spec)


def _why_asked_otherwise(version: StoredVersion, spec: Spec) -> str:
    if set(version.names) != set(spec.domains):
        return f"it is for {', '.join(version.names)}"
    if spec.tls is Tls.ACME and version.directory not in (spec.acme_directory, *spec.acme_fallback):
        return f"it came from {version.directory}"
    if spec.tls is Tls.ACME and version.profile != spec.profile:
        return f"it was issued under the profile {version.profile}" if version.profile else "it has no profile"
    if spec.tls is Tls.ACME and not spec.reuse_key and version.leaf.key_type != _key_words(spec.key_type):
        return f"its key is {version.leaf.key_type}"
    return ""


def _key_words(kind: str) -> str:
    """A kind of key as a certificate's is told: ``ecdsa-p256`` is ``ECDSA P-256``."""
    family, _, size = kind.partition("-")
    return f"RSA {size}" if family == "rsa" else f"ECDSA P-{size.removeprefix('p')}"


def waiting(spec: Spec, record: Attempts | None, now: datetime, *, patient: bool) -> Wait | None:
    """Why the CA is not to be asked now; None where it may be, and where no CA is."""
    if record is None:
        return None
    return wait_before_order(record, now, patient=patient, limited=spec.acme_directory == LETS_ENCRYPT)


def _why_issue(spec: Spec, observed: Observed, newest: StoredVersion | None, now: datetime, renewal: Renewal) -> str:
    if newest is None:
        facts = observed.certificates
        latest = max(facts.versions, key=lambda version: (version.set_aside is None, version.number), default=None)
        if latest is None:
            return f"there is none for {', '.join(spec.domains)}"
        return why_unfit(latest, spec, observed, now)
    if spec.tls is Tls.FILES:
        return ""
    due = due_at(newest.leaf, observed.attempts)
    if renewal.forced:
        return renewal.forced
    patient = renewal.patient and not is_emergency(newest.leaf, now)
    if now >= due and not waiting(spec, observed.attempts, now, patient=patient):
        return f"renewal is due since {due:%Y-%m-%d}, it ends {newest.leaf.not_after:%Y-%m-%d}"
    return ""
