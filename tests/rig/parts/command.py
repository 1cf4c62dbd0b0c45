"""The ``regdeploy`` command as a user runs it: a process, with the rig's engine and a root folder of the test's own."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LONGEST = 120


@dataclass(frozen=True)
class Result:
    """What a run printed and its exit status; a signal's number is negative."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Stdout as the one JSON document."""
        return json.loads(self.out)


class Command:
    """Runs regdeploy. ``environ`` is the whole environment; the root folder goes in as REGDEPLOY_ROOT."""

    def __init__(self, environ: Mapping[str, str], root: Path, folder: Path) -> None:
        self.root = root
        self._folder = folder
        self.environ = {**environ, "REGDEPLOY_ROOT": str(root)}

    def __call__(self, *arguments: str, code: int = 0, text: str = "", **environ: str) -> Result:
        """Run it, and fail unless it ends with ``code``."""
        result = self._run([sys.executable, "-m", "regdeploy", *arguments], text, environ)
        assert result.code == code, (
            f"regdeploy {' '.join(arguments)} ended with {result.code}\n{result.out}{result.err}"
        )
        return result

    def typed(self, keys: str, *arguments: str, code: int = 0) -> Result:
        """Run it for somebody who sits at a terminal and types ``keys``; what it prints is not a terminal's."""
        ours, theirs = pty.openpty()
        try:
            os.write(ours, keys.encode())
            result = self._run([sys.executable, "-m", "regdeploy", *arguments], theirs, {})
        finally:
            os.close(ours)
            os.close(theirs)
        assert result.code == code, f"regdeploy {' '.join(arguments)} ended with {result.code}\n{result.err}"
        return result

    def mortal(self, writes: int, *arguments: str, text: str = "") -> Result:
        """Run it so that it is killed before that write; 0 lets it live and puts their number last on stderr."""
        return self._run([sys.executable, "-m", "tests.rig.parts.mortal", str(writes), *arguments], text, {})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it and do not wait."""
        return subprocess.Popen(
            [sys.executable, "-m", "regdeploy", *arguments],
            env=self.environ,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_hear_ctrl_c,  # noqa: PLW1509 - sets one signal, takes no lock
        )

    def _run(self, command: list[str], given: str | int, environ: Mapping[str, str]) -> Result:
        """``given`` is the text of its stdin, or the file that is that."""
        stdin: dict[str, Any] = {"input": given} if isinstance(given, str) else {"stdin": given}
        # In a folder of its own: a regdeploy.toml beside the tests must not be read.
        done = subprocess.run(
            command,
            env={**self.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **environ},
            cwd=self._folder,
            **stdin,
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)


def _hear_ctrl_c() -> None:
    """A shell that starts the tests in the background makes them, and so us, deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt(process: subprocess.Popen[str]) -> Result:
    """Press Ctrl-C and wait for the end."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=_LONGEST)
    return Result(process.returncode, out, err)
