"""A certificate over http-01: regdeploy, lego, certbot and Caddy, against one Pebble: requests sent, and time.

``python -m tests.bench.acme FOLDER [ROUNDS]``: first each once through a proxy that counts its requests, then all in
turns against the CA itself, from the start of the process to the certificate. FOLDER holds python (with regdeploy),
certbot and caddy (``make bench`` installs them). Compare times with each other only. ``--grow`` shows instead how
requests and time grow with the names of one order, and with the deployments that are renewed in one run. Run as root.
"""

from __future__ import annotations

import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from regdeploy.tls.acme.order import issue
from regdeploy.tls.acme.settings import AcmeSettings, Errand
from tests.rig.parts.flaky import Flaky
from tests.rig.parts.isolation import isolate
from tests.rig.parts.names import hosts_entry
from tests.rig.parts.packages import install
from tests.rig.parts.pebble import Pebble, PebbleOptions

DOMAIN = "regisry.lagoudocker.io"
_LONGEST = 60.0
_OURS = """
import sys, threading
from datetime import UTC, datetime
from pathlib import Path
from regdeploy.tls.acme.order import issue
from regdeploy.tls.acme.settings import AcmeSettings, Errand
directory, bundle, folder, name = sys.argv[1:]
settings = AcmeSettings(directory=directory, ca_bundle=Path(bundle), names=(name,))
errand = Errand(settings=settings, state=Path(folder, "acme"), now=lambda: datetime.now(UTC), report=print,
                cancel=threading.Event())
issued = issue(errand, None)
Path(folder, "fullchain.pem").write_bytes(issued.bundle.fullchain_pem)
"""


@dataclass
class Contestant:
    """One client; ``command`` is made of the CA's directory, the file that proves it, and a fresh folder."""

    name: str
    command: Callable[[str, Path, Path], list[str]]
    requests: int = 0
    seconds: list[float] = field(default_factory=list)


def regdeploy(directory: str, bundle: Path, folder: Path) -> list[str]:
    """The order alone, as ``up`` and ``renew`` make it, in a process of its own."""
    return [_tool("python"), "-c", _OURS, directory, str(bundle), str(folder), DOMAIN]


def lego(directory: str, _bundle: Path, folder: Path) -> list[str]:
    """Debian's."""
    options = ["--server", directory, "--email", "ops@example.com", "--accept-tos", "--path", str(folder)]
    return ["lego", *options, "--domains", DOMAIN, "--http", "run"]


def certbot(directory: str, _bundle: Path, folder: Path) -> list[str]:
    """With its own server."""
    quiet = ["--non-interactive", "--agree-tos", "--register-unsafely-without-email", "--quiet"]
    folders = ["--config-dir", str(folder), "--work-dir", str(folder), "--logs-dir", str(folder)]
    return [_tool("certbot"), "certonly", "--standalone", *quiet, "--server", directory, "-d", DOMAIN, *folders]


def caddy(directory: str, bundle: Path, folder: Path) -> list[str]:
    """A server that orders by itself; http-01 only, as the others do."""
    issuer = f"issuer acme {{\n dir {directory}\n trusted_roots {bundle}\n disable_tlsalpn_challenge\n}}"
    settings = folder / "Caddyfile"
    settings.write_text(f"{{\n admin off\n}}\n{DOMAIN} {{\n tls {{\n {issuer}\n }}\n respond ok\n}}\n")
    return [_tool("caddy"), "run", "--config", str(settings), "--adapter", "caddyfile"]


def _tool(name: str) -> str:
    return str(Path(sys.argv[1]) / name)


