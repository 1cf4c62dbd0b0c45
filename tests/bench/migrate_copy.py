"""How fast a registry's data comes into another folder: beside ``cp -a`` across file systems, ``cp -al`` within one.

``python -m tests.bench.migrate_copy [GIGABYTES] [ROUNDS] [FOLDER]``, as root: 1 GB and 3 rounds by default, below
FOLDER (or the temporary one), which needs twice the room. The targets are a memory disk and an ext4 on a loop device,
mounted where nobody else sees them. ``cp`` is followed by a sync of the target's disk, as a transfer ends with one; it
checks no digest. *cold* has the source's data read from its disk, *warm* from memory. The two take turns. *at most* is
what this machine can do if all its cores do nothing but hash, and read and write as fast as ``cp`` does on one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from regdeploy.registry.transfer import Transfer
from tests.rig.parts.isolation import isolate
from tests.rig.parts.processes import run
from tests.stored import MANIFEST, Stored

# The layers of one image, in bytes: a few large ones have most of it, as in life.
_LAYERS = (60_000_000, 20_000_000, 8_000_000, 2_000_000, 300_000, 30_000, 1_000)
_GB = 1_000_000_000


@dataclass
class Case:
    """One way to copy, against ours."""

    name: str
    target: Path
    cold: bool
    command: list[str]
    goal: float
    theirs: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)


def fill(stored: Stored, size: int) -> int:
    """Put images of that many bytes into a folder, with ten tags each; returns how many bytes there are."""
    made = number = 0
    while made < size:
        wanted = [min(layer, max(1000, size - made)) for layer in _LAYERS]
        layers = [stored.described(stored.layer(f"team/app{number}", os.urandom(one))) for one in wanted]
        value = {"schemaVersion": 2, "mediaType": MANIFEST, "config": layers[-1], "layers": layers}
        stored.manifest(f"team/app{number}", value, *(f"v{tag}" for tag in range(10)))
        made, number = made + sum(wanted), number + 1
    return made


@contextmanager
def ext4(folder: Path, size: int) -> Iterator[Path]:
    """A file system of its own, in a file."""
    image, mount = folder / "ext4.img", folder / "ext4"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image)])
    run(["mount", "-o", "loop", str(image), str(mount)])
    try:
        yield mount
    finally:
        run(["umount", str(mount)])
        image.unlink()


@contextmanager
def memory(folder: Path, size: int) -> Iterator[Path]:
    """A disk in memory."""
    mount = folder / "memory"
    mount.mkdir()
    run(["mount", "-t", "tmpfs", "-o", f"size={size}", "bench", str(mount)])
    try:
        yield mount
    finally:
        run(["umount", str(mount)])


def make_cold(folder: Path, cold: bool) -> None:
    """Let the kernel forget what it has of the files, or have all of it."""
    for path in folder.rglob("data"):
        with path.open("rb") as file:
            if cold:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            else:
                while file.read(1 << 20):
                    pass


def seconds(source: Path, case: Case, work: Callable[[Path], object]) -> float:
    """How long it takes into an empty folder, with its sync."""
    target = case.target / "new"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    os.sync()
    make_cold(source, case.cold)
    started = time.monotonic()
    work(target)
    took = time.monotonic() - started
    shutil.rmtree(target)
    return took


def by_hand(source: Path, case: Case) -> Callable[[Path], object]:
    def work(target: Path) -> None:
        subprocess.run([*case.command, str(source / "docker"), str(target)], check=True)
        subprocess.run(["sync", "-f", str(target)], check=True)

    return work


def measure(source: Path, cases: list[Case], rounds: int) -> None:
    for number in range(rounds):
        for case in cases:
            ours: tuple[list[float], Callable[[Path], object]] = (case.ours, lambda to: Transfer(source, to).run())
            theirs = (case.theirs, by_hand(source, case))
            for times, work in (ours, theirs) if number % 2 else (theirs, ours):
                times.append(seconds(source, case, work))


def hashing() -> float:
    """Bytes that one core hashes in a second."""
    piece = bytes(256 * 1024)
    sha256, started = hashlib.sha256(), time.monotonic()
    for _ in range(2000):
        sha256.update(piece)
    return 2000 * len(piece) / (time.monotonic() - started)


def table(cases: list[Case], size: int) -> None:
    speed, cores = hashing(), os.cpu_count() or 1
    print(f"{cores} cores, SHA-256 at {speed / 1e6:.0f} MB/s on each")
    print(f"{size / _GB:.1f} GB{'':26}{'by hand':>17}{'regdeploy':>17}   speed of ours / theirs")
    for case in cases:
        theirs, ours = statistics.median(case.theirs), statistics.median(case.ours)
        row = "".join(f"{one:8.2f}s{size / one / 1e6:6.0f}MB/s" for one in (theirs, ours))
        most = "" if case.cold or "-al" in case.command else f", at most {cores / (1 + size / theirs / speed):.2f}"
        print(f"{case.name:32}{row}   {theirs / ours:5.2f} (goal ≥ {case.goal}{most})")


def main() -> None:
    """Measure, and print."""
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    isolate()
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None, prefix="migrate-copy-") as name:
        folder = Path(name)
        source = folder / "old"
        size = fill(Stored(source), int(gigabytes * _GB))
        room = int(size * 1.3) + 500_000_000
        linked = Case("linked, beside cp -al", folder, False, ["cp", "-al"], 0.2)
        measure(source, [linked], rounds)
        with ext4(folder, room) as disk:
            cases = [
                Case(f"to ext4, {'cold' if cold else 'warm'}", disk, cold, ["cp", "-a"], 0.9) for cold in (True, False)
            ]
            measure(source, cases, rounds)
        if room < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") / 2:
            with memory(folder, room) as disk:
                cases += [
                    Case(f"to memory, {'cold' if cold else 'warm'}", disk, cold, ["cp", "-a"], 0.9)
                    for cold in (True, False)
                ]
                measure(source, cases[2:], rounds)
        table([linked, *cases], size)


if __name__ == "__main__":
    main()
