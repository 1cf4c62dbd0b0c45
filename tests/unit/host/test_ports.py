from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from regdeploy.host.ports import PortHolder, can_bind, holder, unprivileged_port_start
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


def test_a_connection_or_a_socket_that_does_not_listen_holds_no_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        port = client.getsockname()[1]

        assert holder("127.0.0.1", port) is None


def test_connections_that_still_time_out_do_not_keep_us_from_listening() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the server ends first: its side goes through TIME_WAIT
            assert client.recv(1) == b""

    assert can_bind("127.0.0.1", port) == ""
    assert can_bind("", port) == ""


def test_asking_whether_we_may_listen_never_listens() -> None:
    with socket.socket() as chosen:
        chosen.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
        assert can_bind("127.0.0.1", port) == ""

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_an_address_of_another_host_cannot_be_listened_on() -> None:
    assert can_bind("203.0.113.7", 5000) == "203.0.113.7 is not an address of this host"
    assert can_bind("2001:db8::7", 5000) == "2001:db8::7 is not an address of this host"


def test_anything_else_is_said_in_the_kernels_words() -> None:
    assert can_bind("fe80::1", 5000) == "cannot listen on fe80::1 port 5000: Invalid argument"


def test_low_ports_need_root(tmp_path: Path) -> None:
    first = unprivileged_port_start()
    assert first > 1, "this host lets everybody listen everywhere"
    with as_nobody(tmp_path):
        found = can_bind("127.0.0.1", 1)

    assert found == f"port 1 needs root: this host lets others listen from {first} upwards"


def test_of_another_users_listener_only_the_address_is_known(tmp_path: Path) -> None:
    with listener(V4, "127.0.0.1") as (port, _), as_nobody(tmp_path):
        assert holder("", port) == PortHolder(port=port, address="127.0.0.1", pid=None, command="")


def proc_folder(tmp_path: Path, tcp: str = "", tcp6: str = "") -> Path:
    """/proc as it looks to us: tables of sockets, and no process."""
    (tmp_path / "net").mkdir()
    for name, table in (("tcp", tcp), ("tcp6", tcp6)):
        if table:
            (tmp_path / "net" / name).write_text(f"  sl  local_address rem_address   st\n{table}")
    return tmp_path


def test_a_host_without_ipv6_has_one_table(tmp_path: Path) -> None:
    line = "   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1\n"
    proc = proc_folder(tmp_path, tcp=line)

    assert holder("", 5000, proc=proc) == PortHolder(port=5000, address="127.0.0.1", pid=None, command="")
    assert holder("127.0.0.2", 5000, proc=proc) is None
    assert holder("", 5001, proc=proc) is None


def test_a_process_that_ends_while_we_look_is_known_by_its_number(tmp_path: Path) -> None:
    line = "   0: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1\n"
    proc = proc_folder(tmp_path, tcp=line)
    (proc / "41").mkdir()  # one whose descriptors are not ours to see
    (proc / "42" / "fd").mkdir(parents=True)
    (proc / "42" / "fd" / "0").write_text("no link")
    (proc / "42" / "fd" / "3").symlink_to("socket:[77]")

    assert holder("", 5000, proc=proc) == PortHolder(port=5000, address="0.0.0.0", pid=42, command="")


def test_without_proc_nobody_is_seen(tmp_path: Path) -> None:
    assert holder("", 5000, proc=tmp_path) is None


@pytest.mark.parametrize(("text", "first"), [("0\n", 0), ("80\n", 80), ("", 1024), ("nonsense", 1024)])
def test_the_first_port_for_everybody_is_what_the_host_says(tmp_path: Path, text: str, first: int) -> None:
    folder = tmp_path / "sys" / "net" / "ipv4"
    folder.mkdir(parents=True)
    (folder / "ip_unprivileged_port_start").write_text(text)

    assert unprivileged_port_start(tmp_path) == first


def test_an_old_kernel_lets_others_listen_from_1024(tmp_path: Path) -> None:
    assert unprivileged_port_start(tmp_path) == 1024


def test_a_listener_of_our_own_is_shown_like_any_other() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = holder("127.0.0.1", port)

    assert found is not None
    assert found.pid == os.getpid()
    assert found.command == Path("/proc/self/comm").read_text().strip()
