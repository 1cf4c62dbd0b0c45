"""From nothing to the first HTTPS answer: regdeploy, certbot + docker run, and Caddy + registry, against one Pebble.

``python -m tests.bench.up FOLDER [ROUNDS]``: the three take turns, in a network of the benchmark's own, with the
image there. Times are from the start of the first process to the first answer of the registry over TLS; compare them
with each other only. FOLDER holds the programs regdeploy, certbot and caddy (``make bench`` installs them). Run as
root.

Nobody asks a container on 443 before the engine says that it is started: on an engine before 28, a packet that comes
earlier makes all others wait for a second (an ARP retransmission), whoever started the container.
"""

from __future__ import annotations

import select
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.rig.parts.isolation import isolate
from tests.rig.parts.names import hosts_entry
from tests.rig.parts.packages import install
from tests.rig.parts.pebble import Pebble, PebbleOptions
from tests.rig.parts.rig import Rig, running_rig

DOMAIN = "regisry.lagoudocker.io"
_LONGEST = 60.0
_GOALS = {"caddy + registry": 0.9, "certbot + docker run": 0.25}
_SERVING = (b"HTTP/1.1 200", b"HTTP/1.1 401")


@dataclass
class Contestant:
    """One way to a registry; ``run`` starts it in a fresh folder and returns the processes to wait for, or to end."""

    name: str
    run: Callable[[Rig, Pebble, Path], list[subprocess.Popen[bytes]]]
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def regdeploy(rig: Rig, pebble: Pebble, folder: Path) -> list[subprocess.Popen[bytes]]:
    """Everything in one command, with a login besides."""
    command = [_tool("regdeploy"), "up", "--domain", DOMAIN, "--root", str(folder / "root")]
    options = ["--acme-directory", pebble.directory, "--acme-ca-bundle", str(pebble.ca_bundle)]
    return [_start([*command, *options], rig.environ, folder)]


def certbot(rig: Rig, pebble: Pebble, folder: Path) -> list[subprocess.Popen[bytes]]:
    """The way of most tutorials: certbot alone, then docker run."""
    live = folder / "certbot" / "live" / DOMAIN
    order = (
        f"{_tool('certbot')} certonly --standalone --non-interactive --agree-tos --register-unsafely-without-email"
        f" --quiet --server {pebble.directory} -d {DOMAIN}"
        f" --config-dir {folder}/certbot --work-dir {folder}/work --logs-dir {folder}/logs"
    )
    start = (
        f"docker run -d --name registry -p 443:443 -v {folder}/certbot:{folder}/certbot:ro"
        f" -e REGISTRY_HTTP_ADDR=0.0.0.0:443 -e REGISTRY_HTTP_TLS_CERTIFICATE={live}/fullchain.pem"
        f" -e REGISTRY_HTTP_TLS_KEY={live}/privkey.pem registry:3"
    )
    environ = {**rig.environ, "REQUESTS_CA_BUNDLE": str(pebble.ca_bundle)}
    return [_start(["sh", "-ec", f"{order}\n{start}"], environ, folder)]


def caddy(rig: Rig, pebble: Pebble, folder: Path) -> list[subprocess.Popen[bytes]]:
    """A proxy that orders certificates by itself, in front of a plain registry; both are started at once."""
    settings = folder / "Caddyfile"
    settings.write_text(
        f"{{\n  admin off\n  acme_ca {pebble.directory}\n  acme_ca_root {pebble.ca_bundle}\n}}\n"
        f"{DOMAIN} {{\n  reverse_proxy 127.0.0.1:5000\n}}\n"
    )
    environ = {**rig.environ, "XDG_DATA_HOME": str(folder / "data"), "XDG_CONFIG_HOME": str(folder / "config")}
    registry = ["docker", "run", "-d", "--name", "registry", "-p", "127.0.0.1:5000:5000", "registry:3"]
    proxy = [_tool("caddy"), "run", "--config", str(settings), "--adapter", "caddyfile"]
    return [_start(proxy, environ, folder), _start(registry, environ, folder)]


