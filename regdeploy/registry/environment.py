"""The registry's environment: what an administrator would type with ``-e``, and ``docker inspect`` shows.

https://distribution.github.io/distribution/about/configuration/#override-specific-configuration-options
"""

from __future__ import annotations

from regdeploy.registry.images import Generation
from regdeploy.secret import Secret

REALM = "Registry"


def certificate_name(domain: str) -> str:
    """How files of ``domain`` are called: a wildcard's star would be a pattern to every shell."""
    return domain.replace("*", "_wildcard")


def environment(
    *, generation: Generation, tls_domain: str | None, port: int, login: bool, http_secret: Secret
) -> dict[str, str]:
    """The variables of the container; they override ``config.yml``.

    ``tls_domain`` is None for plain HTTP; ``port`` is the one inside the container. ``http_secret`` is revealed here:
    the engine keeps it with the container, and the registry needs it to be the same after every restart.
    """
    variables = {"REGISTRY_HTTP_ADDR": f"0.0.0.0:{port}", "REGISTRY_HTTP_SECRET": http_secret.reveal()}
    if tls_domain is not None:
        name = certificate_name(tls_domain)
        variables["REGISTRY_HTTP_TLS_CERTIFICATE"] = f"/certs/{name}.crt"
        variables["REGISTRY_HTTP_TLS_KEY"] = f"/certs/{name}.key"
    if login:
        variables["REGISTRY_AUTH"] = "htpasswd"
        variables["REGISTRY_AUTH_HTPASSWD_REALM"] = REALM
        variables["REGISTRY_AUTH_HTPASSWD_PATH"] = "/auth/htpasswd"
    if generation is Generation.V3:
        variables["OTEL_TRACES_EXPORTER"] = "none"  # else 3.x sends traces to localhost:4318 and logs each failure
    return variables
