"""How one container takes another's place, and how that is undone: the algorithm, over single verbs.

Every method looks first and then does what is still to do, so each can be called again after a kill between any two
writes. The states that a kill can leave, written NAME / NAME-next / NAME-previous:

    activate    old / new / -        → stopped: old / new / -      → - / new / old    → new / - / old
    restore     failed / - / old     → - / failed / old            → old / failed / -  → old / - / -

"Ours" is a container whose label names the deployment NAME. Another's is never removed here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from regdeploy.engine.model import (
    LABEL_DEPLOYMENT,
    ContainerFacts,
    ObservedWorkload,
    Workload,
    candidate_name,
    previous_name,
)
from regdeploy.errors import EngineError

#: Hash of all that a container was created from: whether a candidate is still the one that is wanted.
LABEL_WORKLOAD = "io.regdeploy.workload"
LOG_LINES = 20
#: Policies by which an engine that restarts starts containers although they were stopped before.
_RESURRECTING = ("always", "on-failure")


class Containers(Protocol):
    """Single verbs: looking, and writes of one request each. All raise EngineError in the engine's own words."""

    def family(self, name: str) -> ObservedWorkload:
        """Return the containers NAME, NAME-next and NAME-previous."""
        ...

    def find(self, name: str) -> ContainerFacts | None:
        """Return the container of that name or whole id, or None."""
        ...

    def create(self, name: str, workload: Workload) -> None:
        """Create, without starting it, a container for ``workload`` under ``name``."""
        ...

    def start(self, name: str) -> None:
        """Start it; one that runs is fine. Raises EngineError ``engine.port`` where its port is taken."""
        ...

    def stop(self, name: str, timeout: int, *, cleared: bool = True) -> None:
        """Send SIGTERM, after ``timeout`` seconds SIGKILL; absent or stopped is fine. For ``cleared`` see Engine."""
        ...

    def restart(self, name: str, timeout: int) -> None:
        """Stop and start it; the engine does both even where the caller is killed meanwhile."""
        ...

    def rename(self, name: str, new_name: str) -> None:
        """Give it another name, which must be free."""
        ...

    def remove(self, name: str) -> None:
        """Remove it, running or not, without its volumes; absent is fine."""
        ...

    def set_restart_policy(self, name: str, policy: str, retries: int = 0) -> None:
        """Change when the engine starts it by itself; with ``on-failure`` at most ``retries`` times (0: for ever)."""
        ...

    def read_file(self, name: str, path: str) -> bytes | None:
        """Return the bytes of a file in it, running or not, or None where there is no regular file of that path."""
        ...

    def logs(self, name: str, tail: int, *, follow: bool) -> Iterator[str]:
        """Yield the last ``tail`` lines, and with ``follow`` what comes."""
        ...


