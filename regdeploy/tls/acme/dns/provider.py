"""What a provider is asked for, and what it promises: one module a provider, one contract suite for all."""

from __future__ import annotations

from typing import Protocol

from regdeploy.frozen import frozen
from regdeploy.tls.acme.patience import Patience

#: Seconds that others may keep a record: short, because the next proof needs another value.
TTL = 60


@frozen
class Place:
    """Where the records of a name lie. Names are absolute, with their last dot.

    ``name`` is what is left after all aliases; ``zone`` is the zone that it is in; ``primary`` is the name server that
    the zone's SOA record names, ``primary_addresses`` are what that resolves to, none where it does not.
    """

    name: str
    zone: str
    primary: str
    primary_addresses: tuple[str, ...] = ()


@frozen
class Record:
    """One TXT value: ``domain`` is the name to prove, without a last dot; ``asked`` is where the CA begins to look."""

    domain: str
    asked: str
    place: Place
    value: str


class Provider(Protocol):
    """Changes one TXT value in a zone and leaves all others at that name alone. ``kind`` is its name in the settings.

    ``patience`` bounds each call in time; when it is cancelled, the call ends as soon as it can without leaving it
    open whether the change comes later.
    """

    kind: str

    def add(self, record: Record, patience: Patience) -> None:
        """Have the value there, beside others; there already is fine. Raises AcmeError."""
        ...

    def remove(self, record: Record, patience: Patience) -> None:
        """Take the value away; not there is fine, an add that came to nothing too. Raises AcmeError."""
        ...
