"""A program of the user's own changes the zone; docs/dns-hook.md tells the same contract with an example.

``HOOK present DOMAIN RECORD VALUE`` adds a TXT record, ``HOOK cleanup DOMAIN RECORD VALUE`` takes it away. DOMAIN is
the name to prove, without ``*.`` and without a last dot; RECORD is where the value belongs, absolute, with its last
dot, after all CNAME records; VALUE is the text without quotes. The environment is that of regdeploy and
``REGDEPLOY_ACME_DOMAIN``, ``REGDEPLOY_ACME_RECORD``, ``REGDEPLOY_ACME_VALUE`` (the same three),
``REGDEPLOY_ACME_CHALLENGE`` (``_acme-challenge.DOMAIN.``, before CNAME records), ``REGDEPLOY_ACME_ZONE`` (the zone that
RECORD is in, with its last dot) and ``REGDEPLOY_ACME_TTL`` (seconds).

Other values at RECORD stay: a wildcard and its base name need two at once. ``cleanup`` also comes after a ``present``
that failed or was ended, and must be content where there is nothing. Exit status 0 is success. Standard input is empty;
the folder is ``/``. After 60 s, or when nobody wants the certificate any more, its process group gets SIGKILL; what it
left running there gets that at its end too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO

from regdeploy.errors import AcmeError, UsageError
from regdeploy.tls.acme.dns.provider import TTL, Record
from regdeploy.tls.acme.dns.trusted import trusted
from regdeploy.tls.acme.patience import Patience

_LIMIT = 60.0  # seconds for one call
_LOOK = 0.02  # seconds between looks whether it has ended
_LINES = 5  # that an error shows
_LONGEST_LINE = 300  # characters of each


class Hook:
    """Calls ``program``. Raises UsageError where it cannot be run, or others could change it."""

    kind = "hook"

    def __init__(self, program: Path, limit: float = _LIMIT) -> None:
        trusted(program)
        if not os.access(program, os.X_OK):
            raise UsageError(str(program), "is not executable", f"chmod +x {program}")
        self._program = program.absolute()
        self._limit = limit

    def add(self, record: Record, patience: Patience) -> None:
        """See :class:`~regdeploy.tls.acme.dns.provider.Provider`."""
        self._call("present", record, patience)

    def remove(self, record: Record, patience: Patience) -> None:
        """See :class:`~regdeploy.tls.acme.dns.provider.Provider`."""
        self._call("cleanup", record, patience)

    def _call(self, action: str, record: Record, patience: Patience) -> None:
        command = [str(self._program), action, record.domain, record.place.name, record.value]
        where = f"{self._program} {action}"
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_environment(record)},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            hint = "its first line must name a program that is there, such as #!/bin/sh"
            raise AcmeError(where, f"could not be run: {error.strerror or error}", hint) from error
        assert process.stdout is not None
        tail = _Tail(process.stdout)
        try:
            in_time = self._wait(process, patience)
        finally:
            _end(process)
            said = tail.last()
        if not in_time:
            raise AcmeError(
                where, f"took longer than it may and was ended{said}", "make it faster, or see what it waits for"
            )
        if process.returncode:
            raise AcmeError(where, f"{_status(process.returncode)}{said}", "run it by hand, as docs/dns-hook.md shows")

    def _wait(self, process: subprocess.Popen[bytes], patience: Patience) -> bool:
        """Whether it has ended in time; it is left as a zombie, so that its process group cannot be another's yet."""
        until = time.monotonic() + min(self._limit, patience.left)
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            patience.check()
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK)
        return True


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Tail:
    """Reads all that a program says, so that it never waits for us, and keeps the last lines."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._stream = stream
        self._thread = threading.Thread(target=self._read, name="dns hook", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            while line := self._stream.readline(_LONGEST_LINE):
                if text := line.decode(errors="replace").rstrip():
                    self._lines.append("".join(character if character.isprintable() else " " for character in text))

    def last(self) -> str:
        """The last lines, after a colon; empty where there are none."""
        self._thread.join(1)  # what left the group may hold the pipe for ever
        return f": {' | '.join(list(self._lines))}" if self._lines else ""


def _environment(record: Record) -> dict[str, str]:
    return {
        "REGDEPLOY_ACME_DOMAIN": record.domain,
        "REGDEPLOY_ACME_RECORD": record.place.name,
        "REGDEPLOY_ACME_VALUE": record.value,
        "REGDEPLOY_ACME_CHALLENGE": record.asked,
        "REGDEPLOY_ACME_ZONE": record.place.zone,
        "REGDEPLOY_ACME_TTL": str(TTL),
    }


def _status(code: int) -> str:
    if code > 0:
        return f"ended with exit status {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
