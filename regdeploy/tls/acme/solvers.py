"""Which solver proves the names of an order: one case a kind. A solver's own file loads when it is chosen."""

from __future__ import annotations

from regdeploy.errors import UsageError
from regdeploy.tls.acme.challenges import Http01, Solver
from regdeploy.tls.acme.settings import AcmeSettings
from regdeploy.tls.acme.webroot import Webroot


def solver_for(settings: AcmeSettings) -> Solver:
    """The solver for the challenge that ``settings`` name. The spec lets no other kind through."""
    match settings.challenge:
        case "http-01" if settings.webroot is not None:
            return Webroot(settings.webroot)
        case "http-01":
            return Http01(settings.http_01_port)
        case "tls-alpn-01":
            from regdeploy.tls.acme.alpn import TlsAlpn01  # noqa: PLC0415 - ssl, which no other kind needs

            return TlsAlpn01(settings.tls_alpn_01_port)
        case "dns-01" if settings.dns:
            from regdeploy.tls.acme.dns.solver import Dns01  # noqa: PLC0415 - dnspython, which no other kind needs

            return Dns01(settings.dns)
        case "dns-01":
            raise UsageError("dns-01", "needs a DNS provider", "choose rfc2136, hook or lexicon:NAME")
        case "dns-persist-01":
            from regdeploy.tls.acme.persist import DnsPersist01  # noqa: PLC0415 - dnspython, as above

            return DnsPersist01(settings.dns.resolvers if settings.dns else ())
        case other:
            raise AssertionError(other)
