"""Whether a real registry holds what it should, and how each thing that it lacks is found."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from regdeploy.errors import RegdeployError
from regdeploy.registry import users
from regdeploy.registry.inventory import read_inventory
from regdeploy.registry.proof import Difference, examine, prove
from regdeploy.secret import Secret
from tests.rig.parts.images import oci_layout, random_image, random_platforms
from tests.rig.parts.processes import run
from tests.rig.parts.tree import Tree
from tests.rig.registry.conftest import Registry, Start

_SKOPEO = ("skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false")


@pytest.mark.parametrize("full", [False, True])
def test_what_clients_pushed_is_all_there_as_its_folder_says(start: Start, tmp_path: Path, full: bool) -> None:
    registry = start()
    index = oci_layout(tmp_path / "many", random_platforms())
    oci_layout(tmp_path / "one", [random_image(layers=2)])
    for layout, name in (("one", "one:1"), ("one", "one:2"), ("many", "a/b/c/d/many:latest")):
        run([*_SKOPEO, "--format=oci", f"oci:{tmp_path / layout}:latest", f"docker://127.0.0.1:{registry.port}/{name}"])
    docker = f"docker://127.0.0.1:{registry.port}/docker:1"
    run([*_SKOPEO, "--format=v2s2", f"oci:{tmp_path / 'one'}:latest", docker])
    inventory = read_inventory(registry.folder / "data")
    assert inventory.repositories["a/b/c/d/many"].tags == {"latest": index}
    assert len(inventory.repositories["a/b/c/d/many"].manifests) == 4
    proof = examine(registry.client, inventory, full=full)
    assert (proof.differences, proof.extra) == ((), ())
    assert proof.asked == 1 + 3 + 4 + 3 + 3 + 3 + 9


@pytest.fixture
def registry(start: Start) -> Registry:
    return start()


@pytest.fixture
def tree(registry: Registry) -> Tree:
    """Three repositories, one of them in the folder of another; one image has no tag, one layer is shared."""
    tree = Tree(registry.folder / "data")
    tree.image("team", "v1", "latest", layers={"a": b"shared", "b": b"of team"})
    tree.image("team/app", "v1", layers={"a": b"shared", "b": b"of app"}, config="app")
    tree.image("team/app", layers={"a": b"untagged"}, config="untagged")
    tree.image("untagged", layers={"a": b"alone"}, config="alone")
    return tree


def words(differences: tuple[Difference, ...]) -> list[str]:
    return [str(difference) for difference in differences]


@pytest.mark.parametrize("full", [False, True])
def test_a_registry_that_holds_everything_lacks_nothing(registry: Registry, tree: Tree, full: bool) -> None:
    proof = examine(registry.client, tree, full=full)
    assert (proof.differences, proof.extra) == ((), ())
    # The catalog, three lists of tags, three tags, two manifests without any, and ten links to blobs.
    assert proof.asked == 1 + 3 + 3 + 2 + 10
    linked = {digest for repository in tree.repositories.values() for digest in repository.layers}
    assert proof.read_bytes == (sum(tree.blobs[digest] for digest in linked) if full else 0)


def test_everything_that_is_lost_is_named(registry: Registry, tree: Tree) -> None:
    team, app = tree.repositories["team"], tree.repositories["team/app"]
    first, second = app.manifests
    shared, of_app = (f"sha256:{digest}" for digest in (_hex(b"shared"), _hex(b"of app")))
    tree.tag("team", "v1").unlink()
    tree.tag("team", "latest").write_text(app.tags["v1"])
    tree.revision("team", app.tags["v1"]).parent.mkdir(parents=True)
    tree.revision("team", app.tags["v1"]).write_text(app.tags["v1"])
    tree.revision("team/app", second).unlink()
    tree.link("team", shared).unlink()
    tree.content(of_app).write_bytes(b"of ap")
    shutil.rmtree(registry.folder / "data/docker/registry/v2/repositories/untagged")
    untagged = tree.repositories["untagged"]
    assert words(prove(registry.client, tree)) == [
        "untagged: is not in the catalog",
        f"team:latest: is {first}, and was {team.tags['latest']}",
        f"team:v1: is not there, and was {team.tags['v1']}",
        f"team/app@{second}: the manifest is not there",
        f"untagged@{next(iter(untagged.manifests))}: the manifest is not there",
        f"team/app@{of_app}: has 5 bytes instead of 6",
        f"team@{shared}: the blob is not there",
        *sorted(f"untagged@{digest}: the blob is not there" for digest in untagged.layers),
    ]


def test_a_manifest_that_rotted_is_found_whatever_the_registry_says(registry: Registry, tree: Tree) -> None:
    digest = tree.repositories["team/app"].tags["v1"]
    content = tree.content(digest).read_bytes()
    tree.content(digest).write_bytes(content.replace(b'"schemaVersion": 2', b'"schemaVersion":  2'))
    with registry.client() as client:
        said = client.manifest("team/app", "v1")
        assert said is not None
        assert said.digest == digest
    other = f"sha256:{_hex(tree.content(digest).read_bytes())}"
    assert words(prove(registry.client, tree)) == [
        f"team/app:v1: is {other}, and was {digest}",
        f"team/app@{digest}: is another manifest: {other}",
    ]
    tree.content(digest).write_bytes(b"")
    (difference,) = prove(registry.client, tree)
    assert difference.where == "team/app:v1"
    assert difference.words.startswith("answers 500: ")


def test_a_blob_that_rotted_at_its_size_is_found_by_a_full_proof_and_named_once(registry: Registry, tree: Tree) -> None:
    shared = f"sha256:{_hex(b'shared')}"
    tree.content(shared).write_bytes(b"rotten")
    assert prove(registry.client, tree) == ()
    (difference,) = prove(registry.client, tree, full=True)
    assert difference.found == f"sha256:{_hex(b'rotten')}"
    assert difference.where in {f"team@{shared}", f"team/app@{shared}"}


def test_a_blob_is_found_by_either_of_its_digests_and_missed_by_either(registry: Registry, tree: Tree) -> None:
    digest = tree.alias("team", b"shared")
    asked = examine(registry.client, tree, full=True)
    assert (asked.differences, asked.asked) == ((), 20)
    tree.link("team", digest).unlink()
    assert words(prove(registry.client, tree)) == [f"team@{digest}: the blob is not there"]


def test_what_is_there_besides_is_listed_apart(registry: Registry, tree: Tree) -> None:
    more = Tree(registry.folder / "data")
    more.image("team", "v2", layers={"a": b"newer"})
    more.image("other", "v1")
    proof = examine(registry.client, tree)
    assert (proof.differences, proof.extra) == ((), ("other", "team:v2"))


def test_a_login_that_nobody_knows_is_enough_over_https(start: Start) -> None:
    registry = start(tls=True, logins={"admin": "secret"})
    tree = Tree(registry.folder / "data")
    tree.image("team/app", "v1")
    htpasswd = registry.folder / "auth/htpasswd"
    with pytest.raises(RegdeployError) as caught:
        prove(registry.client, tree)
    assert caught.value.code == "registry.login"
    with users.temporary_user(htpasswd) as (name, password):
        assert prove(lambda: registry.client(name, password.reveal()), tree, full=True) == ()
    assert users.verify(htpasswd, "admin", Secret("secret"))


def test_of_two_thousand_tags_the_one_that_is_gone_is_found(registry: Registry) -> None:
    tree = Tree(registry.folder / "data")
    for number in range(2000):
        tree.image(f"team/app{number % 3}", f"v{number}", layers={"a": f"{number % 700}".encode()}, config=f"{number}")
    tree.tag("team/app1", "v1000").unlink()
    proof = examine(registry.client, tree)
    assert [difference.where for difference in proof.differences] == ["team/app1:v1000"]
    assert proof.asked == 1 + 3 + 2000 + sum(len(one.layers) for one in tree.repositories.values())


def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
