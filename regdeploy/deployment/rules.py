"""Rules between settings that look at where a value came from, beside those of ``spec``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regdeploy.deployment.settings import Tls
from regdeploy.errors import UsageError

#: Where a value comes from that somebody gives now, strongest first.
_GIVEN = ("flag", "environment", "file")


def refuse_idle_pair(values: Mapping[str, Any], sources: Mapping[str, str], where: Mapping[str, str]) -> None:
    """Raise UsageError for a pair that is given now and would not be served.

    One that was saved may rest, and so may one in a file that ``--tls`` overrules: both are there for another day.
    """
    if values["tls"] == Tls.FILES:
        return
    for option in ("cert", "key"):
        if values[option] is None or sources[option] not in _GIVEN:
            continue
        if sources["tls"] not in _GIVEN[: _GIVEN.index(sources[option])]:
            raise UsageError(
                where[option],
                f"would be ignored: the certificate comes from --tls {values['tls']}",
                "add --tls files (and --domain NAME) to serve your own, or leave --cert and --key out",
            )
