"""Where a name's records lie: aliases followed, the zone found, its servers and their addresses. Bounded in time."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from contextlib import suppress

import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from regdeploy.errors import AcmeError, UsageError
from regdeploy.frozen import frozen
from regdeploy.tls.acme.dns.provider import Place
from regdeploy.tls.acme.patience import Patience

PORT = 53
_MOST_ALIASES = 10
_LONGEST = 5.0  # seconds for one question
_HIGHEST_PORT = 65535
_COLONS_OF_V6 = 2  # at least; an IPv4 address with a port has one
_ENDPOINT = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?")


@frozen
class Server:
    """One address of one authoritative name server; ``address`` is empty where its name has none."""

    name: str
    address: str
    port: int = PORT

    def __str__(self) -> str:
        name = self.name.removesuffix(".")
        return f"{name} ({self.address})" if self.address else name


class Zones:
    """What the resolvers tell about names; ``resolvers`` (see :func:`endpoint`) replace those of the system.

    Its methods raise AcmeError, with the resolver's words, also when ``patience`` is cancelled.
    """

    def __init__(self, resolvers: Sequence[str], patience: Patience) -> None:
        self._patience = patience
        try:
            self._resolver = dns.resolver.Resolver(configure=not resolvers)
        except dns.resolver.NoResolverConfiguration as error:
            raise AcmeError("/etc/resolv.conf", "names no name server", "name some to ask as resolvers") from error
        if resolvers:
            found = (endpoint(text, "resolver") for text in resolvers)
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*one) for one in found]

    def place(self, name: str) -> Place:
        """Where the records of ``name`` (absolute) lie, after aliases: ten at most, and none twice."""
        seen = [name]
        while answer := self._ask(seen[-1], "CNAME"):
            target = answer[0].target.to_text().lower()
            if target in seen:
                raise AcmeError(name, f"its aliases run in a circle: {' -> '.join([*seen, target])}", _ALIAS_HINT)
            if len(seen) > _MOST_ALIASES:
                raise AcmeError(name, f"has more than {_MOST_ALIASES} aliases in a row", _ALIAS_HINT)
            seen.append(target)
        zone = self._zone(seen[-1])
        answer = self._ask(zone, "SOA")
        if answer is None:
            raise AcmeError(zone, "is a zone without an SOA record", "look at the zone with its provider")
        primary = answer[0].mname.to_text().lower()
        return Place(name=seen[-1], zone=zone, primary=primary, primary_addresses=self.addresses(primary))

    def servers(self, zone: str) -> tuple[Server, ...]:
        """Every address of every name server of ``zone`` that this host has a route to.

        IPv6 addresses are left out where the host has no IPv6. A name server whose name has no address is there, with
        none.
        """
        answer = self._ask(zone, "NS")
        found = []
        for name in sorted(rdata.target.to_text().lower() for rdata in answer or ()):
            addresses = self.addresses(name)
            found += [Server(name=name, address=address) for address in addresses or ("",) if _has_route(address)]
        if not found:
            raise AcmeError(zone, "has no name server that this host can reach", "look at its NS records, and at IPv6")
        return tuple(found)

    def addresses(self, host: str) -> tuple[str, ...]:
        """The IPv4 and IPv6 addresses of ``host``; none where there are none, or nobody knows."""
        found: list[str] = []
        for kind in ("A", "AAAA"):
            with suppress(AcmeError):
                found += [rdata.address for rdata in self._ask(host, kind) or ()]
            self._patience.check()
        return tuple(sorted(found, key=lambda address: (":" in address, address)))

    def _zone(self, name: str) -> str:
        try:
            return (
                dns.resolver.zone_for_name(name, resolver=self._resolver, lifetime=self._lifetime()).to_text().lower()
            )
        except (dns.exception.DNSException, OSError) as error:
            raise AcmeError(name, f"the zone that it is in was not found: {error}", _RESOLVER_HINT) from error

    def _ask(self, name: str, kind: str) -> dns.resolver.Answer | None:
        self._patience.check()
        try:
            return self._resolver.resolve(name, kind, lifetime=self._lifetime())
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            return None
        except (dns.exception.DNSException, OSError) as error:
            what = f"the name servers did not answer about its {kind} record: {error}"
            raise AcmeError(name, what, _RESOLVER_HINT) from error

    def _lifetime(self) -> float:
        return max(0.001, min(_LONGEST, self._patience.left))


_ALIAS_HINT = "correct its CNAME records: one that leads to where the TXT record may be written is enough"
_RESOLVER_HINT = "look at this host's name servers (/etc/resolv.conf), or name others as resolvers"


def endpoint(text: str, where: str) -> tuple[str, int]:
    """The address and port of ``ADDR``, ``ADDR:PORT``, ``[V6]`` or ``[V6]:PORT``; UsageError about ``where`` else."""
    found = _ENDPOINT.fullmatch(text if text.count(":") < _COLONS_OF_V6 or "[" in text else f"[{text}]")
    address, port = (found[1] or found[2], int(found[3] or PORT)) if found else ("", 0)
    try:
        good = ipaddress.ip_address(address) and 0 < port <= _HIGHEST_PORT
    except ValueError:
        good = False
    if not good:
        what = f"{text!r} is no address with a port, or without one"
        raise UsageError(where, what, "write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353")
    return address, port


def _has_route(address: str) -> bool:
    """Whether this host would send to ``address``; nothing is sent. IPv4 always counts: its errors shall be seen."""
    if ":" not in address:
        return True
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((address, PORT))
    except OSError:
        return False
    return True
