"""kill -9 before every write of regdeploy, against the real engine: what a power cut would do."""

from __future__ import annotations

import itertools
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from regdeploy.host.ports import holder
from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask, names
from tests.rig.parts.flaky import Flaky
from tests.rig.parts.pebble import Pebble
from tests.rig.parts.processes import eventually
from tests.rig.parts.rig import Rig


def test_a_first_up_killed_before_any_write_converges(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...]
) -> None:
    options = ("up", "--domain", domain, *acme, "--no-auth")

    def start() -> None:
        rig.clients.docker("rm", "--force", *names(rig.clients), "none")
        shutil.rmtree(command.root, ignore_errors=True)

    assert sweep(command, options, start, lambda: converged(rig, command, options, 443)) > 20


def test_a_replacement_killed_before_any_write_loses_nothing_and_converges(rig: Rig, command: Command) -> None:
    ports = itertools.cycle(("5001", "5002"))
    command("up", "--port", next(ports))
    rig.images.random("localhost:5001/precious:1", layers=2)
    rig.clients.docker("push", "localhost:5001/precious:1")
    rig.images.forget("localhost:5001/precious:1")
    current = next(ports)

    def after() -> None:
        nonlocal current
        converged(rig, command, ("up", "--port", current, "--yes"), int(current))
        rig.clients.docker("pull", f"localhost:{current}/precious:1")
        rig.images.forget(f"localhost:{current}/precious:1")

    for write in itertools.count(1):
        result = command.mortal(write, "up", "--port", current, "--yes")
        after()
        current = next(ports)
        if result.code == 0:
            break
        assert result.code == -signal.SIGKILL, result.err
    assert write > 8, "the sweep saw hardly any write: it proves nothing"


def sweep(command: Command, options: tuple[str, ...], start: Callable[[], None], check: Callable[[], None]) -> int:
    """Kill the command before every write, each time from ``start``; returns how many writes there were."""
    for write in itertools.count(1):
        start()
        result = command.mortal(write, *options)
        check()
        if result.code == 0:
            return write - 1
        assert result.code == -signal.SIGKILL, result.err
    raise AssertionError("every sweep has an end")


def converged(rig: Rig, command: Command, options: tuple[str, ...], port: int) -> None:
    """Run it again: one container, and it serves."""
    command(*options)
    assert names(rig.clients) == {"registry"}
    assert ask("/v2/", port=port, tls=port == 443)[0] == 200


@pytest.mark.parametrize("action", ["down", "purge"])
def test_a_down_killed_before_any_write_can_be_repeated(rig: Rig, command: Command, action: str) -> None:
    options = ("down", "--purge", "--yes") if action == "purge" else ("down", "--yes")
    for write in itertools.count(1):
        command("up")
        result = command.mortal(write, *options)
        gone = action == "purge" and not command.root.exists()
        command(*options, code=3 if gone else 0)
        assert names(rig.clients) == set()
        assert command.root.exists() is (action == "down")
        if result.code == 0:
            break
        assert result.code == -signal.SIGKILL, result.err


def test_killed_during_the_order_it_leaves_no_process_and_no_port(
    rig: Rig, command: Command, domain: str, pebble: Pebble, tmp_path: Path
) -> None:
    proxy = Flaky(tmp_path, pebble.directory, pebble.ca_bundle).start()
    try:
        proxy.on("POST /my-order", last=999, rewrite=lambda answer: answer.with_json(status="pending"))
        process = command.start("up", "--domain", domain, *_directory(proxy), "--no-auth")
        eventually(lambda: holder("", 80) is not None)
        process.kill()
        process.communicate(timeout=10)  # no other process keeps its output open
        assert holder("", 80) is None
    finally:
        proxy.stop()
    converged(rig, command, ("up", "--domain", domain, *_directory(pebble), "--no-auth"), 443)


def _directory(authority: Pebble | Flaky) -> tuple[str, ...]:
    return ("--acme-directory", authority.directory, "--acme-ca-bundle", str(authority.ca_bundle))
