"""The end of a container's process, seen from beside the engine, which clears up for a while before it says so."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from pathlib import Path

_LOOK = 20  # milliseconds between two questions whether the engine is done


def open_process(container: str, pid: int) -> int | None:
    """A file descriptor of the process that a container (its id) began with, for the caller to close: pidfd_open(2).

    When that process ends, so has every other in its PID namespace (pid_namespaces(7)). None where that cannot be
    watched: there is no such process here, as of an engine on another host, or it is not that container's.
    """
    try:
        process = os.pidfd_open(pid)
    except (OSError, AttributeError):  # AttributeError: not on Linux
        return None
    try:
        if container.encode() in Path(f"/proc/{pid}/cgroup").read_bytes():  # cgroups(7): the engine names it by the id
            return process
    except OSError:
        pass
    os.close(process)
    return None


def wait_for_end(process: int, over: Callable[[], bool]) -> None:
    """Return when the process has ended, or ``over()`` is true."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    while not poll.poll(_LOOK):
        if over():
            return
