"""Everything outside the spine, in memory: a CA that signs at once, an endpoint that serves what its container read.

The engine is :class:`tests.fakes.engine.FakeEngine`; files are real, in a folder of the test's own.
"""

from __future__ import annotations

import hashlib
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from regdeploy.deployment.checks import Check
from regdeploy.deployment.plan import Plan
from regdeploy.deployment.reporting import Event
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.world import World
from regdeploy.engine.model import ContainerFacts
from regdeploy.errors import AcmeError, HostError, NeedsConfirmation, RegdeployError
from regdeploy.host.names import CaaFacts, Resolution
from regdeploy.host.reach import Reached
from regdeploy.host.systemd import TimerFacts
from regdeploy.registry import users
from regdeploy.registry.api import EndpointFacts
from regdeploy.registry.contents import Inventory, missing
from regdeploy.registry.inventory import read_inventory
from regdeploy.registry.listing import Listing, ask_listing
from regdeploy.registry.progress import Progress
from regdeploy.registry.proof import Held, Kind, prove
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import DirectoryFacts, Errand, Issued, RenewalInfo
from regdeploy.tls.bundle import make_bundle
from tests.certs import Made, make_intermediate, make_leaf, make_root
from tests.fakes.bucket import BUCKET, BucketClient
from tests.fakes.engine import FakeEngine

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@dataclass
class FakeClock:
    """Time that stands still unless a test moves it."""

    moment: datetime = START

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **amount: float) -> None:
        """Move on, by the arguments of timedelta."""
        self.moment += timedelta(**amount)


_ROOT = make_root()
_INTERMEDIATE = make_intermediate(_ROOT, lifetime=timedelta(days=3000))


@dataclass
class FakeAuthority:
    """An ACME CA. ``refusal`` makes every order fail with these words; ``issued`` counts certificates."""

    lifetime: timedelta = timedelta(days=90)
    refusal: str = ""
    issued: int = 0
    asked: int = 0
    clock: FakeClock = field(default_factory=FakeClock)
    window: RenewalInfo | None = None
    revoked: list[tuple[bytes, str]] = field(default_factory=list)

    def issue(self, errand: Errand, directory: DirectoryFacts | None) -> Issued:
        settings, now = errand.settings, errand.now
        sys.audit("tests.fakes.write", "order")
        self.asked += 1
        if errand.cancel.is_set():
            raise AcmeError("acme", "was cancelled", problem="cancelled")
        if self.refusal:
            raise AcmeError(", ".join(settings.names), self.refusal, problem="unauthorized")
        errand.report("validated")
        leaf: Made = make_leaf(_INTERMEDIATE, *settings.names, begin=now() - timedelta(hours=1), lifetime=self.lifetime)
        self.issued += 1
        sys.audit("tests.fakes.write", "certificate")
        bundle = make_bundle(
            leaf.pem + _INTERMEDIATE.pem,
            leaf.key_pem,
            names=settings.names,
            now=now(),
            cert_name="the CA's certificate",
            key_name="its key",
            complete=True,
        )
        return Issued(bundle=bundle, account="https://ca.example/account/1", challenge="http-01")

    def ready(self, url: str, ca_bundle: Path | None) -> AbstractContextManager[None]:
        return nullcontext()

    def directory(self, url: str, ca_bundle: Path | None) -> DirectoryFacts:
        return DirectoryFacts(url=url, date=self.clock(), profiles=("tlsserver",))

    def revoke(self, errand: Errand, certificate: bytes, *, key: Secret | None, reason: str) -> bool:
        sys.audit("tests.fakes.write", "revocation")
        if self.refusal:
            raise AcmeError(", ".join(errand.settings.names), self.refusal, problem="unauthorized")
        if any(one == certificate for one, _ in self.revoked):
            return False
        self.revoked.append((certificate, reason))
        return True

    def change_account(self, errand: Errand, act: str) -> None:
        errand.report(f"{act} done")

    def renewal_info(self, directory: DirectoryFacts, ca_bundle: Path | None, pem: bytes) -> RenewalInfo | None:
        return self.window


