"""The steps a plan is made of: one frozen class each, every one with its cause in words the user reads.

A step without fields of its own needs no decorator: it inherits all that ``Step`` has, and equals only its own kind.
``interrupts`` marks a step during which clients are refused; ``destroys`` one after which something is gone. A new
step is a class here, a line in ``plan`` that asks for it, and a case in ``apply`` that does it.
"""

from __future__ import annotations

from pathlib import Path

from regdeploy.frozen import frozen


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


class MakeSecret(Step):
    """Make the registry's upload-state secret."""


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


class StopWorkload(Step):
    """Stop the running container because it holds a port that a step needs."""


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
