"""Containers that count what is written and die when told to, as a killed process would."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

from regdeploy.engine.model import ContainerFacts, ObservedWorkload, Workload
from regdeploy.engine.workloads import Containers

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone. Not an Exception: nothing may catch it and tidy up."""


class Mortal:
    """``inner``, whose every write is listed in ``writes`` as ``verb name``; looking is free."""

    def __init__(self, inner: Containers) -> None:
        self._inner = inner
        self.writes: list[str] = []
        self._left: int | None = None
        self._before = False

    def die_after(self, writes: int) -> None:
        """Raise Killed right after that many more writes were done; with 0 before the next one."""
        self._left, self._before = (1, True) if writes == 0 else (writes, False)

    def die_before(self, write: int) -> None:
        """Raise Killed instead of doing the next write (1), the one after it (2), ..."""
        self._left, self._before = write, True

    def live(self) -> None:
        """Do not die any more."""
        self._left = None

    def write(self, what: str, do: Callable[[], T]) -> T:
        """Do one write, unless its time has come."""
        sys.audit("tests.fakes.write", what)  # where tests/fakes/death.py may end it
        last = False
        if self._left is not None:
            self._left -= 1
            last = self._left == 0
        if last and self._before:
            raise Killed(f"before {what}")
        result = do()
        self.writes.append(what)
        if last:
            raise Killed(f"after {what}")
        return result

    def family(self, name: str) -> ObservedWorkload:
        return self._inner.family(name)

    def find(self, name: str) -> ContainerFacts | None:
        return self._inner.find(name)

    def create(self, name: str, workload: Workload) -> None:
        self.write(f"create {name}", lambda: self._inner.create(name, workload))

    def start(self, name: str) -> None:
        self.write(f"start {name}", lambda: self._inner.start(name))

    def stop(self, name: str, timeout: int, *, cleared: bool = True) -> None:
        self.write(f"stop {name}", lambda: self._inner.stop(name, timeout, cleared=cleared))

    def restart(self, name: str, timeout: int) -> None:
        self.write(f"restart {name}", lambda: self._inner.restart(name, timeout))

    def rename(self, name: str, new_name: str) -> None:
        self.write(f"rename {name} {new_name}", lambda: self._inner.rename(name, new_name))

    def remove(self, name: str) -> None:
        self.write(f"remove {name}", lambda: self._inner.remove(name))

    def set_restart_policy(self, name: str, policy: str, retries: int = 0) -> None:
        self.write(f"update {name} {policy}", lambda: self._inner.set_restart_policy(name, policy, retries))

    def read_file(self, name: str, path: str) -> bytes | None:
        return self._inner.read_file(name, path)

    def logs(self, name: str, tail: int, *, follow: bool) -> Iterator[str]:
        return self._inner.logs(name, tail, follow=follow)
