"""The solver for dns-01 (RFC 8555 section 8.4): TXT records put where the CA looks, waited for, and taken away."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Sequence

from regdeploy.errors import RegdeployError, UsageError
from regdeploy.tls.acme.challenges import Proof
from regdeploy.tls.acme.dns.hook import Hook
from regdeploy.tls.acme.dns.keyfile import read_key
from regdeploy.tls.acme.dns.lexicon import Lexicon
from regdeploy.tls.acme.dns.propagation import Watch, spread
from regdeploy.tls.acme.dns.provider import Place, Provider, Record
from regdeploy.tls.acme.dns.rfc2136 import Rfc2136
from regdeploy.tls.acme.dns.zones import Zones, endpoint
from regdeploy.tls.acme.patience import Patience, supervised
from regdeploy.tls.acme.settings import DnsSettings

_FINDING = 30.0  # seconds, for where all records belong
_CHANGING = 60.0  # seconds, for one record
_CLEARING = 60.0  # seconds, for taking all away


class Dns01:
    """Answers dns-01 by TXT records that ``provider`` writes (made of ``settings`` where none is given).

    Raises UsageError for settings that cannot be used, before anything is touched. ``notes`` are sentences for the
    user: a key file that everybody can read, a record that could not be taken away. Such a record, and one of a run
    that was killed, does no harm: other values at its name are left alone, and the CA looks for its own among them.
    """

    kind = "dns-01"
    port = 0

    def __init__(self, settings: DnsSettings, provider: Provider | None = None) -> None:
        self.notes: list[str] = []
        self._settings = settings
        self._provider = provider or self._made()
        self._added: dict[Record, bool] = {}  # whether it is known to be there: an add may fail and still have come
        self._stopped = threading.Event()
        self._changing = threading.Lock()  # between records being added and being taken away

    def start(self, proofs: Sequence[Proof]) -> None:
        """See :class:`Solver`: every authoritative name server has all values when this returns.

        After :meth:`stop` it ends at once, with AcmeError ``acme.cancelled``; a change under way ends by itself.
        """
        finding = Patience(_FINDING, self._stopped)
        records, watches = supervised(lambda: self._find(proofs, finding), finding, self.kind)
        try:
            changing = Patience(_CHANGING * len(records), self._stopped)
            supervised(lambda: self._add(records, changing), changing, self._provider.kind)
            spreading = Patience(self._settings.timeout, self._stopped)
            supervised(lambda: spread(watches, spreading), spreading, self.kind)
        except RegdeployError:
            if not self._stopped.is_set():  # who stops takes away
                self._clear()
            raise

    def stop(self) -> None:
        """See :class:`Solver`: takes a minute at most, and the time of its requests where all is well."""
        self._stopped.set()
        self._clear()

    def _made(self) -> Provider:
        """The provider that the settings name, its files looked at."""
        settings = self._settings
        for text in settings.resolvers:
            endpoint(text, "resolver")
        match settings.provider:
            case "rfc2136":
                key = read_key(settings.tsig_key_file) if settings.tsig_key_file else None
                self.notes += [key.warning] if key and key.warning else []
                return Rfc2136(settings.server, key)
            case "hook" if settings.hook:
                return Hook(settings.hook)
            case "hook":
                raise UsageError("DNS provider", "hook names no program", "docs/dns-hook.md shows one to begin with")
            case named if named.removeprefix("lexicon:") not in ("", named):
                return Lexicon(named.removeprefix("lexicon:"), ask_system=not settings.resolvers)
            case other:
                raise UsageError("DNS provider", f"{other!r} is none", "choose rfc2136, hook or lexicon:NAME")

    def _find(self, proofs: Sequence[Proof], patience: Patience) -> tuple[list[Record], list[Watch]]:
        """The records that prove, and who must have them."""
        zones = Zones(self._settings.resolvers, patience)
        places: dict[str, Place] = {}
        records = []
        for proof in proofs:
            asked = f"_acme-challenge.{proof.name}."
            places[asked] = place = places.get(asked) or zones.place(asked)
            value = _digest(proof.key_authorization)
            records.append(Record(domain=proof.name, asked=asked, place=place, value=value))
        servers = {zone: zones.servers(zone) for zone in {place.zone for place in places.values()}}
        values: dict[tuple[str, str], set[str]] = {}
        for record in records:
            values.setdefault((record.place.zone, record.place.name), set()).add(record.value)
        return records, [
            Watch(server, name, wanted) for (zone, name), wanted in values.items() for server in servers[zone]
        ]

    def _add(self, records: Sequence[Record], patience: Patience) -> None:
        for record in records:
            with self._changing:
                patience.check()
                self._added[record] = False
                self._provider.add(record, patience)
                self._added[record] = True

    def _clear(self) -> None:
        """Take away what was added, the last one first; what cannot be is noted."""
        patience = Patience(_CLEARING, threading.Event())
        if not self._changing.acquire(timeout=_CLEARING):
            self.notes += [_left(record, "it is still being added") for record in self._added]
            return
        try:
            while self._added:
                record, sure = self._added.popitem()
                why = self._remove(record, patience)
                self.notes += [_left(record, why)] if why and sure else []
        finally:
            self._changing.release()

    def _remove(self, record: Record, patience: Patience) -> str:
        """Take it away; why it could not be, or nothing."""
        try:
            supervised(lambda: self._provider.remove(record, patience), patience, self._provider.kind)
        except Exception as error:  # noqa: BLE001 - whatever it is, the certificate does not depend on it
            return str(error) or type(error).__name__
        return ""


def _digest(key_authorization: str) -> str:
    """The TXT value (RFC 8555 section 8.4): base64url of the SHA-256, without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(key_authorization.encode()).digest()).decode().rstrip("=")


def _left(record: Record, why: str) -> str:
    return f"the TXT record {record.place.name} {record.value} may still be there, and does no harm: {why}"
