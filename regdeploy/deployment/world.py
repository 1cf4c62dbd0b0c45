"""Everything outside the spine, as it is handed in: the engine, the endpoint, the CA, the clock.

The files are not here: they are real in tests too, in a folder of the test's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from regdeploy.deployment.layout import Layout
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.engine.protocol import Engine
from regdeploy.frozen import frozen
from regdeploy.host.names import CaaFacts, Resolution
from regdeploy.host.reach import Reached
from regdeploy.registry.api import EndpointFacts
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import DirectoryFacts, Errand, Issued, RenewalInfo

if TYPE_CHECKING:
    from regdeploy.host.systemd import TimerFacts
    from regdeploy.registry.listing import Listing
    from regdeploy.registry.progress import Progress
    from regdeploy.registry.proof import Held

_PROBE_TIMEOUT = 3.0
_LIST_TIMEOUT = 90.0  # a catalog of a bucket is put together folder by folder, before the first byte of it comes
_PROVE_TIMEOUT = 30.0
_SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)


class Endpoint(Protocol):
    """The registry as a client meets it. The real one is :class:`NetworkEndpoint`."""

    def probe(self, spec: Spec, trust: Mapping[str, bytes]) -> EndpointFacts:
        """Ask once: handshake and ``/v2/``; never raises. ``trust`` names bundles that may prove the chain."""
        ...

    def wait(self, spec: Spec, stopped: Callable[[], bool]) -> EndpointFacts:
        """Ask until it answers, ``stopped`` says that nothing will, or ``spec.timeout`` is over."""
        ...

    def listing(
        self, address: str, *, full: bool, report: Callable[[Progress], None], cancelled: Callable[[], bool]
    ) -> Listing:
        """What the plain registry at ``address`` (``127.0.0.1:5000``) says that it holds.

        Raises what :func:`regdeploy.registry.listing.ask_listing` does.
        """
        ...

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
        """What it lacks of ``expected``, each in words (``str``); see :func:`regdeploy.registry.proof.prove`."""
        ...


class Authority(Protocol):
    """An ACME CA. The real one is :class:`regdeploy.tls.acme.AcmeAuthority`."""

    def ready(self, url: str, ca_bundle: Path | None) -> AbstractContextManager[None]:
        """While the block runs, be ready for an order from the CA at ``url``, which is likely to come. Never raises."""
        ...

    def issue(self, errand: Errand, directory: DirectoryFacts | None) -> Issued:
        """Obtain a certificate. Raises AcmeError. Nothing but the account in ``state`` outlives a crash."""
        ...

    def directory(self, url: str, ca_bundle: Path | None) -> DirectoryFacts:
        """What the CA says of itself. Raises AcmeError."""
        ...

    def renewal_info(self, directory: DirectoryFacts, ca_bundle: Path | None, pem: bytes) -> RenewalInfo | None:
        """When the CA wants the certificate renewed, None where it says nothing of that. Raises AcmeError."""
        ...

    def revoke(self, errand: Errand, certificate: bytes, *, key: Secret | None, reason: str) -> bool:
        """Have the certificate (PEM) revoked, False where it was already. Raises AcmeError, CertificateError."""
        ...

    def change_account(self, errand: Errand, act: str) -> None:
        """Change the account: ``rollover``, ``contact`` or ``deactivate``. Raises AcmeError, HostError."""
        ...


class Names(Protocol):
    """The name servers. The real ones are :class:`SystemNames`."""

    def resolve(self, name: str) -> Resolution:
        """The addresses of ``name``; never raises, bounded in time."""
        ...

    def caa(self, name: str) -> CaaFacts:
        """The CAA records that govern ``name``; never raises, bounded in time."""
        ...

    def reach(
        self, addresses: Mapping[str, tuple[str, ...]], *, own: frozenset[str], asked: int, listened: int
    ) -> tuple[Reached, ...]:
        """Who answers at these addresses of the names, while we listen; see :func:`regdeploy.host.reach.reach`."""
        ...


class Timers(Protocol):
    """What starts ``regdeploy renew`` by itself. The real one is :class:`SystemdTimers`."""

    def facts(self, root: Path, name: str) -> TimerFacts | None:
        """What is there of the timer for that deployment; None where this host has no such thing to offer."""
        ...

    def install(self, root: Path, name: str) -> None:
        """Have it, enabled and started. Raises HostError."""
        ...

    def remove(self, name: str) -> None:
        """Take it away; absent is fine. Raises HostError."""
        ...


@frozen
class World:
    """What an operation works with. ``uid`` is who runs it; ``who`` is the name that history keeps."""

    engine: Engine
    endpoint: Endpoint
    authority: Authority
    names: Names
    timers: Timers
    now: Callable[[], datetime]
    uid: int
    who: str


class NetworkEndpoint:
    """The endpoint as it is published on this host, asked by its address and by the name that clients use."""

    def probe(self, spec: Spec, trust: Mapping[str, bytes]) -> EndpointFacts:
        """See :class:`Endpoint`."""
        from regdeploy.registry.api import probe  # noqa: PLC0415 - http.client and ssl, only where something is asked

        return probe(
            _address(spec),
            spec.port,
            server_name=spec.domain,
            tls=spec.tls is not Tls.OFF,
            timeout=_PROBE_TIMEOUT,
            trust=trust,
        )

    def wait(self, spec: Spec, stopped: Callable[[], bool]) -> EndpointFacts:
        """See :class:`Endpoint`."""
        from regdeploy.registry.api import wait_until_serving  # noqa: PLC0415 - as above

        return wait_until_serving(
            _address(spec),
            spec.port,
            server_name=spec.domain,
            tls=spec.tls is not Tls.OFF,
            deadline=float(spec.timeout),
            stopped=stopped,
        )

    def listing(
        self, address: str, *, full: bool, report: Callable[[Progress], None], cancelled: Callable[[], bool]
    ) -> Listing:
        """See :class:`Endpoint`."""
        from regdeploy.registry.client import RegistryClient  # noqa: PLC0415 - only where images lie outside this host
        from regdeploy.registry.listing import ask_listing  # noqa: PLC0415 - as above

        def client() -> RegistryClient:
            return RegistryClient(f"http://{address}", timeout=_LIST_TIMEOUT)

        return ask_listing(client, full=full, report=report, cancelled=cancelled)

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
        """See :class:`Endpoint`. The certificate must be the current version's: that it is served was verified."""
        from regdeploy.registry.client import RegistryClient  # noqa: PLC0415 - only where a migration ends
        from regdeploy.registry.proof import Kind, prove  # noqa: PLC0415 - as above

        user, password = login or ("", None)
        chain = Layout(spec.root).certs / "current" / "fullchain.pem"

        def client() -> RegistryClient:
            return RegistryClient(
                spec.url,
                address=_address(spec),
                user=user,
                password=password,
                cafile=None if spec.tls is Tls.OFF else chain,
                timeout=_PROVE_TIMEOUT,
            )

        found = prove(client, expected, full=full, report=report, cancelled=cancelled)
        # A tag that leads elsewhere was moved by a client since; that what it led to is there is asked for besides.
        return tuple(one for one in found if one.kind is not Kind.TAG or not one.found)


