"""Whose folders they are, which only root can make true."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from regdeploy.host.folders import folder_facts, unsafe

NOBODY = 65534
STRANGER = 3_999_999_999
STAFF = grp.getgrnam("staff").gr_gid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is as it should be."""
    path = tmp_path / "parent" / "root"
    path.mkdir(parents=True)
    path.parent.chmod(0o755)
    path.chmod(0o711)
    return path


def judged(path: Path) -> str:
    return unsafe(folder_facts(path), 0)


def test_a_folder_of_somebody_else_is_refused_by_both_names(folder: Path) -> None:
    os.chown(folder, NOBODY, -1)

    assert folder_facts(folder).owner_uid == NOBODY
    assert judged(folder) == "belongs to nobody, not to root who runs regdeploy"


def test_an_owner_without_a_name_is_a_number(folder: Path) -> None:
    os.chown(folder, STRANGER, -1)

    assert judged(folder).startswith(f"belongs to uid {STRANGER}, not to ")


def test_a_folder_that_a_group_can_write_is_refused(folder: Path) -> None:
    os.chown(folder, -1, STAFF)
    folder.chmod(0o770)

    assert judged(folder).startswith("can be written by other users (mode 0770)")


def test_a_group_without_write_access_is_no_matter(folder: Path) -> None:
    os.chown(folder, -1, STAFF)
    folder.chmod(0o750)

    assert judged(folder) == ""


def test_roots_own_group_may_write(folder: Path) -> None:
    os.chown(folder, -1, 0)
    folder.chmod(0o775)

    assert judged(folder) == ""


def test_a_users_private_group_may_write_and_a_shared_first_group_may_not(folder: Path) -> None:
    private = next(user for user in pwd.getpwall() if user.pw_uid and _is_private(user))
    shared = next(user for user in pwd.getpwall() if user.pw_gid and not _is_private(user))
    for user, expected in ((private, False), (shared, True)):
        os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(0o770)

        assert folder_facts(folder).others_can_write is expected, user.pw_name


def _is_private(user: pwd.struct_passwd) -> bool:
    group = grp.getgrgid(user.pw_gid)
    return group.gr_name == user.pw_name and not group.gr_mem


def test_the_group_of_an_owner_without_a_name_is_not_known_to_be_private(folder: Path) -> None:
    os.chown(folder, STRANGER, STRANGER)
    folder.chmod(0o770)

    assert folder_facts(folder).others_can_write


def test_a_parent_of_somebody_else_is_refused_and_one_of_the_folders_owner_is_not(folder: Path) -> None:
    os.chown(folder.parent, NOBODY, -1)
    assert folder_facts(folder).loose_parent == folder.parent

    os.chown(folder, NOBODY, -1)
    assert folder_facts(folder).loose_parent is None


def test_a_link_above_that_somebody_else_can_turn_is_refused(folder: Path) -> None:
    way = folder.parent.parent / "way"
    way.symlink_to(folder.parent)
    os.chown(way, NOBODY, -1, follow_symlinks=False)

    assert folder_facts(way / "root").loose_parent == way
