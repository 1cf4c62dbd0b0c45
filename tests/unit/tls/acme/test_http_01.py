"""The http-01 answer: exactly what the CA asks for, on every address, and gone afterwards."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.challenges import Http01, Proof, Solver

PATH = "/.well-known/acme-challenge/"
PROOFS = (
    Proof(name="a.example", token="token-A", key_authorization="token-A.thumb"),
    Proof(name="b.example", token="token_b", key_authorization="token_b.thumb"),
)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def solver() -> Iterator[Http01]:
    """A solver on a free port with both proofs in place."""
    made = Http01(free_port())
    made.start(PROOFS)
    yield made
    made.stop()


def ask(port: int, request: str, host: str = "127.0.0.1") -> tuple[str, str]:
    """The status line and the body of what is answered to a request's first line."""
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(f"{request}\r\nHost: a.example\r\n\r\n".encode())
        received = b""
        while part := connection.recv(4096):
            received += part
    head, _, body = received.decode().partition("\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head
    return head.splitlines()[0], body


def threads() -> int:
    """How many of the solver's threads there are."""
    return sum(thread.name == "http-01" for thread in threading.enumerate())


def ends(what: str, seconds: float = 1.0) -> None:
    """Wait until no thread of the solver is left."""
    until = time.monotonic() + seconds
    while threads():
        assert time.monotonic() < until, what
        time.sleep(0.005)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.name)
def test_each_token_has_its_key_authorization_on_both_families(solver: Http01, host: str, proof: Proof) -> None:
    assert ask(solver.port, f"GET {PATH}{proof.token} HTTP/1.1", host) == ("HTTP/1.1 200 OK", proof.key_authorization)


@pytest.mark.parametrize(
    "request_",
    [
        "GET / HTTP/1.1",
        f"GET {PATH} HTTP/1.1",
        f"GET {PATH}token-A/ HTTP/1.1",
        f"GET {PATH}token-A?x HTTP/1.1",
        f"GET {PATH}token-a HTTP/1.1",
        f"GET {PATH}../acme-challenge/token-A HTTP/1.1",
        f"POST {PATH}token-A HTTP/1.1",
        f"HEAD {PATH}token-A HTTP/1.1",
        "GET",
        "",
    ],
)
def test_everything_else_is_not_found(solver: Http01, request_: str) -> None:
    assert ask(solver.port, request_) == ("HTTP/1.1 404 Not Found", "")


def test_a_request_may_come_in_pieces(solver: Http01) -> None:
    with socket.create_connection(("127.0.0.1", solver.port), timeout=5) as connection:
        for piece in (b"GET ", f"{PATH}token-A".encode(), b" HTTP/1.1\r\n", b"\r", b"\n"):
            connection.sendall(piece)
            time.sleep(0.01)
        assert connection.recv(4096).endswith(b"token-A.thumb")


def test_who_says_nothing_does_not_keep_the_ca_waiting(solver: Http01) -> None:
    with socket.create_connection(("127.0.0.1", solver.port)):
        begin = time.monotonic()
        assert ask(solver.port, f"GET {PATH}token-A HTTP/1.1")[1] == "token-A.thumb"
        assert time.monotonic() - begin < 1


def test_a_request_without_end_is_answered_and_ended(solver: Http01) -> None:
    with socket.create_connection(("127.0.0.1", solver.port), timeout=5) as connection:
        connection.sendall(b"GET /" + b"x" * 8192)
        assert connection.recv(4096).startswith(b"HTTP/1.1 404")


def test_more_than_sixty_four_at_once_are_turned_away_until_some_are_gone(solver: Http01) -> None:
    held = [socket.create_connection(("127.0.0.1", solver.port), timeout=5) for _ in range(64)]
    with socket.create_connection(("127.0.0.1", solver.port), timeout=5) as one_more:
        assert one_more.recv(1) == b""
    for connection in held:
        connection.close()
    until = time.monotonic() + 2
    while threads() > 2:  # one a family is left
        assert time.monotonic() < until
        time.sleep(0.005)
    assert ask(solver.port, f"GET {PATH}token-A HTTP/1.1")[1] == "token-A.thumb"


def test_a_client_that_breaks_off_harms_nobody(solver: Http01) -> None:
    connection = socket.create_connection(("127.0.0.1", solver.port))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close() sends a reset
    connection.close()
    assert ask(solver.port, f"GET {PATH}token-A HTTP/1.1")[1] == "token-A.thumb"


def test_afterwards_the_port_is_free_and_no_thread_is_left() -> None:
    solver: Solver = Http01(free_port())
    solver.start(PROOFS)
    ask(solver.port, "GET / HTTP/1.1")
    begin = time.monotonic()
    solver.stop()
    assert time.monotonic() - begin < 0.05
    ends("stop() left a thread behind")
    with pytest.raises(ConnectionRefusedError):
        ask(solver.port, "GET / HTTP/1.1")
    again = Http01(solver.port)  # although connections of before are in TIME_WAIT
    again.start(PROOFS)
    again.stop()
    solver.stop()


def test_nothing_starts_after_a_stop() -> None:
    solver = Http01(free_port())
    solver.stop()
    solver.start(PROOFS)
    with pytest.raises(ConnectionRefusedError):
        ask(solver.port, "GET / HTTP/1.1")
    ends("start() after stop() made a thread")


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_that_is_taken_in_one_family_is_named_and_the_other_is_left_free(
    family: socket.AddressFamily, address: str
) -> None:
    with socket.create_server((address, 0), family=family) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(AcmeError) as caught:
            Http01(port).start(PROOFS)
        other = "::1" if family == socket.AF_INET else "127.0.0.1"
        with pytest.raises(ConnectionRefusedError):
            ask(port, "GET / HTTP/1.1", other)
    assert str(caught.value) == f"port {port}: is taken, and the CA's http-01 challenge must be answered there"
    assert caught.value.hint == (
        f"stop what listens there (ss -ltnp 'sport = :{port}'), or forward port 80 to another one and name it with"
        " --http-01-port"
    )
    ends("a start that failed left a thread behind")


def test_a_family_that_the_host_does_not_have_is_left_out() -> None:
    solver = Http01(free_port())
    solver._listen(socket.AF_INET6, "2001:db8::1")  # an address that no host has: what bind says without IPv6
    ends("it listens")
    with pytest.raises(OSError, match="Cannot assign"):
        solver._listen(socket.AF_INET, "203.0.113.1")
    solver.stop()


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process may open nothing any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_whatever_else_the_system_says_is_told_in_its_words() -> None:
    port = free_port()
    with no_more_files(), pytest.raises(AcmeError) as caught:
        Http01(port).start(PROOFS)
    assert str(caught.value) == f"port {port}: cannot be opened: Too many open files"
    assert caught.value.hint == "name another one with --http-01-port"
