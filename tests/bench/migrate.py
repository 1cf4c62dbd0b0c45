"""The pause of ``regdeploy migrate-to-https``, beside ``docker stop && docker rm && docker run`` of the same registry.

``python -m tests.bench.migrate FOLDER [MEGABYTES [ROUNDS]]``: FOLDER holds the program regdeploy (``make bench``
installs it). A registry started by hand on port 5000, with that much (1000) in it and 2000 tags, is replaced by each in
turn, while a client asks localhost:5000 every 10 ms, by HTTP and where that fails by HTTPS, and does not wait for one
answer before it asks again. Its pause is the longest time between two answers. The data is made once, below /var/tmp,
and taken away at the end. Run as root.

Before engine 28 all who ask while a container starts wait out one second of ARP (Docker did not advertise the new
address), by either way. So there are two tables: with that second, and without it, where the host is told what the
addresses of containers lead to.
"""

from __future__ import annotations

import random
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.rig.parts.isolation import isolate
from tests.rig.parts.packages import install
from tests.rig.parts.rig import Rig, running_rig
from tests.rig.parts.tree import Tree

_GOAL = 1.2
_EVERY = 0.01
_PATIENCE = 1.0
_LAYER = 64_000_000
_TAGS = 2000
_REQUEST = b"GET /v2/ HTTP/1.1\r\nHost: localhost:5000\r\nConnection: close\r\n\r\n"
_ANSWERS = (b"HTTP/1.1 200", b"HTTP/1.1 401")


class Client:
    """Asks from when the block begins until it ends, also while it waits for answers to what it asked before.

    ``pause`` is in seconds, ``tls`` whether HTTPS answered last.
    """

    def __init__(self) -> None:
        self.pause = 0.0
        self.tls = False
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._last = 0.0
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        self._last = time.monotonic()
        asking: list[threading.Thread] = []
        while not self._over.wait(_EVERY):
            asking = [one for one in asking if one.is_alive()]
            asking.append(threading.Thread(target=self._ask))
            asking[-1].start()
        for one in asking:
            one.join()
        self.pause = max(self.pause, time.monotonic() - self._last)

    def _ask(self) -> None:
        if self._answered():
            with self._lock:
                now = time.monotonic()
                self.pause, self._last = max(self.pause, now - self._last), now

    def _answered(self) -> bool:
        first = self.tls
        for tls in (first, not first):
            try:
                with socket.create_connection(("127.0.0.1", 5000), _PATIENCE) as plain:
                    if _ask(self._context.wrap_socket(plain) if tls else plain):
                        self.tls = tls
                        return True
            except ConnectionRefusedError:
                return False
            except OSError:
                continue  # it speaks the other one
        return False


def _ask(connected: socket.socket) -> bool:
    with connected:
        connected.sendall(_REQUEST)
        return connected.recv(64).startswith(_ANSWERS)


@dataclass
class Contestant:
    """One way to another container on the same port, and what the client saw in each round."""

    name: str
    act: Callable[[], None]
    tls: bool
    pauses: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    def forget(self) -> None:
        """Be as new."""
        self.pauses, self.took = [], []


def _contestants(rig: Rig, regdeploy: Path, folder: Path) -> list[Contestant]:
    again = f"docker stop registry && docker rm registry && {_by_hand(folder)}"
    domain = ("--domain", "registry.corp.internal", "--tls", "internal", "--root", str(folder / "root"))
    return [
        Contestant(
            "regdeploy migrate-to-https", lambda: _run(rig, str(regdeploy), "migrate-to-https", *domain, "--yes"), True
        ),
        Contestant("docker stop, rm, run", lambda: _run(rig, "sh", "-ec", again), False),
    ]


def _by_hand(folder: Path) -> str:
    return (
        f"docker run -d -p 5000:5000 --restart=always --name registry -v {folder}/data:/var/lib/registry registry:2.7"
    )


def _run(rig: Rig, *command: str) -> None:
    done = subprocess.run(command, env=rig.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _fill(data: Path, size: int) -> None:
    """Random layers of 64 MB, no two alike, and 2000 tags."""
    tree = Tree(data)
    noise = random.Random(1).randbytes(_LAYER)
    for number in range(max(1, size // _LAYER)):
        tree.image("team/large", f"v{number}", layers={"a": number.to_bytes(8, "big") + noise[8:]})
    for number in range(_TAGS):
        tree.image(f"team/app{number % 5}", f"v{number}", config=str(number % 500))


def _round(one: Contestant, rig: Rig, folder: Path) -> None:
    _run(rig, "sh", "-ec", _by_hand(folder))
    try:
        with Client() as client:
            time.sleep(0.5)
            client.pause = 0.0  # what went before was the start by hand
            began = time.monotonic()
            one.act()
            one.took.append(time.monotonic() - began)
            time.sleep(1.5)
        if client.tls is not one.tls:
            sys.exit(f"{one.name}: localhost:5000 {'speaks' if client.tls else 'does not speak'} HTTPS afterwards")
        one.pauses.append(client.pause)
    finally:
        rig.clients.docker("rm", "--force", "--volumes", *rig.clients.docker("ps", "--all", "--quiet").split())
        shutil.rmtree(folder / "root", ignore_errors=True)


def _know_addresses(*, known: bool) -> None:
    """Tell the host, or no longer, what the containers' addresses on docker0 lead to: Docker makes one of the other."""
    for last in range(2, 10):
        entry = ["ip", "neigh", "replace" if known else "delete", f"172.17.0.{last}", "dev", "docker0"]
        hardware = ["lladdr", f"02:42:ac:11:00:{last:02x}", "nud", "permanent"] if known else []
        subprocess.run([*entry, *hardware], check=known, capture_output=True)


def _table(contestants: list[Contestant], size: int, *, known: bool) -> None:
    ours, theirs = (statistics.median(one.pauses) for one in contestants)
    print(f"{size / 1e9:.0f} GB, {'without' if known else 'with'} the wait for ARP")
    print(f"{'':28}{'pause':>9}{'lowest':>9}{'highest':>9}{'took':>9}")
    for one in contestants:
        print(
            f"{one.name:28}{statistics.median(one.pauses):8.3f}s{min(one.pauses):8.3f}s{max(one.pauses):8.3f}s"
            f"{statistics.median(one.took):8.2f}s"
        )
    print(f"pause, regdeploy / by hand: {ours / theirs:.2f} (goal ≤ {_GOAL})")


def main() -> None:
    """Take turns, then print the table."""
    size = int(sys.argv[2]) * 1_000_000 if len(sys.argv) > 2 else 1_000_000_000
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    install()
    isolated = isolate()
    with tempfile.TemporaryDirectory(prefix="regdeploy-bench-", dir="/var/tmp") as name, running_rig(isolated) as rig:
        folder = Path(name)
        folder.chmod(0o755)
        _fill(folder / "data", size)
        contestants = _contestants(rig, Path(sys.argv[1]) / "regdeploy", folder)
        for known in (False, True):
            _know_addresses(known=known)
            for _ in range(rounds):
                for one in contestants:
                    _round(one, rig, folder)
            _table(contestants, size, known=known)
            for one in contestants:
                one.forget()


if __name__ == "__main__":
    main()
