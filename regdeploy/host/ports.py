"""Who listens on a port here, and may we."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from regdeploy.frozen import frozen

_NEEDS_ROOT = "needs root"
_LISTEN = "0A"

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@frozen
class PortHolder:
    """A listener. ``pid`` is None and ``command`` empty where the kernel does not tell us (another user's process)."""

    port: int
    address: str
    pid: int | None
    command: str


def holder(bind: str, port: int, *, proc: Path = Path("/proc")) -> PortHolder | None:
    """The TCP listener that keeps us from ``bind``:``port``, or None.

    ``bind`` is an IPv4 or IPv6 address, or empty for all of both. Read from /proc/net (proc(5)); a port that an engine
    publishes by packet filter alone, without its proxy process, is not seen here: ask the engine too.
    """
    for address, inode in _listeners(port, proc):
        if _in_the_way(bind, address, port):
            pid = _process_of(inode, proc)
            return PortHolder(port=port, address=str(address), pid=pid, command=_command(pid, proc))
    return None


def can_bind(bind: str, port: int) -> str:
    """Why ``bind``:``port`` cannot be listened on, as a sentence; empty when it can. It binds, but never listens."""
    families = [(socket.AF_INET, bind or "0.0.0.0")] if ":" not in bind else []  # noqa: S104 - asked for by the caller
    if not bind or ":" in bind:
        families.append((socket.AF_INET6, bind or "::"))
    for family, address in families:
        try:
            _bind(family, address, port)
        except OSError as error:
            if not bind and family == socket.AF_INET6 and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue  # a host without IPv6
            return _reason(error, address, port)
    return ""


def needs_root(problem: str) -> bool:
    """Whether what :func:`can_bind` said is that we lack the privilege, so that a program that has it may succeed."""
    return _NEEDS_ROOT in problem


def meet(first: str, second: str) -> bool:
    """Whether two listeners on one port, bound to these addresses, are in each other's way; empty stands for all."""
    if not first or not second:
        return True
    one, other = ipaddress.ip_address(first), ipaddress.ip_address(second)
    return one.version == other.version and (one == other or one.is_unspecified or other.is_unspecified)


def unprivileged_port_start(proc: Path = Path("/proc")) -> int:
    """The first port that needs no privilege: 1024 unless the host says otherwise."""
    try:
        return int((proc / "sys/net/ipv4/ip_unprivileged_port_start").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 1024


def _bind(family: socket.AddressFamily, address: str, port: int) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT are not in the way
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((address, port))


def _reason(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use on {address}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} {_NEEDS_ROOT}: this host lets others listen from {unprivileged_port_start()} upwards"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address} is not an address of this host"
    return f"cannot listen on {address} port {port}: {error.strerror or error}"


def _listeners(port: int, proc: Path) -> Iterator[tuple[_Address, str]]:
    """(address, socket inode) of every TCP listener on ``port``, IPv4 first."""
    for table in ("net/tcp", "net/tcp6"):
        with suppress(OSError):
            for line in (proc / table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                packed, _, number = fields[1].partition(":")
                if fields[3] == _LISTEN and int(number, 16) == port:
                    yield _address(packed), fields[9]


def _address(packed: str) -> _Address:
    """An address as the kernel prints it: 32-bit words in the order of this machine."""
    raw = bytes.fromhex(packed)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(raw)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _in_the_way(bind: str, address: _Address, port: int) -> bool:
    if not bind:
        return True
    wanted = ipaddress.ip_address(bind)
    if wanted.version == address.version:
        return wanted == address or wanted.is_unspecified or address.is_unspecified
    # [::] takes IPv4 along unless its owner said IPV6_V6ONLY, which the table does not show: try it. The other way
    # round, an IPv4 listener is in the way of [::] when the engine binds that for both; we bind it for IPv6 alone.
    return wanted.version == 4 and address.is_unspecified and bool(can_bind(bind, port))  # noqa: PLR2004 - IPv4


def _process_of(inode: str, proc: Path) -> int | None:
    wanted = f"socket:[{inode}]"
    for entry in os.scandir(proc):
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # it ended, or is not ours to look at
            for descriptor in os.scandir(Path(entry.path) / "fd"):
                with suppress(OSError):
                    if os.readlink(descriptor.path) == wanted:  # noqa: PTH115 - thousands of these
                        return int(entry.name)
    return None


def _command(pid: int | None, proc: Path) -> str:
    """The program's name alone: its arguments may hold a password."""
    if pid is None:
        return ""
    try:
        return (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
