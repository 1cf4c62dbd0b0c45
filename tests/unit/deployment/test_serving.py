"""Whether what is answered is what was asked for, and whether the status says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from regdeploy.deployment import status as module
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.runs import Run
from regdeploy.deployment.serving import serving_problem
from regdeploy.deployment.spec import Resolved
from regdeploy.deployment.status import registry_version
from regdeploy.host.disk import DiskFacts
from regdeploy.host.systemd import TimerFacts
from regdeploy.tls.attempts import Attempt, Attempts
from tests.builders import NOW, acme, container, deployed, files, internal, leaf_der, resolved, serving, store, stored

ASKED = internal()
ROOMY = DiskFacts(total_bytes=10**12, free_bytes=10**11, free_inodes=10**6)


def fingerprint(number: int = 1) -> str:
    return stored(number).leaf.fingerprint_sha256


def test_what_is_right_has_no_problem() -> None:
    assert serving_problem(ASKED.spec, serving(1), fingerprint()) == ""
    assert serving_problem(ASKED.spec, serving(1), "") == "", "nothing is expected of the leaf"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"reachable": False, "error": "refuses connections"}, "does not answer: refuses connections"),
        ({"leaf_der": None}, "answers without TLS"),
        ({"leaf_der": leaf_der(2)}, "another certificate is served"),
        ({"http_status": 200}, "/v2/ asks for no login: anyone can read and write"),
        ({"http_status": 503}, "/v2/ answered 503, not 401"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], problem: str) -> None:
    assert problem in serving_problem(ASKED.spec, replace(serving(1), **changes), fingerprint())


def test_a_registry_without_a_login_answers_200() -> None:
    open_one = internal(auth=False)

    assert serving_problem(open_one.spec, replace(serving(1), http_status=200), fingerprint()) == ""
    assert serving_problem(open_one.spec, serving(1), fingerprint()) == "/v2/ answered 401, not 200"


@pytest.mark.parametrize(
    ("log", "version"),
    [
        (['level=info msg="listening" go.version=go1.19.8 service=registry version="v3.1.1"'], "3.1.1"),
        (["version=2.8.2+unknown", "127.0.0.1 - GET /v2/"], "2.8.2"),
        (["go.version=go1.19.8"], ""),
        ([], ""),
    ],
)
def test_the_version_is_what_the_registry_says(log: Sequence[str], version: str) -> None:
    assert registry_version(log) == version


def problems(asked: Resolved, observed: Observed, disk: DiskFacts = ROOMY, days: float = 0) -> list[str]:
    """What the status calls a problem."""
    current = module._current_version(observed)
    served = current.leaf if current else None
    return list(module._problems(asked.spec, observed, served, current, disk, NOW + timedelta(days=days)))


def test_a_deployment_that_is_well_has_no_problem() -> None:
    assert problems(ASKED, deployed(ASKED)) == []


def test_an_unhealthy_container_a_full_disk_and_a_bad_htpasswd_are_problems() -> None:
    ill = deployed(ASKED, users_problem="names nobody")
    ill = replace(ill, workload=replace(ill.workload, current=container(ASKED, health="unhealthy")))

    found = problems(ASKED, ill, replace(ROOMY, free_bytes=5 * 10**6))

    assert found == [
        "the engine's health check fails",
        f"{ASKED.spec.root}/auth/htpasswd names nobody",
        "only 5 MB are free for images",
    ]


def test_a_container_that_could_not_start_says_why() -> None:
    there = deployed(ASKED)
    stopped = container(ASKED, state="created", error="port is already allocated")
    there = replace(there, served=None, workload=replace(there.workload, current=stopped))

    assert problems(ASKED, there) == ["the container is created: port is already allocated"]


def test_certificates_that_end_are_problems_in_time() -> None:
    assert problems(acme(), deployed(acme()), days=100)[0].startswith("the certificate served expired on")
    own = files()
    assert "bring the next one with --cert and --key" in problems(own, deployed(own), days=60)[0]


def test_a_current_certificate_that_is_broken_is_a_problem() -> None:
    broken = store(stored(1, problem="has no key"))

    assert "the current certificate has no key" in problems(ASKED, deployed(ASKED, certificates=broken))


def renewal_problems(observed: Observed, *runs: Run, days: float = 0) -> list[str]:
    """What the status calls a problem of renewal."""
    current = module._current_version(observed)
    return list(module._renewal_problems(ASKED.spec, observed, current, runs, NOW + timedelta(days=days)))


def test_what_is_due_has_a_day_before_it_is_a_problem() -> None:
    there = deployed(ASKED)
    assert renewal_problems(there, days=51) == []
    assert renewal_problems(there, days=51.2) == [
        "the certificate is due for renewal since 2027-01-13, and nothing renewed it: run `regdeploy renew`"
    ]


def test_a_renewal_that_failed_is_a_problem_at_once_and_until_one_succeeds() -> None:
    failed = Run(at=NOW, by="systemd", failed=True, words="the CA says no")
    there = deployed(ASKED)
    assert renewal_problems(there, failed) == ["the last renewal failed (2026-11-24 12:00 UTC): the CA says no"]
    assert renewal_problems(there, failed, replace(failed, failed=False)) == []
    tried = Attempts(names=(), directory="", attempts=(Attempt(at=NOW, problem="dns", words="no address"),))
    assert renewal_problems(replace(there, attempts=tried)) == [
        "the last order failed (2026-11-24 12:00 UTC): no address"
    ]


@pytest.mark.parametrize(
    ("by", "hours", "regular"), [("cron", 2, "cron"), ("agent", 25, "agent"), ("agent", 27, ""), ("hand", 2, "")]
)
def test_what_ran_by_itself_lately_is_taken_to_run_again(by: str, hours: float, regular: str) -> None:
    ran = Run(at=NOW - timedelta(hours=hours), by=by, failed=False, words="")
    assert module._renewed_by(None, [ran], NOW) == regular


def test_a_timer_that_is_on_renews() -> None:
    assert module._renewed_by(TimerFacts(installed=True, enabled=True, active=True), [], NOW) == "systemd"
    ran = Run(at=NOW - timedelta(hours=2), by="systemd", failed=False, words="")
    assert module._renewed_by(TimerFacts(installed=True, enabled=True, active=False), [ran], NOW) == ""


def drift(asked: Resolved, observed: Observed) -> list[tuple[str, ...]]:
    """What the status calls drift, without the steps of a plan."""
    return [tuple(item) for item in module._drift(asked.spec, observed, (), observed.config_text)]


def test_an_image_that_the_engine_lost_or_that_is_no_registry_is_drift() -> None:
    asked = resolved()
    there = deployed(asked)
    assert drift(asked, there) == []
    assert drift(asked, replace(there, image=None)) == [("image", "registry:3", "registry:3")]
    assert there.image is not None
    other = replace(there, image=replace(there.image, entrypoint=("/bin/other",)))
    assert [item[:2] for item in drift(asked, other)] == [("image", "a registry")]
    assert drift(asked, replace(there, http_secret=None)) == []
