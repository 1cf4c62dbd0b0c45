"""Images come from real registries and from real archives."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from regdeploy.engine.archives import archive_names
from regdeploy.engine.docker_engine import DockerEngine
from regdeploy.engine.model import PullProgress
from regdeploy.errors import ImageError
from tests.contract.engine_contract import ignore
from tests.rig.engine.conftest import Shelf
from tests.rig.parts.images import docker_archive, oci_layout, random_image, random_platforms
from tests.rig.parts.rig import Rig

REFERENCE = "archived/image:1"


def test_a_pulled_image_is_there_and_its_bytes_were_told(shelf: Shelf, engine: DockerEngine) -> None:
    reference = shelf.put("some/image:1")
    seen: list[PullProgress] = []
    image = engine.pull(reference, seen.append)
    shelf.rig.images.forget(reference)
    assert image.tags == (reference,)
    assert image.repo_digests[0].startswith(f"{shelf.host}/some/image@sha256:")
    assert (image.os, image.architecture) == ("linux", engine.facts().architecture)
    assert seen[-1].done_bytes == seen[-1].total_bytes >= 2 * 300_000
    assert [step.done_bytes for step in seen] == sorted(step.done_bytes for step in seen)
    assert {step.note for step in seen} == {"downloading", "extracting"}


def test_an_image_is_pulled_by_its_digest(shelf: Shelf, engine: DockerEngine) -> None:
    tagged = shelf.put("by/digest:1")
    digest = engine.pull(tagged, ignore).repo_digests[0]
    shelf.rig.images.forget(tagged)
    for reference in (digest, f"{tagged}@{digest.partition('@')[2]}"):
        assert engine.image(reference) is None
        image = engine.pull(reference, ignore)
        assert engine.image(reference) == image
        assert digest in image.repo_digests
        shelf.rig.images.forget(image.id)


def test_a_pull_that_is_left_half_way_is_no_harm(shelf: Shelf, engine: DockerEngine) -> None:
    reference = shelf.put("half/way:1")

    def leave(progress: PullProgress) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        engine.pull(reference, leave)
    assert engine.pull(reference, ignore).tags == (reference,)
    shelf.rig.images.forget(reference)


def test_a_registry_that_wants_a_login_is_told_from_one_that_has_no_such_image(
    locked_shelf: Shelf, engine: DockerEngine
) -> None:
    with pytest.raises(ImageError) as raised:
        engine.pull(f"{locked_shelf.host}/some/image:1", ignore)
    assert raised.value.code == "image.login"
    assert "docker login" in raised.value.hint


def test_the_credentials_of_dockers_config_file_are_used(locked_shelf: Shelf, engine: DockerEngine) -> None:
    clients = locked_shelf.rig.clients
    clients.docker("login", locked_shelf.host, "-u", "anna", "--password-stdin", text="secret")
    try:
        reference = locked_shelf.put("locked/image:1")
        assert engine.pull(reference, ignore).tags == (reference,)
        clients.docker("rmi", reference)
    finally:
        clients.docker("logout", locked_shelf.host)


def test_the_credentials_of_a_helper_are_used(
    locked_shelf: Shelf, rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_engine: None
) -> None:
    rig.clients.docker("login", locked_shelf.host, "-u", "anna", "--password-stdin", text="secret")
    reference = locked_shelf.put("helped/image:1")
    rig.clients.docker("logout", locked_shelf.host)
    helper = tmp_path / "docker-credential-rig"
    helper.write_text('#!/bin/sh\ncat > /dev/null\necho \'{"Username": "anna", "Secret": "secret"}\'\n')
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {locked_shelf.host: "rig"}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    from regdeploy.engine.connect import connect  # noqa: PLC0415 - after the environment was set

    assert connect(rig.docker_host).pull(reference, ignore).tags == (reference,)
    rig.images.forget(reference)


@pytest.mark.filterwarnings("ignore:docker-credential-nowhere")
def test_a_helper_that_is_not_there_is_a_matter_of_logging_in(
    locked_shelf: Shelf, rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "nowhere"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    from regdeploy.engine.connect import connect  # noqa: PLC0415 - after the environment was set

    with pytest.raises(ImageError, match="docker-credential-nowhere") as raised:
        connect(rig.docker_host).pull(f"{locked_shelf.host}/x:1", ignore)
    assert raised.value.code == "image.login"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "127.0.0.1:1"])
def test_a_registry_that_cannot_be_reached_is_a_matter_of_the_network(engine: DockerEngine, host: str) -> None:
    with pytest.raises(ImageError) as raised:
        engine.pull(f"{host}/some/image:1", ignore)
    assert raised.value.code == "image.network"
    assert "dial tcp" in raised.value.what
    assert "--image-archive" in raised.value.hint


def test_an_image_for_other_machines_only_is_told(shelf: Shelf, rig: Rig, engine: DockerEngine, tmp_path: Path) -> None:
    others = [image for image in random_platforms() if image.architecture != engine.facts().architecture]
    oci_layout(tmp_path / "layout", [*others, random_image(architecture="s390x")])
    rig.images.push_layout(tmp_path / "layout", f"{shelf.host}/other/machines:1", "--dest-tls-verify=false")
    with pytest.raises(ImageError, match="no matching manifest") as raised:
        engine.pull(f"{shelf.host}/other/machines:1", ignore)
    assert raised.value.code == "image.platform"


@pytest.mark.parametrize("reference", ["UPPER:1", "a b", "http://x/y:1", ""])
def test_what_is_no_reference_is_refused(engine: DockerEngine, reference: str) -> None:
    with pytest.raises(ImageError):
        engine.pull(reference, ignore)


@pytest.fixture
def archives(rig: Rig, tmp_path: Path) -> dict[str, Path]:
    """One image in every form that the tools write it."""
    rig.images.random(REFERENCE, layers=3)
    saved = rig.images.save(REFERENCE, tmp_path / "saved.tar")
    rig.images.forget(REFERENCE)
    source = f"docker-archive:{saved}"
    zipped = tmp_path / "saved.tar.gz"
    zipped.write_bytes(gzip.compress(saved.read_bytes()))
    skopeo = rig.clients.skopeo
    skopeo("copy", source, f"docker-archive:{tmp_path / 'copied.tar'}:{REFERENCE}")
    skopeo("copy", source, f"oci:{tmp_path / 'layout'}:{REFERENCE}")
    skopeo("copy", source, f"oci-archive:{tmp_path / 'layout.tar'}:{REFERENCE}")
    zipped_layout = tmp_path / "layout.tar.gz"
    zipped_layout.write_bytes(gzip.compress((tmp_path / "layout.tar").read_bytes()))
    return {
        "docker save": saved,
        "docker save, gzip": zipped,
        "skopeo docker-archive": tmp_path / "copied.tar",
        "OCI folder": tmp_path / "layout",
        "OCI tar": tmp_path / "layout.tar",
        "OCI tar, gzip": zipped_layout,
    }


FORMS = ["docker save", "docker save, gzip", "skopeo docker-archive", "OCI folder", "OCI tar", "OCI tar, gzip"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_archive_is_loaded_under_its_name(
    rig: Rig, engine: DockerEngine, archives: dict[str, Path], form: str
) -> None:
    assert archive_names(archives[form]) == (REFERENCE,)
    seen: list[PullProgress] = []
    image = engine.load(archives[form], seen.append)
    assert engine.image(REFERENCE) == image
    assert image.tags == (REFERENCE,)
    assert len(archives) == len(FORMS)
    assert seen[-1].done_bytes == seen[-1].total_bytes > 0
    container = rig.clients.docker("create", REFERENCE).strip()
    rig.clients.docker("rm", container)
    rig.images.forget(REFERENCE)


@pytest.mark.parametrize("form", ["docker save", "OCI folder"])
def test_an_image_gets_the_name_it_is_asked_for_by_and_takes_no_other(
    rig: Rig, engine: DockerEngine, archives: dict[str, Path], form: str
) -> None:
    image = engine.load(archives[form], ignore, tag_as="mine/own")
    assert image.tags == ("mine/own:latest",)
    assert engine.image("mine/own") == image
    assert engine.image(REFERENCE) is None
    rig.images.forget("mine/own")


def test_loading_again_what_is_there_is_fine(rig: Rig, engine: DockerEngine, archives: dict[str, Path]) -> None:
    first = engine.load(archives["docker save"], ignore, tag_as="mine/own:1")
    again = engine.load(archives["OCI tar"], ignore, tag_as="mine/own:1")
    assert again.tags == first.tags
    rig.images.forget("mine/own:1")


def test_of_several_platforms_the_engines_own_is_loaded(rig: Rig, engine: DockerEngine, tmp_path: Path) -> None:
    rig.images.platforms(tmp_path / "layout")
    image = engine.load(tmp_path / "layout", ignore, tag_as=REFERENCE)
    assert image.architecture == engine.facts().architecture
    rig.images.forget(REFERENCE)


def test_of_several_images_the_one_that_was_named_is_loaded(rig: Rig, engine: DockerEngine, tmp_path: Path) -> None:
    archive = tmp_path / "both.tar"
    one, two = random_image(), random_image()
    archive.write_bytes(docker_archive({"both/one:1": one, "both/two:1": two}))
    with pytest.raises(ImageError, match="holds both/one:1, both/two:1") as raised:
        engine.load(archive, ignore)
    assert raised.value.code == "image.archive"
    image = engine.load(archive, ignore, tag_as="both/two:1")
    assert image.tags == ("both/two:1",)
    assert engine.image("both/one:1") is None
    rig.images.forget("both/two:1")


def test_an_archive_without_a_name_is_loaded_by_its_id(rig: Rig, engine: DockerEngine, tmp_path: Path) -> None:
    oci_layout(tmp_path / "layout", [random_image(architecture=engine.facts().architecture)])
    image = engine.load(tmp_path / "layout", ignore)
    assert image.tags == ()
    assert engine.image(image.id) == image
    rig.images.forget(image.id)


def test_a_layer_that_is_not_what_its_name_promises_is_not_loaded(
    engine: DockerEngine, archives: dict[str, Path], tmp_path: Path
) -> None:
    layout = tmp_path / "damaged"
    shutil.copytree(archives["OCI folder"], layout)
    largest = max((layout / "blobs" / "sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    with pytest.raises(ImageError, match="damaged") as raised:
        engine.load(layout, ignore)
    assert raised.value.code == "image.archive"
    assert engine.image(REFERENCE) is None


def test_what_the_engine_finds_wrong_with_an_archive_is_told_in_its_words(engine: DockerEngine, tmp_path: Path) -> None:
    image = random_image(architecture=engine.facts().architecture)
    archive = tmp_path / "wrong.tar"
    good = docker_archive({REFERENCE: image})
    archive.write_bytes(good.replace(image.layers[0][600:650], b"x" * 50))
    with pytest.raises(ImageError) as raised:
        engine.load(archive, ignore)
    assert raised.value.code == "image.archive"
    assert "layer" in raised.value.what
