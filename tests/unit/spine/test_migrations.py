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
from regdeploy.deployment.steps import ListImages, Step, VerifyImages
from regdeploy.engine.model import ContainerFacts, Mount, Publish
from regdeploy.errors import CheckFailed, HostError, RegdeployError, UsageError, VerifyFailed
from regdeploy.registry.contents import missing
from regdeploy.registry.inventory import read_inventory
from regdeploy.registry.listing import Listing
from regdeploy.registry.progress import cancelled_error
from tests.fakes.bucket import BUCKET
from tests.fakes.death import dying_before, full_disk_at
from tests.fakes.mortal import Killed
from tests.fakes.world import FakeEndpoint
from tests.rig.parts.tree import Tree
from tests.unit.spine.host import CHALLENGE_PORT, DOMAIN, IMAGES, PORT, Host

OLD_PORT = 28500
OLD_ID = "0d" * 32
#: Three repositories in a bucket: one with many tags, one of several levels, one that was emptied.
HELD = {
    "many": {f"v{number}": f"sha256:{number % 2:064x}" for number in range(40)},
    "deep/er/still": {"v1": f"sha256:{7:064x}"},
    "emptied": {},
}
GOAL: Mapping[str, object] = {"domain": [DOMAIN], "port": PORT, "http-01-port": CHALLENGE_PORT}


class OldHost(Host):
    """A host on which somebody started ``name`` by hand, with images in a folder of their own."""

    def start_old(self, name: str = "registry") -> None:
        self.old = self.root.parent / "old"
        tree = Tree(self.old)
        tree.image("busybox", "1", "latest")
        tree.image("deep/er/still", "v1", layers={"a": b"a" * 3000, "b": b"b" * 3000})
        self.add_old(name, mounts=(Mount(str(self.old), "/var/lib/registry"),))

    def add_old(self, name: str, **how: object) -> None:
        image = IMAGES["registry:2.8"]
        self.engine.images["registry:2.8"] = image
        old = ContainerFacts(
            id=OLD_ID,
            name=name,
            state="running",
            image="registry:2.8",
            image_id=image.id,
            entrypoint=image.entrypoint,
            command=image.command,
            publishes=(Publish("", OLD_PORT, 5000),),
            restart_policy="always",
        )
        self.engine.add(replace(old, **how))  # type: ignore[arg-type]

    def migrate(self, **wishes: str | bool) -> Migrating:
        """``regdeploy migrate-to-https --yes``."""
        asked = Wishes(**wishes)  # type: ignore[arg-type]
        return migrating.migrate(self.request(GOAL), self.world(), self.reporter, asked)

    def has_every_image(self) -> bool:
        """Whether the new folder holds what the old one does."""
        return missing(read_inventory(self.old), read_inventory(self.root / "data")) == ()

    def said(self, step: type[Step]) -> list[str]:
        """What was said of those steps when they were done."""
        return [event.words for event in self.reporter.events if isinstance(event.step, step) and event.phase == "done"]

    def old_one(self) -> ContainerFacts:
        """The container that was there before, whatever it is called."""
        return next(one for one in self.engine.host.containers.values() if one.id == OLD_ID)

    def serves_somewhere(self) -> bool:
        """Whether clients are served, by the old one or the new."""
        return self.serves(GOAL) or self.old_one().state == "running"


class BucketHost(OldHost):
    """A host whose old registry keeps its images in a bucket, of which nothing is to be seen here but what it says."""

    def start_old(self, name: str = "registry") -> None:
        self.endpoint.buckets = {"images": {name: dict(tags) for name, tags in HELD.items()}}
        self.add_old(name, environment={"REGISTRY_STORAGE": "s3", BUCKET: "images"})

    def has_every_image(self) -> bool:
        """Whether it is served from the bucket, that is as it was, and nothing of the listing is left."""
        serving = self.serving()
        left = (self.root / "secrets" / "listed.json").exists()
        same = self.endpoint.buckets == {"images": HELD}
        return same and not left and serving is not None and serving.environment[BUCKET] == "images"


@contextmanager
def a_host(name: str = "registry", kind: type[OldHost] = OldHost) -> Iterator[OldHost]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        host = kind(Path(folder) / "root")
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
@pytest.mark.parametrize("kind", [OldHost, BucketHost], ids=["folder", "bucket"])
def test_killed_before_any_write_each_way_on_leads_to_a_registry_with_everything_in_it(
    kind: type[OldHost], end: str, first: int
) -> None:
    for write in itertools.count(first, 3):  # between them, every write there is
        with a_host("hub", kind) as host:
            over = False
            with dying_before(write):
                try:
                    host.migrate()
                    over = True
                except Killed:
                    pass
            finish(host, end)
            assert not (host.root / "secrets" / "listed.json").exists(), write
            if end == "rollback":
                assert host.old_one().state == "running", write
                assert host.old_one().name == "hub", write
                assert host.old_one().restart_policy == "always", write
            else:
                assert host.serves(GOAL), write
                assert host.has_every_image(), write
                assert host.plan({}).plan.text() == "", write
                assert isinstance(rollback.plan_rollback(host.request({}), host.world()), GivingBack), write
            if over:
                break
    assert write > 40, "the sweep saw hardly any write: it proves nothing"


