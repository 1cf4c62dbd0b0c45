"""An upgrade without a network, under one tag: the archive is real, and so is the reading of it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from regdeploy.errors import ImageError
from tests.fakes.death import dying_before
from tests.fakes.mortal import Killed
from tests.rig.parts.images import Image, digest, docker_archive, layer
from tests.unit.spine.host import INTERNAL, OTHER_PORT, Host, copy_of

_RUNS = {"Entrypoint": ["/entrypoint.sh"], "Cmd": ["/etc/distribution/config.yml"]}


def archive(path: Path, version: str) -> str:
    """Write an archive of ``registry:3`` in that version; returns the image's id."""
    image = Image((layer({"version": version.encode()}),), _RUNS)
    path.write_bytes(docker_archive({"registry:3": image}))
    return digest(image.configuration())


def runs(host: Host) -> str:
    container = host.serving()
    return container.image_id if container is not None else ""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host that runs a pulled registry:3."""
    started = Host(tmp_path / "root")
    started.up(INTERNAL)
    return started


def test_an_archive_with_another_image_under_the_same_tag_is_an_upgrade(host: Host, tmp_path: Path) -> None:
    newer = archive(tmp_path / "new.tar", "3.2.0")

    host.up({"image-archive": tmp_path / "new.tar"})

    assert runs(host) == newer
    assert host.serves(INTERNAL)


def test_the_same_archive_again_does_nothing_and_is_needed_no_more(host: Host, tmp_path: Path) -> None:
    given = {"image-archive": tmp_path / "new.tar"}
    archive(tmp_path / "new.tar", "3.2.0")
    host.up(given)

    assert host.plan(given).plan.text() == ""
    (tmp_path / "new.tar").unlink()
    assert host.plan({}).plan.text() == ""
    assert host.up({"port": OTHER_PORT}).plan.steps
    with pytest.raises(ImageError, match=r"new\.tar: cannot be read: No such file or directory"):
        host.plan({**given, "image": "registry:3"})


def test_an_archive_that_a_file_names_may_be_gone_once_its_image_is_there(host: Host, tmp_path: Path) -> None:
    text = f'image = "registry:3"\nimage-archive = "{tmp_path}/new.tar"\n'
    (tmp_path / "regdeploy.toml").write_text(text, encoding="utf-8")
    newer = archive(tmp_path / "new.tar", "3.2.0")
    host.up({})
    assert runs(host) == newer

    (tmp_path / "new.tar").unlink()

    assert host.plan({}).plan.text() == ""


def test_an_image_that_is_named_by_its_digest_is_not_looked_for_in_an_archive(host: Host, tmp_path: Path) -> None:
    image = host.engine.images["registry:3"]
    named = f"registry@{image.repo_digests[0].partition('@')[2]}"
    host.engine.images[named] = image
    archive(tmp_path / "new.tar", "3.2.0")

    host.up({"image": named, "image-archive": tmp_path / "new.tar"})

    assert runs(host) == image.id


def test_killed_before_any_write_of_it_the_next_up_ends_it(host: Host, tmp_path: Path) -> None:
    given = {"image-archive": tmp_path / "new.tar"}
    newer = archive(tmp_path / "new.tar", "3.2.0")
    host.image_pushed()
    for write in itertools.count(1):
        other = copy_of(host, tmp_path / f"killed-{write}")
        with dying_before(write):
            try:
                other.up(given)
            except Killed:
                killed = True
            else:
                killed = False
        other.up(given)
        assert runs(other) == newer, f"killed before write {write}"
        assert other.plan({}).plan.text() == "", f"killed before write {write}"
        assert other.image_is_there()
        if not killed:
            break
    assert write > 8, "the sweep saw hardly any write: it proves nothing"
