"""Carries out the steps by which a hand-made registry is taken over: notes, access, copies, proof.

Nothing is undone here but names: what was copied serves the next try, and the note of the migration says how to go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from regdeploy.deployment.bringing import bring, bring_back, retire
from regdeploy.deployment.checks import human_bytes
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.reporting import Event, Reporter
from regdeploy.deployment.request import read_text
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.steps import (
    BeginMigration,
    BringFiles,
    CopyData,
    CopyRest,
    EndMigration,
    KeepAccess,
    KeepSettings,
    ListImages,
    MoveAside,
    RetireRoot,
    Step,
    VerifyImages,
)
from regdeploy.deployment.world import World
from regdeploy.errors import RegdeployError, VerifyFailed
from regdeploy.files import make_folder, refusal, sync_folder, write_whole
from regdeploy.registry import users

if TYPE_CHECKING:
    from regdeploy.registry.inventory import Inventory
    from regdeploy.registry.listing import Listing
    from regdeploy.registry.progress import Progress
    from regdeploy.registry.transfer import Outcome, Transfer

TakeoverStep = (
    BeginMigration
    | BringFiles
    | RetireRoot
    | KeepAccess
    | KeepSettings
    | MoveAside
    | CopyData
    | CopyRest
    | ListImages
    | VerifyImages
    | EndMigration
)
_SHOWN = 10


class Takeover:
    """One migration being carried out, for one run. ``cancel`` ends a copy from another thread."""

    def __init__(
        self, spec: Spec, observed: Observed, world: World, reporter: Reporter, cancel: threading.Event
    ) -> None:
        self._spec = spec
        self._migration = observed.migration
        self._world = world
        self._reporter = reporter
        self._cancel = cancel
        self._layout = Layout(spec.root)
        self._transfer: Transfer | None = None
        self._over = False

    def do(self, step: TakeoverStep, undo: list[Callable[[], None]]) -> str:
        """Do ``step`` and say what came of it; what takes it back is added to ``undo``. Raises HostError, VerifyFailed.

        Killed at any moment, the same step does what is left.
        """
        match step:
            case CopyData():
                return _words(self._transfer_from(step).run(self._report(step), self._cancel.is_set))
            case CopyRest() if step.move:
                return self._move(step, undo)
            case CopyRest():
                return _words(self._transfer_from(step).catch_up(self._report(step), self._cancel.is_set))
            case ListImages():
                return self._list(step)
            case VerifyImages():
                return self._verify(step)
            case KeepAccess():
                return self._keep_access(step)
            case _:
                self._write(step, undo)
                return ""

    def _write(
        self,
        step: BeginMigration | BringFiles | RetireRoot | KeepSettings | MoveAside | EndMigration,
        undo: list[Callable[[], None]],
    ) -> None:
        match step:
            case BeginMigration():
                write_whole(self._layout.migration, step.migration.to_json(), 0o600)
            case BringFiles():
                bring(step.old_root, self._spec.root)
            case RetireRoot():
                retire(step.old_root)
            case KeepSettings():
                self._keep_settings(step)
            case MoveAside():
                self._move_aside(step, undo)
            case EndMigration():
                self._over = True
            case _:
                assert_never(step)

    def _keep_settings(self, step: KeepSettings) -> None:
        from regdeploy.registry.variables import write_extra  # noqa: PLC0415 - only where something is carried over

        if step.files:
            make_folder(self._layout.carried, 0o700)
        for name, text in step.files:
            write_whole(self._layout.carried / name, text.encode(), 0o600)
        write_whole(self._layout.environment, write_extra(dict(step.variables)).encode(), 0o600)

    def _keep_access(self, step: KeepAccess) -> str:
        kept, dropped = users.take_over(step.htpasswd.reveal(), self._layout.htpasswd)
        words = f"{len(kept)} users: {', '.join(kept[:_SHOWN])}"
        return f"{words}; not kept, for want of bcrypt: {', '.join(dropped)}" if dropped else words

    def _move_aside(self, step: MoveAside, undo: list[Callable[[], None]]) -> None:
        for before, after in step.files:
            try:
                before.rename(after)
                sync_folder(after.parent)
            except OSError as error:
                raise refusal(before, error) from error
            undo.append(partial(_rename_back, after, before))

    def _transfer_from(self, step: CopyData | CopyRest) -> Transfer:
        """One for both passes: the second knows what the first has seen."""
        if self._transfer is None:
            self._transfer = self._new_transfer(step.source, move=False)
        return self._transfer

    def _move(self, step: CopyRest, undo: list[Callable[[], None]]) -> str:
        """Move the images, and say where they belong first: whoever goes back brings them back."""
        write_whole(self._layout.moved_images, f"{step.source}\n".encode(), 0o600)
        undo.append(partial(bring_back, self._spec.root))
        return _words(self._new_transfer(step.source, move=True).run(self._report(step), self._cancel.is_set))

    def _new_transfer(self, source: Path, *, move: bool) -> Transfer:
        from regdeploy.registry.transfer import Transfer  # noqa: PLC0415 - only where something is copied

        leave = self._migration is not None and self._migration.leave_damaged
        return Transfer(source, self._layout.data, damaged="leave-out" if leave else "stop", move=move)

    def _report(self, step: Step) -> Callable[[Progress], None]:
        def report(progress: Progress) -> None:
            self._reporter.event(
                Event(
                    step=step,
                    phase="under way",
                    words=progress.words,
                    done_bytes=progress.done_bytes,
                    total_bytes=progress.total_bytes,
                )
            )

        return report

    def _list(self, step: ListImages) -> str:
        """Note what the old one says that it holds. Nothing that it answers, or does not, ends a migration."""
        from regdeploy.registry.listing import write_listing  # noqa: PLC0415 - only where images lie outside this host

        assert self._migration is not None, "planned only where there is one"
        try:
            listing = self._world.endpoint.listing(
                step.address, full=step.full, report=self._report(step), cancelled=self._cancel.is_set
            )
        except RegdeployError as error:
            if not error.code.startswith("registry."):
                raise
            _remove(self._layout.listed)  # of an earlier try: clients may have deleted some of it since
            return f"{_silence(error)}: what it holds is not compared"
        write_whole(self._layout.listed, write_listing(listing, self._migration.container), 0o600)
        return listing.words

    def _expected(self, source: Path | None) -> Inventory | Listing | None:
        """What the new one must hold; None where that is not known."""
        assert self._migration is not None, "planned only where there is one"
        if source is None:
            from regdeploy.registry.listing import read_listing  # noqa: PLC0415 - as in _list

            text = read_text(self._layout.listed)
            return None if text is None else read_listing(text, self._layout.listed, self._migration.container)
        from regdeploy.registry.inventory import read_inventory  # noqa: PLC0415 - only where a migration ends

        # Of images that were moved the old folder has none any more; their digests were checked on the way.
        incomplete = self._migration.leave_damaged or self._migration.move
        return read_inventory(self._layout.data if incomplete else source)

    def _verify(self, step: VerifyImages) -> str:
        expected = self._expected(step.source)
        if expected is None:
            return "nothing: what the old one holds is not known"
        login = users.temporary_user(self._layout.htpasswd) if self._spec.auth else nullcontext(None)
        with login as known:
            found = self._world.endpoint.prove(
                self._spec,
                known,
                expected,
                full=step.full,
                report=self._report(step),
                cancelled=self._cancel.is_set,
            )
        if found:
            more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            shown = "; ".join(map(str, found[:_SHOWN])) + more
            raise VerifyFailed(
                f"images of {self._spec.name}", shown, "nothing of the old registry was touched, and it serves again"
            )
        tags = sum(len(repository.tags) for repository in expected.repositories.values())
        more = "as before" if step.source is None else f"{len(expected.blobs)} blobs"
        return f"{len(expected.repositories)} repositories, {tags} tags, {more}"

    def forget(self) -> None:
        """Once it is over, and history has it: remove what was written down of it. Raises HostError.

        Killed before, the next run finds a migration of which nothing else is left to do.
        """
        if not self._over:
            return
        _remove(self._layout.listed)
        _remove(self._layout.migration)  # last: by it the other one is found


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise refusal(path, error) from error


def _silence(error: RegdeployError) -> str:
    """Why a registry did not say what it holds."""
    words = {"registry.login": "it asks for a password", "registry.answer": f"it {error.what}"}
    return " ".join(words.get(error.code, error.what).split())


def _rename_back(now: Path, before: Path) -> None:
    try:
        now.replace(before)
    except OSError as error:
        raise refusal(now, error) from error


def _words(outcome: Outcome) -> str:
    parts = [f"{outcome.linked_files} linked"] if outcome.linked_files else []
    if outcome.copied_bytes:
        parts.append(f"{human_bytes(outcome.copied_bytes)} copied")
    return ", ".join(parts) or "nothing to copy"
