"""Renewal while nobody watches: a timer, an agent, hooks, and who is told."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.rig.parts.command import Command
from tests.rig.parts.processes import eventually
from tests.smtp import mail_server

#: Answers as systemctl does for one timer, which is on once it was enabled. No systemd runs here.
_SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")"
echo "$*" >> calls
case "$*" in
  *"enable --now"*) touch on ;;
  *"disable --now"*) rm -f on ;;
  *show*)
    echo "Id=regdeploy-registry.service"; echo
    echo "Id=regdeploy-registry.timer"
    test ! -e on || printf 'UnitFileState=enabled\\nActiveState=active\\n'
    test ! -e on || echo "NextElapseUSecRealtime=Wed 2026-11-25 00:41:07 UTC" ;;
esac
"""
_HOOK = """#!/bin/sh
echo "$REGDEPLOY_HOOK $REGDEPLOY_HOOK_DOMAIN $REGDEPLOY_HOOK_FINGERPRINT $REGDEPLOY_HOOK_OUTCOME" >> "$0.log"
test ! -e "$0.fails" || { echo "no room"; exit 3; }
"""


@pytest.fixture
def systemd(tmp_path: Path, command: Command) -> Iterator[Path]:
    """A host on which systemd seems to run; the folder of its systemctl."""
    booted, folder = Path("/run/systemd/system"), tmp_path / "bin"
    booted.mkdir(parents=True)
    folder.mkdir()
    (folder / "systemctl").write_text(_SYSTEMCTL)
    (folder / "systemctl").chmod(0o755)
    command.environ["PATH"] = f"{folder}:{command.environ['PATH']}"
    yield folder
    booted.rmdir()


def program(folder: Path, name: str) -> Path:
    """A hook that writes down what it is told, and fails while NAME.fails is there."""
    path = folder / name
    path.write_text(_HOOK)
    path.chmod(0o755)
    return path


def told(hook: Path) -> list[str]:
    """What a hook was told, call by call."""
    log = hook.with_name(f"{hook.name}.log")
    return log.read_text().splitlines() if log.exists() else []


def test_up_has_systemd_renew_and_down_takes_that_away(
    command: Command, domain: str, acme: tuple[str, ...], systemd: Path
) -> None:
    done = command("up", "--domain", domain, *acme, "--no-auth")
    assert "Renewal: systemd, next 2026-11-25 00:41 UTC." in done.out
    unit = Path("/etc/systemd/system/regdeploy-registry.service").read_text()
    assert f'regdeploy" "renew" "--root" "{command.root}" "--name" "registry"' in unit
    assert command("up").out.endswith("nothing to do.\n")
    status = command("status")
    assert "the timer of systemd, next 2026-11-25 00:41 UTC" in status.out
    assert command("status", "--json").document["renewal"]["by"] == "systemd"
    (systemd / "on").unlink()  # somebody stopped it
    assert "install the renewal timer" in command("plan").out
    command("up", "--no-timer")
    command("down", "--yes")
    assert list(Path("/etc/systemd/system").glob("**/regdeploy-*")) == []


def test_a_systemd_that_refuses_costs_no_registry(command: Command, systemd: Path) -> None:
    (systemd / "systemctl").write_text("#!/bin/sh\necho 'bus is down' >&2\nexit 1\n")
    done = command("up", "--domain", "r.example.test", "--tls", "internal", "--no-auth", "--verbose")
    assert "bus is down" in done.out
    assert command("status").code == 0
    assert "nothing runs it" in command("status").out


def test_hooks_are_called_around_a_renewal_and_one_that_failed_again(
    command: Command, domain: str, acme: tuple[str, ...], tmp_path: Path
) -> None:
    hooks = {name: program(tmp_path, name) for name in ("before", "deploy", "after")}
    options = [text for name, path in hooks.items() for text in (f"--hook-{name}", str(path))]
    command("up", "--domain", domain, *acme, "--no-auth", *options)
    old = command("status", "--json").document["endpoint"]["tls"]["fingerprint_sha256"]
    assert [told(path) for path in hooks.values()] == [[], [], []]
    fails = tmp_path / "deploy.fails"
    fails.touch()
    failed = command("renew", "--force", code=1)
    new = command("status", "--json", code=4).document["endpoint"]["tls"]["fingerprint_sha256"]
    assert "the deploy hook" in failed.err
    assert "no room" in failed.err
    assert new != old
    assert told(hooks["before"]) == [f"before {domain} {old} "]
    assert told(hooks["deploy"]) == [f"deploy {domain} {new} "]
    assert told(hooks["after"]) == [f"after {domain} {new} renewed"]
    fails.unlink()
    assert "the deploy hook was called again" in command("renew").out
    assert "and is renewed from" in command("renew").out
    assert told(hooks["deploy"]) == [f"deploy {domain} {new} "] * 2
    command("status")


def test_a_hook_that_anybody_can_change_is_refused(command: Command, tmp_path: Path) -> None:
    path = program(tmp_path, "deploy")
    path.chmod(0o777)
    refused = command("up", "--domain", "r.example.test", "--tls", "internal", "--hook-deploy", str(path), code=2)
    assert "can be written by others" in refused.err


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address that takes notifications, and what it took."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", taken
    server.shutdown()
    server.server_close()


def test_people_are_told_of_the_first_failure_and_of_the_recovery(
    command: Command,
    domain: str,
    acme: tuple[str, ...],
    webhook: tuple[str, list[dict[str, Any]]],
) -> None:
    url, taken = webhook
    with mail_server() as box:
        mail = f"smtp://127.0.0.1:{box.port}?from=r@example.com&to=ops@example.com&tls=off"
        command("up", "--domain", domain, *acme, "--no-auth", "--notify-webhook", url, "--notify-mail", mail)
        broken = {"REGDEPLOY_PROFILE": "no-such-profile"}
        command("renew", "--force", code=2, **broken)
        command("renew", "--force", code=2, **broken)  # the second on one day is not told
        assert command("status", "--json", code=4).document["renewal"]["last_outcome"] == "failed"
        command("renew", "--force")
    assert [(one["event"], one["domain"]) for one in taken] == [
        ("renewal-failed", domain),
        ("renewal-recovered", domain),
    ]
    assert "no-such-profile" in taken[0]["message"]
    assert len(box.mails) == 2
    assert f"{domain}: renewal failed".encode() in box.mails[0][2]


def test_an_agent_renews_in_the_foreground_until_it_is_stopped(
    command: Command, domain: str, acme: tuple[str, ...]
) -> None:
    command("up", "--domain", domain, *acme, "--no-auth")
    process = command.start("agent")
    runs = command.root / "acme/runs.json"
    eventually(runs.exists)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    lines = out.splitlines()
    assert "and is renewed from" in lines[0]
    assert lines[1].startswith("next look ")
    assert lines[2] == "stopped"
    assert command("status", "--json").document["renewal"]["by"] == "agent"


def test_an_agent_without_a_deployment_says_so_and_ends(command: Command) -> None:
    assert "nothing is deployed" in command("agent", code=3).err
