"""What a name resolves to, which addresses are this host's, and which CAs may issue for the name. Bounded in time."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from regdeploy.frozen import frozen


@frozen
class Resolution:
    """The addresses of a name as this host sees them (/etc/hosts included); ``error`` is a sentence, or empty."""

    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    error: str = ""


@frozen
class CaaFacts:
    """The CAA records (flags, tag, value) that govern a name, and the domain they stand at; empty when none do.

    Values are ASCII (RFC 8659 section 4.1.1); a byte that is not stands as the character of its number.
    """

    records: tuple[tuple[int, str, str], ...] = ()
    found_at: str = ""
    error: str = ""


@dataclass
class _Answer:
    addresses: list[str] = field(default_factory=list)
    error: str = ""


def resolve(name: str, timeout: float) -> Resolution:
    """Resolve ``name`` within ``timeout`` seconds; never raises.

    getaddrinfo(3) cannot be stopped, so it runs in a daemon thread that is left behind when the time is over.
    """
    answer = _Answer()
    worker = threading.Thread(target=_ask, args=(name, answer), name=f"resolve {name}", daemon=True)
    worker.start()
    worker.join(timeout)
    if worker.is_alive():
        return Resolution(error=f"no answer from the name servers within {timeout:g} s")
    v4 = tuple(address for address in answer.addresses if ":" not in address)
    v6 = tuple(address for address in answer.addresses if ":" in address)
    return Resolution(a=v4, aaaa=v6, error=answer.error)


def _ask(name: str, answer: _Answer) -> None:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        missing = (socket.EAI_NONAME, socket.EAI_NODATA)
        answer.error = "has no address" if error.errno in missing else str(error.strerror or error)
    except (OSError, UnicodeError) as error:
        answer.error = str(error)
    else:
        answer.addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))


def own_addresses(proc: Path = Path("/proc")) -> frozenset[str]:
    """Every address of this host's interfaces, loopback included, IPv6 in short form; empty without /proc."""
    return _own_v4(proc / "net/fib_trie") | _own_v6(proc / "net/if_inet6")


def _own_v4(table: Path) -> frozenset[str]:
    """fib_trie prints an address, then in a line below what it is; ``/32 host LOCAL`` is one of ours."""
    found = set()
    address = ""
    for line in _lines(table):
        word = line.strip()
        if word.startswith("|--"):
            address = word[3:].strip()
        elif word == "/32 host LOCAL":
            found.add(address)
    return frozenset(found)


def _own_v6(table: Path) -> frozenset[str]:
    return frozenset(str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in _lines(table) if line.strip())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def caa(name: str, timeout: float, *, nameservers: tuple[str, ...] = (), port: int = 53) -> CaaFacts:
    """The CAA records for ``name``: the first set found on the way from it up to its top domain (RFC 8659 section 3).

    None for an IP address: CAA is about domain names. All questions together take ``timeout`` seconds at most.
    ``nameservers`` replaces those of the host. Never raises: ``error`` says why nothing is known, and then a CA may
    still refuse or agree.
    """
    if _is_address(name):
        return CaaFacts()
    import dns.exception  # noqa: PLC0415 - 60 ms that only `up` and `doctor` with a public CA pay
    import dns.resolver  # noqa: PLC0415 - the same

    deadline = time.monotonic() + timeout
    try:
        resolver = dns.resolver.Resolver(configure=not nameservers)
        if nameservers:
            resolver.nameservers = list(nameservers)
            resolver.port = port
        labels = name.removeprefix("*.").rstrip(".").split(".")
        for at in range(len(labels)):
            domain = ".".join(labels[at:])
            try:
                answer = resolver.resolve(domain + ".", "CAA", lifetime=max(0.001, deadline - time.monotonic()))
            except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
                continue
            records = sorted(
                (int(rr.flags), rr.tag.decode("latin-1").lower(), rr.value.decode("latin-1")) for rr in answer
            )
            return CaaFacts(records=tuple(records), found_at=domain)  # servers and dnspython shuffle them
    except (dns.exception.DNSException, OSError, UnicodeError) as error:
        return CaaFacts(error=f"the name servers did not answer about CAA: {error}")
    return CaaFacts()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
