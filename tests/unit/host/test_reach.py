"""Who answers at an address while we listen: us, another server, nobody. On loopback, with ports of the test's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from regdeploy.host.ports import can_bind
from regdeploy.host.reach import Outcome, reach

NAME = "registry.example.com"
NOWHERE: frozenset[str] = frozenset()


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def _answering(answer: bytes | None) -> Iterator[int]:
    """A server for one question, which it answers with that, or takes and never answers."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            if answer is None:
                over.wait(10)
            else:
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        worker = threading.Thread(target=serve)
        worker.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            over.set()
            worker.join()


def test_our_own_token_comes_back_by_both_families_and_nothing_is_left_listening(port: int) -> None:
    addresses = ("127.0.0.1", "::1") if socket.has_ipv6 and not can_bind("::1", port) else ("127.0.0.1",)

    found = reach({NAME: addresses}, own=NOWHERE, asked=port, listened=port)

    assert [(one.address, one.outcome) for one in found] == [(address, Outcome.HERE) for address in addresses]
    assert can_bind("", port) == ""


def test_another_server_is_told_by_its_name_without_what_cannot_be_printed(port: int) -> None:
    with _answering(b"HTTP/1.1 404 Not Found\r\nserver: ng\x1b[31minx\r\n\r\nServer: no") as other:
        (found,) = reach({NAME: ("127.0.0.1",)}, own=NOWHERE, asked=other, listened=port)

    assert (found.outcome, found.server) == (Outcome.OTHER, "ng[31minx")


def test_a_port_where_nobody_listens_refuses(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = int(server.getsockname()[1])

    (found,) = reach({NAME: ("127.0.0.1",)}, own=NOWHERE, asked=closed, listened=port)

    assert found.outcome == Outcome.REFUSED


def test_who_takes_the_question_and_says_nothing_is_silent_when_the_time_is_over(port: int) -> None:
    with _answering(None) as other:
        (found,) = reach({NAME: ("127.0.0.1",)}, own=NOWHERE, asked=other, listened=port, timeout=0.1)

    assert found.outcome == Outcome.SILENT


def test_a_held_port_is_left_alone_and_nobody_is_asked(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as held:
        assert reach({NAME: ("127.0.0.1",)}, own=NOWHERE, asked=port, listened=port) == ()
        held.settimeout(0)
        with pytest.raises(BlockingIOError):
            held.accept()


def test_where_every_address_is_our_own_and_the_ports_are_one_nothing_could_be_learnt(port: int) -> None:
    own = frozenset({"127.0.0.1"})

    assert reach({NAME: ("127.0.0.1",)}, own=own, asked=port, listened=port) == ()
    assert [one.address for one in reach({NAME: ("127.0.0.1", "127.0.0.2")}, own=own, asked=port, listened=port)] == [
        "127.0.0.1",
        "127.0.0.2",
    ]


def test_no_more_than_eight_names_are_asked(port: int) -> None:
    names = {f"{number}.example.com": ("127.0.0.1",) for number in range(9)}

    assert len(reach(names, own=NOWHERE, asked=port, listened=port)) == 8
