from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from regdeploy.host.folders import FolderFacts, folder_facts, unsafe
from tests.unit.tls.ends import as_nobody, open_folder

ME = os.getuid()
NOBODY = 65534


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


def test_a_parent_in_which_others_can_rename_is_refused(folder: Path) -> None:
    folder.parent.chmod(0o777)

    assert folder_facts(folder).loose_parent == folder.parent
    assert judged(folder) == f"lies in {folder.parent}, where other users could replace it"
    assert judged(folder / "not" / "yet") == f"lies in {folder.parent}, where other users could replace it"


def test_a_parent_with_the_sticky_bit_lets_nobody_replace_what_is_ours(folder: Path) -> None:
    folder.parent.chmod(0o1777)

    assert judged(folder) == ""


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
