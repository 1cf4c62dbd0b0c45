"""Run regdeploy so that it dies by SIGKILL just before its n-th write, as a power cut would have it.

``python -m tests.rig.parts.mortal N ARGUMENTS...``: writes are counted by an audit hook (PEP 578): files opened for
writing, made, renamed, linked and removed, and requests other than GET and HEAD. With N = 0 it lives, and prints the
number of writes as the last line on stderr. It may not fork: its writes are one sequence. Nothing in regdeploy knows of
this.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import Any

_FILES = {"os.mkdir", "os.rename", "os.symlink", "os.remove", "os.rmdir", "os.link"}


def is_write(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether an audit event is about something that outlives the process."""
    if event in _FILES:
        return not str(arguments[0]).startswith("/proc/")
    if event == "open":
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        path = str(arguments[0])
        return bool(flags & (os.O_WRONLY | os.O_RDWR)) and not path.startswith(("/dev/", "/proc/"))
    if event == "http.client.send":
        data = arguments[1]
        return isinstance(data, bytes) and not data.startswith((b"GET ", b"HEAD "))
    return False


def main() -> None:
    """Die at the given write, or count them all."""
    last = int(sys.argv[1])
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "os.fork":
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        if is_write(event, arguments):
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.dont_write_bytecode = True
    from regdeploy.cli.app import main as run  # noqa: PLC0415 - what importing writes does not count

    sys.argv = ["regdeploy", *sys.argv[2:]]
    sys.addaudithook(hook)
    try:
        run()
    finally:
        if last == 0:
            print(count, file=sys.stderr)


if __name__ == "__main__":
    main()
