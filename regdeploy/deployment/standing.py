"""How a deployment stands, as one value and as the JSON document of it; ``status`` looks and makes it. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.runs import Run, tried
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.workload import Difference, as_deployed, is_ours
from regdeploy.engine.model import ContainerFacts, ImageFacts
from regdeploy.frozen import frozen
from regdeploy.host.disk import DiskFacts
from regdeploy.registry.variables import storage_driver
from regdeploy.tls.certificate import Certificate
from regdeploy.tls.renewal import due_at
from regdeploy.tls.store import StoredVersion


class State(StrEnum):
    """``serving``: all is well. ``degraded``: it answers, with problems. ``down``: it does not answer."""

    SERVING = "serving"
    DEGRADED = "degraded"
    DOWN = "down"


@frozen
class Status:
    """A deployment as it was found.

    ``drift`` is how things differ from the spec, which the next ``up`` mends; ``problems`` is what is wrong for those
    who use it, and makes ``state`` other than serving. ``served`` is the certificate that a handshake gave. ``runs``
    are those of ``renew``; ``renewed_by`` is what will run it: ``systemd``, ``agent``, ``cron``, or empty for nothing.
    """

    spec: Spec
    observed: Observed
    container: ContainerFacts | None
    image: ImageFacts | None
    version: str
    served: Certificate | None
    certificate: StoredVersion | None
    disk: DiskFacts
    used_bytes: int
    used_is_minimum: bool
    repositories: int
    drift: tuple[Difference, ...]
    problems: tuple[str, ...]
    runs: tuple[Run, ...] = ()
    renewed_by: str = ""

    @property
    def url(self) -> str:
        """Where it is reached now; a port that was edited since counts with the next ``up``."""
        ours = self.container is not None and is_ours(self.container, self.spec.name)
        return as_deployed(self.spec, self.container).url if ours and self.container else self.spec.url

    @property
    def driver(self) -> str:
        """Where the images lie: ``filesystem``, or another driver of Distribution's, which is not looked into."""
        return storage_driver(self.observed.variables)

    @property
    def state(self) -> State:
        """One word for it all."""
        served = self.observed.served
        if served is None or not served.reachable:
            return State.DOWN
        return State.DEGRADED if self.problems else State.SERVING

    def as_json(self) -> dict[str, object]:
        """The documented, stable keys (README, "status --json"). Times are RFC 3339 UTC; what is not known is null."""
        return {
            "name": self.spec.name,
            "domain": self.spec.domain or None,
            "url": self.url,
            "state": self.state.value,
            "image": self._image_json(),
            "container": self._container_json(),
            "endpoint": self._endpoint_json(),
            "certificate": self._certificate_json(),
            "renewal": self._renewal_json(),
            "storage": self._storage_json(),
            "drift": [item._asdict() for item in self.drift],
            "problems": list(self.problems),
        }

    def _storage_json(self) -> dict[str, object]:
        here = self.driver == "filesystem"
        return {
            "driver": self.driver,
            "path": str(Layout(self.spec.root).data) if here else None,
            "used_bytes": self.used_bytes if here else None,
            "used_is_minimum": self.used_is_minimum if here else None,
            "free_bytes": self.disk.free_bytes,
            "repositories": self.repositories if here else None,
        }

    def _renewal_json(self) -> dict[str, object] | None:
        if not wants_renewal(self.spec):
            return None
        last, timer = self.runs[-1] if self.runs else None, self.observed.timer
        outcome = tried(self.runs)[-1:]
        return {
            "by": self.renewed_by or None,
            "next_run": rfc3339(timer.next_run) if timer else None,
            "last_run": rfc3339(last.at) if last else None,
            "last_outcome": ("failed" if outcome[0].failed else "done") if outcome else None,
            "due": rfc3339(self.due),
        }

    @property
    def due(self) -> datetime | None:
        """From when on the certificate in use is renewed; None without one that is."""
        stored = self.certificate
        return due_at(stored.leaf, self.observed.attempts) if stored and wants_renewal(self.spec) else None

    def _image_json(self) -> dict[str, object]:
        digests = self.image.repo_digests if self.image else ()
        digest = digests[0].partition("@")[2] if digests else self.container.image_id if self.container else None
        ref = self.container.image if self.container else self.spec.image
        return {"ref": ref, "digest": digest, "version": self.version or None}

    def _container_json(self) -> dict[str, object] | None:
        found = self.container
        if found is None:
            return None
        return {"id": found.id, "state": found.state, "started_at": rfc3339(found.started_at), "health": found.health}

    def _endpoint_json(self) -> dict[str, object]:
        facts = self.observed.served
        tls = None
        if self.served is not None:
            tls = {
                "issuer": self.served.issuer,
                "not_before": rfc3339(self.served.not_before),
                "not_after": rfc3339(self.served.not_after),
                "sans": list(self.served.names),
                "fingerprint_sha256": self.served.fingerprint_sha256,
                "trusted": bool(facts and facts.trusted_by),
                "trusted_by": (facts.trusted_by or None) if facts else None,
            }
        return {
            "reachable": bool(facts and facts.reachable),
            "http_status": facts.http_status if facts else None,
            "auth_required": facts.auth_required if facts else None,
            "tls": tls,
        }

    def _certificate_json(self) -> dict[str, object] | None:
        stored = self.certificate
        if stored is None:
            return None
        return {
            "source": stored.source,
            "not_after": rfc3339(stored.leaf.not_after),
            "renew_after": rfc3339(self.due),
            "deployed": stored.leaf.fingerprint_sha256 == self.observed.served_fingerprint,
        }


def rfc3339(moment: datetime | None) -> str | None:
    """A time for a program: RFC 3339, UTC, whole seconds."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None


def uptime(status: Status, now: datetime) -> str:
    """How long the container has run, for a person; empty when it does not."""
    started = status.container.started_at if status.container and status.container.running else None
    if started is None:
        return ""
    seconds = max(0, int((now - started).total_seconds()))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} s"


def wants_renewal(spec: Spec) -> bool:
    """Whether regdeploy renews the certificate."""
    return spec.tls in (Tls.ACME, Tls.INTERNAL)
