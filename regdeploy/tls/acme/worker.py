"""An order in a process of its own, forked before it is needed.

``acme``, ``josepy`` and ``cryptography`` take as long to load as the Docker SDK (60 ms each): two processes load them
at the same time, and the CA's directory is there when the checks ask for it. The worker is an advance and nothing else:
where it cannot be had, or dies, the same work is done here, only later.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from regdeploy.errors import AcmeError, RegdeployError
from regdeploy.tls.acme.settings import DirectoryFacts, Errand, Issued

_NOTICE = 0.05  # a cancelled order ends within this, in seconds
_LENGTH = 4  # bytes before each message that say how long it is


class WorkerLost(Exception):  # noqa: N818 - no failure: whoever asked does the work itself
    """The worker gave no answer and never will."""


class Worker:
    """One forked process for the CA at ``url``. Not before the process has a second thread.

    It ends when :meth:`close` is called, and when this process dies, however: it takes no signal from the terminal, but
    an end of the channel cancels its order, which frees the port of the challenge.
    """

    def __init__(self, url: str, ca_bundle: Path | None) -> None:
        """Raises OSError where the host allows no other process."""
        self._channel, theirs = socket.socketpair()
        try:
            self.process = os.fork()
        except OSError:
            self._channel.close()
            theirs.close()
            raise
        if self.process == 0:
            self._channel.close()
            _work(theirs, url, ca_bundle)
        theirs.close()
        self._directory: DirectoryFacts | RegdeployError | None = None
        self._ordered = False

    def directory(self) -> DirectoryFacts:
        """What the CA says of itself. Raises AcmeError, and WorkerLost."""
        if self._directory is None:
            self._directory = self._answer()
        if isinstance(self._directory, RegdeployError):
            raise self._directory
        return self._directory

    def issue(self, errand: Errand, directory: DirectoryFacts | None) -> Issued:
        """Obtain a certificate; see :func:`regdeploy.tls.acme.order.issue`. Raises what that raises, and WorkerLost.

        The worker reads a clock of its own.
        """
        with suppress(RegdeployError):
            self.directory()  # its answer comes first
        try:
            self._ordered = True
            _send(self._channel, (errand.settings, errand.state, directory))
        except OSError as error:
            raise WorkerLost from error
        while True:
            while not select.select([self._channel], [], [], _NOTICE)[0]:
                if errand.cancel.is_set():
                    self.close()
                    raise AcmeError("certificate", "cancelled", problem="cancelled")
            answer = self._answer()
            if isinstance(answer, RegdeployError):
                raise answer
            if isinstance(answer, Issued):
                return answer
            errand.report(answer)

    def close(self) -> None:
        """End the process, and wait until it has. May be called again."""
        if self.process:
            if not self._ordered:  # nothing to take away again, and perhaps long in waiting for the CA
                os.kill(self.process, signal.SIGKILL)
            self._channel.close()
            with suppress(ChildProcessError):
                os.waitpid(self.process, 0)
            self.process = 0

    def _answer(self) -> Any:  # noqa: ANN401 - one of three kinds, told apart where they are awaited
        try:
            return _receive(self._channel)
        except (EOFError, OSError) as error:
            raise WorkerLost from error


def _work(channel: socket.socket, url: str, ca_bundle: Path | None) -> NoReturn:
    """The worker's life: load, ask for the directory, wait for an order, carry it out.

    A failure without words for the user ends it without an answer, and shows itself where the work is repeated.
    """
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        from regdeploy.tls.acme import directory, order  # noqa: PLC0415 - what all this is for

        _tell(channel, lambda: directory.directory_facts(url, ca_bundle))
        settings, state, facts = _receive(channel)
        cancel = threading.Event()

        def watch() -> None:
            channel.recv(1)  # nothing more is ever sent: this is the end of the channel
            cancel.set()

        threading.Thread(target=watch, daemon=True).start()
        errand = Errand(
            settings=settings,
            state=state,
            now=lambda: datetime.now(UTC),
            report=lambda words: _send(channel, words),
            cancel=cancel,
        )
        _tell(channel, lambda: order.issue(errand, facts))
    finally:
        os._exit(0)


def _tell(channel: socket.socket, work: Callable[[], object]) -> None:
    """Send what ``work`` returns, or the words with which it failed."""
    try:
        answer = work()
    except RegdeployError as error:
        answer = error
    _send(channel, answer)


def _send(channel: socket.socket, value: object) -> None:
    data = pickle.dumps(value)
    channel.sendall(len(data).to_bytes(_LENGTH) + data)


def _receive(channel: socket.socket) -> Any:  # noqa: ANN401 - both ends are in this file
    """The next value. Raises EOFError at the end of the channel, and OSError."""
    head = channel.recv(_LENGTH, socket.MSG_WAITALL)
    data = channel.recv(int.from_bytes(head), socket.MSG_WAITALL) if head else b""
    if not data:
        raise EOFError
    return pickle.loads(data)  # noqa: S301 - from this very program
