"""config.yml and the environment together, as Distribution's parser has it."""

from __future__ import annotations

import pytest

from regdeploy.errors import RegdeployError
from regdeploy.registry.configuration import merged
from regdeploy.registry.images import Generation

FILE = """\
version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/registry
  maintenance:
    uploadpurging:
      enabled: true
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
"""


def test_without_variables_it_is_the_file() -> None:
    assert merged(FILE, {"PATH": "/bin", "registry_http_addr": ":1", "REGISTRY": "x"}) == {
        "version": "0.1",
        "storage": {
            "filesystem": {"rootdirectory": "/var/lib/registry"},
            "maintenance": {"uploadpurging": {"enabled": "true"}},
        },
        "http": {"addr": ":5000", "headers": {"X-Content-Type-Options": ["nosniff"]}},
    }
    assert merged("", {}) == {}


@pytest.mark.parametrize(
    ("variables", "path", "value"),
    [
        ({"REGISTRY_HTTP_ADDR": "0.0.0.0:443"}, "http.addr", "0.0.0.0:443"),
        ({"REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/a.crt"}, "http.tls.certificate", "/certs/a.crt"),
        ({"REGISTRY_HTTP_TLS": "{key: a}"}, "http.tls", {"key": "a"}),
        ({"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/x"}, "storage.filesystem.rootdirectory", "/x"),
        ({"REGISTRY_STORAGE_DELETE_ENABLED": "true"}, "storage.delete.enabled", "true"),
        ({"REGISTRY_STORAGE": "s3", "REGISTRY_STORAGE_S3_BUCKET": "b"}, "storage", {"s3": {"bucket": "b"}}),
        ({"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_PATH": "/a"}, "auth", {"htpasswd": {"path": "/a"}}),
        ({"REGISTRY_HTTP_HEADERS_X-ONE": "[a, b]"}, "http.headers.x-one", ["a", "b"]),
        ({"REGISTRY_LOG_FIELDS_SITE": "x"}, "log.fields.site", "x"),
        ({"REGISTRY_NOTIFICATIONS_ENDPOINTS": "[{name: a}]"}, "notifications.endpoints", [{"name": "a"}]),
        ({"REGISTRY_HEALTH_FILECHECKERS": "[{file: /a}]"}, "health.file", [{"file": "/a"}]),
        ({"REGISTRY_NOTIFICATIONS_EVENTCONFIG_INCLUDEREFERENCES": "y"}, "notifications.events.includereferences", "y"),
        ({"REGISTRY_COMPATIBILITY_SCHEMA1_TRUSTKEY": "/k"}, "compatibility.schema1.signingkeyfile", "/k"),
        ({"REGISTRY_STORAGE_S3_A_B_C": "x"}, "storage.s3", {"a": {"b": {"c": "x"}}}),
        ({"REGISTRY_STORAGE_S3_A_B": "x", "REGISTRY_STORAGE_S3_A_C": "y"}, "storage.s3.a", {"b": "x", "c": "y"}),
        ({"REGISTRY_REDIS_POOL_MAXIDLE": "1"}, "redis", {"pool": {"maxidle": "1"}}),
        ({"REGISTRY_MIDDLEWARE_STORAGE": "[{name: a}]"}, "middleware.storage", [{"name": "a"}]),
    ],
)
@pytest.mark.parametrize("generation", Generation)
def test_a_variable_is_put_where_its_name_leads(
    variables: dict[str, str], path: str, value: object, generation: Generation
) -> None:
    found: object = merged(FILE, variables, generation=generation)
    for key in path.split("."):
        assert isinstance(found, dict)
        found = found[key]
    assert found == value


@pytest.mark.parametrize(
    "variables",
    [
        {"REGISTRY_PORT_5000_TCP_ADDR": "172.17.0.2"},  # what --link gives
        {"REGISTRY_HTTP_NOSUCH": "x"},
        {"REGISTRY_HTTP_ADDR_X": "x"},
        {"REGISTRY_VERSION_X": "x"},
        {"REGISTRY_HEALTH_FILE": "[{file: /a}]"},  # FileCheckers, to Go
        {"REGISTRY_COMPATIBILITY_SCHEMA1_SIGNINGKEYFILE": "/k"},
        {"REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_ENABLED": "false"},  # a map that came as YAML
        {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY_X": "x"},
    ],
)
def test_what_leads_nowhere_changes_nothing(variables: dict[str, str]) -> None:
    def filled(value: object) -> object:
        if isinstance(value, dict):
            return {key: one for key, inner in value.items() if (one := filled(inner)) not in (None, {})}
        return value

    assert filled(merged(FILE, variables)) == merged(FILE, {})


def test_what_is_null_in_the_file_is_made_by_a_variable() -> None:
    assert merged("storage: {s3: }", {"REGISTRY_STORAGE_S3_BUCKET": "b"}) == {"storage": {"s3": {"bucket": "b"}}}


def test_the_map_that_came_as_yaml_can_be_replaced_as_a_whole() -> None:
    found = merged(FILE, {"REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING": "{enabled: false}"})
    assert found["storage"]["maintenance"] == {"uploadpurging": {"enabled": "false"}}  # type: ignore[index]


def test_only_3_sets_elements_of_a_list() -> None:
    text = "notifications: {endpoints: [{name: a, url: x}]}"
    variables = {
        "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL": "y",
        "REGISTRY_NOTIFICATIONS_ENDPOINTS_1_NAME": "b",
        "REGISTRY_NOTIFICATIONS_ENDPOINTS_7_NAME": "c",
    }
    first = [{"name": "a", "url": "x"}]
    assert merged(text, variables, generation=Generation.V2)["notifications"] == {"endpoints": first}
    both = [{"name": "a", "url": "y"}, {"name": "b"}]
    assert merged(text, variables, generation=Generation.V3)["notifications"] == {"endpoints": both}


@pytest.mark.parametrize(("text", "variables"), [("a: b: hunter2", {}), ("", {"REGISTRY_PROXY": "{a: hunter2"})])
def test_an_error_names_the_place_and_shows_nothing(text: str, variables: dict[str, str]) -> None:
    with pytest.raises(RegdeployError) as caught:
        merged(text, variables)
    assert caught.value.where == (next(iter(variables), "config.yml"))
    assert "hunter2" not in str(caught.value)


def test_a_list_is_no_configuration() -> None:
    with pytest.raises(RegdeployError, match="is not a mapping"):
        merged("- a", {})
