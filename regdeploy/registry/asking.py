"""Many questions to a registry's HTTP API, asked in parallel over kept connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, wait
from functools import partial
from typing import Generic, TypeVar

from regdeploy.errors import RegdeployError
from regdeploy.frozen import frozen
from regdeploy.registry.client import RegistryClient
from regdeploy.registry.progress import Progress, cancelled_error
from regdeploy.threads import in_thread

T = TypeVar("T")

#: With more, a registry that hashes a password for each question takes longer, not less (2.8.2 on two cores).
WORKERS = 4
_TICK = 0.1  # seconds between two reports
_PATIENCE = 2.0  # for workers to notice that it is over


@frozen
class Question(Generic[T]):
    """``ask`` gives the answers. ``unclear`` makes one of an answer without sense; without it, that ends everything."""

    ask: Callable[[RegistryClient], Iterable[T]]
    unclear: Callable[[RegdeployError], T] | None = None


class _Over(Exception):  # noqa: N818 - not an error of this thread's: another one has it
    """Somebody else ended it."""


class Asking(Generic[T]):
    """``total`` questions on their way, shared by their workers; ``total_bytes`` are to be read for them.

    ``answers`` are in no order: that depends on who is faster. ``run`` is called once.
    """

    def __init__(self, total: int, total_bytes: int = 0) -> None:
        self.answers: list[T] = []
        self.asked = self.read_bytes = 0
        self._total = total
        self._total_bytes = total_bytes
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._questions: Iterator[Question[T]] = iter(())

    def run(
        self,
        client: Callable[[], RegistryClient],
        questions: Iterable[Question[T]],
        *,
        report: Callable[[Progress], None],
        cancelled: Callable[[], bool],
        workers: int = WORKERS,
    ) -> None:
        """Ask them all; ``client`` is called once for each worker, ``report`` in this thread.

        Raises RegdeployError: ``registry.unreachable`` and ``registry.login`` at once, ``registry.answer`` as a
        question says, ``host.cancelled`` soon after ``cancelled()`` is true.
        """
        self._questions = iter(questions)
        count = min(workers, self._total)
        futures = [in_thread(partial(self._work, client), f"asking-{number}") for number in range(count)]
        try:
            while (state := wait(futures, _TICK, FIRST_EXCEPTION)).not_done:
                if any(future.exception() for future in state.done):
                    break
                if cancelled():
                    raise cancelled_error("images")
                report(self._progress())
        finally:
            self._over.set()
            wait(futures, _PATIENCE)
        for future in futures:
            if future.done():
                future.result()
        report(self._progress())

    def passed(self, count: int) -> None:
        """So many bytes more were read; ends the reading once it is over."""
        if self._over.is_set():
            raise _Over
        with self._lock:
            self.read_bytes += count

    def _work(self, client: Callable[[], RegistryClient]) -> None:
        with client() as asking:
            while not self._over.is_set() and (question := self._next()) is not None:
                try:
                    self._keep(tuple(question.ask(asking)))
                except _Over:
                    return
                except RegdeployError as error:
                    if error.code != "registry.answer" or question.unclear is None:
                        raise
                    self._keep((question.unclear(error),))

    def _progress(self) -> Progress:
        words = f"{self.asked} of {self._total} asked for"
        return Progress(words=words, done_bytes=self.read_bytes, total_bytes=self._total_bytes)

    def _next(self) -> Question[T] | None:
        with self._lock:
            return next(self._questions, None)

    def _keep(self, answers: tuple[T, ...]) -> None:
        with self._lock:
            self.asked += 1
            self.answers.extend(answers)