class FakeEndpoint:
    """Serves what a container read at its start, as the registry does: a certificate changed since is not served.

    ``buckets`` hold the images (digest by tag by repository) of containers whose variables name one; with ``blind``
    one of ours finds nothing in it, as with a setting that was carried over wrongly.
    """

    def __init__(self, engine: FakeEngine) -> None:
        self.buckets: dict[str, dict[str, dict[str, str]]] = {}
        self.blind = False
        self._host = engine.host
        self._read: dict[tuple[str, datetime | None], tuple[bytes | None, str]] = {}

    def probe(self, spec: Spec, trust: Mapping[str, bytes]) -> EndpointFacts:
        container = self._holder(spec)
        if container is None:
            return EndpointFacts(error="refuses connections")
        leaf, _ = self._has_read(container)
        if spec.tls is not Tls.OFF and leaf is None:
            return EndpointFacts(error="does not speak TLS")
        status = 401 if container.environment.get("REGISTRY_AUTH") else 200
        return EndpointFacts(
            reachable=True, http_status=status, auth_required=status == 401, is_registry=True, leaf_der=leaf
        )

    def wait(self, spec: Spec, stopped: Callable[[], bool]) -> EndpointFacts:
        return self.probe(spec, {})

    def listing(
        self, address: str, *, full: bool, report: Callable[[Progress], None], cancelled: Callable[[], bool]
    ) -> Listing:
        container = self._at(int(address.rpartition(":")[2]))
        bucket = container.environment.get(BUCKET, "") if container is not None else ""
        if container is None or bucket not in self.buckets:
            raise RegdeployError(f"http://{address}", f"{address} refuses connections", code="registry.unreachable")
        if container.environment.get("REGISTRY_AUTH"):
            raise RegdeployError(f"http://{address}", "wants a login", code="registry.login")
        return ask_listing(self._client_of(container), full=full, report=report, cancelled=cancelled)

    def _client_of(self, container: ContainerFacts) -> Callable[[], BucketClient]:
        blind = self.blind and container.deployment
        holds = {} if blind else self.buckets.get(container.environment.get(BUCKET, ""), {})
        return lambda: BucketClient(holds)

    def prove(
        self,
        spec: Spec,
        login: tuple[str, Secret] | None,
        expected: Held,
        *,
        full: bool,
        report: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> tuple[object, ...]:
        container = self._holder(spec)
        assert container is not None, "what serves was verified before"
        if not isinstance(expected, Inventory):
            found = prove(self._client_of(container), expected, full=full, report=report, cancelled=cancelled)
            return tuple(one for one in found if one.kind is not Kind.TAG or not one.found)
        (data,) = (mount.source for mount in container.mounts if mount.target == "/var/lib/registry")
        return missing(expected, read_inventory(Path(data)))

    def _holder(self, spec: Spec) -> ContainerFacts | None:
        return self._at(spec.port)

    def _at(self, port: int) -> ContainerFacts | None:
        for container in self._host.containers.values():
            if container.state == "running" and any(p.host_port == port for p in container.publishes):
                return container
        return None

    def config_of(self, container: ContainerFacts) -> str:
        """The config.yml that it read; empty where there was none."""
        return self._has_read(container)[1]

    def _has_read(self, container: ContainerFacts) -> tuple[bytes | None, str]:
        """What it read when it started, leaf and config: looked at the first time that anybody asks after that."""
        started = (container.id, container.started_at)
        if started not in self._read:
            self._read[started] = (self._leaf(container), self._config(container))
        return self._read[started]

    def _config(self, container: ContainerFacts) -> str:
        folders = ("/etc/distribution", "/etc/docker/registry")
        paths = [Path(mount.source) / "config.yml" for mount in container.mounts if mount.target in folders]
        return "".join(path.read_text() for path in paths if path.exists())

    def _leaf(self, container: ContainerFacts) -> bytes | None:
        inside = container.environment.get("REGISTRY_HTTP_TLS_CERTIFICATE", "")
        mounted = {mount.target: mount.source for mount in container.mounts}
        if not inside or "/certs" not in mounted:
            return None
        path = Path(mounted["/certs"]) / Path(inside).name
        if not path.exists():
            return None
        pem = path.read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
        return ssl.PEM_cert_to_DER_cert(pem)


@dataclass
class FakeTimers:
    """Systemd, or with ``there`` False a host without; ``installed`` are the deployments that have a timer."""

    there: bool = False
    refusal: str = ""
    installed: set[str] = field(default_factory=set)

    def facts(self, root: Path, name: str) -> TimerFacts | None:
        on = name in self.installed
        return TimerFacts(installed=on, enabled=on, active=on) if self.there else None

    def install(self, root: Path, name: str) -> None:
        if self.refusal:
            raise HostError("systemctl", self.refusal)
        self.installed.add(name)

    def remove(self, name: str) -> None:
        self.installed.discard(name)


class FakeNames:
    """Every name leads here."""

    def resolve(self, name: str) -> Resolution:
        return Resolution(a=("127.0.0.1",))

    def caa(self, name: str) -> CaaFacts:
        return CaaFacts()

    def reach(
        self, addresses: Mapping[str, tuple[str, ...]], *, own: frozenset[str], asked: int, listened: int
    ) -> tuple[Reached, ...]:
        return ()


@dataclass
class FakeReporter:
    """Remembers what was told; ``yes`` is the answer to every question."""

    yes: bool = True
    events: list[Event] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    def checked(self, checks: Sequence[Check]) -> None:
        self.checks.extend(checks)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def confirm(self, plan: Plan, question: str) -> None:
        self.questions.append(question)
        if not self.yes:
            raise NeedsConfirmation("", question)


def fake_world(
    engine: FakeEngine,
    clock: FakeClock,
    authority: FakeAuthority | None = None,
    endpoint: FakeEndpoint | None = None,
    timers: FakeTimers | None = None,
) -> World:
    """A world of these parts."""
    return World(
        engine=engine,
        endpoint=endpoint or FakeEndpoint(engine),
        authority=authority or FakeAuthority(clock=clock),
        names=FakeNames(),
        timers=timers or FakeTimers(),
        now=clock,
        uid=0,
        who="tester",
    )


def fingerprint(facts: EndpointFacts) -> str:
    """SHA-256 of the leaf served."""
    return hashlib.sha256(facts.leaf_der).hexdigest() if facts.leaf_der else ""


def logs_in(root: Path, user: str) -> bool:
    """Whether htpasswd has that user."""
    return user in users.read(root / "auth/htpasswd")
