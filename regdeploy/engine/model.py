"""What runs and what should run, as values: no engine, no network, nothing heavy.

A :class:`Workload` is what the engine is asked for; :class:`ContainerFacts` and its siblings are what the engine
said. All are frozen; environments are left out of ``repr`` because they may hold secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from regdeploy.frozen import frozen

LABEL_DEPLOYMENT = "io.regdeploy.deployment"
"""The deployment's name. A container without this label was made by somebody else and is not ours to remove."""
LABEL_VERSION = "io.regdeploy.version"
LABEL_SPEC = "io.regdeploy.spec"
LABEL_FILES = "io.regdeploy.files"

ContainerState = Literal["created", "running", "restarting", "exited", "paused", "dead"]
Health = Literal["healthy", "unhealthy", "starting", "none"]
MountKind = Literal["bind", "volume", "tmpfs"]

_ANONYMOUS = re.compile(r"[0-9a-f]{64}")


def candidate_name(name: str) -> str:
    """Name of the container that is to replace NAME."""
    return f"{name}-next"


def previous_name(name: str) -> str:
    """Name of the container that NAME has replaced, kept until NAME is proved."""
    return f"{name}-previous"


@dataclass(frozen=True)
class Mount:
    """Something of the host (``source``: absolute path or volume name) at ``target`` in the container."""

    source: str
    target: str
    read_only: bool = False
    kind: MountKind = "bind"
    volume_path: str = field(default="", compare=False)
    """The folder of a volume on the engine's host, as the engine says; empty where nobody asked for it."""
    volume_driver: str = field(default="", compare=False)
    """Who keeps the volume: ``local``, or the name of a plugin."""

    @property
    def path(self) -> str:
        """The folder (or file) on the engine's host, which is there with the container stopped as well.

        Empty where there is none, or none that is known: a tmpfs, a volume of a plugin or of a network file system,
        which is only mounted while a container that uses it runs.
        """
        return self.source if self.kind == "bind" else self.volume_path

    @property
    def anonymous(self) -> bool:
        """Whether it is a volume that nobody has named: of ``-v /folder``, or of an image's VOLUME."""
        return self.kind == "volume" and _ANONYMOUS.fullmatch(self.source) is not None


@dataclass(frozen=True)
class Publish:
    """TCP ``host_ip:host_port`` of the host leads to ``container_port``; an empty ``host_ip`` is every address."""

    host_ip: str
    host_port: int
    container_port: int


@frozen
class Workload:
    """One container as it should be.

    Always, and so not in here: every capability dropped but ``cap_add``, a read-only root file system, no new
    privileges, restart ``unless-stopped``, logs of kind json-file.
    """

    name: str
    image: str
    """The reference as the user wrote it; what is started is ``image_id``."""
    image_id: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    mounts: tuple[Mount, ...] = ()
    publishes: tuple[Publish, ...] = ()
    command: tuple[str, ...] | None = None
    """None leaves the image's own command."""
    labels: Mapping[str, str] = field(default_factory=dict)
    tmpfs: tuple[str, ...] = ("/tmp",)  # noqa: S108 - a path inside the container, whose root is read-only
    cap_add: tuple[str, ...] = ("NET_BIND_SERVICE",)
    stop_timeout: int = 40
    """Seconds between SIGTERM and SIGKILL."""
    pids_limit: int = 4096
    log_max_size: str = "10m"
    log_max_files: int = 3
    selinux_relabel: bool = False
    """Give bind mounts the shared SELinux label (``:z``)."""
    host_userns: bool = False
    """Leave the engine's user-namespace remapping for this container."""


@frozen
class Attachment:
    """A network that a container is in."""

    network: str
    aliases: tuple[str, ...] = ()
    """The names it was given there, without its own and its id."""
    address: str = ""
    """The IPv4 address that was asked for; empty where the engine chose."""


