"""The ways in which work ends early, for real: a kill, a full disk, a user who may not."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TOUCHES = frozenset({"open", "os.rename", "os.mkdir", "os.symlink", "os.remove", "os.rmdir", "os.chmod"})
_NOBODY = 65534


def killed_at(step: int, folder: Path, act: Callable[[], object]) -> bool:
    """Run ``act`` in a child that is killed before it touches ``folder`` for the ``step``-th time, from 0.

    False when it ended before that, and well.
    """
    pid = os.fork()
    if pid == 0:
        left = step

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in _TOUCHES and any(str(argument).startswith(str(folder)) for argument in arguments[:2]):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            act()
        except BaseException:  # noqa: BLE001 - the child must never become a second test run
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def killed_everywhere(folder: Callable[[int], Path], act: Callable[[Path], object]) -> Iterator[Path]:
    """Every folder that a kill of ``act(folder(step))`` leaves, one for each moment at which it may come."""
    for step in range(200):
        place = folder(step)
        if not killed_at(step, place, lambda place=place: act(place)):  # type: ignore[misc]  # mypy takes no defaults
            assert step > 1, "nothing was touched: the hook sees nothing"
            return
        yield place
    raise AssertionError("it does not end")


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that everybody can read and enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Below ``folder`` only what others may do: root becomes nobody, anybody else gives up the owner's bits."""
    if os.geteuid() == 0:
        os.seteuid(_NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
        return
    modes = {path: path.stat().st_mode for path in [folder, *sorted(folder.rglob("*"))] if not path.is_symlink()}
    for path in reversed(modes):
        path.chmod((modes[path] & 0o7) * 0o111)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(stat.S_IMODE(mode))


def on_tiny_disk(mount: Path, size: str, code: str, value: object) -> str:
    """What ``code`` prints, run with ``mount`` on a file system of ``size``; it has ``value``, pickled, on stdin."""
    shell = f'mount -t tmpfs -o size={size} tiny "$1" && exec "$2" -c "$3" "$1"'
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    command = ["unshare", *root, "--mount", "sh", "-c", shell, "sh", str(mount), sys.executable, code]
    done = subprocess.run(command, input=pickle.dumps(value), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()
