"""Carries out a plan. What applies decides nothing: every choice was made by ``plan``.

A step that fails is undone with all before it: first the files, then the containers, so that a container which comes
back finds what it was started with. A kill undoes nothing; whatever it leaves, the next plan takes for what is there.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import assert_never

from regdeploy.deployment.checks import human_bytes
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.obtain import obtain
from regdeploy.deployment.plan import Plan
from regdeploy.deployment.reporting import Event, Reporter
from regdeploy.deployment.request import read_text
from regdeploy.deployment.saved import changed_text, fresh_text
from regdeploy.deployment.serving import serving_problem
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Resolved, Spec, to_saved
from regdeploy.deployment.steps import (
    ActivateWorkload,
    FetchImage,
    InstallCertificate,
    InstallTimer,
    IssueCertificate,
    MakeFolders,
    MakeSecret,
    PrepareWorkload,
    RemoveCandidate,
    RestartWorkload,
    SaveSpec,
    SetAside,
    SetPassword,
    SettleWorkload,
    StartWorkload,
    Step,
    StopWorkload,
    Together,
    VerifyServing,
    WriteConfig,
)
from regdeploy.deployment.workload import STOP_TIMEOUT, desired_workload, short
from regdeploy.deployment.world import World
from regdeploy.engine.model import ImageFacts, PullProgress, candidate_name
from regdeploy.errors import AcmeError, RegdeployError, VerifyFailed
from regdeploy.files import make_folder, write_whole
from regdeploy.registry import users
from regdeploy.registry.environment import certificate_name
from regdeploy.registry.images import generation_of
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import AcmeSettings, DirectoryFacts
from regdeploy.tls.attempts import Attempt, write_attempts
from regdeploy.tls.renewal import renew_after
from regdeploy.tls.store import CertificateStore, StoreFacts

_LOG_LINES = 20
_ASK_ENGINE_EVERY = 0.3
_KEPT_VERSIONS = 3


class _Abandoned(Exception):  # noqa: N818 - not an error: the other lane has one
    """This lane stops because the other one failed."""


class Application:
    """One plan being carried out. ``run`` is called once.

    ``password`` is what came with the command; ``acme`` and ``directory`` are there when a certificate is to be
    ordered. Reports from two threads at once while lanes run together.
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
    ) -> None:
        self._resolved = resolved
        self._spec: Spec = resolved.spec
        self._observed = observed
        self._world = world
        self._engine = world.engine
        self._reporter = reporter
        self._password = password
        self._acme = acme
        self._directory = directory
        self._layout = Layout(self._spec.root)
        self._store = CertificateStore(self._layout.certs)
        self._image: ImageFacts | None = observed.image
        self._config_text = observed.config_text
        self._current = observed.certificates.current
        self._issued: int | None = None
        self._cancel = threading.Event()
        self._undo_files: list[Callable[[], None]] = []
        self._undo_containers: list[Callable[[], None]] = []

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
        if self._spec.tls is not Tls.OFF:
            self._store.prune(_KEPT_VERSIONS, certificate_name(self._spec.domain))

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
            self._together(step)
            return
        self._reporter.event(Event(step=step, phase="began"))
        started = time.monotonic()
        words = self._words_of(step)
        self._reporter.event(Event(step=step, phase="done", words=words, seconds=time.monotonic() - started))

    def _words_of(self, step: Step) -> str:
        """Do ``step`` and say what came of it."""
        match step:
            case MakeFolders() | MakeSecret() | WriteConfig() | SetPassword() | SaveSpec():
                return self._write(step)
            case FetchImage():
                return self._fetch(step)
            case IssueCertificate():
                return self._issue(step)
            case InstallCertificate():
                return self._install(step)
            case VerifyServing():
                return self._verify()
            case SetAside():
                return self._set_aside(step)
            case InstallTimer():
                return self._install_timer()
            case _:
                return self._container(step)

    def _write(self, step: MakeFolders | MakeSecret | WriteConfig | SetPassword | SaveSpec) -> str:
        match step:
            case MakeFolders():
                for path, mode in step.folders:
                    make_folder(path, mode)
            case MakeSecret():
                write_whole(self._layout.http_secret, secrets.token_hex(32).encode(), 0o600)
            case WriteConfig():
                self._write_config(step)
            case SetPassword():
                self._set_password(step)
            case SaveSpec():
                self._save()
            case _:
                assert_never(step)
        return ""

    def _write_config(self, step: WriteConfig) -> None:
        before, unread = self._config_text, self._observed.config_unread_by
        if before:
            self._undo_files.append(lambda: write_whole(self._layout.unread, f"{unread}\n".encode(), 0o644))
            self._undo_files.append(lambda: write_whole(self._layout.config_file, before.encode(), 0o644))
        if step.unread_by:  # first: once the file is right, nothing else tells that the registry has read another one
            write_whole(self._layout.unread, f"{step.unread_by}\n".encode(), 0o644)
        write_whole(self._layout.config_file, step.text.encode(), 0o644)
        self._config_text = step.text

    def _set_password(self, step: SetPassword) -> None:
        password = self._password
        if step.generated or password is None:
            password = users.generate_password()
            # Written first: a kill between the two must not leave a password that nobody ever saw.
            write_whole(self._layout.first_password, f"{step.user}:{password.reveal()}".encode(), 0o600)
        users.set_password(self._layout.htpasswd, step.user, password)

    def _save(self) -> None:
        values = to_saved(self._spec, self._resolved.sources)
        before = read_text(self._layout.saved)
        text = fresh_text(values, where="saved") if before is None else changed_text(before, values)
        write_whole(self._layout.saved, text.encode(), 0o600)

    def _fetch(self, step: FetchImage) -> str:
        moved = 0

        def report(progress: PullProgress) -> None:
            nonlocal moved
            moved = max(moved, progress.done_bytes)
            if self._cancel.is_set():
                raise _Abandoned
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
        return f"{describe_image(step.reference, self._image)} {how}"

    def _issue(self, step: IssueCertificate) -> str:
        def report(words: str) -> None:
            self._reporter.event(Event(step=step, phase="under way", words=words))

        try:
            bundle, how, directory = obtain(
                self._spec,
                self._observed,
                self._world,
                acme=self._acme,
                directory=self._directory,
                report=report,
                cancel=self._cancel,
            )
        except AcmeError as error:
            self._note(error)
            raise
        self._note(None)
        asked = self._spec.tls is Tls.ACME
        self._issued = self._store.add(
            bundle,
            source=self._spec.tls.value,
            directory=directory,
            issued_at=self._world.now(),
            names=step.names,
            profile=self._spec.profile if asked else "",
        )
        until = f"until {bundle.leaf.not_after:%Y-%m-%d}"
        if self._spec.tls is Tls.FILES:
            return f"{bundle.leaf.issuer_name}, {how}, {until}"
        return f"{bundle.leaf.issuer_name}, {how}, {until}, due for renewal {renew_after(bundle.leaf):%Y-%m-%d}"

    def _note(self, error: AcmeError | None) -> None:
        """Write down how an order ended. Not to be able to is no reason to lose a certificate."""
        if self._observed.attempts is None or (error is not None and error.problem == "cancelled"):
            return
        attempt = Attempt(at=self._world.now())
        if error is not None:
            attempt = Attempt(
                at=attempt.at,
                problem=error.problem or "failed",
                words=str(error),
                retry_after=error.retry_after or 0.0,
            )
        with suppress(RegdeployError):
            write_attempts(self._layout.attempts, self._observed.attempts.with_attempt(attempt))

    def _install(self, step: InstallCertificate) -> str:
        number = step.version or self._issued
        assert number is not None, "the plan issues before it installs"
        before = self._current
        self._undo_files.append(lambda: self._store.switch(before))
        self._store.install(number, certificate_name(step.domain))
        self._current = number
        return f"version {number:04}"

    def _set_aside(self, step: SetAside) -> str:
        """The chosen one first, then the newer, ascending: at a kill the newest that counts is it or the one before."""
        before = {version.number: version.set_aside for version in self._observed.certificates.versions}
        now = self._world.now()
        for number, at in ((step.chosen, None), *((newer, now) for newer in step.newer)):
            self._undo_files.append(partial(self._store.set_aside, number, before[number]))
            self._store.set_aside(number, at)
        return ", ".join(f"{number:04}" for number in step.newer)

    def _install_timer(self) -> str:
        """The registry serves by now: without a timer it goes on to, and ``status`` says that nothing renews it."""
        try:
            self._world.timers.install(self._spec.root, self._spec.name)
        except RegdeployError as error:
            return f"not installed: {error}"
        return ""

    def _verify(self) -> str:
        spec = self._spec
        fingerprint = ""
        if spec.tls is not Tls.OFF:
            fingerprint = current_fingerprint(self._store.read())
        facts = self._world.endpoint.wait(spec, self._stopped())
        problem = serving_problem(spec, facts, fingerprint)
        if problem:
            log = tuple(self._engine.logs(spec.name, _LOG_LINES, follow=False))
            raise VerifyFailed(f"container {spec.name}", problem, "`regdeploy doctor` looks for the cause", log=log)
        if self._current is not None and spec.tls is not Tls.OFF:
            self._store.mark_deployed(self._current, self._world.now())
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
                self._stop()
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
            case RemoveCandidate():
                engine.remove(candidate_name(name))
            case _:
                raise AssertionError(step)
        return ""

    def _stop(self) -> None:
        """Stop it for a moment. Noted before, so that a renewal that is killed meanwhile leaves nobody without it."""
        name, current = self._spec.name, self._observed.workload.current
        if current is not None:
            write_whole(self._layout.stopped, current.id.encode(), 0o600)
        self._undo_containers.append(self._forget_stop)
        self._undo_containers.append(lambda: self._engine.start(name))
        self._engine.stop(name, STOP_TIMEOUT)

    def _forget_stop(self) -> None:
        """It runs again. A note that cannot be taken away does no harm: who finds it looks whether that one runs."""
        with suppress(OSError):
            self._layout.stopped.unlink(missing_ok=True)

    def _prepare(self) -> None:
        secret = read_text(self._layout.http_secret)
        assert self._image is not None, "the plan fetches before it prepares"
        assert secret is not None, "the plan makes the secret before it prepares"
        workload = desired_workload(
            self._spec, self._image, self._observed.engine, Secret(secret.strip()), self._config_text
        )
        self._undo_containers.append(lambda: self._engine.remove(candidate_name(self._spec.name)))
        self._engine.prepare(workload)

    def _restore(self) -> None:
        self._engine.restore(self._spec.name)
        before = self._observed.workload.current
        if before is not None and not before.running:
            self._engine.stop(self._spec.name, STOP_TIMEOUT)  # it did not run before: leave it as it was

    def _together(self, step: Together) -> None:
        """The first lane in a thread, the second here, where Ctrl-C arrives. The first failure ends both."""
        first, second = step.lanes
        with self._lane(first) as other:
            try:
                for inner in second:
                    if other.done() and other.exception() is not None:
                        break
                    self._do(inner)
            except _Abandoned:
                pass  # the reason is the other lane's, and raised below
        other.result()

    @contextmanager
    def _lane(self, steps: tuple[Step, ...]) -> Iterator[Future[None]]:
        def run() -> None:
            for step in steps:
                self._do(step)

        def failed(future: Future[None]) -> None:
            if future.exception() is not None:
                self._cancel.set()

        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lane")
        future = pool.submit(run)
        future.add_done_callback(failed)
        try:
            yield future
        except BaseException:
            self._cancel.set()
            raise
        finally:
            pool.shutdown(wait=True)


def current_fingerprint(facts: StoreFacts) -> str:
    """SHA-256 of the current version's leaf, lower hex; empty when there is none, or it is broken."""
    for version in facts.versions:
        if version.number == facts.current and not version.problem:
            return version.leaf.fingerprint_sha256
    return ""


def describe_image(reference: str, image: ImageFacts, version: str = "") -> str:
    """An image for a person: ``registry:3 (3.1.1, sha256:1c9f2a0b7d31)``. ``version`` is what it says of itself."""
    digest = image.repo_digests[0].partition("@")[2] if image.repo_digests else image.id
    return f"{reference} ({', '.join(filter(None, (version or image.version, short(digest))))})"
