"""What systemd itself reads out of the units, and that the work can be done with what they leave."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from regdeploy.host.systemd import unit_names, units
from tests.rig.parts.processes import run
from tests.rig.parts.rig import Rig

ODD = ("two  words", "100%n %%", 'it\'s "so"', "back\\slash\\n", "$HOME ${x} $$", "仓库 ünïcode", "#;-")
_WORK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as engine:
    engine.connect(sys.argv[1])
with socket.create_server(("127.0.0.1", 80)):
    pass
open(sys.argv[2] + "/new", "x").close()
print(open("/proc/self/status").read().split("CapEff:")[1].split()[0])
"""


def verified(folder: Path, root: Path, program: Path, name: str = "registry") -> str:
    """What systemd understood of the units, as it tells where it is asked to debug; it must find nothing to say."""
    files = []
    for unit in units(program, root, name):
        (folder / unit.name).write_text(unit.text)
        files.append(str(folder / unit.name))
    command = ["systemd-analyze", "verify", "--man=no", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [line for line in done.stderr.splitlines() if "regdeploy" in line or str(folder) in line]
    assert (done.returncode, found) == (0, [])
    return run(command, {**os.environ, "SYSTEMD_LOG_LEVEL": "debug", "LC_ALL": "C.UTF-8"})


def value(text: str, key: str) -> str:
    found = re.search(rf"^\t+{key}: (.*?)(?: \(origin-file\))?$", text, re.MULTILINE)
    assert found, text
    return found[1]


def argument(text: str) -> str:
    """The argument after --root, without the quotes and escapes of a shell that the dump gives it."""
    found = re.search(r" --root (.*) --name ", value(text, "Command Line"))
    assert found
    bare = re.fullmatch(r'"(.*)"', found[1])
    return re.sub(r"\\(.)", r"\1", bare[1]) if bare else found[1]


@pytest.mark.parametrize("odd", ODD)
def test_systemd_reads_every_root_as_it_is(tmp_path: Path, odd: str) -> None:
    root = tmp_path / odd
    text = verified(tmp_path, root, Path(sys.executable))

    assert value(text, "ReadWritePaths") == f"-{root}"
    assert value(text, "RequiresMountsFor") == str(root)
    assert argument(text) == str(root).replace("$", "$$")


@pytest.mark.parametrize("odd", ["two  words", "100%n %%", "$HOME ${x} $$", "仓库 ünïcode", "#;-"])
def test_systemd_finds_the_program_wherever_it_is_and_says_where_it_is_not(tmp_path: Path, odd: str) -> None:
    program = tmp_path / odd / "regdeploy"
    with pytest.raises(AssertionError):
        verified(tmp_path, tmp_path, program)
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    verified(tmp_path, tmp_path, program)


@pytest.mark.parametrize("name", ["my-registry_2.x", "a b@c", "仓库"])
def test_units_have_names_that_systemd_takes_and_would_give_them(tmp_path: Path, name: str) -> None:
    verified(tmp_path, tmp_path, Path(sys.executable), name)
    escaped = run(["systemd-escape", "--", name]).strip().replace("\\x2d", "-")
    assert unit_names(name) == (f"regdeploy-{escaped}.service", f"regdeploy-{escaped}.timer")


def test_the_calendar_means_twice_a_day(tmp_path: Path) -> None:
    _, timer = units(Path(sys.executable), tmp_path, "registry")
    (calendar,) = re.findall(r"^OnCalendar=(.*)$", timer.text, re.MULTILINE)
    told = run(["systemd-analyze", "calendar", "--iterations=3", "--base-time=2026-11-24 12:00:00 UTC", calendar])
    assert len(re.findall(r" (?:00|12):00:00", told)) >= 3


def test_the_engine_port_80_and_the_root_are_reached_with_the_capabilities_that_are_left(
    rig: Rig, tmp_path: Path
) -> None:
    service, _ = units(Path(sys.executable), tmp_path, "registry")
    (left,) = re.findall(r"^CapabilityBoundingSet=CAP_(.*)$", service.text, re.MULTILINE)
    limits = ["setpriv", f"--bounding-set=-all,+{left.lower()}", "--inh-caps=-all", "--no-new-privs", "--"]

    told = run([*limits, sys.executable, "-c", _WORK, str(rig.engine.socket), str(tmp_path)])

    assert told.strip() == f"{1 << 10:016x}"  # CAP_NET_BIND_SERVICE and no other
