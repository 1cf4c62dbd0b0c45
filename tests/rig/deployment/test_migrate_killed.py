"""kill -9 during a migration, before its writes and at any moment, with the real engine; then each way on."""

from __future__ import annotations

import itertools
import random
import shutil
import signal
import time
from pathlib import Path

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import names
from tests.rig.parts.processes import eventually
from tests.rig.parts.rig import Rig
from tests.rig.parts.stock import Pusher, Stock, stock

from .test_migrate import answers, has_all, start


def ways_on(command: Command, options: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The commands that people try next; where nothing is written down yet, only the first knows what is wanted."""
    begun = (command.root / "regdeploy.toml").exists()
    under_way = (command.root / "secrets" / "migration.json").exists()
    if not begun:
        return (options,)
    return (("up", "--yes"), options) if under_way else (("up", "--yes"),)


def again(rig: Rig, command: Command) -> Stock:
    """Everything from the beginning: nothing of regdeploy's, and a hand-made registry with images in it."""
    there = names(rig.clients)
    if there:
        rig.clients.docker("rm", "--force", "--volumes", *there)
    shutil.rmtree(command.root, ignore_errors=True)
    start(rig)
    return stock(5000, tags=3)


def test_killed_before_a_write_the_next_command_ends_it_with_every_image(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...]
) -> None:
    options = ("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes")
    for write in itertools.count(2, 13):  # every write is tried in memory, by the unit tests
        pushed = again(rig, command)
        result = command.mortal(write, *options)
        choices = ways_on(command, options)
        command(*choices[write % len(choices)])
        assert len(names(rig.clients)) == 2
        has_all(pushed, 443, tls=True)
        if result.code == 0:
            break
        assert result.code == -signal.SIGKILL, result.err
    assert write > 60, "the sweep saw hardly any write: it proves nothing"


def test_killed_before_a_write_rollback_gives_the_old_one_back(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...]
) -> None:
    options = ("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes")
    for write in itertools.count(6, 29):
        pushed = again(rig, command)
        result = command.mortal(write, *options)
        if (command.root / "regdeploy.toml").exists():
            command("rollback", "--yes")
        assert names(rig.clients) == {"registry"}
        eventually(lambda: answers(5000))
        has_all(pushed, 5000, tls=False)
        if result.code == 0:
            break
        assert result.code == -signal.SIGKILL, result.err


def test_killed_at_any_moment_it_goes_on(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...], tmp_path: Path
) -> None:
    options = ("migrate-to-https", "--domain", domain, *acme, "--no-auth", "--yes")
    moments = random.Random(4)
    pushed = again(rig, command)
    for number in range(100):
        if number % 10 == 0:  # much to copy, and onto another disk
            pusher = Pusher(5000)
            pusher.manifest("large", str(number), pusher.image("large", size=20_000_000))
            pusher.close()
        begun = (command.root / "regdeploy.toml").exists()
        process = command.start(*(("up", "--yes") if begun else options))
        time.sleep(moments.uniform(0.2, 0.8))
        process.kill()
        process.communicate()
        if (command.root / "regdeploy.toml").exists() and not (command.root / "secrets" / "migration.json").exists():
            has_all(pushed, 443, tls=True)
            pushed = again(rig, command)
        elif not answers(5000):
            command(*ways_on(command, options)[0])
            has_all(pushed, 443, tls=True)
            pushed = again(rig, command)
    command(*ways_on(command, options)[0])
    has_all(pushed, 443, tls=True)
    has_all(pushed, 5000, tls=True)
