"""A year in a moment: a timer, a CA that fails and limits, a host that is off now and then, and what is served."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdeploy.tls.attempts import Attempt, Attempts
from regdeploy.tls.certificate import Certificate
from regdeploy.tls.renewal import choose_window, due_at, is_emergency, may_ask_window, wait_before_order

BEGIN = datetime(2026, 11, 24, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
YEAR = 365 * DAY


@dataclass
class Authority:
    """A CA that fails on every fifth day and for ten days in a row once; ``down`` are days, from the begin."""

    chance: random.Random
    down: set[int]
    windows: bool
    life: timedelta
    issued: list[datetime] = field(default_factory=list)
    asked_in_vain: list[datetime] = field(default_factory=list)
    places: dict[str, float] = field(default_factory=dict)
    until: datetime = BEGIN  # it said not to be asked before

    def is_up(self, now: datetime) -> bool:
        return (now - BEGIN).days not in self.down

    def order(self, now: datetime) -> Certificate | Attempt:
        """One order. Whoever comes before the time that was named, or beyond a limit, has broken the rules."""
        assert now >= self.until, "the CA was asked although it had said when to come back"
        if not self.is_up(now):
            self.asked_in_vain.append(now)
            wait = self.chance.choice((0.0, 600.0, 34 * 3600.0))
            self.until = now + timedelta(seconds=wait)
            return Attempt(
                at=now, problem=self.chance.choice(("rateLimited", "connection")), words="no", retry_after=wait
            )
        self.issued.append(now)
        assert sum(now - at < 7 * DAY for at in self.issued) <= 5, "more than five certificates a week"
        return certificate(now, self.life)

    def window(self, leaf: Certificate) -> tuple[datetime, datetime]:
        """Early, as usual, or far too late; now and then it moves."""
        if leaf.fingerprint_sha256 not in self.places or self.chance.random() < 0.02:
            self.places[leaf.fingerprint_sha256] = self.chance.choice((0.4, 0.66, 0.95))
        start = leaf.not_before + leaf.lifetime * self.places[leaf.fingerprint_sha256]
        return start, start + leaf.lifetime * 0.02


def certificate(now: datetime, life: timedelta) -> Certificate:
    return Certificate(
        names=("r.example.com",),
        subject="",
        issuer="",
        serial=1,
        not_before=now - HOUR,
        not_after=now - HOUR + life,
        fingerprint_sha256=now.isoformat(),
        key_type="EC P-256",
    )


@dataclass
class Host:
    """What ``renew`` does, without the files: policy, and nothing else."""

    leaf: Certificate
    record: Attempts = field(default_factory=lambda: Attempts(names=("r.example.com",), directory="ca"))
    over: list[tuple[datetime, datetime]] = field(default_factory=list)  # (begin, end) of times without a good one

    def run(self, now: datetime, ca: Authority) -> None:
        if ca.windows and may_ask_window(self.record, self.leaf, now) and ca.is_up(now):
            start, end = ca.window(self.leaf)
            chosen = choose_window(
                self.leaf,
                start,
                end,
                now,
                before=self.record.window,
                ask_again=None,
                reason="",
                chance=ca.chance.random,
            )
            self.record = replace(self.record, window=chosen)
        if now < due_at(self.leaf, self.record):
            return
        if wait_before_order(self.record, now, patient=not is_emergency(self.leaf, now), limited=True):
            return
        answer = ca.order(now)
        if isinstance(answer, Attempt):
            self.record = self.record.with_attempt(answer)
            return
        self.record = self.record.with_attempt(Attempt(at=now))
        if now > self.leaf.not_after:
            self.over.append((self.leaf.not_after, now))
        self.leaf = answer


def year(seed: int, days: int, *, windows: bool, off: int) -> tuple[Host, Authority]:
    """A year of a timer that comes twice a day within an hour, on a host that is off now and then for ``off`` hours."""
    chance = random.Random(seed)
    outage = chance.randrange(340)
    failing = {day for day in range(366) if chance.random() < 0.2}
    ca = Authority(chance, failing | set(range(outage, outage + 10)), windows, timedelta(days=days))
    host = Host(certificate(BEGIN, ca.life))
    now, back = BEGIN, BEGIN
    while now < BEGIN + YEAR:
        now += timedelta(hours=12)
        if now >= back:
            host.run(now + HOUR * chance.random(), ca)
            if off and chance.random() < 0.05:
                back = now + HOUR * chance.randrange(off)
    return host, ca


def available(ca: Authority, begin: datetime, end: datetime) -> timedelta:
    """The longest time in a row during which the CA gave certificates."""
    longest = row = timedelta()
    moment = begin
    while moment < end:
        row = row + HOUR if ca.is_up(moment) and moment >= ca.until else timedelta()
        longest = max(longest, row)
        moment += HOUR
    return longest


@pytest.mark.parametrize("days", [90, 45])
@given(seed=st.integers(0, 2**32), windows=st.booleans(), off=st.sampled_from((0, 24, 72)))
@settings(max_examples=40, deadline=None)
def test_a_certificate_of_weeks_never_ends_whatever_the_ca_does_within_ten_days(
    days: int, seed: int, windows: bool, off: int
) -> None:
    host, ca = year(seed, days, windows=windows, off=off)
    assert host.over == []
    assert host.leaf.not_after > BEGIN + YEAR
    assert len(ca.issued) >= 365 // days
    assert len(ca.issued) <= 365 * 3 // days + 2


@given(seed=st.integers(0, 2**32), windows=st.booleans())
@settings(max_examples=40, deadline=None)
def test_one_of_six_days_ends_only_while_the_ca_gives_none(seed: int, windows: bool) -> None:
    host, ca = year(seed, 6, windows=windows, off=0)
    for begin, end in host.over:
        # From half of its life on, no day and a half in a row in which it could have been had: the back-off is a day.
        assert available(ca, begin - timedelta(days=2.8), end) <= timedelta(hours=37)
    assert len(ca.asked_in_vain) <= 365  # once a day where every day fails, but for its last hours


def test_the_record_of_a_year_stays_small() -> None:
    host, _ = year(1, 6, windows=True, off=24)
    assert len(host.record.attempts) <= 40
