from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from regdeploy.engine.connect import Endpoint, Tls, find_endpoint
from regdeploy.errors import EngineError, UsageError

DEFAULT = "unix:///var/run/docker.sock"


def write_context(folder: Path, name: str, endpoint: Mapping[str, Any], *, tls: bool = False) -> Path:
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    files = folder / "contexts" / "tls" / key / "docker"
    if tls:
        files.mkdir(parents=True)
    return files


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "current"}))
    write_context(tmp_path, "current", {"Host": "unix:///current.sock"})
    write_context(tmp_path, "other", {"Host": "tcp://10.0.0.1:2375"})
    return {"DOCKER_CONFIG": str(tmp_path)}


def test_the_flag_comes_first_then_docker_host_then_docker_context_then_the_current_one(
    environ: dict[str, str],
) -> None:
    everything = {**environ, "DOCKER_HOST": "unix:///host.sock", "DOCKER_CONTEXT": "other"}
    assert find_endpoint("unix:///flag.sock", everything).url == "unix:///flag.sock"
    assert find_endpoint(None, everything).url == "unix:///host.sock"
    assert find_endpoint(None, {**everything, "DOCKER_HOST": ""}).url == "tcp://10.0.0.1:2375"
    assert find_endpoint(None, environ).url == "unix:///current.sock"


@pytest.mark.parametrize(
    "content", [None, "{}", "[]", "not json", '{"currentContext": ""}', '{"currentContext": "default"}']
)
def test_without_any_of_them_it_is_the_usual_socket(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker" / "config.json").write_text(content)
    assert find_endpoint(None, {"HOME": str(tmp_path)}) == Endpoint(DEFAULT)


def test_the_default_context_can_be_asked_for_by_name(environ: dict[str, str]) -> None:
    assert find_endpoint(None, {**environ, "DOCKER_CONTEXT": "default"}).url == DEFAULT


def test_a_context_that_is_not_there_is_told_with_who_asked_for_it(environ: dict[str, str]) -> None:
    with pytest.raises(EngineError, match="DOCKER_CONTEXT: there is no Docker context nowhere") as raised:
        find_endpoint(None, {**environ, "DOCKER_CONTEXT": "nowhere"})
    assert raised.value.code == "engine.context"
    assert "docker context ls" in raised.value.hint


@pytest.mark.parametrize("content", ["{}", "[]", '{"Endpoints": null}', '{"Endpoints": {"kubernetes": {}}}', "broken"])
def test_a_context_that_names_no_engine_is_told(tmp_path: Path, content: str) -> None:
    write_context(tmp_path, "odd", {})
    key = hashlib.sha256(b"odd").hexdigest()
    (tmp_path / "contexts" / "meta" / key / "meta.json").write_text(content)
    with pytest.raises(EngineError, match="names no engine"):
        find_endpoint(None, {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "odd"})


@pytest.mark.parametrize("url", ["localhost", "ftp://x", "unix://", "tcp://", "127.0.0.1:2375", "ssh://"])
def test_what_is_no_url_of_an_engine_is_bad_input(url: str) -> None:
    with pytest.raises(UsageError, match="is not the URL of an engine") as raised:
        find_endpoint(url, {})
    assert raised.value.where == "--docker-host"
    with pytest.raises(UsageError) as raised:
        find_endpoint(None, {"DOCKER_HOST": url})
    assert raised.value.where == "DOCKER_HOST"


@pytest.mark.parametrize(
    ("url", "remote"),
    [
        ("unix:///var/run/docker.sock", False),
        ("tcp://127.0.0.1:2375", False),
        ("tcp://127.8.9.1:2375", False),
        ("tcp://[::1]:2376", False),
        ("http://localhost:2375", False),
        ("tcp://localhost.example.org:2375", True),
        ("tcp://10.0.0.1:2375", True),
        ("https://engine.example.org:2376", True),
        ("ssh://localhost", True),
        ("ssh://anna@engine.example.org:22", True),
    ],
)
def test_an_engine_is_remote_unless_it_is_sure_to_be_here(url: str, remote: bool) -> None:
    assert find_endpoint(url, {}).remote is remote


def test_tls_is_as_docker_reads_it_from_the_environment(tmp_path: Path) -> None:
    url, home = "tcp://10.0.0.1:2376", {"HOME": str(tmp_path)}
    assert find_endpoint(url, home).tls is None
    assert find_endpoint(url, {**home, "DOCKER_TLS_VERIFY": "1"}).tls == Tls(tmp_path / ".docker")
    given = {**home, "DOCKER_TLS": "1", "DOCKER_CERT_PATH": "/certs"}
    assert find_endpoint(url, given).tls == Tls(Path("/certs"), verify=False)


def test_tls_of_a_context_lies_in_its_own_folder(tmp_path: Path) -> None:
    files = write_context(tmp_path, "far", {"Host": "tcp://10.0.0.1:2376", "SkipTLSVerify": False}, tls=True)
    write_context(tmp_path, "lax", {"Host": "tcp://10.0.0.1:2376", "SkipTLSVerify": True})
    environ = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"}
    assert find_endpoint(None, environ).tls == Tls(files)
    lax = find_endpoint(None, {**environ, "DOCKER_CONTEXT": "lax"}).tls
    assert lax is not None
    assert not lax.verify