def _address(spec: Spec) -> str:
    if spec.bind in ("", "0.0.0.0"):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return "::1" if spec.bind == "::" else spec.bind


class SystemdTimers:
    """Timers of systemd, for root, and for a regdeploy that is installed as a program."""

    def __init__(self, program: Path | None) -> None:
        """``program`` is the absolute path of regdeploy, None where there is no such file."""
        self._program = program

    def facts(self, root: Path, name: str) -> TimerFacts | None:
        """See :class:`Timers`."""
        if self._program is None or not _SYSTEMD.is_dir() or os.geteuid():
            return None
        from regdeploy.host import systemd  # noqa: PLC0415 - only where systemd runs

        return systemd.timer_facts(systemd.units(self._program, root, name)) if systemd.available() else None

    def install(self, root: Path, name: str) -> None:
        """See :class:`Timers`."""
        from regdeploy.host import systemd  # noqa: PLC0415 - as above

        assert self._program is not None, "facts() said None"
        systemd.install(systemd.units(self._program, root, name))

    def remove(self, name: str) -> None:
        """See :class:`Timers`."""
        if _SYSTEMD.is_dir() and not os.geteuid():
            from regdeploy.host import systemd  # noqa: PLC0415 - as above

            systemd.remove(name)


class SystemNames:
    """The host's resolver."""

    _TIMEOUT = 3.0

    def resolve(self, name: str) -> Resolution:
        """See :class:`Names`."""
        from regdeploy.host.names import resolve  # noqa: PLC0415 - the protocol's types cost nothing, asking does

        return resolve(name, self._TIMEOUT)

    def caa(self, name: str) -> CaaFacts:
        """See :class:`Names`."""
        from regdeploy.host.names import caa  # noqa: PLC0415 - dnspython, only where a public CA is asked

        return caa(name, self._TIMEOUT)

    def reach(
        self, addresses: Mapping[str, tuple[str, ...]], *, own: frozenset[str], asked: int, listened: int
    ) -> tuple[Reached, ...]:
        """See :class:`Names`."""
        from regdeploy.host.reach import reach  # noqa: PLC0415 - as above

        return reach(addresses, own=own, asked=asked, listened=listened)
