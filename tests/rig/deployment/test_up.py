from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rig.parts.command import Command, interrupt
from tests.rig.parts.deployed import ask, current_fingerprint, inspect, names
from tests.rig.parts.flaky import Flaky
from tests.rig.parts.images import Image, layer
from tests.rig.parts.pebble import Pebble
from tests.rig.parts.processes import RigError, eventually
from tests.rig.parts.programs import library
from tests.rig.parts.rig import Rig
from tests.rig.parts.shelf import Images


def test_without_a_domain_there_is_a_registry_for_this_host_alone(command: Command, rig: Rig) -> None:
    result = command("up")

    assert ask("/v2/", port=5000, tls=False)[0] == 200
    assert "http://127.0.0.1:5000 is up." in result.out
    rig.images.random("localhost:5000/team/image:1")
    rig.clients.docker("push", "localhost:5000/team/image:1")
    assert ask("/v2/_catalog", port=5000, tls=False)[1] == b'{"repositories":["team/image"]}\n'
    assert (command.root / "data/docker/registry/v2/repositories/team/image").is_dir()
    rig.images.forget("localhost:5000/team/image:1")


def test_with_a_domain_it_is_https_with_a_login_from_an_acme_order(
    command: Command, rig: Rig, domain: str, acme: tuple[str, ...]
) -> None:
    result = command("up", "--domain", domain, *acme)

    assert f"https://{domain} is up." in result.out
    status, _, leaf = ask("/v2/", port=443)
    assert status == 401
    assert leaf == current_fingerprint(command.root)
    shown = next(line for line in result.out.splitlines() if "password (shown once)" in line)
    password = shown.rpartition(" ")[2]
    assert ask("/v2/", port=443, login=("admin", password))[0] == 200
    assert not (command.root / "secrets/first-password").exists()
    assert password not in command("up").out


def test_clients_log_in_push_and_pull_images_and_platforms(
    command: Command, rig: Rig, domain: str, acme: tuple[str, ...], password: str, tmp_path: Path
) -> None:
    command("up", "--domain", domain, *acme, "--user", "ops", "--password-stdin", text=f"{password}\n")
    docker, skopeo, podman = rig.clients.docker, rig.clients.skopeo, rig.clients.podman

    docker("login", domain, "-u", "ops", "--password-stdin", text=password)
    rig.images.random(f"{domain}/docker/layers:1", layers=5)
    docker("push", f"{domain}/docker/layers:1")
    identity = docker("image", "inspect", "--format", "{{.Id}}", f"{domain}/docker/layers:1")
    rig.images.forget(f"{domain}/docker/layers:1")
    docker("pull", f"{domain}/docker/layers:1")
    assert docker("image", "inspect", "--format", "{{.Id}}", f"{domain}/docker/layers:1") == identity
    rig.images.forget(f"{domain}/docker/layers:1")

    skopeo("login", domain, "-u", "ops", "--password-stdin", text=password)
    layout = tmp_path / "index"
    digest = rig.images.platforms(layout)
    rig.images.push_layout(layout, f"{domain}/skopeo/platforms:1")
    assert digest in skopeo("inspect", "--format", "{{.Digest}}", f"docker://{domain}/skopeo/platforms:1")

    podman("login", domain, "-u", "ops", "--password-stdin", text=password)
    podman("pull", f"{domain}/skopeo/platforms:1")
    podman("tag", f"{domain}/skopeo/platforms:1", f"{domain}/podman/copy:1")
    podman("push", f"{domain}/podman/copy:1")
    skopeo("copy", "--all", f"docker://{domain}/skopeo/platforms:1", f"oci:{tmp_path / 'back'}:latest")

    assert ask("/v2/", port=443, login=("ops", "wrong"))[0] == 401
    assert ask("/v2/", port=443, login=("nobody", password))[0] == 401
    for client in (docker, skopeo, podman):
        with pytest.raises(RigError, match=r"(?i)unauthorized|invalid username/password|authentication required"):
            client("login", domain, "-u", "ops", "--password-stdin", text="wrong")
    docker("logout", domain)
    skopeo("logout", domain)


def test_a_second_up_writes_nothing_through_the_engine_and_asks_no_ca(
    command: Command, rig: Rig, domain: str, start_pebble: Callable[..., Pebble]
) -> None:
    authority = start_pebble(directory_port=14100)
    options = ("--acme-directory", authority.directory, "--acme-ca-bundle", str(authority.ca_bundle))
    command("up", "--domain", domain, *options)
    authority.stop()
    before = inspect(rig.clients)
    files = _files(command.root)
    since = str(time.time())

    result = command("up")

    assert result.out == f"{domain}\nhttps://{domain} is as it should be: nothing to do.\n"
    assert inspect(rig.clients) == before
    assert _files(command.root) == files
    assert rig.clients.docker("events", "--since", since, "--until", str(time.time() + 0.1)) == ""


