"""Which folder may be the root, and how it is written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import resolved
from tests.unit.said import said


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("/srv/registry", "/srv/registry"),
        ("/srv/registry/", "/srv/registry"),
        ("//srv//registry/.", "/srv/registry"),
        ("/srv/../var/registry", "/var/registry"),
        (Path("/srv/registry"), "/srv/registry"),
        ("  /srv/registry ", "/srv/registry"),
    ],
)
def test_the_root_is_written_as_the_engine_writes_it(given: str | Path, root: str) -> None:
    assert str(resolved(root=given).spec.root) == root


def test_a_relative_root_is_below_the_current_folder() -> None:
    assert resolved(root="registry").spec.root == Path.cwd() / "registry"


@pytest.mark.parametrize("given", ["/", "//", "/srv/..", "/../", ""])
def test_the_whole_disk_is_no_root(given: str) -> None:
    assert said(lambda: resolved(root=given)) == (
        f"--root: {given!r} cannot be the root folder\nhint: use a folder such as /var/lib/registry"
    )


def test_a_root_that_docker_cannot_mount_is_refused_before_anything_is_touched() -> None:
    assert said(lambda: resolved(root="/srv/a:b")) == (
        "--root: '/srv/a:b' has a colon, and Docker mounts no such path\nhint: use another folder"
    )
