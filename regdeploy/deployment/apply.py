"""Carries out a plan. What applies decides nothing: every choice was made by ``plan``.

A step that fails is undone with all before it: first the files, then the containers, so that a container which comes
back finds what it was started with. A kill undoes nothing; whatever it leaves, the next plan takes for what is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress

from regdeploy.deployment.checks import human_bytes
from regdeploy.deployment.generations import refuse_unsupported
from regdeploy.deployment.issuing import Issuing
from regdeploy.deployment.lanes import Abandoned, run_lanes
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.plan import Plan
from regdeploy.deployment.reporting import Event, Reporter
from regdeploy.deployment.request import read_text
from regdeploy.deployment.serving import serving_problem
from regdeploy.deployment.spec import Resolved, Spec
from regdeploy.deployment.steps import (
    ActivateWorkload,
    BeginMigration,
    BringFiles,
    CopyData,
    CopyRest,
    EndMigration,
    FetchImage,
    InstallCertificate,
    InstallTimer,
    IssueCertificate,
    KeepAccess,
    KeepSettings,
    ListImages,
    MakeFolders,
    MakeSecret,
    MoveAside,
    PrepareWorkload,
    RemoveCandidate,
    RenameWorkload,
    RestartWorkload,
    RetireRoot,
    SaveSpec,
    SetAside,
    SetPassword,
    SettleWorkload,
    StartWorkload,
    Step,
    StopWorkload,
    Together,
    VerifyImages,
    VerifyServing,
    WriteConfig,
)
from regdeploy.deployment.takeover import Takeover
from regdeploy.deployment.workload import STOP_TIMEOUT, desired_workload, short
from regdeploy.deployment.world import World
from regdeploy.deployment.writing import Writing
from regdeploy.engine.model import ImageFacts, PullProgress, candidate_name
from regdeploy.errors import RegdeployError, VerifyFailed
from regdeploy.files import write_whole
from regdeploy.registry.images import generation_of
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import AcmeSettings, DirectoryFacts

_LOG_LINES = 20
_ASK_ENGINE_EVERY = 0.3


class Application:
    """One plan being carried out. ``run`` is called once.

    ``password`` is what came with the command; ``acme`` and ``directory`` are there when a certificate is to be
    ordered; ``ignore`` are the names of checks that stop nothing. Reports from two threads at once while lanes run
    together.
    """

    def __init__(
        self,
        resolved: Resolved,
        observed: Observed,
        world: World,
        reporter: Reporter,
        *,
        password: Secret | None = None,
        acme: AcmeSettings | None = None,
        directory: DirectoryFacts | None = None,
        ignore: Collection[str] = (),
    ) -> None:
        self._spec: Spec = resolved.spec
        self._observed = observed
        self._world = world
        self._engine = world.engine
        self._reporter = reporter
        self._layout = Layout(self._spec.root)
        self._image: ImageFacts | None = observed.image
        self._ignore = ignore
        self._cancel = threading.Event()
        self._takeover = Takeover(self._spec, observed, world, reporter, self._cancel)
        self._undo_files: list[Callable[[], None]] = []
        self._undo_containers: list[Callable[[], None]] = []
        self._certificate = Issuing(
            self._spec,
            observed,
            world,
            acme=acme,
            directory=directory,
            cancel=self._cancel,
            undo=self._undo_files,
        )
        self._files = Writing(resolved, observed, password=password, undo=self._undo_files)

    @property
    def image(self) -> ImageFacts | None:
        """The image that the container was made from."""
        return self._image

    def run(self, plan: Plan) -> None:
        """Do every step in order. Raises what the failing step raised, after all was undone; so does Ctrl-C."""
        try:
            for step in plan.steps:
                self._do(step)
        except (Exception, KeyboardInterrupt) as error:
            self._undo(error)
            raise
        self._forget_stop()
        self._certificate.prune()

    def forget(self) -> None:
        """After ``run``, and once history has it: remove what a migration had written down. Raises HostError."""
        self._takeover.forget()

    def _undo(self, cause: BaseException) -> None:
        for undo in (*reversed(self._undo_files), *reversed(self._undo_containers)):
            try:
                undo()
            except RegdeployError as error:
                cause.add_note(f"undoing it failed too: {error}")
                if isinstance(cause, RegdeployError):
                    cause.hint = f"undoing failed too ({error}): mend that, then run `regdeploy up` again"

    def _do(self, step: Step) -> None:
        if isinstance(step, Together):
            run_lanes(step.lanes, self._do, self._cancel)
            return
        self._reporter.event(Event(step=step, phase="began"))
        started = time.monotonic()
        words = self._words_of(step)
        self._reporter.event(Event(step=step, phase="done", words=words, seconds=time.monotonic() - started))

    def _words_of(self, step: Step) -> str:
        """Do ``step`` and say what came of it."""
        match step:
            case MakeFolders() | MakeSecret() | WriteConfig() | SetPassword() | SaveSpec():
                self._files.write(step)
                return ""
            case (
                BeginMigration()
                | BringFiles()
                | RetireRoot()
                | KeepAccess()
                | KeepSettings()
                | MoveAside()
                | CopyData()
                | CopyRest()
                | ListImages()
                | VerifyImages()
                | EndMigration()
            ):
                return self._takeover.do(step, self._undo_files)
            case FetchImage():
                return self._fetch(step)
            case IssueCertificate() | InstallCertificate() | SetAside():
                return self._certificate.do(step, self._under_way(step))
            case VerifyServing():
                return self._verify()
            case InstallTimer():
                return self._install_timer()
            case _:
                return self._container(step)

    def _fetch(self, step: FetchImage) -> str:
        moved = 0

        def report(progress: PullProgress) -> None:
            nonlocal moved
            moved = max(moved, progress.done_bytes)
            if self._cancel.is_set():
                raise Abandoned
            self._reporter.event(
                Event(
                    step=step,
                    phase="under way",
                    words=progress.note,
                    done_bytes=progress.done_bytes,
                    total_bytes=progress.total_bytes,
                )
            )

        if step.archive is None:
            self._image = self._engine.pull(step.reference, report)
            how = f"pulled {human_bytes(moved)}"
        else:
            self._image = self._engine.load(step.archive, report, tag_as=step.reference)
            how = f"loaded from {step.archive}"
        generation_of(self._image.entrypoint, self._image.command)  # no registry: say so before anything is stopped
        refuse_unsupported(self._spec, self._observed, self._image, self._ignore)
        return f"{describe_image(step.reference, self._image)} {how}"

    def _under_way(self, step: Step) -> Callable[[str], None]:
        return lambda words: self._reporter.event(Event(step=step, phase="under way", words=words))

    def _install_timer(self) -> str:
        """The registry serves by now: without a timer it goes on to, and ``status`` says that nothing renews it."""
        try:
            self._world.timers.install(self._spec.root, self._spec.name)
        except RegdeployError as error:
            return f"not installed: {error}"
        return ""

    def _verify(self) -> str:
        spec = self._spec
        fingerprint = self._certificate.fingerprint()
        facts = self._world.endpoint.wait(spec, self._stopped())
        problem = serving_problem(spec, facts, fingerprint)
        if problem:
            log = tuple(self._engine.logs(spec.name, _LOG_LINES, follow=False))
            raise VerifyFailed(f"container {spec.name}", problem, "`regdeploy doctor` looks for the cause", log=log)
        self._certificate.mark_deployed()
        return f"{spec.name} started, serving {'that certificate' if fingerprint else spec.url}"

    def _stopped(self) -> Callable[[], bool]:
        """Whether the container has ended by itself; the engine is asked now and then only."""
        asked = time.monotonic()

        def stopped() -> bool:
            nonlocal asked
            if time.monotonic() - asked < _ASK_ENGINE_EVERY:
                return False
            asked = time.monotonic()
            current = self._engine.observe(self._spec.name).current
            return current is None or current.state in ("exited", "dead", "restarting")

        return stopped

    def _container(self, step: Step) -> str:
        engine, name = self._engine, self._spec.name
        match step:
            case StopWorkload():
                self._stop(step)
            case PrepareWorkload():
                self._prepare()
            case ActivateWorkload():
                self._undo_containers.append(self._restore)
                engine.activate(name, STOP_TIMEOUT)
            case StartWorkload():
                engine.start(name)
            case RestartWorkload():
                if self._undo_files:  # with the files as they were before, it can serve as it did before
                    self._undo_containers.append(lambda: engine.restart(name, STOP_TIMEOUT))
                engine.restart(name, STOP_TIMEOUT)
            case SettleWorkload():
                engine.settle(name, step.keep_as)
            case RenameWorkload():
                self._undo_containers.append(lambda: engine.rename(name, step.found))
                engine.rename(step.found, name)
            case RemoveCandidate():
                engine.remove(candidate_name(name))
            case _:
                raise AssertionError(step)
        return ""

    def _stop(self, step: StopWorkload) -> None:
        """Stop it for a moment. Noted before, so that a renewal that is killed meanwhile leaves nobody without it."""
        there = self._observed.workload
        name, stopping = self._spec.name, there.current
        if there.previous is not None and there.previous.running:
            name, stopping = there.previous.name, there.previous
        if stopping is not None:
            write_whole(self._layout.stopped, stopping.id.encode(), 0o600)
        self._undo_containers.append(self._forget_stop)
        self._undo_containers.append(lambda: self._engine.start(name))
        self._engine.stop(name, STOP_TIMEOUT, cleared=step.cleared)

    def _forget_stop(self) -> None:
        """It runs again. A note that cannot be taken away does no harm: who finds it looks whether that one runs."""
        with suppress(OSError):
            self._layout.stopped.unlink(missing_ok=True)

    def _prepare(self) -> None:
        secret = read_text(self._layout.http_secret)
        assert self._image is not None, "the plan fetches before it prepares"
        assert secret is not None, "the plan makes the secret before it prepares"
        workload = desired_workload(
            self._spec,
            self._image,
            self._observed.engine,
            Secret(secret.strip()),
            self._files.config_text,
            self._observed.variables,
        )
        self._undo_containers.append(lambda: self._engine.remove(candidate_name(self._spec.name)))
        self._engine.prepare(workload)

    def _restore(self) -> None:
        self._engine.restore(self._spec.name)
        before = self._observed.workload.current
        if before is not None and not before.running:
            self._engine.stop(self._spec.name, STOP_TIMEOUT)  # it did not run before: leave it as it was


def describe_image(reference: str, image: ImageFacts, version: str = "") -> str:
    """An image for a person: ``registry:3 (3.1.1, sha256:1c9f2a0b7d31)``. ``version`` is what it says of itself."""
    digest = image.repo_digests[0].partition("@")[2] if image.repo_digests else image.id
    return f"{reference} ({', '.join(filter(None, (version or image.version, short(digest))))})"
