from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from regdeploy.host.folders import FolderFacts, folder_facts, unsafe
from tests.unit.tls.ends import as_nobody, open_folder

ME = os.getuid()
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
    return unsafe(folder_facts(path), ME)


def test_a_folder_of_our_own_that_nobody_else_can_write_is_good(folder: Path) -> None:
    assert folder_facts(folder) == FolderFacts(path=folder, exists=True, is_folder=True, owner_uid=ME, mode=0o711)
    assert judged(folder) == ""


def test_a_folder_that_is_not_there_yet_is_good_where_its_parents_are(folder: Path) -> None:
    missing = folder / "not" / "yet"

    assert folder_facts(missing) == FolderFacts(path=missing, exists=False)
    assert judged(missing) == ""


def test_a_symbolic_link_is_refused_also_when_it_leads_to_a_good_folder(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)

    facts = folder_facts(link)

    assert (facts.exists, facts.is_link, facts.is_folder, facts.others_can_write) == (True, True, False, False)
    assert judged(link) == "is a symbolic link: use the real path, so that nobody can point it elsewhere"


def test_a_link_that_leads_nowhere_is_a_link(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to("nowhere")

    assert judged(link).startswith("is a symbolic link")


def test_a_file_is_refused(folder: Path) -> None:
    path = folder / "file"
    path.touch()

    assert judged(path) == "is a file, not a folder"


def test_a_folder_of_somebody_else_is_refused_by_both_names(folder: Path) -> None:
    os.chown(folder, NOBODY, -1)

    assert folder_facts(folder).owner_uid == NOBODY
    assert judged(folder) == f"belongs to nobody, not to {pwd.getpwuid(ME).pw_name} who runs regdeploy"


def test_an_owner_without_a_name_is_a_number(folder: Path) -> None:
    os.chown(folder, STRANGER, -1)

    assert judged(folder).startswith(f"belongs to uid {STRANGER}, not to ")


def test_roots_folder_is_no_good_for_another_user(folder: Path) -> None:
    assert (
        unsafe(folder_facts(folder), NOBODY)
        == f"belongs to {pwd.getpwuid(ME).pw_name}, not to nobody who runs regdeploy"
    )


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o733, 0o713, 0o702])
def test_a_folder_that_everybody_can_write_is_refused_with_the_way_to_close_it(folder: Path, mode: int) -> None:
    folder.chmod(mode)

    assert folder_facts(folder).others_can_write
    assert judged(folder) == f"can be written by other users (mode {mode:04o}): `chmod go-w {folder}` closes it"


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


def test_a_parent_in_which_others_can_rename_is_refused(folder: Path) -> None:
    folder.parent.chmod(0o777)

    assert folder_facts(folder).loose_parent == folder.parent
    assert judged(folder) == f"lies in {folder.parent}, where other users could replace it"
    assert judged(folder / "not" / "yet") == f"lies in {folder.parent}, where other users could replace it"


def test_a_parent_with_the_sticky_bit_lets_nobody_replace_what_is_ours(folder: Path) -> None:
    folder.parent.chmod(0o1777)

    assert judged(folder) == ""


def test_a_parent_of_somebody_else_is_refused_and_one_of_the_folders_owner_is_not(folder: Path) -> None:
    os.chown(folder.parent, NOBODY, -1)
    assert folder_facts(folder).loose_parent == folder.parent

    os.chown(folder, NOBODY, -1)
    assert folder_facts(folder).loose_parent is None


def test_the_nearest_of_several_loose_parents_is_named(folder: Path) -> None:
    folder.parent.chmod(0o777)
    folder.chmod(0o777)

    assert folder_facts(folder / "deeper").loose_parent == folder


def test_a_link_above_is_followed_to_where_the_folder_really_lies(folder: Path) -> None:
    way = folder.parent.parent / "way"
    way.symlink_to(folder.parent)
    assert judged(way / "root") == ""

    folder.parent.chmod(0o777)
    assert folder_facts(way / "root").loose_parent == folder.parent


def test_a_link_above_that_somebody_else_can_turn_is_refused(folder: Path) -> None:
    way = folder.parent.parent / "way"
    way.symlink_to(folder.parent)
    os.chown(way, NOBODY, -1, follow_symlinks=False)

    assert folder_facts(way / "root").loose_parent == way


def test_a_path_is_made_absolute_and_its_dots_vanish(folder: Path) -> None:
    assert folder_facts(folder / ".." / "root").path == folder
    assert folder_facts(Path("here")).path == Path.cwd() / "here"


def test_what_cannot_be_looked_at_counts_as_absent() -> None:
    with open_folder() as folder:
        closed = folder / "closed"
        (closed / "root").mkdir(parents=True)
        closed.chmod(0o700)
        with as_nobody(folder):
            facts = folder_facts(closed / "root")

    assert not facts.exists
