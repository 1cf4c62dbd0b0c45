"""One generation's settings in the other's words."""

from __future__ import annotations

import pytest

from regdeploy.registry.configuration import merged
from regdeploy.registry.fitting import fitted, translate
from regdeploy.registry.images import Generation, drivers

V2, V3 = Generation.V2, Generation.V3
REDIS_2 = (
    '{"password": "p", "db": "1", "addr": "r:6379", "pool": {"maxidle": "16", "maxactive": "64", "idletimeout": "9s"}}'
)
REDIS_3 = (
    '{"password": "p", "db": "1", "addrs": ["r:6379"], "maxidleconns": "16", "poolsize": "64", "connmaxidletime": "9s"}'
)


def test_redis_has_other_names_and_comes_back() -> None:
    assert translate({"REGISTRY_REDIS": REDIS_2}, V2, V3) == ({"REGISTRY_REDIS": REDIS_3}, ())
    assert translate({"REGISTRY_REDIS": REDIS_3}, V3, V2) == ({"REGISTRY_REDIS": REDIS_2}, ())


def test_redis_by_single_variables_becomes_one_that_3_0_takes() -> None:
    variables = {"REGISTRY_REDIS_ADDR": "r:6379", "REGISTRY_REDIS_POOL_MAXACTIVE": "0"}
    assert translate(variables, V2, V3) == ({"REGISTRY_REDIS": '{"addrs": ["r:6379"]}'}, ())


def test_2_speaks_to_one_redis_without_a_name() -> None:
    variables = {"REGISTRY_REDIS": "{addrs: [a, b], username: u}"}
    made, refused = translate(variables, V3, V2)
    assert made == {"REGISTRY_REDIS": '{"addr": a}'}
    assert refused == ("redis.addrs 2 of them: 2.x speaks to one Redis", "redis.username ***: 2.x has no such setting")


@pytest.mark.parametrize("driver", ["oss", "swift"])
def test_3_lost_two_drivers(driver: str) -> None:
    variables = {f"REGISTRY_STORAGE_{driver.upper()}_SECRETKEY": "hunter2", "REGISTRY_STORAGE_REDIRECT_DISABLE": "true"}
    made, refused = translate(variables, V2, V3)
    assert made == {"REGISTRY_STORAGE_REDIRECT_DISABLE": "true"}
    why = "3.x has no such storage driver, and the images lie where nothing else reaches"
    assert refused == (f"storage.{driver}: {why}",)
    assert driver in drivers(V2) - drivers(V3)


@pytest.mark.parametrize("driver", sorted(drivers(V3)))
def test_the_others_are_in_both(driver: str) -> None:
    variables = {f"REGISTRY_STORAGE_{driver.upper()}_ROOTDIRECTORY": "/x"}
    assert translate(variables, V2, V3) == translate(variables, V3, V2) == (variables, ())


@pytest.mark.parametrize(
    ("variables", "start"),
    [
        (
            {"REGISTRY_COMPATIBILITY": "{schema1: {enabled: true}}"},
            'compatibility.schema1 {"enabled": true}: 3.x has no',
        ),
        ({"REGISTRY_REPORTING_BUGSNAG_APIKEY": "hunter2"}, "reporting ***: 3.x reports to neither"),
        (
            {"REGISTRY_MIDDLEWARE": "{storage: [{name: alicdn}]}"},
            "middleware.storage alicdn: 3.x has none of that name",
        ),
    ],
)
def test_what_3_has_no_more_is_said(variables: dict[str, str], start: str) -> None:
    made, (refused,) = translate(variables, V2, V3)
    assert made == {}
    assert refused.startswith(start)


@pytest.mark.parametrize(
    ("variables", "kept", "start"),
    [
        ({"REGISTRY_STORAGE_TAG_CONCURRENCYLIMIT": "9"}, {}, 'storage.tag {"concurrencylimit": 9}: 2.x looks'),
        (
            {"REGISTRY_PROXY_TTL": "9h", "REGISTRY_PROXY_REMOTEURL": "x"},
            {"REGISTRY_PROXY_REMOTEURL": "x"},
            "proxy.ttl 9h",
        ),
        (
            {"REGISTRY_MIDDLEWARE": "{storage: [{name: rewrite}, {name: redirect}]}"},
            {"REGISTRY_MIDDLEWARE": '{"storage": [{"name": redirect}]}'},
            "middleware.storage rewrite",
        ),
        ({"REGISTRY_VALIDATION": "{manifests: {indexes: {platforms: None}}}"}, {}, "validation.manifests.indexes"),
    ],
)
def test_what_2_does_not_have_yet_is_said(variables: dict[str, str], kept: dict[str, str], start: str) -> None:
    made, (refused,) = translate(variables, V3, V2)
    assert made == kept
    assert refused.startswith(start)


def test_what_means_the_same_stays_as_it_was_written() -> None:
    variables = {
        "HTTPS_PROXY": "http://p:3128",
        "REGISTRY_STORAGE_S3_SECRETKEY": "'0123'",
        "REGISTRY_HTTP_HOST": "https://x",
        "REGISTRY_NOSUCH_THING": "x",
        "REGISTRY_HEALTH_FILECHECKERS": "[ {file: /a} ]",
    }
    assert translate(variables, V2, V3) == translate(variables, V3, V2) == (variables, ())
    assert translate({"REGISTRY_REDIS": "not yet: read"}, V2, V2) == ({"REGISTRY_REDIS": "not yet: read"}, ())


def test_what_was_fitted_was_left_as_it_was() -> None:
    tree = merged("storage: {swift: {a: 1}}\nredis: {addr: a, pool: {maxidle: 1}}", {})
    fitted(tree, V3)
    assert tree == {"storage": {"swift": {"a": "1"}}, "redis": {"addr": "a", "pool": {"maxidle": "1"}}}
