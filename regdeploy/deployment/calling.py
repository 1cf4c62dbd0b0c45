"""The hooks of one renewal being called, and what failed of them being kept for the next."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from regdeploy.deployment.hooks import (
    Hook,
    HookContext,
    begun,
    pending,
    read_failures,
    remembered,
    run_hook,
    write_failures,
)
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.world import World
from regdeploy.errors import RegdeployError
from regdeploy.tls.store import CertificateStore, StoredVersion


class Hooks:
    """Calls the programs that ``spec`` names; ``problems`` are sentences about those that failed."""

    def __init__(self, spec: Spec, world: World) -> None:
        self.problems: list[str] = []
        self._spec = spec
        self._world = world
        self._path = Layout(spec.root).hooks
        self._programs = {Hook.BEFORE: spec.hook_before, Hook.DEPLOY: spec.hook_deploy, Hook.AFTER: spec.hook_after}

    def call(self, hook: Hook, outcome: str = "") -> None:
        """Call one where it is named; noted before, so that a kill meanwhile has it called again. Never raises."""
        program = self._programs[hook]
        if program is None:
            return
        context = self._context(outcome)
        self._keep(hook, program, context)
        failure = run_hook(hook, program, context, self._world.now())
        with suppress(RegdeployError):  # at worst it is called once more
            write_failures(self._path, remembered(read_failures(self._path), hook, failure))
        if failure is not None:
            self.problems.append(str(failure))

    def call_again(self) -> bool:
        """Call the deploy hook where it has not succeeded for the certificate in use; whether there was one to call."""
        current = current_version(self._spec)
        if self._spec.hook_deploy is None or current is None:
            return False
        if pending(read_failures(self._path), Hook.DEPLOY, current.leaf.fingerprint_sha256) is None:
            return False
        self.call(Hook.DEPLOY)
        return True

    def raise_problems(self) -> None:
        """Raise RegdeployError ``hook`` where one failed."""
        if self.problems:
            raise RegdeployError(
                "",
                "; ".join(self.problems),
                "`regdeploy renew` calls a deploy hook again until it succeeds",
                code="hook",
            )

    def _keep(self, hook: Hook, program: Path, context: HookContext) -> None:
        with suppress(RegdeployError):
            noted = begun(hook, program, context, self._world.now())
            write_failures(self._path, remembered(read_failures(self._path), hook, noted))

    def _context(self, outcome: str) -> HookContext:
        spec, current = self._spec, current_version(self._spec)
        folder = Layout(spec.root).certs / "current"
        return HookContext(
            name=spec.name,
            domains=spec.domains,
            root=spec.root,
            certificate=folder / "fullchain.pem" if current else None,
            key=folder / "privkey.pem" if current else None,
            fingerprint=current.leaf.fingerprint_sha256 if current else "",
            not_after=current.leaf.not_after if current else None,
            outcome=outcome,
        )


def current_version(spec: Spec) -> StoredVersion | None:
    """The version that is current on disk, None where there is none, or it is broken."""
    facts = CertificateStore(Layout(spec.root).certs).read()
    found = (version for version in facts.versions if version.number == facts.current and not version.problem)
    return next(found, None)
