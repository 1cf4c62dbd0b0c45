"""How long commands take that do nothing: ``--help``, a no-op ``up``, ``status``; beside what importing typer takes.

``python -m tests.bench.cli FOLDER [ROUNDS]``: all take turns on the same machine; FOLDER holds the python and the
regdeploy to measure. ``--imports`` lists instead what the modules cost that are loaded only where they are needed.
Run as root.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.rig.parts.isolation import isolate
from tests.rig.parts.packages import install
from tests.rig.parts.rig import running_rig

_IMPORTS = (
    "typer",
    "pydantic",
    "docker",
    "requests",
    "acme.messages",
    "cryptography.x509",
    "jinja2",
    "tomlkit",
    "rich.console",
)


def _python() -> Path:
    return Path(sys.argv[1]) / "python"


def _seconds(command: list[str], environ: dict[str, str] | None = None) -> float:
    started = time.monotonic()
    done = subprocess.run(command, env=environ, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr.decode()}")
    return time.monotonic() - started


def imports(rounds: int) -> None:
    """What each module costs, less what starting Python costs."""
    bare = statistics.median(_seconds([str(_python()), "-c", "pass"]) for _ in range(rounds))
    for name in _IMPORTS:
        try:
            loaded = statistics.median(_seconds([str(_python()), "-c", f"import {name}"]) for _ in range(rounds))
        except SystemExit:
            print(f"{name:20} is not installed")
            continue
        print(f"{name:20}{(loaded - bare) * 1000:6.0f} ms")


def commands(rounds: int, folder: Path) -> None:
    """Commands side by side, with a deployment that is up."""
    with running_rig(folder) as rig:
        environ = {**rig.environ, "REGDEPLOY_ROOT": str(folder / "root")}
        run = [str(_python().with_name("regdeploy"))]
        up = [*run, "up", "--domain", "registry.corp.internal", "--tls", "internal"]
        _seconds(up, environ)
        cases = {
            'python -c "import typer"': [str(_python()), "-c", "import typer"],
            "regdeploy --help": [*run, "--help"],
            "regdeploy up (no-op)": [*run, "up"],
            "regdeploy status": [*run, "status"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(rounds):
            for name, command in cases.items():
                seconds[name].append(_seconds(command, environ))
        base = statistics.median(seconds['python -c "import typer"'])
        for name, found in seconds.items():
            median = statistics.median(found)
            print(f"{name:28}{median:7.3f} s   {median / base:5.2f} x import typer")
        _seconds([*run, "down", "--yes"], environ)


def main() -> None:
    """Measure, and print."""
    rounds = next((int(word) for word in sys.argv[1:] if word.isdigit()), 9)
    if "--imports" in sys.argv:
        imports(rounds)
        return
    install()
    commands(rounds, isolate())


if __name__ == "__main__":
    main()
