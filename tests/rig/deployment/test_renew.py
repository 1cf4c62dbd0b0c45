"""``renew`` on real parts: what is due, forced, refused by the CA, and proved without being touched."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import served
from tests.rig.parts.flaky import Answer, Flaky, problem


def tree(root: Path) -> dict[str, float]:
    """Every file with the time of its last change, but for the lock and the log of runs."""
    found = (path for path in root.rglob("*") if path.name not in (".lock", "runs.json") and path.is_file())
    return {str(path): path.stat().st_mtime for path in found}


def test_nothing_is_due_nothing_is_touched(command: Command, deployed: str, flaky: Flaky) -> None:
    before = tree(command.root)
    done = command("renew")
    assert "and is renewed from" in done.out
    assert len(done.out.splitlines()) == 1
    assert (served(), tree(command.root)) == (deployed, before)
    assert flaky.asked == ["GET /dir"]  # whether the CA has a wish of its own


def test_forced_it_is_renewed_served_and_remembered(command: Command, deployed: str) -> None:
    done = command("renew", "--force", "--json").document
    assert (done["changed"], served() == deployed) == (True, False)
    assert [step["step"] for step in done["steps"]][-1] == "verify-serving"
    assert command("status", "--json").document["certificate"]["deployed"]
    history = [json.loads(line) for line in (command.root / "history.jsonl").read_text().splitlines()]
    assert [entry["operation"] for entry in history] == ["up", "renew"]
    assert len(json.loads((command.root / "acme/attempts.json").read_text())["attempts"]) == 2


def test_a_ca_that_says_when_to_come_back_is_not_asked_before(command: Command, deployed: str, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", problem(429, "rateLimited", "too many certificates", Retry_After="122400"))
    refused = command("renew", "--force", code=1)
    assert "too many certificates" in refused.err
    assert served() == deployed
    flaky.asked.clear()
    again = command("renew", "--force", code=2)
    assert "retry-after: the CA asked to wait" in again.err
    assert flaky.count("POST") == 0
    command("renew", "--force", "--ignore", "retry-after")
    assert served() != deployed


def test_the_window_of_the_ca_is_asked_for_once_kept_and_obeyed(command: Command, deployed: str, flaky: Flaky) -> None:
    base = flaky.directory.replace("/dir", "/renewal")
    flaky.on("GET /dir", last=99, rewrite=lambda answer: answer.with_json(renewalInfo=base))
    flaky.on("GET /renewal", window(timedelta(days=-9), timedelta(days=-8)))
    assert "is renewed from" in command("renew").out  # it ends before the certificate begins: no sense in that
    assert served() == deployed
    flaky.on("GET /renewal", window(timedelta(hours=-1), timedelta(seconds=1)))
    command("renew")
    assert served() != deployed
    flaky.on("GET /renewal", window(timedelta(days=50), timedelta(days=52)), last=9)
    assert [said["replaces"] for request, said in flaky.said if "order-plz" in request and "replaces" in said]
    asked = flaky.count("GET /renewal")
    command("renew")  # the new certificate is another one: asked about once, and then not for hours
    command("renew")
    assert flaky.count("GET /renewal") == asked + 1


def window(start: timedelta, end: timedelta) -> Answer:
    """A CA's answer: from now on."""
    now = datetime.now(UTC)
    days = {"start": (now + start).isoformat(), "end": (now + end).isoformat()}
    return Answer(200, {"Content-Type": "application/json"}, json.dumps({"suggestedWindow": days}).encode())


def test_a_dry_run_orders_and_leaves_nothing(command: Command, deployed: str, flaky: Flaky) -> None:
    before = tree(command.root)
    done = command("renew", "--dry-run")
    assert f"{flaky.directory} issued a certificate for" in done.out
    assert flaky.count("POST /finalize-order") == 1
    assert (served(), tree(command.root)) == (deployed, before)


def test_a_dry_run_that_fails_is_a_failure(command: Command, deployed: str, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", problem(403, "rejectedIdentifier", "policy forbids it"), last=9)
    assert "policy forbids it" in command("renew", "--dry-run", code=1).err


def test_without_a_deployment_there_is_nothing_to_renew(command: Command) -> None:
    assert "nothing is deployed" in command("renew", code=3).err
    assert not command.root.exists()


def test_another_kind_of_key_is_another_certificate_and_a_key_is_used_again_where_that_is_asked(
    command: Command, deployed: str
) -> None:
    def key() -> str:
        return (command.root / "certs/current/privkey.pem").read_text()

    command("up", "--key-type", "rsa-2048", "--yes")
    rsa = key()
    assert served() != deployed
    assert command("up").out.endswith("nothing to do.\n")
    command("renew", "--force")
    assert key() != rsa
    again = key()
    command("up", "--reuse-key")
    command("renew", "--force")
    assert key() == again
