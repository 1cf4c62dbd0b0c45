"""Start, wait for and stop the programs of the rig: each by its own process id, none by a name."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_PROGRAMS = ("dockerd", "containerd", "runc", "pebble")


class RigError(RuntimeError):
    """The rig cannot do what was asked; the text has the program's own words."""


def run(command: Sequence[str], environ: Mapping[str, str] | None = None, text: str = "", folder: str = "") -> str:
    """Run ``command`` to its end with ``text`` as its input and return its standard output; RigError unless it is 0."""
    try:
        done = subprocess.run(
            command, env=environ, input=text, cwd=folder or None, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise RigError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise RigError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


class Program:
    """A program in the background: its output goes to ``log``.

    With ``tied`` it gets SIGTERM when the thread that started it ends, however that ends: nothing outlives a killed
    test run.
    """

    def __init__(
        self, command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None, *, tied: bool = True
    ) -> None:
        self.name = Path(command[0]).name
        self.log = log
        prefix = ["setpriv", "--pdeathsig", "TERM", "--"] if tied else []
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*prefix, *command],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is for the tests, which then stop their programs in order
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for ``ready``; RigError with the end of its log where it ends or takes longer."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None:
                raise RigError(f"{self.name} ended with {self._process.returncode}:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise RigError(f"{self.name} is not ready after {seconds:.0f} s:\n{tail(self.log)}")
            time.sleep(0.01)

    def stop(self, seconds: float = 20) -> None:
        """End it: SIGTERM, and SIGKILL after that time. One that has ended is fine."""
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._process.kill()
        self._process.wait()


def stop_pid(pid: int, seconds: float = 20) -> None:
    """End a process that may be no child of ours: SIGTERM, and SIGKILL after that time; one that is gone is fine."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process of that id runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def of_folder(folder: Path) -> Iterator[int]:
    """Yield the rig's programs whose command line names ``folder``, which is one rig's alone.

    Somebody's editor or ``tail`` on a file in there is none of them.
    """
    needle = os.fsencode(folder) + b"/"
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "comm").read_text().startswith(_PROGRAMS) and needle in (entry / "cmdline").read_bytes():
                yield int(entry.name)


def children(parent: int) -> list[int]:
    """The processes that a process has started itself and that have not ended."""
    return [
        int(pid) for task in Path(f"/proc/{parent}/task").iterdir() for pid in (task / "children").read_text().split()
    ]


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def free_ports(count: int) -> list[int]:
    """That many TCP ports of 127.0.0.1 that nobody listens on now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def free_port() -> int:
    """One of ``free_ports``."""
    return free_ports(1)[0]


def listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections on that port."""
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


@contextmanager
def environment(values: Mapping[str, str], without: Sequence[str] = ()) -> Iterator[None]:
    """Give this process ``values``, and not the variables in ``without``, then put everything back as it was."""
    before = {name: os.environ.get(name) for name in [*values, *without]}
    for name in without:
        os.environ.pop(name, None)
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def eventually(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until it is true; AssertionError after that time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not after {seconds:.0f} s"
        time.sleep(0.02)
