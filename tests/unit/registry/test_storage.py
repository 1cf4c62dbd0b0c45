"""What lies in a data folder, counted without the registry."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from regdeploy.registry.storage import repositories_on_disk, used_bytes


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert repositories_on_disk(tmp_path / "data") == 0
    assert used_bytes(tmp_path / "data", 5) == (0, True)


def test_repositories_within_repositories_count_each(tmp_path: Path) -> None:
    top = tmp_path / "docker/registry/v2/repositories"
    for name in ("a", "a/b", "team/x/y"):
        (top / name / "_manifests/tags").mkdir(parents=True)
    (top / "pushed-halfway/_uploads").mkdir(parents=True)
    (top / "a/_layers/_manifests").mkdir(parents=True)
    (top / "stray").write_text("")
    assert repositories_on_disk(tmp_path) == 3


def test_bytes_are_those_of_du_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/big").write_bytes(b"x" * 100_000)
    (tmp_path / "a/b/small").write_bytes(b"x")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 10_000_000)
    (tmp_path / "link").symlink_to("/usr")
    printed = subprocess.run(["du", "-s", "-B1", tmp_path], capture_output=True, text=True, check=True).stdout
    assert used_bytes(tmp_path, 30) == (int(printed.split()[0]), True)
    assert used_bytes(tmp_path, 30)[0] > 100_000


def test_counting_stops_when_its_time_is_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    bytes_seen, whole = used_bytes(tmp_path, -1)
    assert not whole
    assert bytes_seen < 100_000
