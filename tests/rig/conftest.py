"""What every rig test gets: a machine of its own, as far as ports, names, trust and the engine go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rig.parts.flaky import Flaky
from tests.rig.parts.isolation import ADDRESS, isolate
from tests.rig.parts.names import hosts_entry
from tests.rig.parts.packages import install
from tests.rig.parts.pebble import Pebble, PebbleOptions
from tests.rig.parts.processes import RigError
from tests.rig.parts.rig import Rig, running_rig

#: A name that leads to this host, for the engine too.
DOMAIN = "regisry.lagoudocker.io"

_HERE = Path(__file__).parent
_FOLDER = pytest.StashKey[Path]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what lies here, and leave it out only where that was asked for, saying so."""
    ours = [item for item in items if _HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.rig)
    if os.environ.get("REGDEPLOY_RIG", "on") != "off" or not ours:
        return
    if os.environ.get("CI"):
        raise pytest.UsageError("REGDEPLOY_RIG=off is not for CI: the rig's tests are what proves regdeploy")
    items[:] = [item for item in items if item not in set(ours)]
    config.hook.pytest_deselected(items=ours)
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"REGDEPLOY_RIG=off: {len(ours)} tests with a real engine, registry and CA are left out")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Isolate the whole run before its first test, since any test may start a thread that cannot be moved later."""
    wanted = any(item.get_closest_marker("rig") for item in session.items)
    if not wanted or session.config.option.collectonly:
        return
    try:
        if installed := install():
            reporter = session.config.pluginmanager.get_plugin("terminalreporter")
            if reporter is not None:
                reporter.write_line(f"installed for the rig: {' '.join(installed)}")
        session.config.stash[_FOLDER] = isolate()
    except RigError as error:
        pytest.exit(f"no rig: {error}", returncode=3)


@pytest.fixture(scope="session")
def rig(pytestconfig: pytest.Config) -> Iterator[Rig]:
    """The engine with the images in it, and the clients."""
    # Before the engine starts: Go looks at /etc/hosts again after five seconds only.
    with hosts_entry(DOMAIN, ADDRESS), running_rig(pytestconfig.stash[_FOLDER]) as running:
        yield running


@pytest.fixture(scope="session")
def pebble(rig: Rig) -> Iterator[Pebble]:
    """The usual CA: https://localhost:14000/dir, calling back on ports 80 and 443."""
    authority = Pebble(rig.folder / "pebble", PebbleOptions(directory_port=14000))
    try:
        yield authority.start()
    finally:
        authority.stop()


@pytest.fixture
def start_pebble(rig: Rig, tmp_path: Path) -> Iterator[Callable[..., Pebble]]:
    """Start further CAs, with the options of PebbleOptions as keywords; they end with the test."""
    started: list[Pebble] = []

    def start(**options: object) -> Pebble:
        authority = Pebble(tmp_path / f"pebble-{len(started)}", PebbleOptions(**options))  # type: ignore[arg-type]
        started.append(authority)
        return authority.start()

    yield start
    for authority in started:
        authority.stop()


@pytest.fixture
def flaky(pebble: Pebble, tmp_path: Path) -> Iterator[Flaky]:
    """The CA behind a proxy that spoils what the test names."""
    proxy = Flaky(tmp_path, pebble.directory, pebble.ca_bundle).start()
    yield proxy
    proxy.stop()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder for one deployment that is not there yet; nobody else can write where it will be."""
    return tmp_path / "root"


@pytest.fixture
def clean_engine(rig: Rig) -> Iterator[None]:
    """Remove the containers and volumes that the test leaves in the rig's engine."""
    before = _containers(rig)
    yield
    left = _containers(rig) - before
    if left:
        rig.clients.docker("rm", "--force", "--volumes", *left)


def _containers(rig: Rig) -> set[str]:
    return set(rig.clients.docker("ps", "--all", "--quiet", "--no-trunc").split())
