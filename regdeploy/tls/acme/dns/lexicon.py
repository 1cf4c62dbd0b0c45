"""The DNS services that dns-lexicon speaks to (https://dns-lexicon.readthedocs.io): an extra, ``regdeploy[dns]``.

Credentials come from its own variables, ``LEXICON_SERVICE_OPTION``: ``LEXICON_CLOUDFLARE_AUTH_TOKEN`` and the like.
``LEXICON_TTL`` is for services that take no TTL as short as ours.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from regdeploy.errors import AcmeError, UsageError
from regdeploy.tls.acme.dns.provider import TTL, Record
from regdeploy.tls.acme.patience import Patience, supervised

_LIMIT = 60.0  # seconds for one change: lexicon's own requests may wait for ever
_SHORTEST = 4  # characters of what could be a secret: "1" and "yes" are none


class Lexicon:
    """Changes records at the service ``name``, as lexicon spells it. UsageError where lexicon is not installed.

    ``ask_system``: whether the system's name servers know the zones. Else lexicon looks at the list of public suffixes,
    which it fetches at its first use.
    """

    def __init__(self, name: str, *, ask_system: bool) -> None:
        self.kind = f"lexicon:{name}"
        self._name = name
        self._ask_system = ask_system
        if importlib.util.find_spec("lexicon") is None:
            raise UsageError(self.kind, "needs dns-lexicon, which is not installed", "pip install 'regdeploy[dns]'")

    def add(self, record: Record, patience: Patience) -> None:
        """See :class:`~regdeploy.tls.acme.dns.provider.Provider`; given up after 60 s, when nobody knows what came."""
        name = record.place.name.removesuffix(".")
        self._change(record, patience, lambda service: service.create_record("TXT", name, record.value))

    def remove(self, record: Record, patience: Patience) -> None:
        """See :class:`~regdeploy.tls.acme.dns.provider.Provider`."""
        name = record.place.name.removesuffix(".")
        self._change(
            record, patience, lambda service: service.delete_record(rtype="TXT", name=name, content=record.value)
        )

    def _change(self, record: Record, patience: Patience, change: Callable[[Any], object]) -> None:
        """Not cut short by a cancel: only what is known to be there can be taken away."""
        time = Patience(max(0.0, min(_LIMIT, patience.left)), threading.Event())
        try:
            failure = supervised(lambda: self._speak(record, change), time, self.kind)
        except AcmeError as late:
            hint = "look at the service's own page whether the record is there, then run the same command again"
            raise AcmeError(self.kind, late.what, hint) from late
        if failure:
            raise failure

    def _speak(self, record: Record, change: Callable[[Any], object]) -> AcmeError | None:
        from lexicon.client import Client  # noqa: PLC0415 - an extra, and slow to load
        from lexicon.config import ConfigResolver, DictConfigSource  # noqa: PLC0415 - the same

        zone = record.place.zone.removesuffix(".")
        given = {"provider_name": self._name, "domain": zone, "ttl": TTL}
        known = {"resolve_zone_name": True} if self._ask_system else {}
        try:
            config = ConfigResolver().with_env().with_dict({**given, **known})  # type: ignore[no-untyped-call]
            client = Client(config)
            # What it makes of the zone is wrong for zones below no public suffix, and one provider looks elsewhere.
            config.add_config_source(DictConfigSource({"domain": zone, self._name: {"domain": zone}}), 0)
            with client as service:
                change(service)
        except Exception as error:  # noqa: BLE001 - its services raise whatever they like
            words = _masked(str(error) or type(error).__name__)
            hint = f"check the variables LEXICON_{self._name.upper()}_*, and that {zone} is a zone there"
            return AcmeError(self.kind, words, hint)  # without its cause: a URL in that may hold a token
        return None


def _masked(words: str) -> str:
    """``words`` as one line without what the variables for lexicon hold: services put tokens into URLs."""
    secrets = [value for name, value in os.environ.items() if name.startswith("LEXICON_") and len(value) >= _SHORTEST]
    for secret in sorted(secrets, key=len, reverse=True):
        for spelling in (secret, quote(secret), quote(secret, safe="")):
            words = words.replace(spelling, "***")
    return " ".join(words.split())