def _files(root: Path) -> dict[str, tuple[int, int]]:
    """Every file but the lock, with its inode and time of change."""
    found = {path: path.lstat() for path in root.rglob("*") if path.name != ".lock" and "data" not in path.parts}
    return {str(path): (stat.st_ino, stat.st_mtime_ns) for path, stat in found.items()}


def test_the_container_is_what_a_careful_administrator_would_type(
    command: Command, rig: Rig, domain: str, acme: tuple[str, ...]
) -> None:
    command("up", "--domain", domain, *acme)

    found = inspect(rig.clients)
    host, config, root = found["HostConfig"], found["Config"], command.root
    mounts = {mount["Destination"]: (mount["Source"], mount["RW"]) for mount in found["Mounts"]}
    assert mounts == {
        "/var/lib/registry": (f"{root}/data", True),
        "/certs": (f"{root}/certs", False),
        "/auth": (f"{root}/auth", False),
        "/etc/distribution": (f"{root}/config", False),
    }
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    secret = (root / "secrets/http.secret").read_text()
    assert environment.pop("PATH")
    assert environment == {
        "REGISTRY_HTTP_ADDR": "0.0.0.0:443",
        "REGISTRY_HTTP_TLS_CERTIFICATE": f"/certs/{domain}.crt",
        "REGISTRY_HTTP_TLS_KEY": f"/certs/{domain}.key",
        "REGISTRY_HTTP_SECRET": secret,
        "REGISTRY_AUTH": "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_REALM": "Registry",
        "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd",
        "OTEL_TRACES_EXPORTER": "none",
    }
    assert host["PortBindings"] == {"443/tcp": [{"HostIp": "", "HostPort": "443"}]}
    assert [name.removeprefix("CAP_") for name in host["CapAdd"]] == ["NET_BIND_SERVICE"]
    assert host["CapDrop"] == ["ALL"]
    assert host["ReadonlyRootfs"] is True
    assert list(host["Tmpfs"]) == ["/tmp"]
    assert [option.partition(":")[0].partition("=")[0] for option in host["SecurityOpt"]] == ["no-new-privileges"]
    assert host["PidsLimit"] == 1024
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}
    assert config["StopTimeout"] == 40
    assert config["Labels"]["io.regdeploy.deployment"] == "registry"
    assert (root / "certs/current/privkey.pem").stat().st_mode & 0o777 == 0o600
    assert (root / "auth/htpasswd").stat().st_mode & 0o777 == 0o600


def test_no_secret_is_in_labels_arguments_logs_or_json(
    command: Command, rig: Rig, domain: str, acme: tuple[str, ...], password: str
) -> None:
    options = ("--domain", domain, *acme, "--user", "ops", "--password-stdin")
    printed = [command("up", *options, "--json", "--verbose", text=f"{password}\n")]
    printed += [command(*words) for words in (("status", "--json"), ("plan", "--json"), ("logs",), ("status",))]

    key = (command.root / "certs/current/privkey.pem").read_text().splitlines()[1]
    secrets = [password, key, (command.root / "secrets/http.secret").read_text()]
    found = inspect(rig.clients)
    told = [*(text for result in printed for text in (result.out, result.err)), rig.clients.docker("logs", "registry")]
    told += [str(found["Config"]["Labels"]), str(found["Args"]), (command.root / "history.jsonl").read_text()]
    told.append((command.root / "regdeploy.toml").read_text())
    assert [secret for secret in secrets for text in told if secret in text] == []


def test_one_flag_changed_replaces_the_container_once_and_says_why(
    command: Command, rig: Rig, domain: str, acme: tuple[str, ...]
) -> None:
    command("up", "--domain", domain, *acme)
    before = inspect(rig.clients)["Id"]

    refused = command("up", "--port", "5443", code=2)

    assert refused.err.startswith(f"error: https://{domain}:5443: clients are refused for a moment. Go on?")
    assert inspect(rig.clients)["Id"] == before
    since = str(time.time())
    result = command("up", "--port", "5443", "--yes", "--json")
    assert next(step["why"] for step in result.document["steps"]) == "port: 443:443 → 5443:443"
    created = rig.clients.docker(
        "events", "--since", since, "--until", str(time.time()), "--filter", "event=create", "--format", "{{.Action}}"
    )
    assert created.split() == ["create"]
    assert names(rig.clients) == {"registry"}
    assert ask("/v2/", port=5443)[0] == 401


