"""Where clients look for a private CA, and whose file is whose."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import pytest

from regdeploy.errors import HostError
from regdeploy.host.trust import install_ca, instructions, reference_host, trust_locations, uninstall_ca
from tests.unit.tls.ends import as_nobody, open_folder

NAME = "registry.example.com"


class Places(TypedDict):
    """Where to look instead of below /etc."""

    docker_certs: Path
    containers_certs: Path


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return {"docker_certs": tmp_path / "docker/certs.d", "containers_certs": tmp_path / "containers/certs.d"}


@pytest.mark.parametrize(
    ("domain", "port", "reference"),
    [
        (NAME, 443, NAME),
        (NAME, 8443, f"{NAME}:8443"),
        ("registry", 443, "registry:443"),
        ("registry", 5000, "registry:5000"),
        ("localhost", 443, "localhost"),
        ("2001:db8::1", 443, "[2001:db8::1]"),
        ("2001:db8::1", 8443, "[2001:db8::1]:8443"),
        ("10.0.0.7", 443, "10.0.0.7"),
    ],
)
def test_folders_are_called_as_references_begin(domain: str, port: int, reference: str, places: Places) -> None:
    assert reference_host(domain, port) == reference
    assert trust_locations(domain, port, **places) == (
        places["docker_certs"] / reference / "ca.crt",
        places["containers_certs"] / reference / "ca.crt",
    )


def test_the_machines_folders_are_dockers_and_podmans() -> None:
    assert [str(path) for path in trust_locations(NAME, 443)] == [
        f"/etc/docker/certs.d/{NAME}/ca.crt",
        f"/etc/containers/certs.d/{NAME}/ca.crt",
    ]


def test_installing_writes_both_and_again_nothing(places: Places) -> None:
    written = install_ca(b"root", NAME, 443, **places)
    assert written == trust_locations(NAME, 443, **places)
    assert [path.read_bytes() for path in written] == [b"root"] * 2
    assert [path.stat().st_mode & 0o777 for path in written] == [0o644] * 2
    assert [path.parent.stat().st_mode & 0o777 for path in written] == [0o755] * 2
    assert install_ca(b"root", NAME, 443, **places) == ()
    written[1].unlink()
    assert install_ca(b"root", NAME, 443, **places) == (written[1],)


def test_a_former_root_of_ours_is_replaced(places: Places) -> None:
    install_ca(b"old", NAME, 443, **places)
    assert install_ca(b"new", NAME, 443, ours=(b"older", b"old"), **places) == trust_locations(NAME, 443, **places)


def test_another_ca_stays_and_nothing_is_written(places: Places) -> None:
    docker, containers = trust_locations(NAME, 443, **places)
    containers.parent.mkdir(parents=True)
    containers.write_bytes(b"theirs")
    with pytest.raises(HostError) as caught:
        install_ca(b"root", NAME, 443, ours=(b"old",), **places)
    assert (caught.value.where, caught.value.code) == (str(containers), "host.trust")
    assert containers.read_bytes() == b"theirs"
    assert not docker.exists()
    assert uninstall_ca(b"root", NAME, 443, **places) == ()
    assert containers.read_bytes() == b"theirs"


def test_uninstalling_leaves_no_folder_of_ours_and_every_file_of_the_users(places: Places) -> None:
    docker, containers = install_ca(b"root", NAME, 443, **places)
    (docker.parent / "client.cert").touch()
    assert uninstall_ca(b"root", NAME, 443, **places) == (docker, containers)
    assert [entry.name for entry in docker.parent.iterdir()] == ["client.cert"]
    assert not containers.parent.exists()
    assert containers.parent.parent.exists()
    assert uninstall_ca(b"root", NAME, 443, **places) == ()


def test_what_cannot_be_removed_is_an_error_that_names_it() -> None:
    with open_folder() as folder:
        docker = folder / "docker"
        places: Places = {"docker_certs": docker, "containers_certs": folder / "containers"}
        ours, _ = install_ca(b"root", NAME, 443, **places)
        with as_nobody(folder), pytest.raises(HostError) as caught:
            uninstall_ca(b"root", NAME, 443, **places)
        assert (caught.value.where, caught.value.what) == (str(ours), "Permission denied")
        assert ours.read_bytes() == b"root"


def test_what_cannot_be_read_is_an_error_and_nothing_is_written(places: Places) -> None:
    docker, containers = trust_locations(NAME, 443, **places)
    containers.mkdir(parents=True)
    with pytest.raises(HostError, match="Is a directory"):
        install_ca(b"root", NAME, 443, **places)
    assert not docker.exists()


def test_a_file_where_the_folder_should_be_is_an_error(places: Places) -> None:
    places["docker_certs"].mkdir(parents=True)
    (places["docker_certs"] / NAME).touch()
    with pytest.raises(HostError, match="Not a directory"):
        install_ca(b"root", NAME, 443, **places)


def test_the_words_for_other_machines_name_the_file_and_the_folders() -> None:
    text = instructions("registry", 443, Path("/srv/$HOME/root.crt"))
    assert text.startswith(
        "Other machines need the CA certificate /srv/$HOME/root.crt before they talk to registry:443."
    )
    for words in (
        "mkdir -p /etc/docker/certs.d/registry:443 && cp ca.crt /etc/docker/certs.d/registry:443/ca.crt",
        "cp ca.crt /usr/local/share/ca-certificates/registry.crt && update-ca-certificates",
        'server = "https://registry:443"\\nca = "/etc/containerd/certs.d/registry:443/ca.crt"\\n',
    ):
        assert words in text


def test_a_wildcard_stands_for_a_name_and_never_for_a_shell_pattern() -> None:
    text = instructions("*.example.com", 443, Path("/root.crt"))
    assert "*" not in text
    assert "/etc/docker/certs.d/NAME.example.com/ca.crt" in text
