"""Which earlier state a rollback goes back to, and with which certificate. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from regdeploy.deployment.certificates import newest_fitting, why_unusable
from regdeploy.deployment.history import Entry, Kept, State
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.standing import wants_renewal
from regdeploy.errors import UsageError
from regdeploy.frozen import frozen
from regdeploy.tls.renewal import due_at
from regdeploy.tls.store import StoredVersion

HINT = "`regdeploy history` lists what was done"


@frozen
class Present:
    """The deployment as it is: ``state``, and the id of the image that the saved reference names now, if any."""

    state: State
    named: str

    def differs(self, other: State) -> bool:
        """Whether ``other`` is another deployment than this one, or than the next ``up`` would make of it."""
        if other.saved != self.state.saved or not other.image_id:
            return other.saved != self.state.saved
        return other.image_id != self.state.image_id or self.named not in ("", other.image_id)


@frozen
class Target:
    """What is gone back to: the state after ``entry``, or with ``before`` what was in its place before regdeploy."""

    entry: Entry
    before: bool = False


def find_target(entries: Sequence[Entry], number: int | None, present: Present) -> Target:
    """The state after entry ``number``; 0 is what was before regdeploy, None the last that differs from the present.

    Of the last, spec and image count: where no state differs in those, the certificate does. Pure. Raises UsageError
    where there is none.
    """
    if number is not None:
        return _numbered(entries, number)
    for entry in reversed(entries):
        if entry.state is not None and present.differs(entry.state):
            return Target(entry=entry)
        if entry.replaced is not None:
            return Target(entry=entry, before=True)
    for entry in reversed(entries):
        other = entry.state.certificate if entry.state is not None else None
        if other is not None and other != present.state.certificate:
            return Target(entry=entry)
    raise UsageError("history", "has no earlier state that differs from the present one", HINT)


def _numbered(entries: Sequence[Entry], number: int) -> Target:
    where = f"entry {number}"
    if number == 0:
        strangers = [entry for entry in entries if entry.replaced is not None]
        if not strangers:
            raise UsageError("--to", "0 is what was before regdeploy, and there was no other registry", HINT)
        return Target(entry=strangers[-1], before=True)
    found = next((entry for entry in entries if entry.number == number), None)
    if found is None:
        there = f"there are {entries[0].number} to {entries[-1].number}" if entries else "there are none"
        raise UsageError(where, f"is not in history; {there}", HINT)
    if found.error:
        raise UsageError(where, f"failed, and was undone: {found.operation} left no state of its own", HINT)
    if found.state is None:
        raise UsageError(where, f"does not say what the registry was after it: {found.operation}", HINT)
    return Target(entry=found)


def before_regdeploy(entry: Entry) -> Kept | None:
    """The hand-made container that was in the registry's place before ``entry``; None where that was regdeploy's."""
    return entry.replaced


def choose_certificate(state: State, spec: Spec, observed: Observed, now: datetime) -> tuple[StoredVersion | None, str]:
    """The stored version that was in use then, where it is to be chosen, and why it is not where it cannot be. Pure."""
    newest = newest_fitting(spec, observed, now)
    if spec.tls is Tls.OFF or state.certificate is None or (newest and newest.number == state.certificate):
        return None, ""
    where = f"the certificate is not version {state.certificate:04} again"
    version = next((one for one in observed.certificates.versions if one.number == state.certificate), None)
    if version is None:
        return None, f"{where}: it is not stored any more"
    why = why_unusable(version, spec, observed, now)
    if not why and wants_renewal(spec) and due_at(version.leaf, observed.attempts) <= now:
        why = f"it is due for renewal since {due_at(version.leaf, observed.attempts):%Y-%m-%d}"
    return (None, f"{where}: {why}") if why else (version, "")
