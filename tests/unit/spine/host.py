"""A host to deploy on: real files, everything else in memory; and what may happen to it between two runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from regdeploy.deployment import operations
from regdeploy.deployment.operations import Planned
from regdeploy.deployment.request import Request, resolve_request
from regdeploy.deployment.world import World
from regdeploy.engine.model import ContainerFacts, Publish
from regdeploy.secret import Secret
from tests.fakes.engine import FakeEngine, registry_image
from tests.fakes.world import START, FakeAuthority, FakeClock, FakeEndpoint, FakeReporter, fake_world

DOMAIN = "registry.example.com"
#: Ports that nothing on a usual machine listens on: the checks look at the real ones.
PORT, OTHER_PORT, CHALLENGE_PORT = 28443, 28444, 28080
IMAGES = {"registry:3": registry_image(), "registry:2.8": registry_image("2.8.3", generation=2)}

ACME: Mapping[str, object] = {"domain": [DOMAIN], "port": PORT, "http-01-port": CHALLENGE_PORT}
INTERNAL: Mapping[str, object] = {"domain": [DOMAIN], "port": PORT, "tls": "internal"}
LOCAL: Mapping[str, object] = {"port": PORT}


@dataclass
class Host:
    """One host. ``engine`` is as the last process left it; each operation is a new process."""

    root: Path
    engine: FakeEngine = field(default_factory=lambda: FakeEngine(available=IMAGES))
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.authority = FakeAuthority(clock=self.clock)
        self.endpoint = FakeEndpoint(self.engine)
        self.reporter = FakeReporter()

    def world(self) -> World:
        """What the next process works with."""
        self.engine = self.engine.revived()
        return fake_world(self.engine, self.clock, self.authority, self.endpoint)

    def request(self, flags: Mapping[str, object]) -> Request:
        """A request for this host's root."""
        everything = {"root": str(self.root), **flags}
        return Request(flags=everything, environ={}, config=None, folder=self.root.parent)

    def up(self, flags: Mapping[str, object], password: str = "") -> Planned:
        """``regdeploy up --yes``."""
        given = Secret(password) if password else None
        return operations.up(self.request(flags), self.world(), self.reporter, password=given)

    def plan(self, flags: Mapping[str, object]) -> Planned:
        """``regdeploy plan``."""
        return operations.plan_up(self.request(flags), self.world())

    def serves(self, flags: Mapping[str, object]) -> bool:
        """Whether something answers where these flags say."""
        return self.endpoint.probe(resolve_request(self.request(flags)).spec, {}).reachable

    def serving(self) -> ContainerFacts | None:
        """The container NAME, when it runs."""
        return self.engine.running("registry")

    def has_read_its_config(self) -> bool:
        """Whether the container NAME was started with the config.yml that is there."""
        container = self.serving()
        return container is not None and self.endpoint.config_of(container) == (
            self.root / "config/config.yml"
        ).read_text(encoding="utf-8")

    def image_pushed(self) -> None:
        """A client pushes: a file that must never be lost."""
        (self.root / "data").mkdir(parents=True, exist_ok=True)
        (self.root / "data" / "blob").write_text("precious")

    def image_is_there(self) -> bool:
        """Whether that file is still there."""
        return (self.root / "data" / "blob").read_text() == "precious"


def copy_of(host: Host, root: Path) -> Host:
    """The same host, elsewhere on disk: for the many futures of one state. Paths in containers follow."""
    shutil.copytree(host.root, root, symlinks=True)
    copied = Host(root, clock=FakeClock(host.clock.moment))
    there = copied.engine.host
    there.images, there.available = dict(host.engine.images), dict(host.engine.available)
    there.ticks = host.engine.host.ticks
    for name, container in host.engine.host.containers.items():
        mounts = tuple(
            replace(mount, source=mount.source.replace(str(host.root), str(root))) for mount in container.mounts
        )
        there.containers[name] = replace(container, mounts=mounts)
    return copied


def _stop(host: Host) -> None:
    host.engine.stop("registry", 1)


def _remove(host: Host) -> None:
    host.engine.remove("registry")


def _only_previous(host: Host) -> None:
    """What a kill leaves; a stranger by that name is refused, with what to do about it."""
    containers = host.engine.host.containers
    if "registry" in containers and containers["registry"].deployment == "registry":
        old = containers.pop("registry")
        containers["registry-previous"] = replace(old, name="registry-previous", state="exited")


def _foreign(host: Host) -> None:
    host.engine.remove("registry")
    stranger = ContainerFacts(
        id="f" * 64,
        name="registry",
        state="running",
        started_at=START,
        image="registry:2.7",
        publishes=(Publish("", OTHER_PORT, 5000),),
        restart_policy="always",
    )
    host.engine.add(stranger)


def _foreign_stopped(host: Host) -> None:
    _foreign(host)
    host.engine.stop("registry", 1)


def _unlink(relative: str) -> Callable[[Host], None]:
    def happen(host: Host) -> None:
        path = host.root / relative
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.exists() or path.is_symlink():
            path.unlink()

    happen.__name__ = f"without {relative}"
    return happen


def _edited_config(host: Host) -> None:
    if (host.root / "config").is_dir():
        (host.root / "config/config.yml").write_text("version: 0.1\n")


def _edited_config_in_use(host: Host) -> None:
    _edited_config(host)
    if host.serving() is not None:
        host.engine.restart("registry", 1)


def _corrupt_key(host: Host) -> None:
    for key in (host.root / "certs/versions").glob("*/privkey.pem"):
        key.write_text("junk")


def _time_passes(host: Host) -> None:
    host.clock.forward(days=70)


def _much_time_passes(host: Host) -> None:
    host.clock.forward(days=200)


def _image_gone(host: Host) -> None:
    host.engine.images.clear()


def _leftovers(host: Host) -> None:
    for folder in ("certs/versions/.regdeploy-0009.abcd", "config"):
        (host.root / folder).mkdir(parents=True, exist_ok=True)
    (host.root / "config/.regdeploy-config.yml.1234").write_text("half")


HAPPENINGS: tuple[Callable[[Host], None], ...] = (
    _stop,
    _remove,
    _only_previous,
    _foreign,
    _foreign_stopped,
    _unlink("certs/current"),
    _unlink("certs/versions"),
    _unlink(f"certs/{DOMAIN}.crt"),
    _unlink("auth/htpasswd"),
    _unlink("secrets/http.secret"),
    _unlink("config/config.yml"),
    _unlink("regdeploy.toml"),
    _unlink("acme"),
    _edited_config,
    _corrupt_key,
    _time_passes,
    _much_time_passes,
    _image_gone,
    _leftovers,
    _edited_config_in_use,
)

GOALS: tuple[Mapping[str, Any], ...] = (
    LOCAL,
    ACME,
    INTERNAL,
    {**ACME, "port": OTHER_PORT},
    {**ACME, "http-01-port": PORT, "port": OTHER_PORT},
    {**ACME, "image": "registry:2.8"},
    {**ACME, "profile": "tlsserver"},
    {**ACME, "selinux-relabel": True},
    {**INTERNAL, "auth": False},
    {**INTERNAL, "user": "ops"},
    {**INTERNAL, "domain": [DOMAIN, "mirror.example.com"]},
    {**ACME, "domain": ["other.example.com"]},
)