def _run(contestant: Contestant, directory: str, bundle: Path) -> float:
    """Obtain one certificate in a fresh folder; the seconds that took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environ = {
            **os.environ,
            "LEGO_CA_CERTIFICATES": str(bundle),
            "REQUESTS_CA_BUNDLE": str(bundle),
            "XDG_DATA_HOME": name,
            "XDG_CONFIG_HOME": name,
        }
        with (folder / "log").open("wb") as log:
            command = contestant.command(directory, bundle, folder)
            started = time.monotonic()
            process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            if contestant.command is caddy:
                _wait_until_served(started)
                return time.monotonic() - started
            if process.wait(_LONGEST) == 0:
                return time.monotonic() - started
            sys.exit(f"{contestant.name} failed:\n{(folder / 'log').read_text()}")
        finally:
            process.terminate()
            process.wait(_LONGEST)


def _wait_until_served(started: float) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    while time.monotonic() - started < _LONGEST:
        try:
            with (
                socket.create_connection(("127.0.0.1", 443), 1) as plain,
                context.wrap_socket(plain, server_hostname=DOMAIN),
            ):
                return
        except OSError:
            time.sleep(0.004)
    sys.exit("caddy did not serve")


def race(pebble: Pebble, rounds: int) -> None:
    """Count, then take turns, then print the table."""
    contestants = [
        Contestant("regdeploy", regdeploy),
        Contestant("lego", lego),
        Contestant("certbot", certbot),
        Contestant("caddy", caddy),
    ]
    with tempfile.TemporaryDirectory() as folder:
        proxy = Flaky(Path(folder), pebble.directory, pebble.ca_bundle).start()
        for one in contestants:
            proxy.asked.clear()
            _run(one, proxy.directory, proxy.ca_bundle)
            one.requests = len(proxy.asked)
        proxy.stop()
    for _ in range(rounds):
        for one in contestants:
            one.seconds.append(_run(one, pebble.directory, pebble.ca_bundle))
    ours = statistics.median(contestants[0].seconds)
    print(f"{'':12}{'requests':>9}{'median':>9}{'lowest':>9}{'highest':>9}   regdeploy / this")
    for one in contestants:
        median = statistics.median(one.seconds)
        print(
            f"{one.name:12}{one.requests:9}{median:8.2f}s{min(one.seconds):8.2f}s{max(one.seconds):8.2f}s"
            f"   {ours / median:.2f}"
        )


def grow(pebble: Pebble) -> None:
    """One order with more and more names, and more and more orders with one account."""
    print(f"{'':24}{'requests':>9}{'seconds':>9}{'ms each':>9}")
    for names in (1, 25, 50, 100, 200):
        _measure(pebble, f"1 order, {names} names", 1, names)
    for orders in (1, 10, 25, 50):
        _measure(pebble, f"{orders} orders, 1 name", orders, 1)


def _measure(pebble: Pebble, what: str, orders: int, names: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        proxy = Flaky(Path(folder), pebble.directory, pebble.ca_bundle).start()
        _orders(proxy.directory, proxy.ca_bundle, Path(folder), orders, names)
        requests = len(proxy.asked)
        proxy.stop()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        _orders(pebble.directory, pebble.ca_bundle, Path(folder), orders, names)
        seconds = time.monotonic() - started
    print(f"{what:24}{requests:9}{seconds:8.2f}s{seconds * 1000 / (orders * names):9.1f}")


def _orders(directory: str, bundle: Path, folder: Path, orders: int, names: int) -> None:
    for order in range(orders):
        settings = AcmeSettings(
            directory=directory, ca_bundle=bundle, names=tuple(f"n{number}.o{order}.example" for number in range(names))
        )
        errand = Errand(
            settings=settings,
            state=folder / "acme",
            now=lambda: datetime.now(UTC),
            report=lambda _words: None,
            cancel=threading.Event(),
        )
        issue(errand, None)


def main() -> None:
    """Bring the CA up, and measure."""
    install({"lego": "/usr/bin/lego"})
    folder = isolate()
    with ExitStack() as stack:
        stack.enter_context(hosts_entry(DOMAIN, "127.0.0.1"))
        pebble = Pebble(folder / "pebble", PebbleOptions(directory_port=14000))
        stack.callback(pebble.stop)
        pebble.start()
        if "--grow" in sys.argv:
            grow(pebble)
        else:
            race(pebble, int(sys.argv[2]) if len(sys.argv) > 2 else 9)


if __name__ == "__main__":
    main()
