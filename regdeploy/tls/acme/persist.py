"""The solver for dns-persist-01 (draft-ietf-acme-dns-persist): looks for records that a person made; it makes none."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.challenges import Proof
from regdeploy.tls.acme.dns.propagation import Watch, spread
from regdeploy.tls.acme.dns.provider import Place
from regdeploy.tls.acme.dns.zones import Server, Zones, endpoint
from regdeploy.tls.acme.patience import Patience, supervised
from regdeploy.tls.acme.standing import LABEL, Standing, fault, line, quoted

_FINDING = 30.0  # seconds, for where all records belong
_LOOKING = 10.0  # seconds, for what all servers have


class DnsPersist01:
    """Proves names by records at ``_validation-persist.NAME``; nothing is ever written, and nothing taken away.

    ``resolvers`` (see :class:`DnsSettings`) replace those of the system. Raises UsageError for one that is none.
    """

    kind = "dns-persist-01"
    port = 0

    def __init__(self, resolvers: Sequence[str] = ()) -> None:
        self._resolvers = tuple(resolvers)
        self._stopped = threading.Event()
        for text in self._resolvers:
            endpoint(text, "resolver")

    def start(self, proofs: Sequence[Proof]) -> None:
        """See :class:`Solver`: every authoritative name server has a record for every name when this returns.

        Raises AcmeError that says which record to make where one is missing or does not prove its name, and what is
        there instead; after :meth:`stop`, ``acme.cancelled``.
        """
        finding = Patience(_FINDING, self._stopped)
        found = supervised(lambda: _find(proofs, Zones(self._resolvers, finding)), finding, self.kind)
        looking = Patience(_LOOKING, self._stopped)
        supervised(lambda: spread([look for looks, _ in found for look in looks], looking), looking, self.kind)
        wrong = [(looks[0].name, wanted, said) for looks, wanted in found if (said := faults(looks, wanted))]
        if wrong:
            raise _missing(wrong)

    def stop(self) -> None:
        """See :class:`Solver`."""
        self._stopped.set()


class Look(Watch):
    """What one server has at one name, whatever it is."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(server, name, ())

    def look(self, timeout: float) -> bool:
        """Ask the server; whether it answered with what it has."""
        return super().look(timeout) and self.authoritative


def _find(proofs: Sequence[Proof], zones: Zones) -> list[tuple[list[Look], Standing]]:
    """Who must have which record: one a name, which serves its wildcard as well."""
    wanted: dict[str, Standing] = {}
    for proof in proofs:
        if proof.standing is None:
            raise AcmeError(proof.name, "its challenge asks for no standing record", "choose another kind: --challenge")
        asked = f"{LABEL}.{proof.name}."
        wildcard = proof.standing.wildcard or (asked in wanted and wanted[asked].wildcard)
        wanted[asked] = replace(proof.standing, wildcard=wildcard)
    places: Mapping[str, Place] = {asked: zones.place(asked) for asked in wanted}
    servers = {zone: zones.servers(zone) for zone in {place.zone for place in places.values()}}
    return [
        ([Look(server, place.name) for server in servers[place.zone]], wanted[asked]) for asked, place in places.items()
    ]


def faults(looks: Sequence[Look], wanted: Standing) -> str:
    """What those servers have instead whose records do not prove the name, nothing where all do."""
    said: dict[str, list[str]] = {}
    for look in looks:
        faults = {text: fault(text, wanted) for text in sorted(look.found)}
        if all(faults.values()):
            words = ", ".join(f"{quoted(text)} {why}" for text, why in faults.items()) or "no TXT record"
            said.setdefault(words, []).append(str(look.server))
    return "; ".join(f"{', '.join(servers)}: {words}" for words, servers in said.items())


def _missing(wrong: Sequence[tuple[str, Standing, str]]) -> AcmeError:
    """One error for all names, with the records to make, a line each."""
    records = [line(name, wanted) for name, wanted, _ in wrong]
    made = f"this record once, by hand, and leave it there: {records[0]}"
    if len(records) > 1:
        made = "\n".join(["these records once, by hand, and leave them there:", *records])
    return AcmeError(
        ", ".join(name for name, _, _ in wrong),
        f"no record there lets the CA prove the name: {'; '.join(said for _, _, said in wrong)}",
        f"make {made}",
    )
