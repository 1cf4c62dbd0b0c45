"""Listeners of every kind, in a network of the test's own where both families work and nobody else listens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from regdeploy.host.ports import PortHolder, can_bind, holder, needs_root, unprivileged_port_start
from tests.unit.tls.ends import as_nobody

_LISTENER = """
import socket, sys
family, address, only = sys.argv[1:]
listener = socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET)
if family == "6":
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only))
listener.bind((address, 0))
listener.listen()
open("/proc/self/comm", "w").write("regdeploy test")
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""

V4 = ("4", "0")
V6 = ("6", "1")
BOTH = ("6", "0")


@contextmanager
def listener(kind: tuple[str, str], address: str) -> Iterator[tuple[int, int]]:
    """A process that listens on a free port: the port and its process id."""
    family, only = kind
    command = [sys.executable, "-c", _LISTENER, family, address, only]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"nothing can listen on {address} here"
        yield int(line), process.pid
        process.communicate()


@pytest.mark.parametrize(
    ("kind", "address", "bind"),
    [
        (V4, "127.0.0.1", "127.0.0.1"),
        (V4, "127.0.0.1", "0.0.0.0"),
        (V4, "127.0.0.1", ""),
        (V4, "0.0.0.0", "127.0.0.1"),
        (V4, "0.0.0.0", "0.0.0.0"),
        (V4, "0.0.0.0", ""),
        (V6, "::1", "::1"),
        (V6, "::1", "::"),
        (V6, "::1", ""),
        (V6, "::", "::1"),
        (V6, "::", "::"),
        (V6, "::", ""),
        (BOTH, "::", "127.0.0.1"),
        (BOTH, "::", "0.0.0.0"),
        (BOTH, "::", "::1"),
        (BOTH, "::", "::"),
        (BOTH, "::", ""),
    ],
)
def test_a_listener_in_the_way_is_named_with_its_process(kind: tuple[str, str], address: str, bind: str) -> None:
    with listener(kind, address) as (port, pid):
        assert holder(bind, port) == PortHolder(port=port, address=address, pid=pid, command="regdeploy test")
        assert can_bind(bind, port).startswith(f"port {port} is in use on ")
    assert holder(bind, port) is None
    assert can_bind(bind, port) == ""


@pytest.mark.parametrize(
    ("kind", "address", "bind"),
    [
        (V4, "127.0.0.1", "127.0.0.2"),
        (V4, "127.0.0.1", "::1"),
        (V4, "0.0.0.0", "::1"),
        (V4, "0.0.0.0", "::"),
        (V6, "::1", "127.0.0.1"),
        (V6, "::1", "0.0.0.0"),
        (V6, "::", "127.0.0.1"),
        (V6, "::", "0.0.0.0"),
    ],
)
def test_a_listener_on_another_address_or_of_the_other_family_alone_is_not_in_the_way(
    kind: tuple[str, str], address: str, bind: str
) -> None:
    with listener(kind, address) as (port, _):
        assert can_bind(bind, port) == ""
        assert holder(bind, port) is None


def test_a_listener_on_an_ipv4_address_written_as_ipv6_is_shown_as_what_it_is() -> None:
    with listener(BOTH, "::ffff:127.0.0.1") as (port, pid):
        assert holder("127.0.0.1", port) == PortHolder(
            port=port, address="127.0.0.1", pid=pid, command="regdeploy test"
        )
        assert can_bind("127.0.0.1", port) == f"port {port} is in use on 127.0.0.1"


def test_anything_else_is_said_in_the_kernels_words() -> None:
    assert can_bind("fe80::1", 5000) == "cannot listen on fe80::1 port 5000: Invalid argument"


def test_low_ports_need_root(tmp_path: Path) -> None:
    first = unprivileged_port_start()
    assert first > 1, "this host lets everybody listen everywhere"
    with as_nobody(tmp_path):
        found = can_bind("127.0.0.1", 1)

    assert found == f"port 1 needs root: this host lets others listen from {first} upwards"
    assert needs_root(found)
    with listener(V4, "127.0.0.1") as (port, _):
        assert not needs_root(can_bind("127.0.0.1", port))


def test_of_another_users_listener_only_the_address_is_known(tmp_path: Path) -> None:
    with listener(V4, "127.0.0.1") as (port, _), as_nobody(tmp_path):
        assert holder("", port) == PortHolder(port=port, address="127.0.0.1", pid=None, command="")


_WITHOUT_IPV6 = """
from pathlib import Path
from regdeploy.host.ports import can_bind
Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
print(can_bind("", 443), can_bind("::", 443), can_bind("::1", 443), sep="|")
"""


def test_a_host_without_ipv6_can_still_listen_on_all_that_it_has() -> None:
    command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" -c "$1"', sys.executable, _WITHOUT_IPV6]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout == "||::1 is not an address of this host\n"
