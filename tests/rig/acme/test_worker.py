"""An order in a forked process: the same as here, and never more than an advance."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from regdeploy.errors import AcmeError
from regdeploy.tls.acme import AcmeAuthority
from regdeploy.tls.acme.settings import Issued
from regdeploy.tls.acme.worker import Worker, WorkerLost
from tests.rig.acme.conftest import Client
from tests.rig.acme.test_issue import is_free
from tests.rig.parts.flaky import Flaky, problem
from tests.rig.parts.processes import eventually


@pytest.fixture
def worker(flaky: Flaky) -> Iterator[Worker]:
    made = Worker(flaky.directory, flaky.ca_bundle)
    yield made
    made.close()


def order(worker: Worker, client: Client) -> Issued:
    """An order for a.example.com by the worker."""
    return worker.issue(client.errand(), None)


def is_gone(pid: int) -> bool:
    """Whether no process has that id any more, not even as a zombie."""
    return not Path(f"/proc/{pid}").exists()


def test_it_issues_and_reports_as_the_order_does_here(worker: Worker, client: Client) -> None:
    assert worker.directory().url == client.authority.directory
    issued = order(worker, client)
    assert issued.bundle.leaf.names == ("a.example.com",)
    assert client.reports[-2:] == ["validated", "certificate issued"]
    assert client.accounts


def test_the_cas_no_arrives_with_all_that_it_says(worker: Worker, client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", problem(429, "rateLimited", "too many", Retry_After="7200"))
    with pytest.raises(AcmeError, match="too many") as caught:
        order(worker, client)
    assert (caught.value.code, caught.value.problem, caught.value.retry_after) == (
        "acme.rateLimited",
        "rateLimited",
        7200,
    )
    assert caught.value.hint


def test_a_directory_that_is_none_is_said_when_it_is_asked_for(worker: Worker, flaky: Flaky, tmp_path: Path) -> None:
    lost = Worker(flaky.directory.replace("/dir", "/nothing"), flaky.ca_bundle)
    try:
        for _ in range(2):
            with pytest.raises(AcmeError, match="answered HTTP 404"):
                lost.directory()
    finally:
        lost.close()


def test_cancelled_it_is_over_and_the_port_free(worker: Worker, client: Client, flaky: Flaky) -> None:
    flaky.on("POST /my-order", last=999, rewrite=lambda answer: answer.with_json(status="pending"))
    pid = worker.process

    def cancel() -> None:
        eventually(lambda: not is_free(80))
        client.cancel.set()

    watcher = threading.Thread(target=cancel)
    watcher.start()
    with pytest.raises(AcmeError) as caught:
        order(worker, client)
    watcher.join()
    assert caught.value.problem == "cancelled"
    assert is_free(80)
    assert is_gone(pid)


def test_closed_while_the_ca_says_nothing_it_ends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        worker = Worker(f"https://127.0.0.1:{silent.getsockname()[1]}/dir", None)
        connection, _ = silent.accept()  # it is waiting for an answer now
        pid = worker.process
        worker.close()
        connection.close()
    assert is_gone(pid)


def test_a_worker_that_died_is_told_apart_from_a_no(worker: Worker, client: Client) -> None:
    worker.directory()
    os.kill(worker.process, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        order(worker, client)


@pytest.mark.parametrize("dies", [False, True])
def test_an_authority_issues_with_its_worker_and_without(client: Client, flaky: Flaky, dies: bool) -> None:
    authority = AcmeAuthority()
    with authority.ready(flaky.directory, flaky.ca_bundle):
        facts = authority.directory(flaky.directory, flaky.ca_bundle)
        assert authority._worker is not None
        pid = authority._worker.process
        if dies:
            os.kill(pid, signal.SIGKILL)
        issued = authority.issue(client.errand(), facts)
    assert issued.bundle.leaf.names == ("a.example.com",)
    assert flaky.count("GET /dir") == 1
    assert is_gone(pid)


_CALLER = """
import sys, threading
from datetime import UTC, datetime
from pathlib import Path
from regdeploy.tls.acme import AcmeAuthority
from regdeploy.tls.acme.settings import AcmeSettings, Errand
url, bundle, state = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
settings = AcmeSettings(directory=url, ca_bundle=bundle, names=("a.example.com",))
authority = AcmeAuthority()
with authority.ready(url, bundle):
    clock, cancel = lambda: datetime.now(UTC), threading.Event()
    errand = Errand(settings=settings, state=state, now=clock, report=print, cancel=cancel)
    authority.issue(errand, authority.directory(url, bundle))
print(sorted({"acme", "josepy", "requests", "cryptography"} & set(sys.modules)))
"""


def test_whoever_has_a_worker_loads_nothing_of_what_it_loads(flaky: Flaky, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CALLER, flaky.directory, str(flaky.ca_bundle), str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["certificate issued", "[]"]
