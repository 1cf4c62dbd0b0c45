"""Dynamic update of a zone (RFC 2136), signed with TSIG (RFC 8945), over TCP: BIND, Knot, PowerDNS, NSD's primaries."""

from __future__ import annotations

from collections.abc import Callable

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.update

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.dns.keyfile import TsigKey
from regdeploy.tls.acme.dns.provider import TTL, Record
from regdeploy.tls.acme.dns.zones import PORT, endpoint
from regdeploy.tls.acme.patience import Patience

_LONGEST = 10.0  # seconds for one update; it is not cut short, so that it is known whether it came


class Rfc2136:
    """Sends updates to ``server`` (``ADDR[:PORT]``), or where it is empty to the primary that the zone's SOA names.

    ``key`` signs them; without one the server must know us by our address. Raises UsageError for what is no address.
    """

    kind = "rfc2136"

    def __init__(self, server: str, key: TsigKey | None) -> None:
        self._server = endpoint(server, "DNS server") if server else None
        self._key = key

    def add(self, record: Record, patience: Patience) -> None:
        """See :class:`~regdeploy.tls.acme.dns.provider.Provider`."""
        self._send(record, patience, lambda update, name: update.add(name, TTL, "TXT", f'"{record.value}"'))

    def remove(self, record: Record, patience: Patience) -> None:
        """See :class:`~regdeploy.tls.acme.dns.provider.Provider`."""
        self._send(record, patience, lambda update, name: update.delete(name, "TXT", f'"{record.value}"'))

    def _send(
        self, record: Record, patience: Patience, change: Callable[[dns.update.UpdateMessage, dns.name.Name], None]
    ) -> None:
        place = record.place
        servers = [self._server] if self._server else [(address, PORT) for address in place.primary_addresses]
        failure = AcmeError(place.primary, f"the primary of {place.zone} has no address", _NAME_IT)
        for server in servers:
            patience.check()
            update = self._update(place.zone)
            change(update, dns.name.from_text(place.name))
            where = _shown(server)
            try:
                answer = dns.query.tcp(update, server[0], max(0.1, min(_LONGEST, patience.left)), server[1])
            except (dns.exception.Timeout, OSError, EOFError) as error:
                words = getattr(error, "strerror", None) or str(error) or "the connection was closed"
                failure = AcmeError(where, f"the update of {place.name} did not get there: {words}", _REACH_IT)
                continue
            except dns.exception.DNSException as error:
                raise self._unsigned(where, error) from error
            if answer.rcode() == dns.rcode.NOERROR:
                return
            raise self._refused(where, record, answer)
        raise failure

    def _update(self, zone: str) -> dns.update.UpdateMessage:
        if self._key is None:
            return dns.update.UpdateMessage(zone)
        key = dns.tsig.Key(self._key.name, self._key.secret.reveal(), self._key.algorithm)
        return dns.update.UpdateMessage(zone, keyring=key)

    def _unsigned(self, where: str, error: dns.exception.DNSException) -> AcmeError:
        """The error for an answer whose signature says what is wrong with ours, or is itself wrong."""
        name = f'"{self._key.name}"' if self._key else "none"
        path = self._key.path if self._key else "the key file"
        match error:
            case dns.tsig.PeerBadKey():
                what, hint = f"does not know the TSIG key {name} (BADKEY)", f"compare name and algorithm in {path}"
            case dns.tsig.PeerBadSignature() | dns.tsig.BadSignature():
                what, hint = f"has another secret for the TSIG key {name} (BADSIG)", f"compare the secret in {path}"
            case dns.tsig.PeerBadTime() | dns.tsig.BadTime():
                what = "finds the time of the signature wrong (BADTIME): its clock and this host's are minutes apart"
                hint = "set both by NTP: timedatectl set-ntp true"
            case _:
                what, hint = f"gave an answer that cannot be used: {error or type(error).__name__}", _NAME_IT
        return AcmeError(where, what, hint)

    def _refused(self, where: str, record: Record, answer: dns.message.Message) -> AcmeError:
        place = record.place
        name = self._key.name if self._key else "none"
        match answer.rcode():
            case dns.rcode.NOTAUTH:
                what, hint = f"does not hold the zone {place.zone} (NOTAUTH)", _NAME_IT
            case dns.rcode.REFUSED if self._key is None:
                what = f"refuses an update of {place.name} that is not signed (REFUSED)"
                hint = "give a TSIG key file"
            case dns.rcode.REFUSED:
                what = f"refuses the update of {place.name} (REFUSED)"
                hint = f'BIND: update-policy {{ grant "{name}" name {place.name} TXT; }}; or send it to the primary'
            case other:
                what, hint = f"answers the update of {place.name} with {dns.rcode.to_text(other)}", "look at its log"
        return AcmeError(where, what, hint)


_NAME_IT = "name the zone's primary name server, which takes updates, as the DNS server"
_REACH_IT = "see that it runs and that this host reaches its TCP port, or name another DNS server"


def _shown(server: tuple[str, int]) -> str:
    address, port = server
    return f"DNS server {f'[{address}]' if ':' in address else address}:{port}"