class Workloads:
    """The workload methods of :class:`regdeploy.engine.protocol.Engine`, for any engine that has the verbs."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._activated: dict[str, str] = {}  # name → id of the container that this object put in place

    def observe(self, name: str) -> ObservedWorkload:
        """Return the containers NAME, NAME-next and NAME-previous."""
        return self._containers.family(name)

    def prepare(self, workload: Workload) -> None:
        """Create the candidate; see Engine."""
        name = workload.name
        candidate = candidate_name(name)
        labels = {LABEL_DEPLOYMENT: name, **workload.labels, LABEL_WORKLOAD: fingerprint(workload)}
        found = self._containers.family(name).candidate
        if found is not None:
            _refuse_foreign(found, name)
            if found.labels.get(LABEL_WORKLOAD) == labels[LABEL_WORKLOAD] and found.image_id == workload.image_id:
                return
            self._containers.remove(candidate)
        self._containers.create(candidate, replace(workload, labels=labels))

    def activate(self, name: str, stop_timeout: int) -> None:
        """Put the candidate in place and start it; see Engine."""
        there = self._containers.family(name)
        if there.candidate is None:
            if there.current is None:
                what = f"there is no {candidate_name(name)} to put in place"
                raise EngineError(f"container {name}", what, "run `regdeploy up` again")
            self._start(name, there)
            return
        _refuse_foreign(there.candidate, name)
        if there.current is not None:
            self._make_way(name, there, there.current, stop_timeout)
        self._containers.rename(candidate_name(name), name)
        self._activated[name] = there.candidate.id
        self._start(name, there)  # without another look: nobody is served meanwhile

    def _make_way(self, name: str, there: ObservedWorkload, current: ContainerFacts, stop_timeout: int) -> None:
        ours = current.deployment == name
        if there.previous is not None and not ours:
            _refuse_foreign(there.previous, name)
            self._containers.remove(previous_name(name))
        if current.running:
            self._containers.stop(name, stop_timeout)
        if there.previous is not None and ours:
            self._containers.remove(name)  # never proved, or NAME-previous would be gone
        else:
            self._containers.rename(name, previous_name(name))

    def restore(self, name: str) -> tuple[str, ...]:
        """Undo ``activate``; see Engine."""
        there = self._containers.family(name)
        current, candidate = there.current, there.candidate
        if candidate is not None:
            _refuse_foreign(candidate, name)
        first = current is not None and self._activated.get(name) == current.id and there.previous is None
        replaced = current is not None and candidate is None and (there.previous is not None or first)
        log = self._last_words(current if replaced else candidate)
        if current is not None and replaced:
            _refuse_foreign(current, name)
            if current.running:
                self._containers.stop(name, current.stop_timeout or 10)
            self._containers.rename(name, candidate_name(name))  # out of the way, and removed when the old one runs
            current, candidate = None, current
        if current is None and there.previous is not None:
            self._containers.rename(previous_name(name), name)
            current = there.previous
        if current is not None and not current.running:
            self._containers.start(name)
        if candidate is not None:
            self._containers.remove(candidate_name(name))
        self._activated.pop(name, None)
        return log

    def _last_words(self, container: ContainerFacts | None) -> tuple[str, ...]:
        if container is None or container.started_at is None:
            return ()
        return tuple(self._containers.logs(container.name, LOG_LINES, follow=False))

    def settle(self, name: str, keep_as: str | None = None) -> None:
        """Say that the current container is proved; see Engine."""
        there = self._containers.family(name)
        previous = there.previous
        if previous is None:
            return
        if there.current is None or not there.current.running:
            what = f"does not run, so that {previous.name} is still needed"
            raise EngineError(f"container {name}", what, "run `regdeploy up` again")
        if keep_as is None:
            _refuse_foreign(previous, name)
            if previous.running:
                self._containers.stop(previous.name, previous.stop_timeout or 10)
            self._containers.remove(previous.name)
            return
        if previous.running:
            self._containers.stop(previous.name, previous.stop_timeout or 10)
        if previous.restart_policy in _RESURRECTING:
            self._put_to_rest(previous.name)
        self._containers.rename(previous.name, keep_as)

    def _put_to_rest(self, name: str) -> None:
        try:
            self._containers.set_restart_policy(name, "no")
        except EngineError as error:
            if error.code != "engine.unsupported":  # Podman's service itself starts nothing by itself
                raise

    def start(self, name: str) -> None:
        """Start it; one that runs is fine. See Engine."""
        self._start(name, self._containers.family(name))

    def _start(self, name: str, there: ObservedWorkload) -> None:
        previous = there.previous
        if previous is not None and previous.running:  # the engine was restarted meanwhile, and its policy is "always"
            self._containers.stop(previous.name, previous.stop_timeout or 10)
        self._containers.start(name)

    def restart(self, name: str, stop_timeout: int) -> None:
        """Stop it, drained, and start it."""
        self._containers.restart(name, stop_timeout)

    def stop(self, name: str, stop_timeout: int, *, cleared: bool = True) -> None:
        """Stop it, drained; absent or stopped is fine. For ``cleared`` see Engine."""
        self._containers.stop(name, stop_timeout, cleared=cleared)

    def remove(self, name: str) -> None:
        """Remove it, running or not; absent is fine."""
        self._containers.remove(name)

    def rename(self, name: str, new_name: str) -> None:
        """Give a container another name; see Engine."""
        found = self._containers.find(name)
        if found is None:
            found = self._containers.find(new_name)
        if found is None or found.name != new_name:
            self._containers.rename(name, new_name)

    def set_restart_policy(self, name: str, policy: str, retries: int = 0) -> None:
        """Change when the engine starts it by itself; see Engine."""
        found = self._containers.find(name)
        if found is None or (found.restart_policy, found.restart_retries) != (policy, retries):
            self._containers.set_restart_policy(name, policy, retries)

    def read_file(self, container: str, path: str) -> bytes | None:
        """Return the bytes of a file in it; see Engine."""
        return self._containers.read_file(container, path)

    def logs(self, name: str, tail: int, *, follow: bool) -> Iterator[str]:
        """Yield its last lines, and with ``follow`` what comes."""
        return self._containers.logs(name, tail, follow=follow)


def fingerprint(workload: Workload) -> str:
    """A hash of everything in ``workload``. It goes into a label: what it hides is the upload secret's 256 bits."""
    text = json.dumps(vars(workload), sort_keys=True, default=lambda value: dict(getattr(value, "__dict__", value)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _refuse_foreign(container: ContainerFacts, name: str) -> None:
    if container.deployment != name:
        what = "was not made by regdeploy, and is in the way"
        hint = f"give it another name: `docker rename {container.name} OTHER`"
        raise EngineError(f"container {container.name}", what, hint, code="engine.foreign")
