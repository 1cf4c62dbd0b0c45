"""A secret in a container's environment is never part of a plan, of ``status`` or of history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from regdeploy.deployment.workload import differences
from tests.builders import acme, container, wanted

DESIRED, THERE = wanted(acme()), container(acme())


def _told(want: Mapping[str, str], have: Mapping[str, str]) -> list[str]:
    def changed(environment: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
        return {**{name: value for name, value in environment.items() if name not in {*want, *have}}, **own}

    desired = replace(DESIRED, environment=changed(DESIRED.environment, want))
    return [str(item) for item in differences(desired, replace(THERE, environment=changed(THERE.environment, have)))]


@pytest.mark.parametrize(
    "name",
    [
        "REGISTRY_HTTP_SECRET",
        "REGISTRY_PROXY_PASSWORD",
        "REGISTRY_REDIS_PASSWORD",
        "REGISTRY_STORAGE_S3_ACCESSKEY",
        "REGISTRY_STORAGE_S3_SECRETKEY",
        "REGISTRY_STORAGE_AZURE_ACCOUNTKEY",
        "REGISTRY_STORAGE_AZURE_CREDENTIALS_SECRET",
        "REGISTRY_STORAGE_GCS_CREDENTIALS_PRIVATE_KEY",
    ],
)
def test_a_secret_is_shown_as_stars_on_either_side(name: str) -> None:
    assert _told({name: "wanted now"}, {name: "there before"}) == [f"environment {name}: *** → ***"]
    assert _told({name: "wanted now"}, {}) == [f"environment {name}: *** is missing"]
    assert _told({}, {name: "there before"}) == [f"environment {name}: *** should not be there"]


def test_the_path_of_a_key_is_no_secret() -> None:
    assert _told({}, {"REGISTRY_HTTP_TLS_KEY": "/certs/other.key"}) == [
        "environment REGISTRY_HTTP_TLS_KEY: /certs/other.key should not be there"
    ]
