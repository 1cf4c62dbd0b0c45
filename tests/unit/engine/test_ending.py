"""The end of a process, seen before whoever started it says so."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from regdeploy.engine.client import Client
from regdeploy.engine.connect import Endpoint
from regdeploy.engine.ending import open_process, wait_for_end
from regdeploy.errors import EngineError

ANY = ""  # the name of every cgroup has that in it


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as started:
        yield started
        started.kill()


def test_it_returns_when_the_process_has_ended_and_not_before(process: subprocess.Popen[bytes]) -> None:
    watched = open_process(ANY, process.pid)
    assert watched is not None
    asked = 0

    def over() -> bool:
        nonlocal asked
        asked += 1
        if asked == 3:
            process.kill()
        return False

    try:
        wait_for_end(watched, over)
        assert asked >= 3
        assert process.wait() < 0
    finally:
        os.close(watched)


def test_it_returns_when_it_is_over_though_the_process_lives(process: subprocess.Popen[bytes]) -> None:
    watched = open_process(ANY, process.pid)
    assert watched is not None
    try:
        wait_for_end(watched, lambda: True)
        assert process.poll() is None
    finally:
        os.close(watched)


def test_what_is_no_process_of_that_container_is_not_watched(process: subprocess.Popen[bytes]) -> None:
    before = open_files()
    assert open_process("1f" * 32, process.pid) is None
    process.kill()
    process.wait()
    assert open_process(ANY, process.pid) is None
    assert open_files() == before


def test_what_is_unfinished_is_waited_for_by_the_next_question_which_gets_its_error() -> None:
    client = Client(Endpoint("unix:///nowhere"), 1)
    client.unfinished = Future()
    client.unfinished.set_exception(EngineError("container old", "it cannot be stopped"))
    with pytest.raises(EngineError, match="it cannot be stopped"), client.speaking():
        pass
    with client.speaking():
        pass  # once
