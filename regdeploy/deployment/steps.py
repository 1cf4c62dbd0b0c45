"""The steps a plan is made of: one frozen class each, every one with its cause in words the user reads.

A step without fields of its own needs no decorator: it inherits all that ``Step`` has, and equals only its own kind.
``interrupts`` marks a step during which clients are refused; ``destroys`` one after which something is gone. A new
step is a class here, a line in ``plan`` that asks for it, and a case in ``apply`` that does it.
"""

from __future__ import annotations

from pathlib import Path

from regdeploy.deployment.migration import Migration
from regdeploy.frozen import frozen
from regdeploy.secret import Secret


@frozen
class Step:
    """What every step has."""

    why: str
    interrupts: bool = False
    destroys: bool = False


@frozen
class MakeFolders(Step):
    """Make the folders of the layout that are missing."""

    folders: tuple[tuple[Path, int], ...]


@frozen
class MakeSecret(Step):
    """Make the registry's upload-state secret, or go on with ``given``, so that uploads under way go on too."""

    given: Secret | None = None


@frozen
class WriteConfig(Step):
    """Write the registry's config.yml; ``unread_by`` is the start of the container that goes on with another one."""

    text: str
    unread_by: str = ""


@frozen
class SetPassword(Step):
    """Give ``user`` a password: the one that was given, or a random one that is shown once."""

    user: str
    generated: bool


@frozen
class FetchImage(Step):
    """Have the image on the engine: from ``archive``, or pulled."""

    reference: str
    archive: Path | None


@frozen
class IssueCertificate(Step):
    """Obtain a certificate from the spec's source and store it as a new version; nothing serves it yet."""

    names: tuple[str, ...]


@frozen
class InstallCertificate(Step):
    """Make a stored version current; ``version`` is None for the one issued just before."""

    version: int | None
    domain: str


@frozen
class SetAside(Step):
    """Let ``chosen`` be the newest version that counts: those in ``newer`` (ascending) are passed over from now on."""

    chosen: int
    newer: tuple[int, ...]


@frozen
class BeginMigration(Step):
    """Write down which hand-made registry is being taken over: whatever is killed, the next run goes on with it."""

    migration: Migration


@frozen
class BringFiles(Step):
    """Bring certificates, users, secrets and settings from the root folder that the deployment had."""

    old_root: Path


@frozen
class RetireRoot(Step):
    """Have no command take the root folder that the deployment had for it any more; nothing in it is deleted."""

    old_root: Path


@frozen
class KeepAccess(Step):
    """Let those log in who could: the users of another htpasswd, given as its text."""

    htpasswd: Secret


@frozen
class KeepSettings(Step):
    """Write the registry's further variables, which regdeploy has no setting for, and the files that they name."""

    variables: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...] = ()


@frozen
class MoveAside(Step):
    """Give a certificate and key that lie where links of ours belong another name, unchanged."""

    files: tuple[tuple[Path, Path], ...]


@frozen
class CopyData(Step):
    """Copy what the registry at ``source`` stores, while it serves."""

    source: Path


@frozen
class CopyRest(Step):
    """Copy what came since; the registry at ``source`` is stopped. With ``move`` all of it, and nothing stays there."""

    source: Path
    move: bool = False


@frozen
class ListImages(Step):
    """Ask the old registry, at ``address``, what it holds: its images lie outside this host. ``full`` is every digest.

    One that does not say, such as one that asks for a password, is not compared, and the migration goes on.
    """

    address: str
    full: bool


@frozen
class RenameWorkload(Step):
    """Give the container ``found`` the deployment's name."""

    found: str


@frozen
class VerifyImages(Step):
    """Ask the new registry for all that the old one at ``source`` has, by digest; ``full`` hashes every blob.

    Without a ``source`` it is what the old one said that it holds.
    """

    source: Path | None
    full: bool


class EndMigration(Step):
    """The migration is over: what was written down of it is forgotten as soon as history has it."""


@frozen
class StopWorkload(Step):
    """Stop the running container because it holds a port that a step needs, or so that nothing changes any more.

    For the latter it need not be ``cleared``: the engine may hold its ports for a moment more.
    """

    cleared: bool = True


class PrepareWorkload(Step):
    """Create the new container beside the old one; nothing is stopped."""


class ActivateWorkload(Step):
    """Stop the old container, put the new one in its place and start it."""


class StartWorkload(Step):
    """Start the container that is there."""


class RestartWorkload(Step):
    """Restart the container: a registry reads its certificate only at start."""


class VerifyServing(Step):
    """Ask the endpoint for the certificate and for /v2/; if they are wrong, the one before comes back."""


@frozen
class SettleWorkload(Step):
    """Remove the container that was replaced, or keep it, stopped, under ``keep_as``."""

    keep_as: str | None = None


class RemoveCandidate(Step):
    """Remove a prepared container that is not wanted any more."""


class InstallTimer(Step):
    """Have systemd renew the certificate by itself."""


class SaveSpec(Step):
    """Write the spec to regdeploy.toml."""


@frozen
class Together(Step):
    """Lanes of steps done at the same time; all must succeed."""

    lanes: tuple[tuple[Step, ...], ...]


#: What a step is called in ``--json`` and in history, and what it does, for a person.
WORDS: dict[type[Step], tuple[str, str]] = {
    MakeFolders: ("make-folders", "make folders"),
    MakeSecret: ("make-secret", "make the upload secret"),
    WriteConfig: ("write-config", "write config.yml"),
    BeginMigration: ("begin-migration", "note what is taken over"),
    BringFiles: ("bring-files", "bring certificates and users"),
    RetireRoot: ("retire-root", "retire the old folder"),
    KeepAccess: ("keep-access", "keep who may log in"),
    KeepSettings: ("keep-settings", "keep its settings"),
    MoveAside: ("move-aside", "rename files in the way"),
    CopyData: ("copy-data", "copy the images"),
    CopyRest: ("copy-rest", "copy what came since"),
    ListImages: ("list-images", "see what it holds"),
    RenameWorkload: ("rename-workload", "rename the container"),
    VerifyImages: ("verify-images", "verify every image"),
    EndMigration: ("end-migration", "forget the note"),
    SetPassword: ("set-password", "set a password"),
    FetchImage: ("fetch-image", "fetch the image"),
    IssueCertificate: ("issue-certificate", "obtain a certificate"),
    InstallCertificate: ("install-certificate", "make the certificate current"),
    SetAside: ("set-aside", "set newer versions aside"),
    StopWorkload: ("stop-workload", "stop the container"),
    PrepareWorkload: ("prepare-workload", "create the container"),
    ActivateWorkload: ("activate-workload", "start it in its place"),
    StartWorkload: ("start-workload", "start the container"),
    RestartWorkload: ("restart-workload", "restart the container"),
    VerifyServing: ("verify-serving", "verify what is served"),
    SettleWorkload: ("settle-workload", "clear away the old container"),
    RemoveCandidate: ("remove-candidate", "remove a prepared container"),
    InstallTimer: ("install-timer", "install the renewal timer"),
    SaveSpec: ("save-spec", "save regdeploy.toml"),
}


def flat(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps one after the other, lanes opened."""
    flattened: list[Step] = []
    for step in steps:
        if isinstance(step, Together):
            for lane in step.lanes:
                flattened.extend(flat(lane))
        else:
            flattened.append(step)
    return tuple(flattened)
