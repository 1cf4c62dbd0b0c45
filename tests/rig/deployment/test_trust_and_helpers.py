"""The internal CA with real clients, doctor, init, down, the examples."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certs import make_intermediate, make_leaf, make_root
from tests.rig.conftest import DOMAIN
from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask, names
from tests.rig.parts.processes import RigError
from tests.rig.parts.rig import Rig

TREE = Path(__file__).parents[3]


@pytest.fixture
def free_of_trust() -> Iterator[None]:
    """Nobody trusts the name before or after."""
    yield
    for folder in ("/etc/docker/certs.d", "/etc/containers/certs.d"):
        assert not (Path(folder) / DOMAIN).exists(), "trust --remove takes everything away"


def test_trust_lets_docker_podman_and_skopeo_in_and_remove_takes_it_back(
    command: Command, rig: Rig, password: str, free_of_trust: None
) -> None:
    options = ("--domain", DOMAIN, "--tls", "internal", "--user", "ops", "--password-stdin")
    command("up", *options, text=f"{password}\n")
    login = (DOMAIN, "-u", "ops", "--password-stdin")
    for client in (rig.clients.docker, rig.clients.skopeo, rig.clients.podman):
        with pytest.raises(RigError, match=r"x509|certificate"):
            client("login", *login, text=password)

    first = command("trust")

    assert first.out.startswith(f"written: /etc/docker/certs.d/{DOMAIN}/ca.crt\n")
    assert "update-ca-certificates" in first.out
    for client in (rig.clients.docker, rig.clients.skopeo, rig.clients.podman):
        client("login", *login, text=password)
    assert command("status", "--json").document["endpoint"]["tls"]["trusted_by"] == "the internal CA"
    assert command("trust", "--json").document["changed"] == []
    command("trust", "--remove")
    with pytest.raises(RigError, match=r"x509|certificate"):
        rig.clients.skopeo("login", *login, text=password)
    rig.clients.docker("logout", DOMAIN)
    rig.clients.skopeo("logout", DOMAIN)


def test_trust_does_not_overwrite_somebody_elses_ca(command: Command) -> None:
    command("up", "--domain", DOMAIN, "--tls", "internal")
    theirs = Path(f"/etc/containers/certs.d/{DOMAIN}/ca.crt")
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")

    result = command("trust", code=1)

    assert "holds another CA" in result.err
    assert theirs.read_text() == "theirs"
    assert not Path(f"/etc/docker/certs.d/{DOMAIN}").exists()
    theirs.unlink()
    theirs.parent.rmdir()


def test_doctor_looks_at_everything_and_touches_nothing(command: Command, acme: tuple[str, ...]) -> None:
    result = command("doctor", "--domain", DOMAIN, *acme)

    items = [line.split()[1] for line in result.out.splitlines()[:-1]]
    assert set(items) >= {"engine", "folders", "disk", "ports", "DNS", "CA", "clock"}
    assert result.out.splitlines()[-1] == "Nothing here stops `regdeploy up`."
    assert not command.root.exists()
    checks = command("doctor", "--domain", DOMAIN, *acme, "--json").document
    assert checks["stops"] == 0
    assert {check["verdict"] for check in checks["checks"]} <= {"ok", "warning"}


def test_doctor_says_what_stops_up(command: Command, tmp_path: Path) -> None:
    ca = tmp_path / "none.pem"
    wrong = command("doctor", "--domain", DOMAIN, "--acme-directory", "https://localhost:9/dir", code=1)
    assert "stop     CA" in wrong.out
    pair = command("doctor", "--domain", DOMAIN, "--cert", str(ca), "--key", str(ca), code=1)
    assert "stop     pair" in pair.out
    assert "1 of these would stop `regdeploy up`." in pair.out


def test_init_writes_a_file_that_up_takes(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "cwd"

    command("init", "--port", "5007")

    file = folder / "regdeploy.toml"
    assert tomllib.loads(file.read_text()) == {"root": str(command.root), "port": 5007} or tomllib.loads(
        file.read_text()
    ) == {"port": 5007}
    assert "is there already" in command("init", code=2).err
    command("up")
    assert ask("/v2/", port=5007, tls=False)[0] == 200
    assert json.loads(command("init", "--schema").out) == json.loads(
        (TREE / "templates/regdeploy.schema.json").read_text()
    )


def test_down_keeps_everything_and_up_brings_it_back(
    command: Command, rig: Rig, domain: str, acme: tuple[str, ...]
) -> None:
    command("up", "--domain", domain, *acme)
    leaf = ask("/v2/", port=443)[2]
    assert command("down", code=2).err.startswith("error: Clients are refused from then on.")
    assert command("down", "--dry-run").out.endswith("Nothing was touched.\n")
    assert names(rig.clients) == {"registry"}

    result = command("down", "--yes")

    assert names(rig.clients) == set()
    assert f"Everything stays in {command.root}" in result.out
    assert command("down", "--yes").out.endswith("It is down already: nothing to do.\n")
    command("up")
    assert ask("/v2/", port=443)[2] == leaf


def test_down_purge_leaves_nothing_but_what_is_not_ours(command: Command, rig: Rig) -> None:
    command("up")
    (command.root / "notes.txt").write_text("mine")

    assert command("down", "--purge", code=2).err.startswith("error: Type registry to delete all this for good:")
    command("down", "--purge", "--yes")

    assert [path.name for path in command.root.iterdir()] == ["notes.txt"]
    assert names(rig.clients) == set()
    command("down", "--purge", "--yes", code=3)


def test_history_has_one_line_an_operation(command: Command) -> None:
    command("up")
    command("up")
    command("up", "--port", "5001", "--yes")
    command("down", "--yes")

    lines = [json.loads(line) for line in (command.root / "history.jsonl").read_text().splitlines()]

    assert [(line["operation"], line["outcome"]) for line in lines] == [
        ("up", "done"),
        ("up", "done"),
        ("down", "done"),
    ]
    assert lines[1]["steps"][0] == {
        "step": "prepare-workload",
        "why": "port: 127.0.0.1:5000:5000 → 127.0.0.1:5001:5000",
    }


def run_example(command: Command, name: str, *arguments: str, text: str = "", **environ: str) -> str:
    """Run an example as it stands, with ``regdeploy`` on the PATH."""
    bin_folder = command.root.parent / "bin"
    bin_folder.mkdir(exist_ok=True)
    program = bin_folder / "regdeploy"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m regdeploy "$@"\n')
    program.chmod(0o755)
    path = f"{bin_folder}:{command.environ['PATH']}"
    done = subprocess.run(
        [str(TREE / "examples" / name / "run.sh"), *arguments],
        env={**command.environ, "PYTHONPATH": str(TREE), **environ, "PATH": path},
        cwd=command.root.parent,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_for_this_host(command: Command) -> None:
    assert "http://127.0.0.1:5000 is serving" in run_example(command, "local")


def test_the_example_with_your_own_certificate(command: Command, tmp_path: Path, password: str) -> None:
    root = make_root()
    intermediate = make_intermediate(root)
    leaf = make_leaf(intermediate, DOMAIN)
    (tmp_path / "fullchain.pem").write_bytes(leaf.pem + intermediate.pem)
    (tmp_path / "privkey.pem").write_bytes(leaf.key_pem)
    pair = (str(tmp_path / "fullchain.pem"), str(tmp_path / "privkey.pem"))
    assert f"{DOMAIN} is serving" in run_example(command, "own-certificate", DOMAIN, *pair, text=f"{password}\n")


def test_the_example_with_acme(command: Command, acme: tuple[str, ...], password: str) -> None:
    environ = {"REGDEPLOY_ACME_DIRECTORY": acme[1], "REGDEPLOY_ACME_CA_BUNDLE": acme[3]}
    assert f"{DOMAIN} is serving" in run_example(command, "acme", DOMAIN, text=f"{password}\n", **environ)


def test_the_example_without_internet(
    command: Command, rig: Rig, tmp_path: Path, password: str, free_of_trust: None
) -> None:
    archive = rig.images.save("registry:2.8", tmp_path / "registry.tar")
    out = run_example(command, "no-internet", DOMAIN, str(archive), text=f"{password}\n")
    assert f"{DOMAIN} is serving" in out
    command("trust", "--remove")
