"""What is there now, as values. Gathered by ``observe``; read by ``plan``, ``checks`` and ``status``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from pathlib import Path

from regdeploy.deployment.challenge import Challenge
from regdeploy.deployment.migration import Migration
from regdeploy.engine.model import EngineFacts, ImageFacts, ObservedWorkload
from regdeploy.frozen import frozen
from regdeploy.host.disk import DiskFacts
from regdeploy.host.folders import FolderFacts
from regdeploy.host.names import CaaFacts, Resolution
from regdeploy.host.ports import PortHolder
from regdeploy.host.reach import Reached
from regdeploy.host.systemd import TimerFacts
from regdeploy.registry.api import EndpointFacts
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import DirectoryFacts
from regdeploy.tls.attempts import Attempts
from regdeploy.tls.certificate import Bundle
from regdeploy.tls.store import StoreFacts


@frozen
class Observed:
    """The deployment as it is found.

    ``served`` is what the endpoint answered, None when no container runs; ``pair`` is the user's own certificate and
    key, already checked, with ``--tls files``; ``users`` are those of htpasswd; ``password_given`` says that a password
    came with the command and is not yet ``spec.user``'s; ``saved`` is what regdeploy.toml holds, None without one;
    ``challenges`` are the kinds that an order would try, in order, none where no CA is asked; ``attempts`` is what was
    tried for these names at that CA, None where no CA is asked; ``archived`` is the image of an archive that was given
    with the command, None where that is not to be looked at; ``config_unread_by`` is the start of the container that
    may have read another config.yml; ``timer`` is systemd's, None where there is none to be
    had, or none is wanted; ``stopped`` is the id of the container that a run stopped for a challenge and never started;
    ``migration`` is the hand-made registry that is being taken over, ``begun`` that this is written down, and then
    ``workload.current`` is its container, under whatever name, until ours has its place; ``aside`` are files that must
    give way to links of ours, each with its new name; ``listed`` that the old one's images lie outside this host, and
    it was written down what it holds; ``extra`` are the registry's further variables as they are on disk.
    """

    engine: EngineFacts
    image: ImageFacts | None
    workload: ObservedWorkload
    folders: Mapping[Path, FolderFacts]
    http_secret: Secret | None
    users: tuple[str, ...]
    users_problem: str
    password_given: bool
    first_password: bool
    config_text: str
    certificates: StoreFacts
    pair: Bundle | None
    served: EndpointFacts | None
    saved: Mapping[str, object] | None
    challenges: tuple[Challenge, ...] = ()
    archived: ImageFacts | None = None
    config_unread_by: str = ""
    attempts: Attempts | None = None
    timer: TimerFacts | None = None
    stopped: str = ""
    migration: Migration | None = None
    begun: bool = False
    listed: bool = False
    aside: tuple[tuple[Path, Path], ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def variables(self) -> Mapping[str, str]:
        """The registry's further variables as they are to be."""
        return dict(self.migration.variables) if self.migration is not None else self.extra

    @property
    def served_fingerprint(self) -> str:
        """SHA-256 of the leaf that the endpoint really serves, lower hex; empty without TLS."""
        leaf = self.served.leaf_der if self.served else None
        return hashlib.sha256(leaf).hexdigest() if leaf else ""


@frozen
class HostFacts:
    """What the checks need to know of the host beyond :class:`Observed`.

    Gathered only as far as needed: an empty mapping or None was not asked for and is not judged. ``ports`` are those
    that are needed; ``holders`` has those of them that are held; ``publishers`` the containers that publish them;
    ``bind_problems`` why one cannot be bound otherwise; ``directory`` is the CA's, or the reason why it was not had;
    ``account`` is the URL of the account at that CA, empty where none is known, or no record asks for it;
    ``reached`` is who answered where the CA will ask;
    ``clock_offset`` is in seconds, this host's clock less the CA's.
    """

    uid: int
    now: datetime
    root_writable: bool
    disk: DiskFacts
    selinux_enforcing: bool
    unprivileged_port_start: int
    ports: frozenset[int] = frozenset()
    holders: Mapping[int, PortHolder] = field(default_factory=dict)
    publishers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    bind_problems: Mapping[int, str] = field(default_factory=dict)
    resolutions: Mapping[str, Resolution] = field(default_factory=dict)
    own_addresses: frozenset[str] = frozenset()
    reached: tuple[Reached, ...] = ()
    directory: DirectoryFacts | None = None
    directory_problem: str = ""
    directory_hint: str = ""
    caa: Mapping[str, CaaFacts] = field(default_factory=dict)
    account: str = ""
    clock_offset: float | None = None
