"""One visit to a CA: its directory, the signed requests of some work, a deadline, and an end at once when cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from regdeploy.tls.acme.connection import host_of, session
from regdeploy.tls.acme.directory import read_directory
from regdeploy.tls.acme.network import Network
from regdeploy.tls.acme.patience import Patience, supervised
from regdeploy.tls.acme.request import canonical
from regdeploy.tls.acme.settings import DirectoryFacts, Errand

T = TypeVar("T")

_DIRECTORY_TIMEOUT = 10.0


def visit(errand: Errand, work: Callable[[Network], T], directory: DirectoryFacts | None = None) -> T:
    """Return what ``work`` returns, done in a thread of its own within the settings' ``timeout``.

    ``directory`` is what the CA said of itself, None to ask it. Raises what ``work`` raises, and
    AcmeError where the CA cannot be asked, at the deadline, and within a tenth of a second when cancelled.
    """
    settings = errand.settings
    patience = Patience(settings.timeout, errand.cancel)

    def visiting() -> T:
        connection = session(settings.ca_bundle)
        facts = directory or read_directory(connection, settings.directory, _DIRECTORY_TIMEOUT)
        return work(Network(connection, facts, patience, errand.now, canonical(settings.names)))

    return supervised(visiting, patience, host_of(settings.directory))