def test_plan_names_the_cause_and_exits_five_when_asked(command: Command, domain: str, acme: tuple[str, ...]) -> None:
    command("up", "--domain", domain, *acme)

    plan = command("plan", "--port", "5443", "--exit-code", code=5)

    assert plan.out == (
        f"{domain}\n"
        " 1. create the container         port: 443:443 → 5443:443\n"
        " 2. start it in its place        port: 443:443 → 5443:443 [interrupts]\n"
        " 3. verify what is served        a container that does not serve must not replace one that did\n"
        " 4. clear away the old container the new one is verified\n"
        " 5. save regdeploy.toml          changed: port\n"
    )
    assert command("plan", "--exit-code").out == f"https://{domain} is as it should be: nothing to do.\n"
    assert command("up", "--port", "5443", "--dry-run").out == plan.out
    assert command("plan", "--port", "5443", "--json").document["interrupts"] is True


def test_an_image_that_does_not_serve_is_undone_and_its_log_shown(
    command: Command, rig: Rig, domain: str, acme: tuple[str, ...]
) -> None:
    command("up", "--domain", domain, *acme)
    before = inspect(rig.clients)["Id"]
    _broken(rig.images)

    result = command("up", "--image", "registry:broken", "--yes", code=1)

    assert "  | this registry never serves" in result.err
    assert inspect(rig.clients)["Id"] == before
    assert names(rig.clients) == {"registry"}
    assert ask("/v2/", port=443)[0] == 401
    assert command("plan", "--exit-code").code == 0, "the spec that failed was not saved"


def _broken(images: Images) -> None:
    """A registry by its looks, whose program says something and ends."""
    good = library()["registry:3"]
    program = b"#!/bin/sh\necho this registry never serves\nexit 3\n"
    images.load(
        {
            "registry:broken": Image(
                (*good.layers, layer({"entrypoint.sh": program}, executable=["entrypoint.sh"])), good.config
            )
        }
    )


def test_a_first_up_that_fails_leaves_no_container(command: Command, rig: Rig) -> None:
    _broken(rig.images)

    command("up", "--image", "registry:broken", code=1)

    assert names(rig.clients) == set()
    command("up", "--image", "registry:2.8")
    assert ask("/v2/", port=5000, tls=False)[0] == 200


def test_every_generation_of_the_image_serves(command: Command, domain: str, acme: tuple[str, ...]) -> None:
    for image in ("registry:2.7", "registry:2.8", "registry:3"):
        command("up", "--domain", domain, *acme, "--image", image, "--yes")
        assert ask("/v2/", port=443)[0] == 401
        assert command("status", "--json").document["image"]["ref"] == image


def test_ctrl_c_undoes_and_the_next_up_goes_on(command: Command, rig: Rig, domain: str, flaky: Flaky) -> None:
    flaky.on("POST /finalize-order", delay=2)
    options = ("--acme-directory", flaky.directory, "--acme-ca-bundle", str(flaky.ca_bundle))
    process = command.start("up", "--domain", domain, *options)
    eventually(lambda: flaky.count("POST /finalize-order") == 1)

    result = interrupt(process)

    assert result.code == 130, result.err
    assert "registry" not in names(rig.clients)
    flaky.stop()
    command("up", "--domain", domain, "--tls", "internal", "--yes")
    assert ask("/v2/", port=443)[0] == 401


def test_a_ca_that_wants_an_account_binding_gets_it_and_without_one_up_stops_first(
    command: Command, rig: Rig, domain: str, start_pebble: Callable[..., Pebble], tmp_path: Path
) -> None:
    authority = start_pebble(eab=True)
    ca = ("--acme-directory", authority.directory, "--acme-ca-bundle", str(authority.ca_bundle))
    options = ("up", "--domain", domain, *ca)
    refused = command(*options, code=2)
    assert refused.err.startswith(f"error: CA: {authority.directory} wants an account binding")
    assert names(rig.clients) == set()
    key = tmp_path / "eab.key"
    key.write_text(authority.eab_hmac_key)

    command(*options, "--eab-kid", authority.eab_kid, "--eab-hmac-key-file", str(key))

    assert ask("/v2/", port=443)[0] == 401
    assert authority.eab_hmac_key not in (command.root / "regdeploy.toml").read_text()


def test_a_due_certificate_is_renewed_by_the_next_up_and_served(
    command: Command, domain: str, start_pebble: Callable[..., Pebble]
) -> None:
    authority = start_pebble(validity_seconds=4)
    options = ("--acme-directory", authority.directory, "--acme-ca-bundle", str(authority.ca_bundle))
    command("up", "--domain", domain, *options)
    first = ask("/v2/", port=443)[2]
    time.sleep(2.5)
    told = command("status", code=4).out
    assert "is due for renewal" in told or "the certificate served expired" in told, told

    plan = command("plan")
    command("up", "--yes")

    assert "renewal is due since" in plan.out or "it expired on" in plan.out
    second = ask("/v2/", port=443)[2]
    assert second not in ("", first)
    assert second == current_fingerprint(command.root)
