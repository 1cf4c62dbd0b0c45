from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from regdeploy.errors import HostError
from regdeploy.host.disk import DiskFacts, disk_facts
from tests.unit.tls.ends import on_tiny_disk

_CODE = """
import pickle, sys
from pathlib import Path
from regdeploy.host.disk import disk_facts

size = pickle.load(sys.stdin.buffer)
folder = Path(sys.argv[1])
print(disk_facts(folder / "not" / "yet"))
with open(folder / "filler", "wb", buffering=0) as filler:
    try:
        while filler.write(b"x" * size):
            pass
    except OSError:
        pass
print(disk_facts(folder))
"""


def test_the_room_is_what_the_system_counts(tmp_path: Path) -> None:
    facts = disk_facts(tmp_path)

    assert facts.total_bytes == shutil.disk_usage(tmp_path).total
    assert 0 < facts.free_bytes < facts.total_bytes
    assert facts.free_inodes is None or facts.free_inodes > 0


def test_a_folder_that_is_not_there_yet_will_be_on_its_parents_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    expected = disk_facts(tmp_path).total_bytes

    assert disk_facts(tmp_path / "not" / "yet").total_bytes == expected
    assert disk_facts(tmp_path / "file" / "below").total_bytes == expected
    assert disk_facts(Path("not/yet")).total_bytes == disk_facts(Path.cwd()).total_bytes


def test_a_disk_without_a_count_of_files_has_no_limit_of_them() -> None:
    assert disk_facts(Path("/proc")).free_inodes is None


def test_a_path_that_cannot_be_followed_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(HostError) as caught:
        disk_facts(tmp_path / "loop" / "root")

    assert str(caught.value) == f"{tmp_path}/loop/root: Too many levels of symbolic links"


def test_a_full_disk_has_nothing_free(tmp_path: Path) -> None:
    empty, full = on_tiny_disk(tmp_path, "64k,nr_inodes=10", _CODE, 4096).splitlines()

    assert empty == str(DiskFacts(total_bytes=65536, free_bytes=65536, free_inodes=9))
    assert full == str(DiskFacts(total_bytes=65536, free_bytes=0, free_inodes=8))
