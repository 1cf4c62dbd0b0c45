"""What a real registry wrote, read from its folder and brought into another one from which a second registry serves."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from regdeploy.errors import HostError
from regdeploy.registry.inventory import Kind, Upload, differences, missing, read_inventory
from regdeploy.registry.proof import examine
from regdeploy.registry.transfer import Transfer
from tests.rig.parts.images import digest as digest_of
from tests.rig.parts.images import oci_layout, random_image, random_platforms
from tests.rig.parts.processes import run
from tests.rig.parts.pushing import Pusher
from tests.rig.registry.conftest import Registry, Start
from tests.stored import Stored, tree

DELETES = {"REGISTRY_STORAGE_DELETE_ENABLED": "true"}
DEEP = "five/levels/of/names/here"


@dataclass(frozen=True)
class Filled:
    """A registry that serves, and what is in it: digests, and where a push under way goes on."""

    registry: Registry
    data: Path
    index: str
    image: str
    referrer: str
    long: str
    upload: str
    begun: bytes

    def pusher(self) -> Pusher:
        return Pusher(self.registry.port)


@pytest.fixture
def filled(start: Start, tmp_path: Path) -> Filled:
    registry = start(variables=DELETES)
    pusher = Pusher(registry.port)
    oci_layout(tmp_path / "one", [random_image(layers=2, size=50_000)])
    index = oci_layout(tmp_path / "many", random_platforms())
    for layout, name in (("one", "one:1"), ("one", "one:2"), ("many", f"{DEEP}:latest")):
        target = f"docker://127.0.0.1:{registry.port}/{name}"
        copy = ["skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false"]
        run([*copy, f"oci:{tmp_path / layout}:latest", target])
    image = pusher.image("team/app", b"a layer", *(f"v{number}" for number in range(200)))
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image, "size": 1}
    referrer = pusher.image("team/app", b"a signature", subject=subject, artifactType="application/x.signature")
    content = secrets.token_bytes(500)
    long = pusher.blob("team/app", content, f"sha512:{hashlib.sha512(content).hexdigest()}")
    deleted = pusher.image("team/app", b"deleted", "deleted")
    pusher.delete("team/app", "manifests", deleted)
    pusher.delete("team/app", "blobs", digest_of(b"deleted"))
    emptied = pusher.image("emptied", b"emptied", "1")
    pusher.delete("emptied", "manifests", emptied)
    begun = secrets.token_bytes(300_000)
    upload = pusher.go_on(pusher.begin("team/app"), begun)
    return Filled(registry, registry.folder / "data", index, image, referrer, long, upload, begun)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="regdeploy-rig-") as folder:
        yield Path(folder) / "new"


@pytest.fixture(params=["linked", "copied"])
def target(request: pytest.FixtureRequest, tmp_path: Path, elsewhere: Path) -> Path:
    return tmp_path / "new" if request.param == "linked" else elsewhere


def test_the_folder_of_a_registry_holds_what_its_api_says(filled: Filled) -> None:
    before = tree(filled.data)
    found = read_inventory(filled.data)
    assert tree(filled.data) == before
    assert found.problems == ()
    with filled.registry.client() as client:
        assert set(client.repositories()) == set(found.repositories) == {"one", DEEP, "team/app", "emptied"}
        for name, repository in found.repositories.items():
            assert set(client.tags(name)) == set(repository.tags)
    app = found.repositories["team/app"]
    assert len(app.tags) == 200
    assert set(app.manifests) == {filled.image, filled.referrer}
    assert app.manifests[filled.referrer].subject == filled.image
    assert len(found.repositories[DEEP].manifests[filled.index].children) == 3
    assert len(found.repositories[DEEP].manifests) == 4
    assert filled.long in app.layers
    assert app.aliases[filled.long] in found.blobs
    assert digest_of(b"deleted") not in app.layers
    assert found.uploads == (Upload(repository="team/app", uuid=found.uploads[0].uuid, size=300_000),)
    proof = examine(filled.registry.client, found, full=True)
    assert (proof.differences, proof.extra) == ((), ())


@contextmanager
def pushing(filled: Filled, count: list[int]) -> Iterator[None]:
    """Somebody pushes, tags again and deletes all the time."""
    over = threading.Event()
    failed: list[BaseException] = []

    def push() -> None:
        pusher = filled.pusher()
        try:
            while not over.is_set():
                number = count[0] = count[0] + 1
                pushed = pusher.image("team/busy", secrets.token_bytes(2000), f"v{number}", "latest")
                pusher.image(f"more/r{number % 7}", secrets.token_bytes(200), "latest")
                if number % 5 == 0:
                    pusher.delete("team/busy", "manifests", pushed)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not failed, failed


def stop(registry: Registry) -> None:
    registry.terminate()
    registry.program._process.wait(20)


def test_a_registry_that_is_pushed_to_goes_on_in_the_other_folder(start: Start, filled: Filled, target: Path) -> None:
    transfer = Transfer(filled.data, target)
    count = [0]
    with pushing(filled, count):
        transfer.run()
        after_first = count[0]
        while count[0] < after_first + 20:
            time.sleep(0.01)
        filled.pusher().delete(
            "one", "manifests", next(iter(read_inventory(filled.data).repositories["one"].manifests))
        )
        stored_upload = filled.pusher().go_on(filled.upload, b"more" * 1000)
    stop(filled.registry)
    before = tree(filled.data)
    outcome = transfer.catch_up()
    assert tree(filled.data) == before
    assert outcome.damaged == ()
    old = read_inventory(filled.data)
    assert old.problems == ()
    assert old.repositories["one"].tags == {}
    assert differences(old, read_inventory(target)) == ()

    new = start(variables={**DELETES, "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(target)})
    proof = examine(new.client, old, full=True)
    assert (proof.differences, proof.extra) == ((), ())
    pusher = Pusher(new.port)
    content = filled.begun + b"more" * 1000 + b"the end"
    pusher.finish(stored_upload, b"the end", digest_of(content))
    assert Stored(target).path(digest_of(content)).read_bytes() == content
    assert missing(old, read_inventory(target)) == ()


def test_the_new_registry_changes_nothing_of_the_old_one(start: Start, filled: Filled, tmp_path: Path) -> None:
    stop(filled.registry)
    before = tree(filled.data)
    Transfer(filled.data, tmp_path / "new").catch_up()
    variables = {**DELETES, "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(tmp_path / "new")}
    new = start(variables=variables)
    pusher = Pusher(new.port)
    pusher.finish(filled.upload, b"the end", digest_of(filled.begun + b"the end"))
    pusher.image("team/app", b"a layer", "v1", annotations={"another": "manifest"})
    pusher.image("team/app", b"a layer", "v2")
    pusher.delete("team/app", "manifests", filled.image)
    pusher.delete("team/app", "blobs", digest_of(b"a layer"))
    stop(new)
    environ = {**os.environ, **variables}
    for _ in range(2):
        run(["docker-registry", "garbage-collect", str(new.folder / "config.yml")], environ)
    assert digest_of(b"deleted") not in read_inventory(tmp_path / "new").blobs
    assert tree(filled.data) == before


def test_what_is_left_after_a_garbage_collection_is_harmless_and_is_brought(
    start: Start, filled: Filled, target: Path
) -> None:
    stop(filled.registry)
    environ = {"PATH": os.environ["PATH"], "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(filled.data)}
    run(["docker-registry", "garbage-collect", str(filled.registry.folder / "config.yml")], environ)
    found = read_inventory(filled.data)
    assert found.problems, "2.x leaves links of blobs that it removed"
    assert all(one.harmless for one in found.problems)
    Transfer(filled.data, target).run()
    new = start(variables={"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(target)})
    assert examine(new.client, found, full=True).differences == ()


def test_a_damaged_blob_that_was_left_out_can_be_pushed_again(start: Start, filled: Filled, target: Path) -> None:
    stop(filled.registry)
    damaged = digest_of(b"a layer")
    Stored(filled.data).path(damaged).write_bytes(b"a lay")
    outcome = Transfer(filled.data, target, damaged="leave-out").run()
    assert [(one.digest, len(one.names)) for one in outcome.damaged] == [(damaged, 200)]
    new = start(variables={"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(target)})
    Pusher(new.port).image("team/app", b"a layer", "v1")
    assert Stored(target).path(damaged).read_bytes() == b"a layer"


# Owners, mounts and full disks


def test_root_without_privileges_can_read_all_that_is_brought(filled: Filled, target: Path) -> None:
    stop(filled.registry)
    blobs = sorted((filled.data / "docker/registry/v2/blobs").rglob("data"))
    for path in filled.data.rglob("*"):
        os.chown(path, 4711, 4711)
        path.chmod(0o700 if path.is_dir() else 0o600)
    blobs[0].chmod(0o604)  # may be linked
    os.chown(blobs[1], 0, 0)  # may be, too
    os.chown(blobs[2], 4711, 0)
    blobs[2].chmod(0o640)  # and this
    before = tree(filled.data)
    Transfer(filled.data, target).run()
    assert tree(filled.data) == before
    read = f"find {target} -type f -exec cat {{}} + > /dev/null && find {target} -type d -exec touch {{}}/x ';'"
    run(["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "sh", "-ec", read])
    linked = (
        [path for path in target.rglob("data") if path.samefile(filled.data / path.relative_to(target))]
        if (target.parent.stat().st_dev == filled.data.stat().st_dev)
        else blobs[:3]
    )
    assert len(linked) == 3
    owners = {path.stat().st_uid for path in target.rglob("*") if path.name != "data"}
    assert owners == {0}


def test_who_may_not_read_a_blob_is_told_so(elsewhere: Path) -> None:
    elsewhere.parent.chmod(0o755)
    stored = Stored(elsewhere)
    stored.image("app", "1")
    blob = stored.blob()
    stored.path(blob).chmod(0o600)
    child = os.fork()
    if not child:
        os.setresuid(4711, 4711, 4711)
        found = [(one.kind, one.what) for one in read_inventory(elsewhere).problems]
        os._exit(found != [(Kind.UNREADABLE, f"blob {blob} cannot be read: Permission denied")])
    assert os.waitpid(child, 0)[1] == 0


def test_what_goes_into_anothers_folder_is_the_others(filled: Filled, tmp_path: Path, elsewhere: Path) -> None:
    stop(filled.registry)
    for path in (filled.data, *filled.data.rglob("*")):
        os.chown(path, 4711, 4712)
    before = tree(filled.data)
    Transfer(filled.data, elsewhere, move=True).run()
    assert not list((filled.data / "docker/registry/v2/blobs").rglob("data"))
    assert {path.stat().st_uid for path in elsewhere.rglob("*")} == {0}
    Stored(elsewhere).image("pushed/meanwhile", "1")
    Transfer(elsewhere, filled.data, move=True).run()
    assert {path.stat().st_uid for path in filled.data.rglob("*")} == {4711}
    shutil.rmtree(Stored(filled.data).repository("pushed"))
    assert {
        path: facts[:4] + facts[5:] for path, facts in tree(filled.data).items() if path in before and facts[-1]
    } == {path: facts[:4] + facts[5:] for path, facts in before.items() if facts[-1]}


@contextmanager
def mounted(*arguments: str) -> Iterator[Path]:
    folder = Path(arguments[-1])
    folder.mkdir(exist_ok=True)
    run(["mount", *arguments])
    try:
        yield folder
    finally:
        run(["umount", str(folder)])


def test_one_folder_seen_through_two_mounts_is_one(filled: Filled, tmp_path: Path) -> None:
    with mounted("--bind", str(filled.data), str(tmp_path / "alias")) as alias:
        with pytest.raises(HostError, match="is the same folder as"):
            Transfer(filled.data, alias)
        with pytest.raises(HostError, match="lies within the images of"):
            Transfer(filled.data, alias / "docker/registry/v2/new")
    (tmp_path / "under").mkdir()
    (tmp_path / "new").mkdir()
    with mounted("--bind", str(tmp_path / "under"), str(tmp_path / "new")) as new:
        transfer = Transfer(filled.data, new)
        space = transfer.needs()
        assert (space.links, space.linked_bytes) == (False, 0), "no link leads from one mount into another"
        outcome = transfer.run()
        assert outcome.linked_files == 0
        assert differences(read_inventory(filled.data), read_inventory(new)) == ()


def test_a_disk_that_is_too_small_is_told_before_and_when_it_is_full_and_goes_on_once_it_is_larger(
    tmp_path: Path,
) -> None:
    stored = Stored(tmp_path / "old")
    for number in range(40):
        stored.image("app", str(number), layers=1, size=200_000)
    with mounted("-t", "tmpfs", "-o", "size=8m", "small", str(tmp_path / "new")) as small:
        space = Transfer(stored.data, small).needs()
        assert space.missing_bytes > 8_000_000
        with pytest.raises(HostError) as caught:
            Transfer(stored.data, small).run()
        assert (caught.value.where, caught.value.what) == (str(small), "No space left on device")
        assert caught.value.hint == "free some space on that disk, then run the same command again"
        there = {f"sha256:{path.parent.name}": digest_of(path.read_bytes()) for path in small.rglob("data")}
        assert len(there) > 20
        assert all(name == digest for name, digest in there.items())
        run(["mount", "-o", "remount,size=64m", str(small)])
        outcome = Transfer(stored.data, small).run()
        assert outcome.copied_files == len(read_inventory(stored.data).blobs) - len(there)
        assert differences(read_inventory(stored.data), read_inventory(small)) == ()


# Killed


_COPY = """
import sys
from pathlib import Path
from regdeploy.registry.transfer import Transfer
source, target, move = sys.argv[1:]
print("begins", flush=True)
Transfer(Path(source), Path(target), move=move == "move").run()
"""


@pytest.mark.parametrize("move", ["keep", "move"])
def test_killed_at_any_moment_it_leaves_whole_blobs_and_goes_on(tmp_path: Path, target: Path, move: str) -> None:
    source = tmp_path / "old"
    stored = Stored(source)
    for number in range(60):
        stored.image("app", str(number), layers=2, size=400_000)
    stored.blob(size=30_000_000)
    inventory = read_inventory(source)
    command = [sys.executable, "-c", _COPY, str(source), str(target), move]

    def begin(seconds: float) -> None:
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)

    started = time.monotonic()
    shutil.copytree(source, tmp_path / "spare")
    subprocess.run(command, check=True, capture_output=True)
    whole = min(time.monotonic() - started, 2.0)
    shutil.rmtree(source)
    shutil.rmtree(target)
    (tmp_path / "spare").rename(source)
    brought = 0
    for number in range(12):
        begin(whole * number / 12)
        there = {f"sha256:{path.parent.name}": digest_of(path.read_bytes()) for path in target.rglob("data")}
        assert all(name == digest for name, digest in there.items())
        assert len(there) >= brought, "what was brought stays"
        brought = len(there)
        left = {f"sha256:{path.parent.name}" for path in (source / "docker/registry/v2/blobs").rglob("data")}
        assert left | set(there) == set(inventory.blobs)
    Transfer(source, target, move=move == "move").run()
    assert differences(inventory, read_inventory(target)) == ()
    assert not list(target.rglob(".regdeploy-*"))
