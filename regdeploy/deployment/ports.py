"""Whether the ports that a plan needs can be had. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from regdeploy.deployment.check import Check, ok, stop
from regdeploy.deployment.observed import HostFacts, Observed
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.workload import is_ours
from regdeploy.host.ports import needs_root

_PROXY = "docker-proxy"
#: A power cut while a container was starting leaves that in the engine's books, and restoring them it binds the port.
_RESTART_ENGINE = "restart the engine (`systemctl restart docker`): it kept the port for a container that never started"


def port_checks(spec: Spec, observed: Observed, host: HostFacts) -> Iterator[Check]:
    """A port is free, ours, or held by something we replace anyway; else it is a stop that names the holder."""
    there = observed.workload
    mine = {one.name for one in (there.current, there.previous) if one is not None and is_ours(one, spec.name)}
    replaced = {container.name for container in (there.current, there.previous) if container}
    for port in sorted(host.ports):
        others = [name for name in host.publishers.get(port, ()) if name not in replaced]
        ours = [name for name in host.publishers.get(port, ()) if name in replaced]
        holder = host.holders.get(port)
        hint = f"stop it{_otherwise(spec, port)}"
        if others:
            yield stop("ports", f"{port} is held by the container {others[0]}", hint)
        elif ours:
            whose = "this deployment's" if ours[0] in mine else "what it takes the place of"
            yield ok("ports", f"{port} is held by {ours[0]}, which is {whose}")
        elif holder is not None and holder.command == _PROXY:
            yield stop("ports", f"{port} is held by {_PROXY} (pid {holder.pid}) for no container", _RESTART_ENGINE)
        elif holder is not None:
            who = f"{holder.command} (pid {holder.pid})" if holder.pid else "another user's program"
            yield stop("ports", f"{port} is held by {who}", hint)
        else:
            yield _unheld(spec, observed, host, port)


def _unheld(spec: Spec, observed: Observed, host: HostFacts, port: int) -> Check:
    """A port that nobody listens on. The challenge's is bound by regdeploy itself; the registry's by the engine."""
    problem = host.bind_problems.get(port, "")
    if not needs_root(problem):
        return stop("ports", problem, f"stop it{_otherwise(spec, port)}") if problem else ok("ports", f"{port} is free")
    issuing = host.directory is not None or bool(host.directory_problem)
    if issuing and any(challenge.port == port for challenge in observed.challenges[:1]):
        return stop("ports", problem, f"run regdeploy as root{_otherwise(spec, port, proving=True)}")
    if observed.engine.rootless:
        return stop("ports", problem, "choose another port with --port")
    return ok("ports", f"{port} is free")


def _otherwise(spec: Spec, port: int, *, proving: bool = False) -> str:
    if port == spec.port and not proving:
        return ", or choose another port with --port"
    if port == spec.localhost_port and not proving:
        return ", or do without it with --localhost-port 0"
    for_now = "" if proving else " for the moment"
    option = "--tls-alpn-01-port" if port == spec.tls_alpn_01_port else "--http-01-port"
    return f"{for_now}, or forward the CA's question to another port with {option}"
