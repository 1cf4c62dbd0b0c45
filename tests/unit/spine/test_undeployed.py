"""A certificate that is not served once it is in place: how often it is tried, and who is told what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from regdeploy.deployment import unattended
from regdeploy.deployment.notify import Kind
from regdeploy.deployment.renewing import Renewed, renew
from regdeploy.deployment.runs import read_runs
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.standing import Status
from regdeploy.deployment.status import status
from regdeploy.errors import VerifyFailed
from regdeploy.registry.api import EndpointFacts
from tests.certs import make_intermediate, make_leaf, make_root
from tests.fakes.engine import FakeEngine
from tests.fakes.world import START, FakeEndpoint, fingerprint
from tests.smtp import mail_server
from tests.unit.spine.host import ACME, DOMAIN, INTERNAL, PORT, Host

BACK_OFF = (1, 10, 100, 22 * 60)


class Fussy(FakeEndpoint):
    """Answers, with a certificate other than the first one, only where it is not ``fussy``; ``tried`` counts."""

    def __init__(self, engine: FakeEngine, root: Path) -> None:
        super().__init__(engine)
        self.fussy = True
        self.tried = 0
        self._current = root / "certs/current"

    def wait(self, spec: Spec, stopped: Callable[[], bool]) -> EndpointFacts:
        self.tried += 1
        if self.fussy and str(self._current.readlink()) != "versions/0001":
            return EndpointFacts(error="refuses connections")
        return super().wait(spec, stopped)


@dataclass
class Deployment:
    """A registry that was renewed once, and whose new certificate was not served."""

    host: Host
    endpoint: Fussy = field(init=False)

    def __post_init__(self) -> None:
        self.endpoint = Fussy(self.host.engine, self.host.root)
        self.host.endpoint = self.endpoint

    def renew(self, *, forced: bool = False) -> Renewed:
        return renew(self.host.request({}), self.host.world(), self.host.reporter, forced=forced)

    def fails(self, *, forced: bool = False) -> VerifyFailed:
        """One try that fails."""
        before = self.endpoint.tried
        with pytest.raises(VerifyFailed) as caught:
            self.renew(forced=forced)
        assert self.endpoint.tried == before + 1
        return caught.value

    def waits(self) -> str:
        """What it says while it waits, and touches nothing."""
        tried, started = self.endpoint.tried, self.host.serving()
        done = self.renew()
        assert (done.changed, done.waits, self.endpoint.tried, self.host.serving()) == (False, True, tried, started)
        return done.words

    def served(self) -> str:
        return fingerprint(self.endpoint.probe(self.host.plan({}).spec, {}))

    def status(self) -> Status:
        return status(self.host.request({}), self.host.world())


def failed(tmp_path: Path, goal: Mapping[str, Any] = ACME) -> Deployment:
    """Deployed, and renewed once in vain."""
    host = Host(tmp_path / "root")
    host.up(goal)
    found = Deployment(host)
    host.clock.forward(days=1)
    found.fails(forced=True)
    return found


@pytest.mark.parametrize("goal", [ACME, INTERNAL], ids=["acme", "internal"])
def test_it_is_tried_again_after_1_10_and_100_minutes_and_then_daily(tmp_path: Path, goal: Mapping[str, Any]) -> None:
    there = failed(tmp_path, goal)
    before = there.served()
    for minutes in (*BACK_OFF, BACK_OFF[-1]):
        there.host.clock.forward(minutes=minutes, seconds=-1)
        assert "the new certificate was not served" in there.waits()
        there.host.clock.forward(seconds=1)
        there.fails()
        assert there.served() == before
    there.endpoint.fussy = False
    there.waits()
    there.host.clock.forward(minutes=BACK_OFF[-1])
    assert there.renew().changed
    assert there.served() != before
    assert not (there.host.root / "acme/undeployed.json").exists()
    assert there.host.authority.issued == (2 if goal is ACME else 0), "it was ordered again"


def test_what_is_said_names_the_cause_and_the_time(tmp_path: Path) -> None:
    there = failed(tmp_path)
    cause = "container registry: https://registry.example.com:28443 does not answer: refuses connections"
    why = f"the new certificate was not served: 1 attempt failed, the last: {cause}"
    assert there.waits() == f"https://registry.example.com:28443: {why}: not before 2026-11-25 12:01 UTC"
    assert f"{why}: it is tried again from 2026-11-25 12:01 UTC on" in there.status().problems
    there.host.clock.forward(minutes=1)
    assert f"{why}: it is tried again at the next run" in there.status().problems
    assert there.fails().hint == (
        "`regdeploy doctor` looks for the cause; it is tried again from 2026-11-25 12:11 UTC on,"
        " by `regdeploy up` at once"
    )
    there.endpoint.fussy = False
    there.host.up({})
    assert [problem for problem in there.status().problems if "new certificate" in problem] == []


def test_another_certificate_or_another_container_begins_anew(tmp_path: Path) -> None:
    there = failed(tmp_path)
    for _ in range(2):
        there.host.clock.forward(days=1)
        there.fails()
    assert "3 attempts failed" in there.waits()
    there.fails(forced=True)
    assert "1 attempt failed" in there.waits()
    containers = there.host.engine.host.containers
    containers["registry"] = replace(containers["registry"], id="e" * 64)
    there.fails()
    assert "1 attempt failed" in there.waits()


def test_with_a_pair_of_the_users_own_force_tries_the_same_one_at_once_and_begins_anew(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up({"domain": [DOMAIN], "port": PORT, **pair(tmp_path)})
    there = Deployment(host)
    pair(tmp_path)
    there.fails()
    host.clock.forward(days=1)
    there.fails()
    assert "2 attempts failed" in there.waits()
    there.fails(forced=True)
    assert "1 attempt failed" in there.waits()


def pair(folder: Path) -> Mapping[str, str]:
    """Another certificate and its key, in the same files, and the flags for them."""
    intermediate = make_intermediate(make_root())
    leaf = make_leaf(intermediate, DOMAIN, begin=START - timedelta(days=1), lifetime=timedelta(days=90))
    (folder / "tls.pem").write_bytes(leaf.pem + intermediate.pem)
    (folder / "tls.key").write_bytes(leaf.key_pem)
    return {"cert": str(folder / "tls.pem"), "key": str(folder / "tls.key")}


def test_near_the_end_of_the_certificate_in_use_nothing_waits(tmp_path: Path) -> None:
    there = failed(tmp_path)
    there.host.clock.forward(days=88)
    there.fails()
    there.fails()


@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"[]", b'{"fingerprint": "", "container": ""}', b"[" * 100_000])
def test_a_note_that_cannot_be_read_keeps_nobody_waiting(tmp_path: Path, content: bytes) -> None:
    there = failed(tmp_path)
    (there.host.root / "acme/undeployed.json").write_bytes(content)
    there.fails()
    assert "1 attempt failed" in there.waits()


def test_a_note_by_a_clock_that_was_far_ahead_keeps_nobody_waiting(tmp_path: Path) -> None:
    there = failed(tmp_path)
    there.host.clock.forward(days=-3)
    there.fails()


def test_a_stranger_to_the_plan_keeps_nobody_waiting(tmp_path: Path) -> None:
    there = failed(tmp_path)
    there.host.engine.stop("registry", 1)
    done = there.renew()
    assert (done.changed, done.waits) == (True, False), "nothing is interrupted: it reads the new one at its start"


def test_whoever_waits_is_told_daily_and_never_that_it_works_again(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    with mail_server() as box:
        mail = f"smtp://127.0.0.1:{box.port}?from=r@example.com&to=ops@example.com&tls=off"
        host.up({**ACME, "notify-mail": mail})
        there = Deployment(host)
        host.clock.forward(days=1)
        request = host.request({})

        def run(*, forced: bool = False) -> None:
            unattended.run(request, host.world(), host.reporter, by="systemd", forced=forced, tell=pytest.fail)

        for hours, forced in ((0, True), (12, False), (12, False), (0, False), (12, False), (12, False), (22, False)):
            host.clock.forward(hours=hours)
            with suppress(VerifyFailed):
                run(forced=forced)
        there.endpoint.fussy = False
        host.clock.forward(hours=23)
        run()
    runs = read_runs(host.root / "acme/runs.json")
    assert [(one.failed, one.waited, one.told) for one in runs] == [
        (True, False, Kind.FAILED),
        (True, False, None),
        (True, False, Kind.FAILED),
        (False, True, None),
        (True, False, None),
        (False, True, Kind.FAILED),
        (True, False, Kind.FAILED),
        (False, False, Kind.RECOVERED),
    ]
    assert len(box.mails) == 5
    first, _, third, fourth, _ = (message_from_bytes(one[2], policy=default).get_content() for one in box.mails)
    assert "it is tried again from 2026-11-25 12:01 UTC on" in first
    assert "4 attempts failed" in third
    assert "not before 2026-11-27 22:00 UTC" in third
    assert "Runs that have failed in a row: 4." in third
    assert "Runs that have failed in a row: 5." in fourth


def test_the_last_outcome_is_not_that_of_a_run_that_waited(tmp_path: Path) -> None:
    there = failed(tmp_path)
    request, world = there.host.request({}), there.host.world()
    there.host.clock.forward(minutes=1)
    with pytest.raises(VerifyFailed):
        unattended.run(request, world, there.host.reporter, by="cron", tell=pytest.fail)
    unattended.run(request, world, there.host.reporter, by="cron", tell=pytest.fail)
    renewal = there.status().as_json()["renewal"]
    assert isinstance(renewal, dict)
    assert renewal["last_outcome"] == "failed"


def test_the_agent_looks_again_when_it_may_be_tried(tmp_path: Path) -> None:
    there = failed(tmp_path)
    spec, now = there.host.plan({}).spec, there.host.clock()
    assert unattended.next_look(spec, there.host.world()) == now + timedelta(minutes=1)
    there.host.clock.forward(days=2)
    assert unattended.next_look(spec, there.host.world()) == now + timedelta(days=2, hours=12)
