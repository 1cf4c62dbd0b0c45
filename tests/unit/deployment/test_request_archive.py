"""Where an image archive is given, its own name is the image; who names an image as strongly is heard first."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from regdeploy.deployment.request import Request, resolve_request
from regdeploy.deployment.spec import Resolved
from regdeploy.errors import ImageError
from tests.unit.said import said


def _archive(path: Path, *tags: str) -> Path:
    """What `docker save` writes for one image, as far as its name is concerned."""
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": list(tags), "Layers": []}]).encode()
    with tarfile.open(path, "w") as archive:
        for name, content in (("config.json", config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def _resolve(
    folder: Path, flags: Mapping[str, object], *, saved: str | None = None, file: str | None = None
) -> Resolved:
    root = folder / "root"
    root.mkdir(exist_ok=True)
    if saved is not None:
        (root / "regdeploy.toml").write_text(saved)
    if file is not None:
        (folder / "regdeploy.toml").write_text(file)
    request = Request(flags={"root": str(root), **flags}, environ={}, config=None, folder=folder)
    return resolve_request(request)


def test_the_archives_name_is_the_image(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "r.tar", "docker.io/library/registry:2.8")

    resolved = _resolve(tmp_path, {"image-archive": archive})

    assert (resolved.spec.image, resolved.spec.image_archive) == ("registry:2.8", archive)
    assert resolved.sources["image"] == resolved.sources["image-archive"] == "flag"


def test_an_image_that_was_named_beside_the_archive_counts(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "r.tar", "registry:2.8", "registry:latest")

    assert _resolve(tmp_path, {"image-archive": archive, "image": "registry:3"}).spec.image == "registry:3"


def test_an_archive_given_now_is_stronger_than_the_image_that_was_saved(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "r.tar", "registry:3.1")
    saved = f'image = "registry:2.8"\nimage-archive = "{tmp_path}/gone.tar"\n'

    assert _resolve(tmp_path, {"image-archive": archive}, saved=saved).spec.image == "registry:3.1"


def test_an_image_given_now_is_stronger_than_the_archive_that_was_saved(tmp_path: Path) -> None:
    saved = f'image = "registry:2.8"\nimage-archive = "{tmp_path}/gone.tar"\n'

    assert _resolve(tmp_path, {"image": "registry:3"}, saved=saved).spec.image == "registry:3"


def test_what_was_saved_of_an_archive_needs_the_archive_no_more(tmp_path: Path) -> None:
    saved = f'image = "registry:2.8"\nimage-archive = "{tmp_path}/gone.tar"\n'

    assert _resolve(tmp_path, {}, saved=saved).spec.image == "registry:2.8"


def test_an_archive_in_a_file_is_named_after_that_file(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "r.tar", "registry:2.8")

    resolved = _resolve(tmp_path, {}, file=f'image-archive = "{archive}"\n', saved='image = "registry:3"\n')

    assert (resolved.spec.image, resolved.sources["image"]) == ("registry:2.8", "file")


def test_an_archive_with_two_names_must_be_told_which(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "r.tar", "registry:2.8", "registry:2")

    assert said(lambda: _resolve(tmp_path, {"image-archive": archive})) == (
        f"--image-archive: {archive} holds registry:2.8, registry:2\nhint: say which with --image"
    )


def test_an_archive_without_a_name_leaves_the_image_as_it_is(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "r.tar")

    assert _resolve(tmp_path, {"image-archive": archive}).spec.image == "registry:3"


def test_an_archive_that_was_taken_back_is_none(tmp_path: Path) -> None:
    resolved = _resolve(tmp_path, {"image-archive": ""}, saved=f'image-archive = "{tmp_path}/gone.tar"\n')

    assert (resolved.spec.image, resolved.spec.image_archive) == ("registry:3", None)


def test_an_archive_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as refused:
        _resolve(tmp_path, {"image-archive": tmp_path / "gone.tar"})

    assert str(refused.value) == f"{tmp_path}/gone.tar: cannot be read: No such file or directory"
