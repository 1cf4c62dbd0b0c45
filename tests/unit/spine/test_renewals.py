"""Renewals that go wrong, in memory: killed before every write, on a full disk, by a wrong clock, with a deaf CA."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from regdeploy.deployment.observe import attempts_of
from regdeploy.deployment.renewing import Renewed, renew
from regdeploy.errors import AcmeError, CheckFailed, HostError, RegdeployError
from regdeploy.tls.acme.settings import DirectoryFacts, Errand, Issued, RenewalInfo
from regdeploy.tls.attempts import LOST
from regdeploy.tls.store import CertificateStore
from tests.fakes.death import dying_before, full_disk_at
from tests.fakes.mortal import Killed
from tests.fakes.world import FakeAuthority, FakeClock, fingerprint
from tests.unit.spine.host import ACME, INTERNAL, OTHER_PORT, PORT, Host, copy_of
from tests.unit.spine.test_converges import fresh
from tests.unit.tls.ends import on_tiny_disk


def renewed(host: Host, *, forced: bool = False) -> Renewed:
    """``regdeploy renew``, as a process of its own."""
    return renew(host.request({}), host.world(), host.reporter, forced=forced)


def served(host: Host) -> str:
    """The leaf that is served, empty where nothing answers."""
    return fingerprint(host.endpoint.probe(host.plan({}).spec, {}))


def stored(host: Host) -> set[str]:
    """The leaves of all whole versions."""
    versions = CertificateStore(host.root / "certs").read().versions
    return {version.leaf.fingerprint_sha256 for version in versions if not version.problem}


def is_settled(host: Host) -> bool:
    """Whether there is nothing to renew, put in place or serve."""
    return not renewed(host).changed and host.plan({}).plan.text() == ""


def futures(start: Host) -> Iterator[tuple[int, Host]]:
    """A copy of ``start`` for every write, from the first on; the caller ends it."""
    for write in itertools.count(1):
        host = copy_of(start, start.root.parent / f"write-{write}")
        yield write, host
        shutil.rmtree(host.root)


@pytest.mark.parametrize("goal", [ACME, INTERNAL], ids=["acme", "internal"])
@pytest.mark.parametrize("forced", [True, False], ids=["forced", "due"])
def test_killed_before_every_write_it_serves_what_it_has_and_the_next_renewal_ends_it(
    goal: Mapping[str, Any], forced: bool
) -> None:
    with fresh() as start:
        start.up(goal)
        start.clock.forward(days=0 if forced else 65)
        for write, host in futures(start):
            with dying_before(write) as counter, suppress(Killed):
                renewed(host, forced=forced)
            died = counter.count >= write
            assert served(host) in stored(host), f"killed before write {write}"
            renewed(host, forced=forced and not died)
            assert is_settled(host), f"killed before write {write}"
            assert served(host) in stored(host), f"killed before write {write}"
            if not died:
                break
        assert write > 8, "the sweep saw hardly any write: it proves nothing"


def test_killed_while_it_is_stopped_for_the_challenge_the_next_renewal_starts_it() -> None:
    shared = {**ACME, "http-01-port": PORT, "challenge": "http-01"}
    with fresh() as start:
        start.up(shared)
        down = 0
        for write, host in futures(start):
            with dying_before(write) as counter, suppress(Killed):
                renewed(host, forced=True)
            down += not served(host)
            renewed(host)
            assert served(host) in stored(host), f"killed before write {write}"
            if counter.count < write:
                break
        assert down > 5, "the port was never needed: it proves nothing"


def test_a_disk_that_is_full_at_any_write_costs_no_certificate_served_or_issued() -> None:
    with fresh() as start:
        start.up(ACME)
        before = served(start)
        said: list[str] = []
        issued: list[int] = []
        for write, host in futures(start):
            with full_disk_at(write) as counter:
                try:
                    renewed(host, forced=True)
                except RegdeployError as error:
                    said.append(str(error))
                    assert served(host) == before, f"full at write {write}"
                    issued.append(host.authority.issued)
            assert served(host) in stored(host), f"full at write {write}"
            assert len(stored(host) - {before}) == host.authority.issued == host.authority.asked, f"at write {write}"
            renewed(host)
            assert is_settled(host), f"full at write {write}"
            if counter.count < write:
                break
        assert set(issued) == {0, 1}, "no write failed before the order, or none after it: it proves nothing"
        assert [words for words in said if "No space left on device" not in words] == []


class _Clumsy(FakeAuthority):
    """While it signs, somebody tidies up on this host."""

    def issue(self, errand: Errand, directory: DirectoryFacts | None) -> Issued:
        for room in errand.state.parent.glob("certs/versions/.regdeploy-new.*"):
            shutil.rmtree(room)
        return super().issue(errand, directory)


def test_a_certificate_that_cannot_be_kept_is_noted_with_the_words_and_not_ordered_again_at_once(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path / "root")
    host.up(ACME)
    before = served(host)
    host.clock.forward(days=65)
    host.authority = _Clumsy(clock=host.clock)

    with pytest.raises(HostError, match="No such file or directory"):
        renewed(host)

    words = f"issued, and could not be kept: {host.root}/certs/versions/0002: No such file or directory"
    record = attempts_of(host.plan({}).spec)
    assert [(one.problem, one.words) for one in record.failures()] == [(LOST, words)]
    assert not renewed(host).changed
    assert words in renewed(host).words
    assert (host.authority.asked, served(host)) == (1, before)
    assert not list(host.root.rglob(".regdeploy-*"))
    host.authority = FakeAuthority(clock=host.clock)
    host.clock.forward(minutes=1)
    assert renewed(host).changed
    assert served(host) != before


def test_every_kind_that_was_tried_is_noted_and_one_run_is_one_failure(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up({**ACME, "tls-alpn-01-port": OTHER_PORT, "acme-directory": "https://ca.example/dir"})
    host.clock.forward(days=65)
    host.authority.refusal = "connection refused"
    for minutes in (0, 1):
        host.clock.forward(minutes=minutes)
        with pytest.raises(AcmeError):
            renewed(host)
    failed = attempts_of(host.plan({}).spec).failures()
    assert [(one.challenge, one.again) for one in failed] == [("http-01", False), ("tls-alpn-01", True)] * 2
    assert (
        "2 attempts failed, the last, by tls-alpn-01: registry.example.com: connection refused" in renewed(host).words
    )


_FEW_INODES = """
import sys
from pathlib import Path
from regdeploy.deployment.renewing import renew
from regdeploy.errors import CheckFailed
from tests.unit.spine.host import ACME, Host
host = Host(Path(sys.argv[1]) / "root")
host.up(ACME)
for number in range(60):
    (host.root / "data" / str(number)).touch()
