from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regdeploy.errors import Busy, HostError
from regdeploy.host.lock import LOCK_FILE, Lock, user_name

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
_NOBODY_HERE = 3_999_999_999

_HOLDER = """
import sys, time
from pathlib import Path
from regdeploy.host.lock import Lock
with Lock(Path(sys.argv[1]), "up --domain registry.example.com"):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A regdeploy that holds the lock until it is killed."""
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(root)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_lock_makes_the_root_and_leaves_an_empty_file_for_its_owner_alone(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "root"

    with Lock(root, "up", clock=lambda: NINE):
        label = json.loads((root / LOCK_FILE).read_text())

    assert label == {
        "pid": os.getpid(),
        "operation": "up",
        "since": "2026-11-24T09:00:00+00:00",
        "user": user_name(os.getuid()),
    }
    assert (root / LOCK_FILE).read_bytes() == b""
    assert (root / LOCK_FILE).stat().st_mode & 0o777 == 0o600
    assert root.stat().st_mode & 0o777 == 0o711


def test_who_comes_second_is_told_who_is_at_work_and_since_when(tmp_path: Path) -> None:
    now = NINE
    with (
        Lock(tmp_path, "up", clock=lambda: NINE),
        pytest.raises(Busy) as caught,
        Lock(tmp_path, "down", clock=lambda: now + timedelta(seconds=75)),
    ):
        pass

    local = NINE.astimezone()
    assert str(caught.value) == (
        f"{tmp_path}: `regdeploy up` by {user_name(os.getuid())}, pid {os.getpid()}, is at work here since "
        f"{local:%H:%M:%S} (75 s)"
    )
    assert caught.value.hint == "wait until it has ended, then run the same command again"


def test_another_process_keeps_us_out_and_its_death_lets_us_in_at_once(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder:
        with (
            pytest.raises(Busy, match=rf"`regdeploy up --domain registry.example.com` by .*, pid {holder.pid}, is at"),
            Lock(tmp_path, "down"),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()

        with Lock(tmp_path, "down"):
            assert json.loads((tmp_path / LOCK_FILE).read_text())["operation"] == "down"


def test_the_lock_is_free_again_after_the_block_also_when_it_failed(tmp_path: Path) -> None:
    before = descriptors()
    with pytest.raises(RuntimeError), Lock(tmp_path, "up"):
        raise RuntimeError

    with Lock(tmp_path, "up"):
        pass
    assert descriptors() == before


def test_leaving_without_having_entered_changes_nothing(tmp_path: Path) -> None:
    with Lock(tmp_path, "up") as held:
        label = (tmp_path / LOCK_FILE).read_bytes()
        Lock(tmp_path, "down").__exit__(None, None, None)
        assert (tmp_path / LOCK_FILE).read_bytes() == label
    held.__exit__(None, None, None)


def test_being_kept_out_leaves_no_descriptor_and_the_holders_label(tmp_path: Path) -> None:
    with Lock(tmp_path, "up"):
        label = (tmp_path / LOCK_FILE).read_bytes()
        before = descriptors()
        for _ in range(3):
            with pytest.raises(Busy), Lock(tmp_path, "down"):
                pass
        assert descriptors() == before
        assert (tmp_path / LOCK_FILE).read_bytes() == label


@pytest.mark.parametrize("words", ["", "{", "[]", "7", '{"since": 7}', '{"since": "yesterday"}', '{"pid": 7}', "\0\0"])
def test_a_holder_that_has_not_said_who_it_is_keeps_us_out_as_well(tmp_path: Path, words: str) -> None:
    path = tmp_path / LOCK_FILE
    path.write_text(words)
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        with pytest.raises(Busy) as caught, Lock(tmp_path, "up"):
            pass

    assert caught.value.what == "another regdeploy is at work here"


def test_words_that_a_dead_holder_left_are_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("x" * 5000)

    with Lock(tmp_path, "up"):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["operation"] == "up"


class _Removed(Lock):
    """The lock whose file, or whole root, goes between opening and locking it, as a purge that ends just then does."""

    def __init__(self, root: Path, removals: int) -> None:
        super().__init__(root, "up")
        self.removals = removals
        self._place = root

    def _still_there(self, descriptor: int) -> bool:
        if self.removals:
            self.removals -= 1
            (self._place / LOCK_FILE).unlink()
            self._place.rmdir()
        return super()._still_there(descriptor)


def test_a_file_that_was_removed_meanwhile_is_made_anew_and_locked(tmp_path: Path) -> None:
    root = tmp_path / "root"
    before = descriptors()

    with _Removed(root, 2) as lock:
        assert lock.removals == 0
        with pytest.raises(Busy), Lock(root, "down"):
            pass
    assert descriptors() == before


def test_a_root_that_was_made_for_nothing_is_gone_again_with_the_folders_above_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Lock(tmp_path / "a" / "b" / "root", "up"):
        raise RuntimeError

    assert list(tmp_path.iterdir()) == []


def test_a_root_that_was_there_stays_with_its_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Lock(tmp_path, "up"):
        raise RuntimeError

    assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]


def test_a_root_in_which_something_was_done_stays(tmp_path: Path) -> None:
    root = tmp_path / "root"

    def do_something_and_fail() -> None:
        with Lock(root, "up"):
            (root / "history.jsonl").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        do_something_and_fail()

    assert {path.name for path in root.iterdir()} == {LOCK_FILE, "history.jsonl"}


def test_who_is_kept_out_removes_nothing_of_the_holders(tmp_path: Path) -> None:
    class Late(Lock):
        """Finds no root, and then that another has made it and is at work there."""

        def _enter(self, *, last: bool) -> bool:
            first.__enter__()
            return super()._enter(last=last)

    root = tmp_path / "root"
    first = Lock(root, "up")
    with pytest.raises(Busy), Late(root, "up"):
        pass

    assert json.loads((root / LOCK_FILE).read_text())["pid"] == os.getpid()
    first.__exit__(None, None, None)


def test_a_root_that_others_make_and_remove_has_one_holder_at_most_and_is_no_error(tmp_path: Path) -> None:
    inside: list[int] = []
    seen: list[str] = []

    def fail_often(root: Path, number: int) -> None:
        for _ in range(5):
            try:
                with Lock(root, "up"):
                    inside.append(number)
                    seen.append("alone" if inside == [number] else "not alone")
                    inside.remove(number)
                    raise RuntimeError  # noqa: TRY301 - what the block does
            except RuntimeError:
                seen.append("in")
            except Busy:
                seen.append("busy")

    with ThreadPoolExecutor(max_workers=4) as pool:
        for turn in range(40):
            for done in [pool.submit(fail_often, tmp_path / str(turn) / "root", number) for number in range(4)]:
                done.result()

    assert {"alone", "in"} <= set(seen) <= {"alone", "in", "busy"}
    # Who made a root may have been kept out by one who did not make it, and leaves it.
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != LOCK_FILE] == []


def test_a_folder_that_takes_no_file_is_an_error_that_names_it() -> None:
    with (
        pytest.raises(HostError, match=r"^/proc/self/\.lock: No such file or directory"),
        Lock(Path("/proc/self"), "up"),
    ):
        pass


def test_a_file_that_was_replaced_meanwhile_is_not_the_lock(tmp_path: Path) -> None:
    class Replaced(Lock):
        def _still_there(self, descriptor: int) -> bool:
            if "replaced" not in vars(self):
                vars(self)["replaced"] = True
                (tmp_path / LOCK_FILE).unlink()
                (tmp_path / LOCK_FILE).touch()
            return super()._still_there(descriptor)

    with Replaced(tmp_path, "up"), pytest.raises(Busy), Lock(tmp_path, "down"):
        pass


def test_a_link_in_the_place_of_the_lock_is_refused_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / LOCK_FILE).symlink_to(precious)
    before = descriptors()

    with pytest.raises(HostError) as caught, Lock(tmp_path, "up"):
        pass

    assert str(caught.value) == f"{tmp_path}/.lock: Too many levels of symbolic links"
    assert caught.value.hint == "a symbolic link is in the way: use the real path"
    assert precious.read_text() == "precious"
    assert descriptors() == before


def test_a_folder_in_the_place_of_the_lock_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).mkdir()

    with pytest.raises(HostError, match=r"/\.lock: Is a directory"), Lock(tmp_path, "up"):
        pass


def test_a_file_in_the_place_of_the_root_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "root").touch()

    with pytest.raises(HostError, match=r"/root: Not a directory"), Lock(tmp_path / "root", "up"):
        pass


def test_a_user_that_the_host_does_not_know_is_a_number() -> None:
    assert user_name(0) == "root"
    assert user_name(_NOBODY_HERE) == f"uid {_NOBODY_HERE}"
