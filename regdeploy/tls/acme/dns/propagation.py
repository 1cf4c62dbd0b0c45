"""Waiting until every authoritative name server has the records: the CA may ask any of them (RFC 8555 section 8.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rdtypes.txtbase

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.dns.zones import Server
from regdeploy.tls.acme.patience import Patience

_FIRST_LOOK, _LONGEST_PAUSE, _GROWTH = 0.05, 5.0, 1.6  # seconds
_PATIENCE = 2.0  # seconds for one answer
_GOOD = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)  # with the second, a name that has nothing


class Watch:
    """One name at one server: ``said`` is what it said last, as a sentence; ``answered`` whether it ever did.

    ``found`` are the values that it had then; ``authoritative`` says that these are all that there are.
    """

    def __init__(self, server: Server, name: str, values: Iterable[str]) -> None:
        self.server = server
        self.name = name
        self.values = frozenset(values)
        self.answered = False
        self.authoritative = False
        self.found: frozenset[str] = frozenset()
        self.said = "" if server.address else "its name has no address"

    def look(self, timeout: float) -> bool:
        """Ask the server, for ``timeout`` seconds at most, whether it has all values."""
        if not self.server.address:
            return False
        question = dns.message.make_query(self.name, dns.rdatatype.TXT, flags=0, use_edns=True)  # no recursion
        try:
            answer, _ = dns.query.udp_with_fallback(
                question, self.server.address, timeout, self.server.port, ignore_unexpected=True
            )
        except dns.exception.Timeout:
            return False
        except (dns.exception.DNSException, OSError) as error:
            self.said = str(error) or type(error).__name__
            return False
        self.answered = True
        self.found = _values(answer, self.name)
        self.authoritative = answer.rcode() in _GOOD and bool(answer.flags & dns.flags.AA)
        self.said = _words(answer, len(self.values & self.found), len(self.values))
        return self.values <= self.found


def spread(watches: Sequence[Watch], patience: Patience) -> None:
    """Return when every one of ``watches`` has been seen with all its values.

    Looks soon, then ever later, up to 5 s. Raises AcmeError with the servers that are late, or never answered, when the
    time is over, and at once when cancelled (though not during an answer, of 2 s at most).
    """
    waiting, pause = list(watches), _FIRST_LOOK
    while waiting := [watch for watch in waiting if not _seen(watch, patience)]:
        if patience.left <= 0:
            raise _late(waiting, patience.seconds)
        patience.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _seen(watch: Watch, patience: Patience) -> bool:
    patience.check()
    return watch.look(max(0.1, min(_PATIENCE, patience.left)))


def _values(answer: dns.message.Message, name: str) -> frozenset[str]:
    wanted = dns.name.from_text(name)
    return frozenset(
        b"".join(rdata.strings).decode(errors="replace")
        for rrset in answer.answer
        if rrset.rdtype == dns.rdatatype.TXT and rrset.name == wanted
        for rdata in rrset
        if isinstance(rdata, dns.rdtypes.txtbase.TXTBase)
    )


def _words(answer: dns.message.Message, found: int, wanted: int) -> str:
    if answer.rcode() not in _GOOD:
        return f"it answers {dns.rcode.to_text(answer.rcode())}"
    if not answer.flags & dns.flags.AA:
        return "it is not authoritative for that name"
    return f"it has {found} of {wanted} values"


def _late(waiting: Sequence[Watch], seconds: float) -> AcmeError:
    """The error for those that never answered where there are any, else for those that are late."""
    silent = [watch for watch in waiting if not watch.answered]
    named = silent or list(waiting)
    first = named[0]
    where = ", ".join(dict.fromkeys(str(watch.server) for watch in named))
    said = f": {first.said}" if first.said else ""
    if silent:
        return AcmeError(
            where,
            f"never answered about {first.name} within {seconds:.0f} s{said}",
            "start it, or take its NS record out of the zone: the CA may ask any name server of the zone",
        )
    return AcmeError(
        where,
        f"does not have the TXT record of {first.name} within {seconds:.0f} s{said}",
        "see that it follows the zone's primary (NOTIFY, zone transfer), or give the records more time to spread",
    )
