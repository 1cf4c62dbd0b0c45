"""Standard streams that were closed before we began, or cannot take any more while we write. The work goes on."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Patient(io.FileIO):
    """What takes all that is written to it, and drops what the descriptor does not take: ``problem`` is the last why.

    A deployment is not undone because the reader of its words went away (``| head -1``), or the disk of a log is full.
    """

    problem: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """As in FileIO, but never raises."""
        try:
            return super().write(data)
        except OSError as error:
            self.problem = error
            return memoryview(data).nbytes


def steady() -> Patient:
    """Have streams that can be used whatever we were started with, and return what is below stdout.

    /dev/null takes the place of each that is closed (``<&-``, ``>&-``): Python has None for it, and the next file that
    is opened would get its number, and be written to by whoever means the stream. So nobody is there to ask, and what
    is printed goes nowhere.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: that of the stream
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))
    below, sys.stdout = _patient(sys.stdout)
    _, sys.stderr = _patient(sys.stderr)
    return below


def _patient(stream: TextIO) -> tuple[Patient, TextIO]:
    assert isinstance(stream, io.TextIOWrapper), "Python's own, as the process began"
    below = Patient(stream.fileno(), "w", closefd=False)
    return below, io.TextIOWrapper(
        io.BufferedWriter(below),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering or stream.write_through,
    )


def unread() -> bool:
    """Whether nobody reads stdout any more, so that what never ends by itself should (poll(2): POLLERR)."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def finish(below: Patient, code: int) -> int:
    """Write what is still to be written, and return the exit status: ``code``, or 1 where only the writing failed.

    A reader that went away has what it wanted, and changes nothing.
    """
    sys.stdout.flush()
    if below.problem is None or isinstance(below.problem, BrokenPipeError):
        return code
    print(f"error: stdout: {below.problem.strerror or below.problem}", file=sys.stderr)
    return code or 1
