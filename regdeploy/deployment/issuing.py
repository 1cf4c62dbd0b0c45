"""The certificate's steps of a plan: order it, put it in place, set others aside. Decides nothing, as ``apply``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import assert_never

from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.obtain import obtain
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.steps import InstallCertificate, IssueCertificate, SetAside
from regdeploy.deployment.world import World
from regdeploy.errors import HostError, RegdeployError
from regdeploy.registry.environment import certificate_name
from regdeploy.tls.acme.settings import AcmeSettings, DirectoryFacts
from regdeploy.tls.attempts import LOST, Attempt, write_attempts
from regdeploy.tls.renewal import renew_after
from regdeploy.tls.store import CertificateStore

_KEPT_VERSIONS = 3


class Issuing:
    """The certificates of one plan that is being carried out.

    ``acme`` and ``directory`` are there when one is to be ordered; ``cancel`` ends an order; what is to be done where a
    later step fails is added to ``undo``.
    """

    def __init__(
        self,
        spec: Spec,
        observed: Observed,
        world: World,
        *,
        acme: AcmeSettings | None,
        directory: DirectoryFacts | None,
        cancel: threading.Event,
        undo: list[Callable[[], None]],
    ) -> None:
        self._spec = spec
        self._observed = observed
        self._world = world
        self._acme = acme
        self._directory = directory
        self._cancel = cancel
        self._undo = undo
        self._layout = Layout(spec.root)
        self._store = CertificateStore(self._layout.certs)
        self._current = observed.certificates.current
        self._issued: int | None = None
        self._attempts = observed.attempts

    def do(self, step: IssueCertificate | InstallCertificate | SetAside, report: Callable[[str], None]) -> str:
        """Do ``step``, and say what came of it. Raises AcmeError, CertificateError and HostError."""
        match step:
            case IssueCertificate():
                return self._issue(step, report)
            case InstallCertificate():
                return self._install(step)
            case SetAside():
                return self._set_aside(step)
            case _:
                assert_never(step)

    def fingerprint(self) -> str:
        """SHA-256 of the leaf in place, lower hex; empty when there is none, it is broken, or none is to be served."""
        facts = self._store.read() if self._spec.tls is not Tls.OFF else None
        for version in facts.versions if facts else ():
            if facts and version.number == facts.current and not version.problem:
                return version.leaf.fingerprint_sha256
        return ""

    def mark_deployed(self) -> None:
        """Record that the one in place has been seen served. Raises HostError and CertificateError."""
        if self._current is not None and self._spec.tls is not Tls.OFF:
            self._store.mark_deployed(self._current, self._world.now())

    def prune(self) -> None:
        """Keep the newest few. Raises HostError."""
        if self._spec.tls is not Tls.OFF:
            self._store.prune(_KEPT_VERSIONS, certificate_name(self._spec.domain))

    def _issue(self, step: IssueCertificate, report: Callable[[str], None]) -> str:
        asked = self._spec.tls is Tls.ACME
        with self._store.room() as room:  # before a CA is asked: what it gives is counted, kept or not
            bundle, how, directory = obtain(
                self._spec,
                self._observed,
                self._world,
                acme=self._acme,
                directory=self._directory,
                report=report,
                cancel=self._cancel,
                note=self._note,
            )
            attempt = Attempt(
                at=self._world.now(),
                challenge=how,
                directory=directory if directory != self._spec.acme_directory else "",
            )
            try:
                self._issued = self._store.add(
                    bundle,
                    source=self._spec.tls.value,
                    directory=directory,
                    issued_at=attempt.at,
                    names=step.names,
                    profile=self._spec.profile if asked else "",
                    room=room,
                )
            except HostError as error:
                self._note(replace(attempt, problem=LOST, words=f"issued, and could not be kept: {error}"))
                raise
        self._note(attempt)
        until = f"until {bundle.leaf.not_after:%Y-%m-%d}"
        if self._spec.tls is Tls.FILES:
            return f"{bundle.leaf.issuer_name}, {how}, {until}"
        return f"{bundle.leaf.issuer_name}, {how}, {until}, due for renewal {renew_after(bundle.leaf):%Y-%m-%d}"

    def _install(self, step: InstallCertificate) -> str:
        number = step.version or self._issued
        assert number is not None, "the plan issues before it installs"
        before = self._current
        self._undo.append(lambda: self._store.switch(before))
        self._store.install(number, certificate_name(step.domain))
        self._current = number
        return f"version {number:04}"

    def _set_aside(self, step: SetAside) -> str:
        """The chosen one first, then the newer, ascending: at a kill the newest that counts is it or the one before."""
        before = {version.number: version.set_aside for version in self._observed.certificates.versions}
        now = self._world.now()
        for number, at in ((step.chosen, None), *((newer, now) for newer in step.newer)):
            self._undo.append(partial(self._store.set_aside, number, before[number]))
            self._store.set_aside(number, at)
        return ", ".join(f"{number:04}" for number in step.newer)

    def _note(self, attempt: Attempt) -> None:
        """Write down how one ended. Not to be able to is no reason to lose a certificate."""
        if self._attempts is None:
            return
        again = self._attempts is not self._observed.attempts
        self._attempts = self._attempts.with_attempt(replace(attempt, again=again))
        with suppress(RegdeployError):
            write_attempts(self._layout.attempts, self._attempts)
