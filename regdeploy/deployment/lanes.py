"""Two lanes of steps at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from regdeploy.deployment.steps import Step
from regdeploy.errors import RegdeployError


class Abandoned(Exception):  # noqa: N818 - not an error: the other lane has one
    """This lane stops because the other one failed."""


def run_lanes(lanes: tuple[tuple[Step, ...], ...], do: Callable[[Step], None], cancel: threading.Event) -> None:
    """Do the first lane in a thread, the second here, where Ctrl-C arrives. The first failure ends both, and is raised.

    ``cancel`` is set where one fails: what takes long in the other looks at it, and raises :class:`Abandoned` or an
    error with code ``host.cancelled``, neither of which is the reason.
    """
    first, second = lanes
    with _lane(first, do, cancel) as other:
        try:
            for inner in second:
                if other.done() and other.exception() is not None:
                    break
                do(inner)
        except Abandoned:
            pass  # the reason is the other lane's, and raised below
        except RegdeployError as error:
            if error.code != "host.cancelled" or not cancel.is_set():
                raise
    other.result()


@contextmanager
def _lane(steps: tuple[Step, ...], do: Callable[[Step], None], cancel: threading.Event) -> Iterator[Future[None]]:
    def run() -> None:
        for step in steps:
            do(step)

    def failed(future: Future[None]) -> None:
        if future.exception() is not None:
            cancel.set()

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lane")
    future = pool.submit(run)
    future.add_done_callback(failed)
    try:
        yield future
    except BaseException:
        cancel.set()
        raise
    finally:
        pool.shutdown(wait=True)
