"""Is what the endpoint answers what the spec asks for? Pure; ``apply`` proves with it, ``status`` tells with it."""

from __future__ import annotations

import hashlib

from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.registry.api import EndpointFacts


def serving_problem(spec: Spec, facts: EndpointFacts, fingerprint: str) -> str:
    """Why the endpoint is not right, as one sentence; empty when it is.

    ``fingerprint`` is the SHA-256 of the leaf that should be served, lower hex; empty without TLS.
    """
    if not facts.reachable:
        return f"{spec.url} does not answer: {facts.error}"
    if spec.tls is not Tls.OFF:
        if facts.leaf_der is None:
            return f"{spec.url} answers without TLS"
        served = hashlib.sha256(facts.leaf_der).hexdigest()
        if fingerprint and served != fingerprint:
            return f"another certificate is served ({served[:16]}…) than the current one ({fingerprint[:16]}…)"
    expected = 401 if spec.auth else 200
    if facts.http_status == expected:
        return ""
    if spec.auth and facts.http_status == 200:  # noqa: PLR2004 - HTTP
        return "/v2/ asks for no login: anyone can read and write"
    return f"/v2/ answered {facts.http_status}, not {expected}"
