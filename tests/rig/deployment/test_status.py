from __future__ import annotations

import json
import re
import time
from pathlib import Path

from tests.rig.parts.command import Command, interrupt
from tests.rig.parts.deployed import current_fingerprint
from tests.rig.parts.rig import Rig

KEYS = {
    "name": None,
    "domain": None,
    "url": None,
    "state": None,
    "image": {"ref", "digest", "version"},
    "container": {"id", "state", "started_at", "health"},
    "endpoint": {"reachable", "http_status", "auth_required", "tls"},
    "certificate": {"source", "not_after", "renew_after", "deployed"},
    "renewal": {"by", "next_run", "last_run", "last_outcome", "due"},
    "storage": {"driver", "path", "used_bytes", "used_is_minimum", "free_bytes", "repositories"},
    "drift": None,
    "problems": None,
}
TLS_KEYS = {"issuer", "not_before", "not_after", "sans", "fingerprint_sha256", "trusted", "trusted_by"}


def test_nothing_deployed_is_exit_three(command: Command) -> None:
    result = command("status", code=3)

    assert result.err == (
        f"error: registry: nothing is deployed in {command.root}\nhint: `regdeploy up` deploys a registry\n"
    )
    assert command("status", "--json", code=3).document["error"]["code"] == "not-deployed"
    assert not command.root.exists()


def test_json_has_the_documented_keys_and_they_are_true(
    command: Command, rig: Rig, domain: str, acme: tuple[str, ...]
) -> None:
    command("up", "--domain", domain, *acme)

    found = command("status", "--json").document

    assert {key: set(value) if KEYS.get(key) else None for key, value in found.items()} == KEYS
    assert set(found["endpoint"]["tls"]) == TLS_KEYS
    assert found["state"] == "serving"
    assert found["url"] == f"https://{domain}"
    assert found["container"]["id"] == rig.clients.docker("inspect", "--format", "{{.Id}}", "registry").strip()
    assert found["endpoint"]["http_status"] == 401
    assert found["endpoint"]["auth_required"] is True
    assert found["endpoint"]["tls"]["fingerprint_sha256"] == current_fingerprint(command.root)
    assert found["endpoint"]["tls"]["sans"] == [domain]
    assert found["certificate"]["deployed"] is True
    assert re.fullmatch(r"2\.8\.\d+", found["image"]["version"])
    assert (found["drift"], found["problems"]) == ([], [])


def test_storage_is_counted_from_what_was_pushed(command: Command, rig: Rig) -> None:
    command("up")
    before = command("status", "--json").document["storage"]
    rig.images.random("localhost:5000/a/b:1", layers=1, size=500_000)
    rig.clients.docker("push", "localhost:5000/a/b:1")

    after = command("status", "--json").document["storage"]

    assert (before["repositories"], after["repositories"]) == (0, 1)
    assert 500_000 < after["used_bytes"] - before["used_bytes"] < 700_000
    rig.images.forget("localhost:5000/a/b:1")


def test_a_stopped_container_is_a_problem_and_exit_four(command: Command, rig: Rig) -> None:
    command("up")
    rig.clients.docker("stop", "registry")

    found = command("status", "--json", code=4).document

    assert found["state"] == "down"
    assert found["container"]["state"] == "exited"
    assert found["problems"] == ["the container is exited with code 0"]
    assert [item["item"] for item in found["drift"]] == ["start the container"]
    command("up")
    assert command("status").code == 0


def test_a_removed_container_is_told_from_no_deployment(command: Command, rig: Rig) -> None:
    command("up")
    rig.clients.docker("rm", "--force", "registry")

    assert command("status", "--json", code=4).document["problems"] == ["no container registry is there"]


def test_drift_names_each_item_and_is_no_problem(command: Command, rig: Rig) -> None:
    command("up")
    saved = command.root / "regdeploy.toml"
    saved.write_text(saved.read_text() + '\nport = 5001\nimage = "registry:2.8"\n')

    found = command("status", "--json")

    assert [(item["item"], item["wanted"], item["found"]) for item in found.document["drift"]] == [
        ("image", "registry:2.8", "registry:3"),
        ("mount", "", f"{command.root}/config:/etc/distribution:ro"),
        ("mount", f"{command.root}/config:/etc/docker/registry:ro", ""),
        ("port", "127.0.0.1:5001:5000", "127.0.0.1:5000:5000"),
    ]
    assert found.document["url"] == "http://127.0.0.1:5000", "what is served now, not what will be"
    assert found.document["problems"] == []


def test_a_certificate_installed_by_hand_and_not_served_is_told(
    command: Command, domain: str, acme: tuple[str, ...]
) -> None:
    command("up", "--domain", domain, *acme)
    first = current_fingerprint(command.root)
    (command.root / "certs/current").unlink()
    (command.root / "certs/versions/0002").symlink_to("0001")
    _reissue(command.root)

    found = command("status", "--json", code=4).document

    assert found["certificate"]["deployed"] is False
    assert found["endpoint"]["tls"]["fingerprint_sha256"] == first
    assert found["problems"][0].startswith("another certificate is served")


def _reissue(root: Path) -> None:
    """Another certificate with its key in the place of the current one, as somebody with a shell would."""
    from tests.certs import make_certificate  # noqa: PLC0415 - only here

    made = make_certificate("by hand", names=("regisry.lagoudocker.io",))
    (root / "certs/versions/0002").unlink()
    folder = root / "certs/versions/0002"
    folder.mkdir()
    record = json.loads((root / "certs/versions/0001/cert.json").read_text())
    (folder / "cert.json").write_text(json.dumps(record))
    (folder / "fullchain.pem").write_bytes(made.pem)
    (folder / "privkey.pem").write_bytes(made.key_pem)
    (folder / "privkey.pem").chmod(0o600)
    (root / "certs/current").symlink_to("versions/0002")


def test_a_container_that_somebody_else_made_is_not_ours(command: Command, rig: Rig) -> None:
    rig.clients.docker("run", "-d", "--name", "registry", "-p", "5000:5000", "registry:2.7")

    result = command("status", code=3)

    assert result.err.startswith("error: container registry: (registry:2.7, running) was not made by regdeploy")


def test_the_screen_says_it_in_ten_lines(command: Command, domain: str, acme: tuple[str, ...]) -> None:
    command("up", "--domain", domain, *acme)

    lines = command("status").out.splitlines()

    assert lines[0] == f"{domain} is serving"
    assert len(lines) <= 10
    assert all(len(line) < 160 for line in lines)


def test_logs_shows_what_the_registry_says(command: Command) -> None:
    command("up")

    lines = command("logs", "--tail", "5").out.splitlines()

    assert 1 <= len(lines) <= 5
    assert any("version=" in line for line in command("logs").out.splitlines())
    command("down", "--yes")
    assert "there is no such container" in command("logs", code=3).err


def test_watch_looks_again_until_ctrl_c(command: Command) -> None:
    command("up")
    process = command.start("status", "--watch")
    time.sleep(4)

    result = interrupt(process)

    assert result.code == 130
    assert result.out.count("http://127.0.0.1:5000 is serving") >= 2
