"""How many are turned away while a container is replaced, beside ``docker restart`` of the same one, under one load.

``python -m tests.bench.replace FOLDER [ROUNDS [MEGABYTES]]``: FOLDER holds the program regdeploy (``make bench``
installs it). The two take turns, each while an image of that size (1000 MB) is pushed in chunks, another is pulled, and
50 requests a second come in on new connections. Every push must end with the right digest. Run as root.
"""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from tests.rig.parts.isolation import isolate
from tests.rig.parts.load import Content, Door, Knocking, Pulling, Push
from tests.rig.parts.packages import install
from tests.rig.parts.rig import Rig, running_rig

DOMAIN = "registry.corp.internal"
_HTTPS = Door(443)
_CHUNK = 8_000_000
_PULLED = 20_000_000
_PULLERS = 2


@dataclass
class Contestant:
    """One way to another start of the container, and what each round saw."""

    name: str
    act: Callable[[], None]
    refused: list[int] = field(default_factory=list)
    longest: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    cut: int = 0
    resumed: int = 0
    restarted: int = 0


def _run(rig: Rig, *command: str) -> None:
    done = subprocess.run(command, env=rig.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _contestants(rig: Rig, up: list[str]) -> list[Contestant]:
    ports = cycle(("5000", "0"))  # a setting that another container is needed for
    return [
        Contestant("regdeploy up", lambda: _run(rig, *up, "--localhost-port", next(ports), "--yes")),
        Contestant("docker restart", lambda: _run(rig, "docker", "restart", "registry")),
    ]


def _round(one: Contestant, content: Content, pulled: str) -> None:
    under_way, over = threading.Event(), threading.Event()

    def pace(offset: int) -> None:
        if offset >= content.size // 10:
            under_way.set()
        if offset + _CHUNK >= content.size:
            over.wait()

    push = Push(_HTTPS, "load/pushed", pace)
    pulls = [Pulling(_HTTPS, f"/v2/load/pulled/blobs/{pulled}", pulled) for _ in range(_PULLERS)]
    with ThreadPoolExecutor(1) as pool, Knocking(_HTTPS) as knocking, pulls[0], pulls[1]:
        ending = pool.submit(push.image, "v1", content)
        try:
            under_way.wait()
            began = time.monotonic()
            one.act()
            one.took.append(time.monotonic() - began)
            time.sleep(0.5)
        finally:
            over.set()
        digest = ending.result()
    if _read(digest) != digest or any(pull.other for pull in pulls):
        sys.exit(f"{one.name}: what is pulled is not what was pushed")
    one.refused.append(knocking.refused)
    one.longest.append(knocking.longest)
    one.cut += sum(pull.cut for pull in pulls)
    one.resumed += push.resumed
    one.restarted += push.restarted


def _read(digest: str) -> str:
    hashed = hashlib.sha256()
    connection = _HTTPS.connect()
    connection.request("GET", f"/v2/load/pushed/blobs/{digest}")
    answer = connection.getresponse()
    while piece := answer.read(1 << 20):
        hashed.update(piece)
    connection.close()
    return f"sha256:{hashed.hexdigest()}"


def _table(contestants: list[Contestant]) -> None:
    print(
        f"{'':16}{'refused':>9}{'lowest':>8}{'highest':>8}{'longest gap':>13}{'took':>8}{'cut pulls':>11}{'push':>24}"
    )
    for one in contestants:
        print(
            f"{one.name:16}{statistics.median(one.refused):9.0f}{min(one.refused):8}{max(one.refused):8}"
            f"{statistics.median(one.longest):12.2f}s{statistics.median(one.took):7.2f}s{one.cut:11}"
            f"{f'{one.resumed} resumed, {one.restarted} anew':>24}"
        )
    ours, theirs = (sum(one.refused) for one in contestants)
    print(f"refused, regdeploy up / docker restart: {ours / max(1, theirs):.2f} (goal ≤ 1)")


def main() -> None:
    """Take turns, then print the table."""
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    size = int(sys.argv[3]) * 1_000_000 if len(sys.argv) > 3 else 1_000_000_000
    install()
    folder = isolate()
    up = [str(Path(sys.argv[1]) / "regdeploy"), "up", "--root", str(folder / "root")]
    with running_rig(folder) as rig:
        _run(rig, *up, "--domain", DOMAIN, "--tls", "internal", "--no-auth")
        try:
            pulled = Push(_HTTPS, "load/pulled").image("v1", Content(_PULLED, _CHUNK, seed=1))
            content = Content(size, _CHUNK, seed=2)
            contestants = _contestants(rig, up)
            for _ in range(rounds):
                for one in contestants:
                    _round(one, content, pulled)
        finally:
            rig.clients.docker("rm", "--force", "--volumes", "registry")
    _table(contestants)


if __name__ == "__main__":
    main()
