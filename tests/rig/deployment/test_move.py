"""``up --root NEW`` and ``up --domain NEW``: a deployment moves, and is renamed, with everything in it."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask, inspect, names
from tests.rig.parts.rig import Rig
from tests.rig.parts.stock import stock


def test_another_root_has_everything_and_the_old_one_is_nobodys_any_more(
    rig: Rig, command: Command, tmp_path: Path
) -> None:
    command("up")
    pushed = stock(5000)
    new = tmp_path / "elsewhere"
    assert f"from {command.root / 'data'}" in command("plan", "--root", str(new)).out
    assert not new.exists()
    command("up", "--root", str(new), "--yes")
    assert names(rig.clients) == {"registry"}
    assert {mount["Source"] for mount in inspect(rig.clients)["Mounts"]} == {str(new / "data"), str(new / "config")}
    assert (command.root / "data").exists()
    assert not (command.root / "regdeploy.toml").exists()
    for asked in ("status", "down"):
        refused = command(asked, code=3).err
        assert f"lies in {new}, and nothing is deployed in {command.root}" in refused
        assert f"--root {new}" in refused
    command("down", "--purge", "--yes")
    assert not command.root.exists()
    for named, digest in pushed.tags.items():
        assert ask(f"/v2/{named.partition(':')[0]}/manifests/{digest}", port=5000, tls=False)[0] == 200
    assert command("plan", "--root", str(new), "--exit-code").code == 0
    assert not (new / "secrets" / "migration.json").exists()


def test_a_move_killed_before_any_write_goes_on_and_loses_nothing(rig: Rig, command: Command, tmp_path: Path) -> None:
    command("up")
    pushed = stock(5000, tags=2)
    roots = [command.root, tmp_path / "other"]
    write = 0
    while True:
        write += 1
        old, new = roots
        result = command.mortal(write, "up", "--root", str(new), "--yes")
        command("up", "--root", str(new), "--yes")
        assert names(rig.clients) == {"registry"}
        for named, digest in pushed.tags.items():
            assert ask(f"/v2/{named.partition(':')[0]}/manifests/{digest}", port=5000, tls=False)[0] == 200
        shutil.rmtree(old)
        roots = [new, old]
        if result.code == 0:
            break
        assert result.code == -signal.SIGKILL, result.err
        write += 6  # every seventh write: it is the way of a migration, whose every write is tried in memory
    assert write > 40, "the sweep saw hardly any write: it proves nothing"


def test_another_name_serves_beside_the_one_before(
    rig: Rig, command: Command, domain: str, acme: tuple[str, ...]
) -> None:
    command("up", "--domain", "old.example.test", "--tls", "internal", "--no-auth")
    command("up", "--domain", domain, "--yes")
    shown = command("cert", "show", "--json").document
    assert set(shown["names"]) == {domain, "old.example.test"}
    command("up", "--former-domain", "none", "--yes")
    assert command("cert", "show", "--json").document["names"] == [domain]
