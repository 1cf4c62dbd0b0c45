"""Which challenge proves the names, and what comes next where that fails. Pure.

A kind that is asked for by name is the only one. Otherwise: dns-01 where a provider is named, since somebody took the
trouble; http-01 where port 80 can be had, which interrupts nobody; tls-alpn-01 where only 443 can. A second kind is
kept for an order that fails with the first, when its port is free too: a fallback never stops a registry.
dns-persist-01 is never taken by itself: a person has to make its record first.
"""

from __future__ import annotations

from collections.abc import Collection

from regdeploy.deployment.spec import Spec
from regdeploy.frozen import frozen


@frozen
class Challenge:
    """One kind, as ACME spells it; ``port`` is the one of this host that it needs, 0 for none; ``why`` it is taken."""

    kind: str
    port: int
    why: str


def challenges(spec: Spec, free: Collection[int], ours: Collection[int]) -> tuple[Challenge, ...]:
    """The kinds to try, in order, at least one.

    ``free`` are the ports that can be bound now; ``ours`` those that the deployment's own container publishes.
    """
    if spec.challenge != "auto":
        return (_named(spec),)
    if spec.dns_provider:
        return (Challenge(kind="dns-01", port=0, why=f"{spec.dns_provider} can write DNS records"),)
    if spec.http_01_webroot is not None:
        return (Challenge(kind="http-01", port=0, why=f"port 80 is served from {spec.http_01_webroot}"),)
    http, alpn = spec.http_01_port, spec.tls_alpn_01_port
    kinds = {http: "http-01", alpn: "tls-alpn-01"}
    order = [port for port in (http, alpn) if port in free] or [port for port in (http, alpn) if port in ours][:1]
    if not order:  # the check of the ports says who is in the way
        return (Challenge(kind="http-01", port=http, why=f"neither port {http} nor {alpn} is free"),)
    return tuple(Challenge(kind=kinds[port], port=port, why=_why(port, free)) for port in order)


def _why(port: int, free: Collection[int]) -> str:
    return f"port {port} is free" if port in free else f"port {port} is this deployment's"


def _named(spec: Spec) -> Challenge:
    match spec.challenge:
        case "dns-01" | "dns-persist-01":
            return Challenge(kind=spec.challenge, port=0, why="--challenge says so")
        case "tls-alpn-01":
            return Challenge(kind="tls-alpn-01", port=spec.tls_alpn_01_port, why="--challenge says so")
        case _:
            port = 0 if spec.http_01_webroot is not None else spec.http_01_port
            return Challenge(kind="http-01", port=port, why="--challenge says so")
