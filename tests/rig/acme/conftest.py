"""CAs without an engine beside them, a proxy that spoils their answers, and a client with an empty folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from regdeploy.tls.acme.order import issue
from regdeploy.tls.acme.settings import AcmeSettings, DirectoryFacts, Errand, Issued
from tests.rig.parts.acme2certifier import Acme2certifier
from tests.rig.parts.caddy import Caddy
from tests.rig.parts.flaky import Flaky
from tests.rig.parts.pebble import Pebble, PebbleOptions


class Client:
    """Issues certificates from one CA with one state folder; ``reports`` are the phrases so far."""

    def __init__(self, authority: Pebble | Flaky | Acme2certifier | Caddy, state: Path) -> None:
        self.authority = authority
        self.state = state
        self.cancel = threading.Event()
        self.reports: list[str] = []

    @property
    def accounts(self) -> list[Path]:
        """The folders of accounts."""
        return sorted((self.state / "accounts").iterdir())

    def settings(self, *names: str, **settings: Any) -> AcmeSettings:
        """What this CA is asked with, for ``a.example.com`` if there is no name."""
        given = {"directory": self.authority.directory, "ca_bundle": self.authority.ca_bundle, "timeout": 40.0}
        return AcmeSettings(**{**given, "names": names or ("a.example.com",), **settings})

    def errand(self, *names: str, **settings: Any) -> Errand:
        """The same, with this client's folder, reports and end."""
        return Errand(
            settings=self.settings(*names, **settings),
            state=self.state,
            now=lambda: datetime.now(UTC),
            report=self.reports.append,
            cancel=self.cancel,
        )

    def issue(self, *names: str, directory: DirectoryFacts | None = None, **settings: Any) -> Issued:
        """Order a certificate."""
        return issue(self.errand(*names, **settings), directory)


@pytest.fixture(scope="package")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """The CA that all tests share; it needs no engine, other than the rig's fixture of that name."""
    authority = Pebble(tmp_path_factory.mktemp("pebble"), PebbleOptions())
    try:
        yield authority.start()
    finally:
        authority.stop()


@pytest.fixture
def start_pebble(tmp_path: Path) -> Iterator[Callable[..., Pebble]]:
    """Start further CAs, with the options of PebbleOptions as keywords; they end with the test."""
    started: list[Pebble] = []

    def start(**options: Any) -> Pebble:
        authority = Pebble(tmp_path / f"pebble-{len(started)}", PebbleOptions(**options))
        started.append(authority)
        return authority.start()

    yield start
    for authority in started:
        authority.stop()


@pytest.fixture
def client(flaky: Flaky, tmp_path: Path) -> Client:
    """A client of the flaky CA that has no account yet."""
    return Client(flaky, tmp_path / "state")


@pytest.fixture
def make_client(tmp_path: Path) -> Callable[[Pebble], Client]:
    """Clients of other CAs, all with one folder."""
    return lambda authority: Client(authority, tmp_path / "state")
