"""Name servers that the tests share, and a CA that asks one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regdeploy.tls.acme.dns.solver import Dns01
from regdeploy.tls.acme.settings import DnsSettings
from tests.rig.acme.conftest import Client
from tests.rig.parts.bind import PRIMARY, Bind
from tests.rig.parts.pebble import Pebble, PebbleOptions

_DOCUMENT = Path(__file__).parents[4] / "docs/dns-hook.md"


@pytest.fixture(scope="package")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """A primary and a secondary that is told at once."""
    servers = Bind(tmp_path_factory.mktemp("bind"))
    try:
        yield servers.start()
    finally:
        servers.stop()


@pytest.fixture(scope="package")
def pebble(bind: Bind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A CA that asks the primary."""
    options = PebbleOptions(dns_server=f"{PRIMARY}:53", authz_reuse=0)
    authority = Pebble(tmp_path_factory.mktemp("pebble-dns"), options)
    try:
        yield authority.start()
    finally:
        authority.stop()


@pytest.fixture
def client(pebble: Pebble, tmp_path: Path) -> Client:
    """A client of that CA."""
    return Client(pebble, tmp_path / "state")


@pytest.fixture
def settings(bind: Bind) -> DnsSettings:
    """Dynamic updates to the primary that the zone names."""
    return DnsSettings(provider="rfc2136", tsig_key_file=bind.key_file, resolvers=(PRIMARY,), timeout=10)


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """The program that the documentation shows."""
    program = tmp_path / "hook"
    program.write_text(_DOCUMENT.read_text().partition("```sh\n")[2].partition("```")[0])
    program.chmod(0o755)
    return program


@pytest.fixture
def make_solver() -> Iterator[Callable[[DnsSettings], Dns01]]:
    """Solvers that are stopped at the end."""
    made: list[Dns01] = []

    def make(settings: DnsSettings) -> Dns01:
        made.append(Dns01(settings))
        return made[-1]

    yield make
    for solver in made:
        solver.stop()