def test_killed_before_any_of_its_last_writes_it_can_be_gone_back_from() -> None:
    with a_host("hub") as host, dying_before(0) as counter:
        host.migrate()
        last = counter.count
    for write in range(last - 15, last + 1):
        with a_host("hub") as host:
            with dying_before(write), suppress(Killed):
                host.migrate()
            assert isinstance(rollback.plan_rollback(host.request({}), host.world()), GivingBack), write


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


def test_what_lies_in_a_bucket_is_asked_for_before_and_found_again_over_https() -> None:
    with a_host("hub", BucketHost) as host:
        text = migrating.plan_migration(host.request(GOAL), host.world(), Wishes()).planned.plan.text()
        assert f"see what it holds            hub at 127.0.0.1:{OLD_PORT}: the new one must hold it too" in text
        host.migrate()
        assert host.said(ListImages) == ["2 repositories, 41 tags"]
        assert host.said(VerifyImages) == ["2 repositories, 41 tags, as before"]
        assert host.has_every_image()
        assert host.plan({}).plan.text() == ""


@pytest.mark.parametrize("full", [False, True])
def test_a_bucket_that_the_new_one_does_not_find_gives_the_old_one_its_place_back(full: bool) -> None:
    with a_host("hub", BucketHost) as host:
        host.endpoint.blind = True
        with pytest.raises(VerifyFailed) as caught:
            host.migrate(full=full)
        shown = caught.value.what
        assert ("many: has no tag, and had 40; " in shown) is not full
        assert f"deep/er/still:v1: is not there, and was sha256:{7:064x}" in shown
        assert ("and 34 more" in shown) is full
        old = host.old_one()
        assert (old.name, old.state, old.restart_policy) == ("hub", "running", "always")
        host.endpoint.blind = False
        host.up({})
        assert host.has_every_image()
        assert host.serves(GOAL)


def test_a_tag_that_was_deleted_since_the_last_try_is_not_missed_and_one_that_is_lost_is() -> None:
    with a_host("hub", BucketHost) as host:
        host.endpoint.blind = True
        with pytest.raises(VerifyFailed):
            host.migrate()
        assert (host.root / "secrets" / "listed.json").stat().st_mode & 0o777 == 0o600
        host.endpoint.blind = False
        del host.endpoint.buckets["images"]["many"]["v3"]
        host.migrate()
        assert host.said(VerifyImages) == ["2 repositories, 40 tags, as before"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"REGISTRY_AUTH": "htpasswd"}, "it asks for a password"),
        ({BUCKET: "gone"}, "127.0.0.1:28500 refuses connections"),
    ],
)
def test_an_old_one_that_does_not_say_what_it_holds_is_taken_over_and_that_is_said(
    more: dict[str, str], words: str
) -> None:
    with a_host("hub", BucketHost) as host:
        old = host.old_one()
        host.engine.add(replace(old, environment={**old.environment, **more}))
        host.migrate()
        assert host.said(ListImages) == [f"{words}: what it holds is not compared"]
        assert host.said(VerifyImages) == ["nothing: what the old one holds is not known"]
        assert host.serves(GOAL)


def test_what_it_said_at_an_earlier_try_does_not_count_when_it_says_nothing_any_more() -> None:
    with a_host("hub", BucketHost) as host:
        host.endpoint.blind = True
        with pytest.raises(VerifyFailed):
            host.migrate()
        old = host.old_one()
        host.engine.add(replace(old, environment={**old.environment, "REGISTRY_AUTH": "htpasswd"}))
        host.migrate()
        assert host.said(VerifyImages) == ["nothing: what the old one holds is not known"]


class Cancelled(FakeEndpoint):
    """The other lane has failed while the old one is asked."""

    def listing(self, address: str, **how: object) -> Listing:
        raise cancelled_error("images")


def test_a_question_that_is_called_off_is_not_one_without_an_answer() -> None:
    with a_host("hub", BucketHost) as host:
        buckets, host.endpoint = host.endpoint.buckets, Cancelled(host.engine)
        host.endpoint.buckets = buckets
        with pytest.raises(HostError, match="cancelled"):
            host.migrate()
        assert host.said(ListImages) == []
        assert host.old_one().state == "running"


def test_one_that_nobody_can_ask_is_taken_over_and_that_is_said_before() -> None:
    with a_host("hub", BucketHost) as host:
        host.engine.add(replace(host.old_one(), publishes=()))
        host.migrate()
        assert host.said(ListImages) == []
        (warned,) = [check.message for check in host.reporter.checks if check.item == "images"]
        assert warned == "what hub holds is not compared: no port of this host leads to it"
        assert host.serves(GOAL)
