"""The little server that answers http-01: what it says, to whom, and that it goes away."""

from __future__ import annotations

import http.client
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.challenges import Http01, Proof
from tests.rig.acme.test_issue import is_free
from tests.rig.parts.processes import free_ports
from tests.unit.tls.ends import as_nobody

PROOF = Proof(name="a.example.com", token="token-1_", key_authorization="token-1_.thumbprint")
PATH = "/.well-known/acme-challenge/token-1_"


@pytest.fixture
def solver() -> Iterator[Http01]:
    made = Http01(free_ports(1)[0])
    yield made
    made.stop()


def ask(solver: Http01, path: str, method: str = "GET", address: str = "127.0.0.1") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, solver.port, timeout=2)
    connection.request(method, path)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_it_answers_on_both_families(solver: Http01, address: str) -> None:
    solver.start([PROOF])
    assert ask(solver, PATH, address=address) == (200, b"token-1_.thumbprint")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", PATH + "x"),
        ("GET", PATH[:-1]),
        ("GET", "/.well-known/acme-challenge/"),
        ("GET", "/.well-known/acme-challenge/../acme-challenge/token-1_"),
        ("POST", PATH),
    ],
)
def test_everything_else_is_not_found(solver: Http01, method: str, path: str) -> None:
    solver.start([PROOF])
    assert ask(solver, path, method) == (404, b"")


def test_a_request_in_pieces_is_one_request(solver: Http01) -> None:
    solver.start([PROOF])
    with socket.create_connection(("127.0.0.1", solver.port), timeout=2) as connection:
        for piece in (b"GET ", PATH.encode(), b" HTTP/1.1\r\nHost: a\r\n", b"\r\n"):
            connection.sendall(piece)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("sent", [b"", b"nonsense", b"\r\n\r\n", b"GET"])
def test_what_is_no_request_is_not_found_and_harms_nobody(solver: Http01, sent: bytes) -> None:
    solver.start([PROOF])
    with socket.create_connection(("127.0.0.1", solver.port), timeout=2) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).startswith(b"HTTP/1.1 404 ")
    assert ask(solver, PATH)[0] == 200


def test_a_request_without_end_is_cut_off(solver: Http01) -> None:
    solver.start([PROOF])
    with socket.create_connection(("127.0.0.1", solver.port), timeout=2) as connection:
        connection.sendall(b"GET /" + b"x" * 8187)
        assert connection.recv(100).startswith(b"HTTP/1.1 404 ")


def test_sixty_four_that_say_nothing_and_one_more_leave_it_alive(solver: Http01) -> None:
    solver.start([PROOF])
    idle = [socket.create_connection(("127.0.0.1", solver.port), timeout=2) for _ in range(64)]
    with socket.create_connection(("127.0.0.1", solver.port), timeout=2) as surplus:
        assert _ended(surplus)
    for connection in idle:
        connection.close()
    threads = [thread for thread in threading.enumerate() if thread.name == "http-01"]
    for thread in threads[2:]:
        thread.join(2)
    assert ask(solver, PATH)[0] == 200


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_two_hundred_that_come_before_one_is_accepted_all_get_in(solver: Http01) -> None:
    solver.start([PROOF])
    with ExitStack() as stack, solver._listeners._lock:  # nobody is admitted
        for _ in range(200):  # one that is lost would be tried again after a second
            stack.enter_context(socket.create_connection(("127.0.0.1", solver.port), timeout=0.8))


def test_a_client_that_goes_away_harms_nobody(solver: Http01) -> None:
    solver.start([PROOF])
    with socket.create_connection(("127.0.0.1", solver.port), timeout=2) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset, not an end
        connection.sendall(b"GET ")
    assert ask(solver, PATH)[0] == 200


def test_stopped_it_is_gone_and_may_be_stopped_again(solver: Http01) -> None:
    solver.start([PROOF])
    solver.stop()
    solver.stop()
    assert is_free(solver.port)
    Http01(solver.port).stop()


def test_stopped_before_it_starts_it_never_listens(solver: Http01) -> None:
    solver.stop()
    solver.start([PROOF])
    assert is_free(solver.port)


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")],
)
def test_a_port_that_is_taken_on_any_address_is_named(
    solver: Http01, family: socket.AddressFamily, address: str
) -> None:
    with socket.create_server((address, solver.port), family=family), pytest.raises(AcmeError) as caught:
        solver.start([PROOF])
    assert caught.value.where == f"port {solver.port}"
    assert "is taken" in caught.value.what
    assert is_free(solver.port)


def test_a_port_that_may_not_be_opened_is_named() -> None:
    with as_nobody(Path("/")), pytest.raises(AcmeError) as caught:
        Http01(80).start([PROOF])
    assert (caught.value.where, caught.value.what) == ("port 80", "may not be opened by this user")


def test_any_other_reason_is_told_in_the_systems_words(solver: Http01) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(AcmeError) as caught:
            solver.start([PROOF])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.what == "cannot be opened: Too many open files"


def test_a_family_that_the_host_does_not_have_is_left_out(solver: Http01) -> None:
    solver._listeners._listen(
        socket.AF_INET6, "2001:db8::1"
    )  # no address of this host: bind says what it says without IPv6
    with pytest.raises(OSError, match="Cannot assign requested address"):
        solver._listeners._listen(socket.AF_INET, "203.0.113.1")
    assert is_free(solver.port)


def test_stopped_it_leaves_no_thread_and_the_next_has_the_port_at_once(solver: Http01) -> None:
    solver.start([PROOF])
    mine = [thread for thread in threading.enumerate() if thread.name == "http-01" and thread.is_alive()]
    ask(solver, PATH)
    solver.stop()
    for thread in mine:
        thread.join(1)
    assert not any(thread.is_alive() for thread in mine)
    again = Http01(solver.port)  # although the connection of before is in TIME_WAIT
    again.start([PROOF])
    assert ask(again, PATH)[0] == 200
    again.stop()