@frozen
class ContainerFacts:
    """One container as the engine describes it. Times are aware UTC."""

    id: str
    name: str
    state: ContainerState
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    """None unless it has run and ended."""
    health: Health = "none"
    error: str = ""
    """The engine's words on why it could not be started."""
    image: str = ""
    """The reference it was created from."""
    image_id: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The image's own variables included."""
    mounts: tuple[Mount, ...] = ()
    publishes: tuple[Publish, ...] = ()
    """TCP ports only."""
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    cap_drop: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    read_only: bool = False
    no_new_privileges: bool = False
    pids_limit: int | None = None
    restart_policy: str = ""
    restart_retries: int = 0
    """How often ``on-failure`` tries; 0 is for ever."""
    auto_remove: bool = False
    """Whether the engine removes it, with its anonymous volumes, as soon as it stops (``--rm``)."""
    stop_timeout: int | None = None
    log_options: Mapping[str, str] = field(default_factory=dict)
    """Those of json-file."""
    log_driver: str = ""
    log_driver_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Whatever the driver; they may hold secrets (``splunk-token``)."""
    network_mode: str = ""
    networks: tuple[Attachment, ...] = ()
    """By name; the default ``bridge`` included."""
    user: str = ""
    """Empty is root."""
    hostname: str = ""
    """Empty where the engine chose it: then it is the short id."""
    working_dir: str = ""
    privileged: bool = False
    healthcheck: bool = False
    """Whether it has one, its image's own included."""
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What else it was started with, by the flag of ``docker run``: ``{"--memory": ("512m",)}``.

    The flags are those of :mod:`regdeploy.engine.run_flags`, limits, devices, DNS and links among them.
    """
    layer: str = ""
    """The folder on the engine's host with all that was written in it, mounts aside; empty where it is not known."""
    lower: tuple[str, ...] = ()
    """The folders below ``layer``, which are its image's, the uppermost first."""
    userns_mode: str = ""
    selinux_relabel: bool = False
    """Whether the host's folders in it were given an SELinux label for it (``:z``, ``:Z``)."""

    @property
    def deployment(self) -> str:
        """Name of the deployment that made it, or empty: somebody else did."""
        return self.labels.get(LABEL_DEPLOYMENT, "")

    @property
    def running(self) -> bool:
        """Whether it serves, or may at any moment: running or between two restarts."""
        return self.state in ("running", "restarting", "paused")


@dataclass(frozen=True)
class ObservedWorkload:
    """What there is of workload NAME: the containers NAME, NAME-next and NAME-previous."""

    current: ContainerFacts | None = None
    candidate: ContainerFacts | None = None
    previous: ContainerFacts | None = None


@frozen
class ImageFacts:
    """One image that the engine has."""

    id: str
    tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    architecture: str = ""
    os: str = ""
    size: int = 0
    """Bytes on disk, layers shared with other images included."""
    created: str = ""
    """RFC 3339, as the image says."""
    version: str = ""
    """The label ``org.opencontainers.image.version``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    """Digests of the unpacked layers, the lowest first."""

    def is_same(self, other: ImageFacts) -> bool:
        """Whether ``other`` is this image, by whatever the two are called.

        An engine with containerd's image store calls an image by its manifest, an archive by its configuration: then
        what they are made of decides.
        """
        return self.id == other.id or (bool(self.layers) and self._content == other._content)

    @property
    def _content(self) -> tuple[object, ...]:
        run = (self.entrypoint, self.command, dict(self.environment))
        return (self.layers, *run, self.os, self.architecture, self.version)


@frozen
class EngineFacts:
    """The engine itself."""

    version: str
    api_version: str
    """The newest that the engine speaks."""
    os: str
    architecture: str
    url: str
    remote: bool
    """Whether its host is (or may be) another one than ours: then host paths and ports are not ours to look at."""
    rootless: bool
    userns_remap: bool
    selinux: bool
    data_root: str
    runtime_name: Literal["docker", "podman"] = "docker"


@dataclass(frozen=True)
class PullProgress:
    """How far a pull or load is. ``total_bytes`` grows while layers are discovered; 0 is not known yet."""

    done_bytes: int
    total_bytes: int
    note: str = ""
