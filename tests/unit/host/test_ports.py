from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from regdeploy.host.ports import PortHolder, can_bind, holder, meet, unprivileged_port_start


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


@pytest.mark.parametrize(
    ("first", "second", "in_the_way"),
    [
        ("", "", True),
        ("", "127.0.0.1", True),
        ("198.51.100.1", "", True),
        ("198.51.100.1", "127.0.0.1", False),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "127.0.0.1", False),
        ("::1", "::", True),
        ("0.0.0.0", "::1", False),
    ],
)
def test_listeners_meet_on_a_common_address(first: str, second: str, in_the_way: bool) -> None:
    assert meet(first, second) is meet(second, first) is in_the_way
