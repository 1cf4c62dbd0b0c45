"""Looks around on the host, and at what the names lead to: :class:`HostFacts`, which the checks judge."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from regdeploy.deployment.domains import is_ip
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import HostFacts, Observed
from regdeploy.deployment.plan import Plan
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.steps import ActivateWorkload, IssueCertificate, PrepareWorkload, StartWorkload
from regdeploy.deployment.workload import LOOPBACK
from regdeploy.deployment.world import World
from regdeploy.errors import AcmeError, HostError
from regdeploy.host.clock import offset_seconds
from regdeploy.host.disk import disk_facts
from regdeploy.host.names import CaaFacts, Resolution
from regdeploy.host.ports import can_bind, holder, meet, unprivileged_port_start
from regdeploy.host.reach import CA_PORTS, Reached
from regdeploy.host.security import selinux_enforcing
from regdeploy.tls.acme import saved_account
from regdeploy.tls.acme.settings import DirectoryFacts


def host_facts(
    spec: Spec, observed: Observed, world: World, plan: Plan | None, *, engine_answers: bool = True
) -> HostFacts:
    """Gather what the checks need: for ``plan`` only what its steps depend on, for None (``doctor``) everything."""
    issuing = spec.tls is Tls.ACME and (plan is None or any(isinstance(step, IssueCertificate) for step in plan.flat))
    starting = plan is None or any(
        isinstance(step, PrepareWorkload | ActivateWorkload | StartWorkload) for step in plan.flat
    )
    ports = {port for port in (spec.port, spec.localhost_port) if port} if starting else set()
    if issuing and observed.challenges[0].port:
        ports.add(observed.challenges[0].port)
    asked = spec.domains if plan is None or issuing else ()
    problems = {port: can_bind(_bind(spec, port), port) for port in ports}
    with ThreadPoolExecutor(max_workers=8) as pool:
        resolutions = {
            name: pool.submit(world.names.resolve, name)
            for name in asked
            if not is_ip(name) and not name.startswith("*.")
        }
        directory, problem, hint = _directory(spec, world) if issuing else (None, "", "")
        identities = directory.caa_identities if directory else ()
        caa = {name: pool.submit(world.names.caa, name) for name in (spec.domains if identities else ())}
        offset = offset_seconds(directory.date, world.now()) if directory and directory.date else None
        resolved = {name: future.result() for name, future in resolutions.items()}
        own = _own_addresses() if resolutions else frozenset()
        publishers = _publishers(spec, world, ports) if engine_answers else {}
        taken = {port for port in ports if problems[port] or publishers.get(port)}
        return HostFacts(
            uid=world.uid,
            now=world.now(),
            root_writable=_writable(spec.root) and _writable(Layout(spec.root).certs),
            disk=disk_facts(spec.root),
            selinux_enforcing=selinux_enforcing(),
            unprivileged_port_start=unprivileged_port_start(),
            ports=frozenset(ports),
            holders={port: held for port in ports if problems[port] and (held := holder(_bind(spec, port), port))},
            publishers=publishers,
            bind_problems=problems,
            resolutions=resolved,
            own_addresses=own,
            reached=_reached(observed, world, resolved, own, taken) if issuing else (),
            directory=directory,
            directory_problem=problem,
            directory_hint=hint,
            caa=(records := {name: future.result() for name, future in caa.items()}),
            account=_account(spec, records.values()),
            clock_offset=offset,
        )


def _reached(
    observed: Observed, world: World, found: Mapping[str, Resolution], own: frozenset[str], taken: Collection[int]
) -> tuple[Reached, ...]:
    """Who answers where the CA will ask, while the challenge's port is free to be listened on."""
    first = observed.challenges[0]
    if not first.port or first.port in taken:
        return ()
    addresses = {name: (*answer.a, *answer.aaaa) for name, answer in found.items()}
    return world.names.reach(addresses, own=own, asked=CA_PORTS[first.kind], listened=first.port)


def _publishers(spec: Spec, world: World, ports: set[int]) -> dict[int, tuple[str, ...]]:
    """The containers that publish a port on an address that is to be listened on."""
    return {
        port: tuple(name for name, address in world.engine.publishers(port) if meet(_bind(spec, port), address))
        for port in ports
    }


def _bind(spec: Spec, port: int) -> str:
    return spec.bind if port == spec.port else LOOPBACK if port == spec.localhost_port else ""


def _own_addresses() -> frozenset[str]:
    from regdeploy.host.names import own_addresses  # noqa: PLC0415 - beside names' other functions, imported late

    return own_addresses()


def _account(spec: Spec, facts: Iterable[CaaFacts]) -> str:
    """The account's URL, where a CAA record names any: reading it loads the ACME libraries."""
    if not any("accounturi" in value.lower() for found in facts for _, _, value in found.records):
        return ""
    try:
        saved = saved_account(Layout(spec.root).acme, spec.acme_directory) or {}
    except HostError:  # a folder that only root may read: not known, and said as such
        return ""
    return str(saved.get("url", ""))


def _directory(spec: Spec, world: World) -> tuple[DirectoryFacts | None, str, str]:
    try:
        return world.authority.directory(spec.acme_directory, spec.acme_ca_bundle), "", ""
    except AcmeError as error:
        return None, str(error), error.hint


def _writable(root: Path) -> bool:
    for folder in (root, *root.parents):
        if folder.exists():
            return os.access(folder, os.W_OK | os.X_OK)
    return False
