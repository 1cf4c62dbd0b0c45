"""What regdeploy asks of a container engine: workloads, not single Docker verbs.

Implemented by :class:`regdeploy.engine.docker_engine.DockerEngine` and, in memory, by ``tests.fakes.engine``; one
contract suite runs against both.

A workload NAME lives in up to three containers: NAME (current), NAME-next (candidate), NAME-previous (the last one
that was proved). Whatever is killed between two writes, calling the same method again goes on from there; no container
that was proved is removed before the one that replaces it is; volumes are never removed, and neither is a container
that somebody else made, other than by ``remove``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from regdeploy.engine.model import ContainerFacts, EngineFacts, ImageFacts, ObservedWorkload, PullProgress, Workload

Report = Callable[[PullProgress], None]


class Engine(Protocol):
    """A container engine. Every method raises :class:`regdeploy.errors.EngineError` in the engine's own words."""

    def facts(self) -> EngineFacts:
        """Describe the engine; this is also the connection check.

        Raises EngineError with code ``engine.absent``, ``engine.permission`` or ``engine.too-old`` (before 20.10).
        """
        ...

    def image(self, reference: str) -> ImageFacts | None:
        """Return the local image of that name, digest or id, or None."""
        ...

    def pull(self, reference: str, report: Report) -> ImageFacts:
        """Fetch an image (tag ``latest`` unless one is given) with the Docker config file's credentials.

        Raises ImageError with code ``image.not-found``, ``image.login`` or ``image.network``.
        """
        ...

    def load(self, archive: Path, report: Report, tag_as: str = "") -> ImageFacts:
        """Load the one image of an archive: docker-save tar, OCI layout as a tar or as a folder.

        Of several platforms the engine's own is taken, of several images the one named ``tag_as``. Afterwards
        ``tag_as`` names the loaded image, whatever the archive calls it. Raises ImageError with code
        ``image.archive`` where the archive is none of these, is damaged, or holds no such image or several.
        """
        ...

    def tag(self, image_id: str, reference: str) -> None:
        """Have ``reference`` (tag ``latest`` unless one is given) name that image, whatever it named before.

        Idempotent. Raises ImageError with code ``image.not-found`` where the engine has no such image.
        """
        ...

    def observe(self, name: str) -> ObservedWorkload:
        """Return the containers NAME, NAME-next and NAME-previous."""
        ...

    def prepare(self, workload: Workload) -> None:
        """Create the candidate NAME-next, stopped; service is not touched.

        A stale candidate that differs is removed first; one that is the same is kept. Idempotent.
        Raises EngineError where NAME-next was made by somebody else.
        """
        ...

    def activate(self, name: str, stop_timeout: int) -> None:
        """Put the candidate in place of the current container and start it.

        The current one is stopped if it runs (``stop_timeout`` seconds to drain), then NAME → NAME-previous,
        NAME-next → NAME, start. Resumes from any half-way state. Where there is a NAME-previous already, the
        current one was never proved: then it is removed, and NAME-previous stays what ``restore`` brings back. A
        current one that somebody else made takes the place of our NAME-previous. Returns when the engine has started
        it, not when it serves. Raises EngineError with code ``engine.port`` where another process has its port; what
        was renamed stays so, and ``restore`` undoes it.
        """
        ...

    def restore(self, name: str) -> tuple[str, ...]:
        """Undo ``activate``: put NAME-previous back, start it, then remove the failed one.

        Returns the last 20 log lines of the failed one. A candidate is removed too. Without a NAME-previous the
        current container is removed only where this very object has activated it (a first deployment that failed);
        any other stays and is started, so that calling again after a crash never removes what was put back. With a
        candidate still there, nothing was replaced yet: the current one stays and is started.
        """
        ...

    def settle(self, name: str, keep_as: str | None = None) -> None:
        """Say that the current container is proved: NAME-previous is removed, or renamed and left stopped.

        One that is kept does not come back when the engine restarts: a restart policy that would start it although it
        was stopped (``always``, ``on-failure``) becomes ``no``; ``set_restart_policy`` gives it back. Raises
        EngineError where NAME-previous was made by somebody else and no ``keep_as`` is given, and where no current
        container runs. Podman before 5 cannot change a policy: there it stays as it is, and what is kept may be started
        at the next boot.
        """
        ...

    def start(self, name: str) -> None:
        """Start the container NAME; one that runs is fine. Raises EngineError code ``engine.port`` as above.

        A NAME-previous that runs, because the engine itself has started it again, is stopped first.
        """
        ...

    def restart(self, name: str, stop_timeout: int) -> None:
        """Stop (``stop_timeout`` seconds to drain) and start the container NAME; the engine does both by itself."""
        ...

    def stop(self, name: str, stop_timeout: int, *, cleared: bool = True) -> None:
        """Stop the container NAME; absent or stopped is fine.

        It runs no more then, and writes nothing. Its ports may be held for a moment where it need not be ``cleared``:
        whatever the engine is asked for next waits for that, and may raise what came of it.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove the container NAME, running or not, but none of its volumes; absent is fine."""
        ...

    def rename(self, name: str, new_name: str) -> None:
        """Give a container, by whomever it was made, another name; one that has it already is fine.

        ``name`` may be its whole id: then no other container of that name can be taken for it after a kill. By its
        name, one that is not there any more counts as renamed where there is one called ``new_name``. Raises
        EngineError where another container has the new name, and with code ``engine.not-found`` where it is not there.
        """
        ...

    def set_restart_policy(self, name: str, policy: str, retries: int = 0) -> None:
        """Have the engine start a container by itself as ``policy`` says, by whomever it was made; idempotent.

        ``policy`` and ``retries`` are those of ContainerFacts. It is not started by this. Raises EngineError, with
        code ``engine.not-found`` where it is not there and ``engine.unsupported`` where the engine cannot (Podman
        before 5); also for one of ``--rm``, which can have no other policy.
        """
        ...

    def read_file(self, container: str, path: str) -> bytes | None:
        """Return the bytes of a file as seen from inside a container, running or not; symbolic links are followed.

        What is in its mounts is read too, a tmpfs aside. None where there is no regular file at ``path`` (absolute).
        Raises EngineError where it is larger than 1 MiB, and with code ``engine.not-found`` where there is no such
        container.
        """
        ...

    def logs(self, name: str, tail: int, *, follow: bool) -> Iterator[str]:
        """Yield the last ``tail`` lines, without line ends; with ``follow`` what comes until the container ends."""
        ...

    def publishers(self, port: int) -> tuple[tuple[str, str], ...]:
        """Return (container name, host ip) for each running container that publishes that TCP port of the host."""
        ...

    def containers(self) -> tuple[ContainerFacts, ...]:
        """Return every container, running or not, by whomever it was made."""
        ...
