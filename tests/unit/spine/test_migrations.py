"""Migrations with everything but the files in memory: killed before any write, on a full disk, and gone back from."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from regdeploy.deployment import migrating, rollback, teardown
from regdeploy.deployment.giving_back import GivingBack
from regdeploy.deployment.migrating import Migrating, Wishes
from regdeploy.engine.model import ContainerFacts, Mount, Publish
from regdeploy.errors import CheckFailed, RegdeployError, UsageError
from regdeploy.registry.contents import missing
from regdeploy.registry.inventory import read_inventory
from tests.fakes.death import dying_before, full_disk_at
from tests.fakes.mortal import Killed
from tests.rig.parts.tree import Tree
from tests.unit.spine.host import CHALLENGE_PORT, DOMAIN, IMAGES, PORT, Host

OLD_PORT = 28500
GOAL: Mapping[str, object] = {"domain": [DOMAIN], "port": PORT, "http-01-port": CHALLENGE_PORT}


class OldHost(Host):
    """A host on which somebody started ``name`` by hand, with images in a folder of their own."""

    def start_old(self, name: str = "registry") -> None:
        self.old = self.root.parent / "old"
        tree = Tree(self.old)
        tree.image("busybox", "1", "latest")
        tree.image("deep/er/still", "v1", layers={"a": b"a" * 3000, "b": b"b" * 3000})
        image = IMAGES["registry:2.8"]
        self.engine.images["registry:2.8"] = image
        self.engine.add(
            ContainerFacts(
                id="0d" * 32,
                name=name,
                state="running",
                image="registry:2.8",
                image_id=image.id,
                entrypoint=image.entrypoint,
                command=image.command,
                mounts=(Mount(str(self.old), "/var/lib/registry"),),
                publishes=(Publish("", OLD_PORT, 5000),),
                restart_policy="always",
            )
        )

    def migrate(self, **wishes: str) -> Migrating:
        """``regdeploy migrate-to-https --yes``."""
        asked = Wishes(**wishes)  # type: ignore[arg-type]
        return migrating.migrate(self.request(GOAL), self.world(), self.reporter, asked)

    def has_every_image(self) -> bool:
        """Whether the new folder holds what the old one does."""
        return missing(read_inventory(self.old), read_inventory(self.root / "data")) == ()

    def old_one(self) -> ContainerFacts:
        """The container that was there before, whatever it is called."""
        return next(one for one in self.engine.host.containers.values() if one.id == "0d" * 32)

    def serves_somewhere(self) -> bool:
        """Whether clients are served, by the old one or the new."""
        return self.serves(GOAL) or self.old_one().state == "running"


@contextmanager
def a_host(name: str = "registry") -> Iterator[OldHost]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        host = OldHost(Path(folder) / "root")
        host.start_old(name)
        yield host


@pytest.mark.parametrize("name", ["registry", "hub"])
def test_it_serves_over_https_with_every_image_and_the_old_one_is_kept(name: str) -> None:
    with a_host(name) as host:
        done = host.migrate()
        assert host.serves(GOAL)
        assert host.has_every_image()
        assert host.plan({}).plan.text() == ""
        old = host.old_one()
        assert (old.name, old.state, old.restart_policy) == (done.kept_as, "exited", "no")
        assert done.planned.spec.localhost_port == OLD_PORT
        with pytest.raises(UsageError, match="regdeploy's own"):
            host.migrate()


def test_a_file_that_a_setting_names_comes_along_and_without_it_nothing_is_touched() -> None:
    variable = "REGISTRY_STORAGE_FILESYSTEM_KEYFILE"
    with a_host() as host:
        old = replace(host.old_one(), environment={variable: "/etc/key.json"})
        host.engine.host.containers[old.name] = old
        with pytest.raises(UsageError, match=r"/etc/key\.json, which is no file there"):
            host.migrate()
        assert host.old_one() == old
        assert not host.root.exists()
        host.engine.host.files[old.id] = {"/etc/key.json": b"the key"}
        host.migrate()
        ours = host.engine.host.containers["registry"]
        (mount,) = [mount for mount in ours.mounts if mount.target == "/carried"]
        path = Path(mount.source) / ours.environment[variable].removeprefix("/carried/")
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"the key", 0o600)
        assert host.plan({}).plan.text() == ""


@pytest.mark.parametrize(("end", "first"), [("up", 1), ("migrate", 2), ("rollback", 3)])
def test_killed_before_any_write_each_way_on_leads_to_a_registry_with_everything_in_it(end: str, first: int) -> None:
    for write in itertools.count(first, 3):  # between them, every write there is
        with a_host("hub") as host:
            over = False
            with dying_before(write):
                try:
                    host.migrate()
                    over = True
                except Killed:
                    pass
            finish(host, end)
            if end == "rollback":
                assert host.old_one().state == "running"
                assert host.old_one().name == "hub"
                assert host.old_one().restart_policy == "always"
            else:
                assert host.serves(GOAL), write
                assert host.has_every_image(), write
                assert host.plan({}).plan.text() == "", write
            if over:
                break
    assert write > 40, "the sweep saw hardly any write: it proves nothing"


def finish(host: OldHost, end: str) -> None:
    """The next command after the kill; where nothing was begun yet, that of the beginning."""
    begun = (host.root / "regdeploy.toml").exists()
    if end == "migrate" and begun and not (host.root / "secrets" / "migration.json").exists():
        end = "up"  # it is over: there is nothing to migrate any more
    if end == "rollback":
        if begun:
            go_back(host)
    elif end == "up" and begun:
        host.up({})
    else:
        host.migrate()


def go_back(host: OldHost) -> None:
    found = rollback.plan_rollback(host.request({}), host.world())
    assert isinstance(found, GivingBack)
    rollback.give_back(host.request({}), host.world(), found)


def test_on_a_full_disk_it_stops_with_the_old_one_serving_and_goes_on_later() -> None:
    for write in itertools.count(1, 2):
        with a_host() as host:
            over = False
            with full_disk_at(write):
                try:
                    host.migrate()
                    over = True
                except RegdeployError:
                    pass
            assert host.serves_somewhere(), write
            if over:
                break
            if (host.root / "regdeploy.toml").exists():
                host.up({})
            else:
                host.migrate()
            assert host.has_every_image(), write
            assert host.serves(GOAL), write


def test_after_a_rollback_it_is_as_before_and_can_be_migrated_again() -> None:
    with a_host() as host:
        host.migrate()
        go_back(host)
        old = host.old_one()
        assert (old.name, old.state, old.restart_policy) == ("registry", "running", "always")
        assert set(host.engine.host.containers) == {"registry"}
        Tree(host.old).image("pushed/since", "1", config="since")
        host.migrate()
        assert host.serves(GOAL)
        assert host.has_every_image()


def test_a_rollback_killed_before_any_write_ends_the_next_time() -> None:
    for write in itertools.count(1):
        with a_host("hub") as host:
            host.migrate()
            over = False
            with dying_before(write):
                try:
                    go_back(host)
                    over = True
                except Killed:
                    pass
            assert over or host.has_every_image()
            if (host.root / "regdeploy.toml").exists():
                go_back(host)
            assert host.old_one().state == "running", write
            assert host.old_one().name == "hub", write
            if over:
                break


def test_half_way_nothing_is_purged() -> None:
    with a_host() as host:
        with dying_before(40), suppress(Killed):
            host.migrate()
        with pytest.raises(CheckFailed, match="is being taken over"):
            teardown.plan_down(host.request({}), host.world(), purge=True)
        host.up({})
        assert teardown.plan_down(host.request({}), host.world(), purge=True).paths


def test_several_registries_must_be_told_apart() -> None:
    with a_host("hub") as host:
        other = replace(host.old_one(), id="0e" * 32, name="mirror", publishes=(Publish("", OLD_PORT + 1, 5000),))
        host.engine.add(other)
        with pytest.raises(UsageError, match="several registries: hub, mirror"):
            host.migrate()
        host.migrate(container="hub")
        assert host.serves(GOAL)
        assert host.engine.running("mirror")
