"""A program of the user's own, run with limits: whose it must be, how long it may take, what is kept of its words."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from regdeploy.errors import UsageError
from regdeploy.frozen import frozen
from regdeploy.host.folders import folder_facts

LIMIT = 60.0  # seconds

_LOOK = 0.02  # seconds between looks whether it has ended
_KEPT = 65536  # bytes of what it said last
_LEFT_BEHIND = 1 << 20  # bytes: more than a pipe holds, so that one who writes on for ever does not keep us
_LINES = 10
_LONGEST_LINE = 300  # characters


@frozen
class Ended:
    """How a program ended.

    ``status`` is its exit status, negative for the number of the signal that ended it, None where it never ran.
    ``words`` say what went wrong, without a subject ("ended with exit status 3"), and are empty when nothing did.
    ``lines`` are the last that it printed, to both outputs, without what a terminal would obey; ten at most.
    """

    status: int | None
    words: str = ""
    lines: tuple[str, ...] = ()


def check_program(path: Path, where: str) -> None:
    """See to it that ``path`` can be run, and that nobody but root and we could put another program in its place.

    Raises UsageError that begins with ``where`` (``--deploy-hook``), where it is missing, no file, not executable, or
    where it, a link to it, or a folder that leads to it is somebody else's or writable by others.
    """
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, up to Python 3.12
        words = getattr(error, "strerror", None) or str(error)
        raise UsageError(where, f"{path}: {words}", "name a program that is there") from error
    if not real.is_file():
        raise UsageError(where, f"{path} is not a file", "name the program itself")
    for place in dict.fromkeys((path, real)):
        facts = folder_facts(place)
        if facts.owner_uid not in (0, os.geteuid()):
            raise UsageError(where, f"{place} belongs to another user (uid {facts.owner_uid})", f"chown root {place}")
        if facts.others_can_write:
            what = f"{place} can be written by others (mode {facts.mode:04o})"
            raise UsageError(where, what, f"chmod go-w {place}")
        if facts.loose_parent is not None:
            what = f"{place} lies in {facts.loose_parent}, where others could replace it"
            raise UsageError(where, what, f"chmod go-w {facts.loose_parent}, or move the program")
    if not os.access(real, os.X_OK):
        raise UsageError(where, f"{path} is not executable", f"chmod +x {path}")


def run_program(program: Path, environment: Mapping[str, str], limit: float = LIMIT) -> Ended:
    """Run ``program`` without arguments for ``limit`` seconds at most; it gets our environment and ``environment``.

    Its input is empty, its folder is ``/``, and it leads a process group of its own, which gets SIGKILL when it has
    ended or its time is over. So nothing that it leaves in that group goes on; what left the group does. Never raises
    for what the program does or is.
    """
    try:
        process = subprocess.Popen(
            [str(program.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            cwd="/",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in what it should be told
        return Ended(status=None, words=f"could not be run: {getattr(error, 'strerror', None) or error}")
    assert process.stdout is not None
    with process.stdout as output:
        said = _Said(output.fileno())
        try:
            in_time = _wait(process.pid, said, time.monotonic() + limit)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.drain()
    words = _words(process.returncode) if in_time else f"took longer than {limit:g} s and was ended"
    return Ended(status=process.returncode, words=words, lines=said.lines())


def _wait(pid: int, said: _Said, until: float) -> bool:
    """Whether it has ended in time. It stays a zombie, so that its number cannot be another group's yet."""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        left = until - time.monotonic()
        if left <= 0:
            return False
        said.listen(min(left, _LOOK))
    return True


class _Said:
    """The end of what comes out of a pipe, read without ever waiting for its other end to close."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._open = True
        self._kept = bytearray()

    def listen(self, seconds: float) -> None:
        """Take what comes within ``seconds``, and return as soon as something has."""
        if not self._open:
            time.sleep(seconds)
        elif select.select([self._descriptor], [], [], seconds)[0]:
            self._take()

    def drain(self) -> None:
        """Take what is there."""
        total = 0
        while total < _LEFT_BEHIND and (taken := self._take()):
            total += taken

    def lines(self) -> tuple[str, ...]:
        """The last lines with something in them."""
        text = self._kept.decode(errors="replace")
        shown = ("".join(sign if sign.isprintable() else " " for sign in line).strip() for line in text.splitlines())
        return tuple(line[:_LONGEST_LINE] for line in shown if line)[-_LINES:]

    def _take(self) -> int:
        try:
            data = os.read(self._descriptor, _KEPT)
        except BlockingIOError:
            return 0
        self._open = bool(data)
        self._kept += data
        del self._kept[:-_KEPT]
        return len(data)


def _words(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}" if status else ""
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