def _start(command: list[str], environ: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
        return subprocess.Popen(command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _tool(name: str) -> str:
    return str(Path(sys.argv[1]) / name)


@contextmanager
def _started(rig: Rig) -> Iterator[Callable[[], None]]:
    """Yields what waits until a container was started."""
    command = ["docker", "events", "--filter", "event=start", "--format", "{{.Status}}"]
    with subprocess.Popen(command, env=rig.environ, stdout=subprocess.PIPE) as events:
        assert events.stdout is not None
        stream = events.stdout

        def wait() -> None:
            if select.select([stream], [], [], _LONGEST)[0]:
                stream.readline()

        time.sleep(0.3)  # until it listens
        try:
            yield wait
        finally:
            events.terminate()


def _first_answer(started: float) -> float:
    """Seconds from ``started`` until a registry answers over TLS on 443."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    request = f"GET /v2/ HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n".encode()
    while time.monotonic() - started < _LONGEST:
        try:
            with (
                socket.create_connection(("127.0.0.1", 443), 1) as plain,
                context.wrap_socket(plain, server_hostname=DOMAIN) as secured,
            ):
                secured.sendall(request)
                if secured.recv(64).startswith(_SERVING):
                    return time.monotonic() - started
        except OSError:
            pass
        time.sleep(0.004)
    raise TimeoutError


@contextmanager
def _peak_memory(processes: list[subprocess.Popen[bytes]], peaks: list[float]) -> Iterator[None]:
    """The largest resident size of the first process and its children, in MB, looked at every 50 ms."""
    over = threading.Event()
    highest = 0.0

    def watch() -> None:
        nonlocal highest
        while not over.wait(0.05):
            highest = max(highest, sum(_resident(process.pid) for process in processes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        peaks.append(highest)


def _resident(pid: int) -> float:
    total = 0.0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) / 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(_resident(int(child)) for child in (task / "children").read_text().split())
    except OSError:
        pass  # it ended meanwhile
    return total


def _round(contestant: Contestant, rig: Rig, pebble: Pebble) -> None:
    with tempfile.TemporaryDirectory(dir=rig.folder) as folder, _started(rig) as wait:
        started = time.monotonic()
        processes = contestant.run(rig, pebble, Path(folder))
        try:
            with _peak_memory(processes[:1], contestant.memory):
                if contestant.run is not caddy:  # its container is not the one that is asked
                    wait()
                contestant.seconds.append(_first_answer(started))
        except TimeoutError:
            sys.exit(
                f"{contestant.name} did not serve:\n" + "".join(log.read_text() for log in Path(folder).glob("*.log"))
            )
        finally:
            if contestant.run is caddy:
                processes[0].terminate()
            for process in processes:
                process.wait(_LONGEST)
            rig.clients.docker("rm", "--force", "--volumes", "registry")


def _table(contestants: list[Contestant]) -> None:
    ours = statistics.median(contestants[0].seconds)
    print(f"{'':24}{'median':>9}{'lowest':>9}{'highest':>9}{'peak MB':>9}   regdeploy / this")
    for one in contestants:
        median = statistics.median(one.seconds)
        goal = f"(goal ≤ {_GOALS[one.name]})" if one.name in _GOALS else ""
        print(
            f"{one.name:24}{median:8.2f}s{min(one.seconds):8.2f}s{max(one.seconds):8.2f}s"
            f"{statistics.median(one.memory):9.0f}   {ours / median:.2f} {goal}"
        )


def main() -> None:
    """Take turns, then print the table."""
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    install()
    folder = isolate()
    contestants = [
        Contestant("regdeploy", regdeploy),
        Contestant("certbot + docker run", certbot),
        Contestant("caddy + registry", caddy),
    ]
    with hosts_entry(DOMAIN, "127.0.0.1"), running_rig(folder) as rig:
        pebble = Pebble(rig.folder / "pebble", PebbleOptions(directory_port=14000))
        try:
            pebble.start()
            for _ in range(rounds):
                for contestant in contestants:
                    _round(contestant, rig, pebble)
        finally:
            pebble.stop()
    _table(contestants)


if __name__ == "__main__":
    main()
