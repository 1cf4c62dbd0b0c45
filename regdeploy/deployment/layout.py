"""Where everything lies below the root, and with which mode. The one place that knows these paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The paths of one deployment. See the README's "What lies where" for the same list in words."""

    root: Path

    #: Folder and mode, parents first. What is mounted is readable by the container; what is secret is not mounted.
    MODES = (
        ("", 0o711),
        ("data", 0o755),
        ("certs", 0o711),
        ("certs/versions", 0o711),
        ("auth", 0o711),
        ("config", 0o755),
        ("acme", 0o700),
        ("secrets", 0o700),
    )

    @property
    def folders(self) -> tuple[tuple[Path, int], ...]:
        """Every folder with its mode, parents first."""
        return tuple((self.root / name, mode) for name, mode in self.MODES)

    @property
    def data(self) -> Path:
        """The registry's storage, mounted."""
        return self.root / "data"

    @property
    def certs(self) -> Path:
        """Certificates by version, mounted read-only."""
        return self.root / "certs"

    @property
    def auth(self) -> Path:
        """The folder of htpasswd, mounted read-only as a folder: a mounted file would not see a rename."""
        return self.root / "auth"

    @property
    def htpasswd(self) -> Path:
        """Who may log in."""
        return self.auth / "htpasswd"

    @property
    def config(self) -> Path:
        """The folder of config.yml, mounted read-only over the image's own."""
        return self.root / "config"

    @property
    def config_file(self) -> Path:
        """What the registry reads beside its environment."""
        return self.config / "config.yml"

    @property
    def acme(self) -> Path:
        """ACME accounts; never mounted."""
        return self.root / "acme"

    @property
    def attempts(self) -> Path:
        """What was tried to get a certificate, and what the CA said of renewing it."""
        return self.acme / "attempts.json"

    @property
    def unread(self) -> Path:
        """Which start of the container may have read another config.yml than the one that is there."""
        return self.config / "unread"

    @property
    def runs(self) -> Path:
        """What the timer, the agent or cron did."""
        return self.acme / "runs.json"

    @property
    def stopped(self) -> Path:
        """The id of the container that is stopped for a challenge at this moment, or was when a run was killed."""
        return self.acme / "stopped"

    @property
    def undeployed(self) -> Path:
        """What was tried to have a certificate served that was not."""
        return self.acme / "undeployed.json"

    @property
    def hooks(self) -> Path:
        """The hooks that failed and are to be called again."""
        return self.acme / "hooks.json"

    @property
    def authority(self) -> Path:
        """The private CA of ``--tls internal``; never mounted, made only where it is used."""
        return self.root / "ca"

    @property
    def secrets(self) -> Path:
        """What is secret and regdeploy's own."""
        return self.root / "secrets"

    @property
    def http_secret(self) -> Path:
        """The registry's upload-state secret: fixed, so that an upload survives a replaced container."""
        return self.secrets / "http.secret"

    @property
    def migration(self) -> Path:
        """The hand-made registry that is being taken over; there only until that is done."""
        return self.secrets / "migration.json"

    @property
    def listed(self) -> Path:
        """What that registry said that it holds, where its images lie outside this host; there as long as that."""
        return self.secrets / "listed.json"

    @property
    def copied_from(self) -> Path:
        """The id of the hand-made container whose images lie in data/ although it serves again itself."""
        return self.secrets / "copied-from"

    @property
    def moved_images(self) -> Path:
        """The folder that the images in data/ were moved out of; there only while they belong back there at an undo."""
        return self.secrets / "moved-images"

    @property
    def environment(self) -> Path:
        """Further variables of the registry's container; may hold credentials of its storage."""
        return self.secrets / "environment"

    @property
    def carried(self) -> Path:
        """Files that those variables name, such as the key to a bucket; in the container they are below /carried."""
        return self.secrets / "carried"

    @property
    def first_password(self) -> Path:
        """The generated password, until it has been shown once."""
        return self.secrets / "first-password"

    @property
    def saved(self) -> Path:
        """The saved spec."""
        return self.root / "regdeploy.toml"

    @property
    def retired(self) -> Path:
        """The saved spec of a deployment that has moved to another root folder."""
        return self.root / "regdeploy.toml.moved"

    @property
    def history(self) -> Path:
        """One line an operation."""
        return self.root / "history.jsonl"