try:
    host.up({"user": "ops"})
except CheckFailed as error:
    print(error.where)
print(renew(host.request({}), host.world(), host.reporter, forced=True).words)
"""


def test_a_disk_too_full_for_images_still_takes_a_certificate(tmp_path: Path) -> None:
    said = on_tiny_disk(tmp_path, "120m,nr_inodes=1050", _FEW_INODES, None).splitlines()
    assert said == ["disk", "https://registry.example.com:28443: renewed, and served"]


@dataclass
class _Stepping(FakeAuthority):
    """A CA that signs by its own clock, while this host's is set by so many days."""

    days: float = 0.0
    host: FakeClock = field(default_factory=FakeClock)

    def issue(self, errand: Errand, directory: DirectoryFacts | None) -> Issued:
        self.host.forward(days=self.days)
        try:
            return super().issue(replace(errand, now=self.clock), directory)
        finally:
            self.days = 0.0


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_is_set_by_a_day_during_an_order_orders_no_other(tmp_path: Path, days: int) -> None:
    host = Host(tmp_path / "root")
    host.up(ACME)
    before = served(host)
    host.authority = _Stepping(clock=FakeClock(), days=days, host=host.clock)

    assert renewed(host, forced=True).changed

    assert served(host) in stored(host) - {before}
    assert is_settled(host)
    host.clock.forward(days=-days)
    assert is_settled(host)
    assert host.authority.issued == 1


@pytest.mark.parametrize(("days", "words"), [(2, "ahead of"), (-2, "behind")])
def test_a_clock_that_is_days_off_is_said_before_the_ca_is_asked_for_anything(
    tmp_path: Path, days: int, words: str
) -> None:
    host = Host(tmp_path / "root")
    host.up(ACME)
    before = served(host)
    host.authority = FakeAuthority(clock=FakeClock())
    host.clock.forward(days=days)

    with pytest.raises(CheckFailed, match=f"clock: this host's clock is 172800 s {words} the CA's"):
        renewed(host, forced=True)

    assert host.authority.asked == 0
    assert served(host) == before
    host.clock.forward(days=-days)
    assert renewed(host, forced=True).changed
    assert served(host) in stored(host) - {before}


class _Silent(FakeAuthority):
    """A CA whose window cannot be had."""

    def renewal_info(self, directory: DirectoryFacts, ca_bundle: Path | None, pem: bytes) -> RenewalInfo | None:
        raise AcmeError("ca.example", "no answer within 10 s")


def test_a_window_that_cannot_be_had_keeps_no_certificate_from_being_renewed_by_its_life(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up(ACME)
    host.authority = _Silent(clock=host.clock)
    assert not renewed(host).changed
    host.clock.forward(days=65)
    assert renewed(host).changed


@pytest.mark.parametrize(
    ("start", "end", "changed"),
    [(-30, -20, False), (3, 2, False), (-0.5, -0.4, True), (3000, 3001, False)],
    ids=["before the certificate", "reversed", "past", "years away"],
)
def test_a_window_renews_early_and_never_late(tmp_path: Path, start: float, end: float, *, changed: bool) -> None:
    host = Host(tmp_path / "root")
    host.up(ACME)
    host.clock.forward(days=2)
    now = host.clock()
    host.authority.window = RenewalInfo(start=now + timedelta(days=start), end=now + timedelta(days=end))
    assert renewed(host).changed is changed
    host.clock.forward(days=63)  # three days and more after two thirds of its life
    assert renewed(host).changed


def test_what_a_person_stopped_stays_stopped() -> None:
    shared = {**ACME, "http-01-port": PORT, "challenge": "http-01"}
    with fresh() as start:
        start.up(shared)
        renewed(start, forced=True)
        start.engine.stop("registry", 1)
        renewed(start, forced=True)
        assert start.serving() is None
