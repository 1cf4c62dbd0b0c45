"""Real clients trust the private CA for one registry after it was installed, and no more once it is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from regdeploy.host.trust import install_ca, reference_host, uninstall_ca
from tests.certs import make_leaf, make_root
from tests.rig.parts.images import oci_layout, random_image
from tests.rig.parts.isolation import ADDRESS
from tests.rig.parts.names import hosts_entry
from tests.rig.parts.processes import Program, RigError, free_port, listening
from tests.rig.parts.rig import Rig


@pytest.mark.parametrize(("name", "port"), [("trust.example.com", 0), ("trust.example.com", 443), ("trusty", 443)])
def test_skopeo_and_podman_find_the_ca_under_the_name_that_references_begin_with(
    rig: Rig, tmp_path: Path, name: str, port: int
) -> None:
    port = port or free_port()
    root = make_root()
    made = make_leaf(root, name)
    (tmp_path / "pair.pem").write_bytes(made.pem + made.key_pem)
    variables = {
        "REGISTRY_HTTP_ADDR": f"{ADDRESS}:{port}",
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(tmp_path / "data"),
        "REGISTRY_HTTP_TLS_CERTIFICATE": str(tmp_path / "pair.pem"),
        "REGISTRY_HTTP_TLS_KEY": str(tmp_path / "pair.pem"),
    }
    (tmp_path / "config.yml").write_text("version: 0.1\nstorage:\n  filesystem: {}\n")
    command = ["/usr/bin/docker-registry", "serve", str(tmp_path / "config.yml")]
    program = Program(command, tmp_path / "log", variables)  # no REGISTRY_AUTH_FILE of the clients
    image = f"{reference_host(name, port)}/one:latest"
    oci_layout(tmp_path / "layout", [random_image()])
    try:
        program.wait_until(lambda: listening(port, ADDRESS))
        with hosts_entry(name, ADDRESS):
            with pytest.raises(RigError, match="certificate signed by unknown authority"):
                rig.images.push_layout(tmp_path / "layout", image)
            assert len(install_ca(root.pem, name, port)) == 2
            rig.images.push_layout(tmp_path / "layout", image)
            assert rig.clients.podman("pull", "--quiet", image).strip()
            assert len(uninstall_ca(root.pem, name, port)) == 2
            with pytest.raises(RigError, match="certificate signed by unknown authority"):
                rig.clients.skopeo("inspect", f"docker://{image}")
    finally:
        program.stop()
