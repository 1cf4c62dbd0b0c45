"""Variables by name: what they are for, what is secret, and the file that holds them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regdeploy.errors import UsageError
from regdeploy.registry.variables import as_variables, is_secret, read_extra, storage_driver, write_extra

NAMES = st.from_regex(r"REGISTRY(_[A-Z0-9]{1,6}){1,3}", fullmatch=True)


@given(st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_what_is_written_is_read(variables: dict[str, str]) -> None:
    text = write_extra(variables)
    assert read_extra(text) == variables
    assert len(text.split("\n")) == len(variables) + 1


def test_the_file_reads_as_one_would_type_it() -> None:
    variables = {
        "REGISTRY_STORAGE_S3_BUCKET": "images",
        "REGISTRY_REDIS": '{"addr": "r:6379"}',
        "REGISTRY_HTTP_HEADERS_X-ONE": " [a]",
        "A": "",
    }
    assert write_extra(variables) == (
        'A=\nREGISTRY_HTTP_HEADERS_X-ONE=" [a]"\nREGISTRY_REDIS={"addr": "r:6379"}\nREGISTRY_STORAGE_S3_BUCKET=images\n'
    )
    assert read_extra("# by hand\n\n  A=b=c\nB = x\n".replace("B = x", "B=x")) == {"A": "b=c", "B": "x"}


def test_what_would_move_a_terminal_is_not_written_as_it_is() -> None:
    assert write_extra({"A": "a\x1b[2Jb"}) == 'A="a\\u001b[2Jb"\n'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("A=1\nhunter2", "is not NAME=VALUE"),
        ("\nA B=hunter2", "is not NAME=VALUE"),
        ('\nA="hunter2', "begins with a quote"),
    ],
)
def test_a_line_that_is_none_is_named_by_its_number_and_not_shown(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        read_extra(text)
    assert caught.value.where == "secrets/environment, line 2"
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_name_that_an_engine_would_take_for_something_else_is_not_written() -> None:
    with pytest.raises(UsageError):
        write_extra({"A=B": "x"})
    with pytest.raises(UsageError):
        write_extra({"A\nB": "x"})


@pytest.mark.parametrize(
    ("variables", "driver"),
    [
        ({}, "filesystem"),
        ({"REGISTRY_STORAGE_FILESYSTEM_MAXTHREADS": "1"}, "filesystem"),
        ({"REGISTRY_STORAGE_REDIRECT_DISABLE": "true", "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "redis"}, "filesystem"),
        ({"REGISTRY_STORAGE_MAINTENANCE_READONLY": "{}", "REGISTRY_STORAGE_S3_BUCKET": "b"}, "s3"),
        ({"REGISTRY_STORAGE_AZURE": "{}"}, "azure"),
        ({"REGISTRY_STORAGE": "gcs"}, "gcs"),
        ({"REGISTRY_PROXY_REMOTEURL": "x"}, "filesystem"),
    ],
)
def test_the_driver_is_seen_by_the_names(variables: dict[str, str], driver: str) -> None:
    assert storage_driver(variables) == driver


@pytest.mark.parametrize(
    "name",
    [
        *("REGISTRY_STORAGE_S3_SECRETKEY", "REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_AZURE_ACCOUNTKEY"),
        *("REGISTRY_STORAGE_AZURE", "REGISTRY_STORAGE_GCS_CREDENTIALS", "REGISTRY_STORAGE_SWIFT_PASSWORD"),
        *("REGISTRY_REDIS", "REGISTRY_REDIS_PASSWORD", "REGISTRY_NOTIFICATIONS", "REGISTRY_PROXY_PASSWORD"),
        *("REGISTRY_LOG_HOOKS", "REGISTRY_HEALTH", "REGISTRY_HTTP_SECRET", "REGISTRY_MIDDLEWARE"),
        *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET", "HTTPS_PROXY", "http_proxy"),
    ],
)
def test_what_may_hold_a_secret_is_one(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("REGISTRY_STORAGE_S3_BUCKET", "REGISTRY_STORAGE_MAINTENANCE_READONLY", "REGISTRY_STORAGE_REDIRECT_DISABLE"),
        *("REGISTRY_PROXY_REMOTEURL", "REGISTRY_LOG_LEVEL", "REGISTRY_HTTP_ADDR", "NO_PROXY", "AWS_REGION"),
        *("REGISTRY_VALIDATION", "REGISTRY_STORAGE_CACHE", "REGISTRY_STORAGE"),
    ],
)
def test_and_the_rest_is_to_be_seen(name: str) -> None:
    assert not is_secret(name)


def test_variables_are_as_short_as_go_takes_them() -> None:
    tree = {
        "storage": {
            "s3": {"bucket": "b", "encrypt": None, "extra": {"a": "1"}},
            "maintenance": {"readonly": {"enabled": "x"}},
        },
        "redis": {"addr": "r"},
        "http": {"tls": {"minimumtls": "tls1.3"}, "http2": {"disabled": "x"}},
    }
    assert as_variables(tree) == {
        "REGISTRY_HTTP_HTTP2": '{"disabled": "x"}',
        "REGISTRY_HTTP_TLS_MINIMUMTLS": "tls1.3",
        "REGISTRY_REDIS": '{"addr": "r"}',
        "REGISTRY_STORAGE_MAINTENANCE_READONLY": '{"enabled": "x"}',
        "REGISTRY_STORAGE_S3_BUCKET": "b",
        "REGISTRY_STORAGE_S3_EXTRA": '{"a": "1"}',
    }


def test_a_key_that_a_name_cannot_hold_takes_its_whole_driver_with_it() -> None:
    tree = {"storage": {"azure": {"max_retries": "10", "container": "c"}}}
    assert as_variables(tree) == {"REGISTRY_STORAGE_AZURE": '{"max_retries": "10", "container": "c"}'}
    assert as_variables({"storage": {"inmemory": None}}) == {"REGISTRY_STORAGE_INMEMORY": "{}"}
