"""What is wrong with what an endpoint answers, as whole sentences."""

from __future__ import annotations

from typing import Any

import pytest

from regdeploy.deployment.serving import serving_problem
from regdeploy.deployment.spec import Resolved
from tests.builders import acme, certificate, resolved, serving

LOCAL, SERVED, ANOTHER = resolved(), certificate(1).fingerprint_sha256, certificate(2).fingerprint_sha256


@pytest.mark.parametrize(
    ("asked", "number", "changes", "sentence"),
    [
        (LOCAL, None, {}, ""),
        (resolved(auth=True), None, {"http_status": 401}, ""),
        (resolved(auth=True), None, {}, "/v2/ asks for no login: anyone can read and write"),
        (LOCAL, None, {"http_status": 404}, "/v2/ answered 404, not 200"),
        (
            LOCAL,
            None,
            {"reachable": False, "error": "refuses connections"},
            "http://127.0.0.1:5000 does not answer: refuses connections",
        ),
        (acme(), 1, {}, ""),
        (acme(auth=False), 1, {}, "/v2/ answered 401, not 200"),
        (acme(), 1, {"leaf_der": None}, "https://registry.example.com answers without TLS"),
        (
            acme(port=8443),
            1,
            {"reachable": False, "error": "does not speak TLS"},
            "https://registry.example.com:8443 does not answer: does not speak TLS",
        ),
        (
            acme(),
            2,
            {},
            f"another certificate is served ({ANOTHER[:16]}…) than the current one ({SERVED[:16]}…)",
        ),
        (acme(), 1, {"http_status": 503}, "/v2/ answered 503, not 401"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    asked: Resolved, number: int | None, changes: dict[str, Any], sentence: str
) -> None:
    assert serving_problem(asked.spec, serving(number, **changes), "" if number is None else SERVED) == sentence
