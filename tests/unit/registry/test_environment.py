"""The container's variables, whole."""

from __future__ import annotations

from regdeploy.registry.environment import certificate_name, environment
from regdeploy.registry.images import Generation
from regdeploy.secret import Secret


def test_plain_http_without_a_login_needs_an_address_and_a_secret() -> None:
    assert environment(
        generation=Generation.V2, tls_domain=None, port=5000, login=False, http_secret=Secret("s3cret")
    ) == {"REGISTRY_HTTP_ADDR": "0.0.0.0:5000", "REGISTRY_HTTP_SECRET": "s3cret"}


def test_https_with_a_login_names_the_files_in_the_container() -> None:
    assert environment(
        generation=Generation.V3, tls_domain="*.example.com", port=443, login=True, http_secret=Secret("s3cret")
    ) == {
        "REGISTRY_HTTP_ADDR": "0.0.0.0:443",
        "REGISTRY_HTTP_SECRET": "s3cret",
        "REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/_wildcard.example.com.crt",
        "REGISTRY_HTTP_TLS_KEY": "/certs/_wildcard.example.com.key",
        "REGISTRY_AUTH": "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_REALM": "Registry",
        "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd",
        "OTEL_TRACES_EXPORTER": "none",
    }


def test_a_name_without_a_star_is_its_files_name() -> None:
    assert certificate_name("registry.example.com") == "registry.example.com"
