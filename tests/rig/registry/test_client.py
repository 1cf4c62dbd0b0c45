"""What the client reads from a real registry, over the network and from its folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from regdeploy.errors import RegdeployError
from regdeploy.registry.client import RegistryClient
from regdeploy.registry.storage import repositories_on_disk, used_bytes
from tests.rig.parts.images import oci_layout, random_image, random_platforms
from tests.rig.parts.processes import run
from tests.rig.registry.conftest import NAME, Start


def push(layout: Path, port: int, name: str) -> None:
    target = f"docker://127.0.0.1:{port}/{name}"
    run(["skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false", f"oci:{layout}:latest", target])


def test_what_was_pushed_is_listed_counted_and_weighed(start: Start, tmp_path: Path) -> None:
    registry = start()
    data = registry.folder / "data"
    before, _ = used_bytes(data, 30)
    oci_layout(tmp_path / "one", [random_image(layers=2, size=200_000)])
    oci_layout(tmp_path / "many", random_platforms())
    push(tmp_path / "one", registry.port, "one:1")
    push(tmp_path / "one", registry.port, "one:2")
    push(tmp_path / "many", registry.port, "one/deeper:1")
    push(tmp_path / "many", registry.port, "team/many:latest")
    with registry.client() as client:
        assert client.repositories() == ("one", "one/deeper", "team/many")
        assert sorted(client.tags("one")) == ["1", "2"]
        assert client.tags("team/many") == ("latest",)
        assert client.tags("team") == ()
    assert repositories_on_disk(data) == 3
    after, whole = used_bytes(data, 30)
    printed = subprocess.run(["du", "-s", "-B1", data], capture_output=True, text=True, check=True).stdout
    assert (after, whole) == (int(printed.split()[0]), True)
    assert 400_000 < after - before < 2_000_000


def test_a_catalog_of_more_than_a_page_is_read_to_its_end(start: Start) -> None:
    registry = start()
    names = [f"r{number:04}" for number in range(1005)]
    for name in names:
        for part in ("_manifests", "_layers"):
            (registry.folder / "data/docker/registry/v2/repositories" / name / part).mkdir(parents=True)
    with registry.client() as client:
        assert list(client.repositories()) == names
    assert repositories_on_disk(registry.folder / "data") == 1005
    log = (registry.folder / "log").read_text()
    assert log.count('"GET /v2/_catalog') == 2


def test_a_certificate_of_an_unknown_ca_ends_before_a_password_is_sent(start: Start, tmp_path: Path) -> None:
    registry = start(tls=True)
    stranger = RegistryClient(registry.url, address="127.0.0.1")
    with stranger, pytest.raises(RegdeployError) as caught:
        stranger.repositories()
    assert caught.value.code == "registry.unreachable"
    assert caught.value.what == (
        f"127.0.0.1:{registry.port} serves a certificate that is not trusted: unable to get local issuer certificate"
    )
    with registry.client() as client:
        assert client.repositories() == ()
    wrong = RegistryClient(
        registry.url.replace(NAME, "other.example.com"), address="127.0.0.1", cafile=registry.folder / "certs/ca.crt"
    )
    with wrong, pytest.raises(RegdeployError, match="Hostname mismatch"):
        wrong.repositories()
