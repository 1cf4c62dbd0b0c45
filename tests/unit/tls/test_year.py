"""A year in a moment: a timer, a CA that fails and limits, a host that is off now and then, and what is served.

A certificate can end while the CA gives none: ten days of silence outlast one of six days, whatever is done. What holds
is that it never ends where there was a chance: a row of hours, after it was due, in which the host was on, the CA gave
certificates and had not asked to wait, as long as the longest wait of our own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdeploy.tls.attempts import Attempt, Attempts, read_attempts, write_attempts
from regdeploy.tls.certificate import Certificate
from regdeploy.tls.renewal import choose_window, due_at, is_emergency, may_ask_window, renew_after, wait_before_order

BEGIN = datetime(2026, 11, 24, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
YEAR = 365 * DAY
EMPTY = Attempts(names=("r.example.com",), directory="ca")
#: 22 h of back-off, and what a timer of every 12 h with a random delay of one makes of them.
CHANCE, LAST_CHANCE = timedelta(hours=25), timedelta(hours=13)

Span = tuple[datetime, datetime]


@dataclass
class Authority:
    """A CA that gives nothing on the days in ``down``, from the begin, and holds whoever asks to its limits.

    ``windows`` are parts of a life at which it wants certificates renewed, none for a CA without ARI. A ``strict`` one
    fails the test where a limit is broken; the other one refuses, as a CA does. ``width`` is a window's, of a life;
    ``waits`` are the seconds of its Retry-After; ``silent`` is one more time without an answer.
    """

    chance: random.Random
    down: set[int]
    life: timedelta
    windows: tuple[float, ...] = ()
    width: float = 0.02
    strict: bool = True
    a_week: int = 5
    waits: tuple[float, ...] = (0.0, 600.0, 34 * 3600.0)
    silent: Span = (BEGIN, BEGIN)
    issued: list[datetime] = field(default_factory=list)
    refused: list[datetime] = field(default_factory=list)
    asked_to_wait: list[Span] = field(default_factory=list)
    places: dict[str, float] = field(default_factory=dict)

    def gives(self, now: datetime) -> bool:
        """Whether whoever asks gets a certificate."""
        return self.answers(now) and not any(begin <= now < end for begin, end in self.asked_to_wait)

    def answers(self, now: datetime) -> bool:
        return (now - BEGIN).days not in self.down and not self.silent[0] <= now < self.silent[1]

    def broken(self, now: datetime) -> str:
        """The limit that whoever asks at ``now`` goes beyond, empty for none."""
        if any(begin <= now < end for begin, end in self.asked_to_wait):
            return "asked before the time that the CA had named"
        if sum(now - at < 7 * DAY for at in self.issued) >= self.a_week:
            return "more certificates a week than it gives"
        return "more than five failures an hour" if sum(now - at < HOUR for at in self.refused) >= 5 else ""

    def order(self, now: datetime) -> Certificate | Attempt:
        """One order."""
        limit = self.broken(now)
        assert not (limit and self.strict), limit
        if limit or not self.answers(now):
            wait = self.chance.choice(self.waits)
            self.refused.append(now)
            self.asked_to_wait.append((now, now + timedelta(seconds=wait)))
            return Attempt(at=now, problem="connection", words="no", retry_after=wait)
        self.issued.append(now)
        return certificate(now, self.life)

    def window(self, leaf: Certificate) -> Span:
        """Where it wants ``leaf`` renewed; now and then that moves."""
        if leaf.fingerprint_sha256 not in self.places or self.chance.random() < 0.02:
            self.places[leaf.fingerprint_sha256] = self.chance.choice(self.windows)
        start = leaf.not_before + leaf.lifetime * self.places[leaf.fingerprint_sha256]
        return start, start + leaf.lifetime * self.width


@dataclass
class Host:
    """What ``renew`` does, without the files: policy, and nothing else. ``ahead`` is by how much its clock errs."""

    leaf: Certificate
    limited: bool = True
    ahead: timedelta = timedelta()
    record: Attempts = EMPTY
    off: list[Span] = field(default_factory=list)
    without: list[tuple[Certificate, datetime]] = field(default_factory=list)  # what ended, and when another one came

    def run(self, true: datetime, ca: Authority) -> None:
        now = true + self.ahead
        if ca.windows and may_ask_window(self.record, self.leaf, now) and ca.gives(true):
            self._ask_window(now, ca)
        patient = not is_emergency(self.leaf, now)
        if now < due_at(self.leaf, self.record):
            return
        if wait_before_order(self.record, now, patient=patient, limited=self.limited):
            return
        answer = ca.order(true)
        if isinstance(answer, Attempt):
            self.record = self.record.with_attempt(replace(answer, at=now))
            return
        self.record = self.record.with_attempt(Attempt(at=now))
        if true > self.leaf.not_after:
            self.without.append((self.leaf, true))
        self.leaf = answer

    def _ask_window(self, now: datetime, ca: Authority) -> None:
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


def runs(host: Host, chance: random.Random, hours_off: int) -> Iterator[datetime]:
    """Twice a day within an hour, for a year; the host is off now and then, and makes up for it when it is back."""
    now = BEGIN
    while now < BEGIN + YEAR:
        now += 12 * HOUR
        if hours_off and chance.random() < 0.05:
            back = now + HOUR * chance.randrange(hours_off)
            host.off.append((now, back))
            yield back + HOUR * chance.random()
            now += ((back - now) // (12 * HOUR)) * 12 * HOUR
        else:
            yield now + HOUR * chance.random()


def outages(chance: random.Random, *, regular: bool) -> set[int]:
    """Ten days in a row, and one day in five: every fifth, or any."""
    outage, first = chance.randrange(340), chance.randrange(5)
    bad = {day for day in range(367) if (day % 5 == first if regular else chance.random() < 0.2)}
    return bad | set(range(outage, outage + 10))


def year(
    seed: int, days: int, *, windows: tuple[float, ...] = (), off: int = 0, regular: bool = False
) -> tuple[Host, Authority]:
    chance = random.Random(seed)
    ca = Authority(chance, outages(chance, regular=regular), timedelta(days=days), windows)
    host = Host(certificate(BEGIN, ca.life))
    for now in runs(host, chance, off):
        host.run(now, ca)
    if host.leaf.not_after < BEGIN + YEAR:
        host.without.append((host.leaf, BEGIN + YEAR))
    return host, ca


def chances(host: Host, ca: Authority, begin: datetime, end: datetime) -> timedelta:
    """The longest time in a row in which a certificate could have been had."""
    longest = row = timedelta()
    moment = begin
    while moment < end:
        on = not any(off <= moment < back + HOUR for off, back in host.off)
        row = row + HOUR / 4 if on and ca.gives(moment) else timedelta()
        longest = max(longest, row)
        moment += HOUR / 4
    return longest


SEEDS = st.integers(0, 2**32)
WINDOWS = st.sampled_from(((), (0.4, 0.66, 0.95)))


@pytest.mark.parametrize("days", [90, 45])
@given(seed=SEEDS, windows=WINDOWS)
@settings(max_examples=40, deadline=None)
def test_a_certificate_of_weeks_outlasts_ten_days_of_silence(days: int, seed: int, windows: tuple[float, ...]) -> None:
    host, ca = year(seed, days, windows=windows, regular=True)
    assert host.without == []
    assert 365 // days <= len(ca.issued) <= 365 * 3 // days + 2
    assert len(ca.refused) <= 40


@pytest.mark.parametrize("days", [90, 45, 6])
@given(seed=SEEDS, windows=WINDOWS, off=st.sampled_from((0, 24, 72)))
@settings(max_examples=40, deadline=None)
def test_a_certificate_ends_only_where_there_was_no_chance(
    days: int, seed: int, windows: tuple[float, ...], off: int
) -> None:
    host, ca = year(seed, days, windows=windows, off=off)
    for leaf, renewed in host.without:
        latest = renew_after(leaf) + leaf.lifetime / 30
        assert chances(host, ca, latest, leaf.not_after) <= CHANCE
        assert chances(host, ca, leaf.not_after - min(DAY, leaf.lifetime / 6), renewed) <= LAST_CHANCE
    assert len(ca.refused) <= 365


@pytest.mark.parametrize("days", [90, 45, 6])
@given(seed=SEEDS, part=st.floats(0.0, 1.0))
@settings(max_examples=60, deadline=None)
def test_a_ca_that_is_back_is_asked_within_a_day_and_in_time_if_only_half_a_day_is_left(
    days: int, seed: int, part: float
) -> None:
    chance = random.Random(seed)
    host = Host(certificate(BEGIN, timedelta(days=days)))
    due, end = renew_after(host.leaf), host.leaf.not_after
    back = due + (end - LAST_CHANCE - due) * part
    ca = Authority(chance, set(), host.leaf.lifetime, waits=(0.0,), silent=(due, back))
    for now in runs(host, chance, 0):
        host.run(now, ca)
    assert host.without == []
    assert ca.issued[0] - back <= CHANCE


@given(seed=SEEDS, day=st.integers(1, 350), spell=st.integers(1, 72), ahead=st.integers(-24 * 400, 24 * 400))
@settings(max_examples=80, deadline=None)
def test_a_clock_that_was_wrong_for_days_ends_no_certificate(seed: int, day: int, spell: int, ahead: int) -> None:
    chance = random.Random(seed)
    ca = Authority(chance, outages(chance, regular=True), 90 * DAY, (0.4, 0.66, 0.95), strict=False)
    host = Host(certificate(BEGIN, ca.life))
    for now in runs(host, chance, 0):
        wrong = BEGIN + day * DAY <= now < BEGIN + day * DAY + spell * HOUR
        host.ahead = HOUR * ahead if wrong else timedelta()
        host.run(now, ca)
    assert host.without == []
    assert host.leaf.not_after > BEGIN + YEAR
    assert len(ca.issued) + len(ca.refused) <= 60


@pytest.mark.parametrize(("limited", "most"), [(True, 4 * 53), (False, 366)])
def test_a_ca_whose_windows_are_always_past_is_not_asked_at_each_run(limited: bool, most: int) -> None:
    ca = Authority(random.Random(1), set(), 90 * DAY, (0.0,), width=0.0001, a_week=5 if limited else 1000)
    host = Host(certificate(BEGIN, ca.life), limited=limited)
    for now in runs(host, ca.chance, 0):
        host.run(now, ca)
    assert 52 <= len(ca.issued) <= most


ASKED = st.tuples(st.integers(1, 3000), st.sampled_from(("issued", "unauthorized", "rateLimited")), st.booleans())


@given(asked=st.lists(ASKED, min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_whoever_asks_however_often_no_limit_is_broken_and_every_wait_ends_when_it_says(
    asked: list[tuple[int, str, bool]],
) -> None:
    ca, record, now = Authority(random.Random(1), set(), 90 * DAY), EMPTY, BEGIN
    for seconds, outcome, patient in asked:
        now += timedelta(seconds=seconds)
        wait = wait_before_order(record, now, patient=patient, limited=True)
        if wait:
            assert wait_before_order(record, wait.until, patient=patient, limited=True) is None
            assert wait.until - now <= 7 * DAY
            continue
        assert ca.broken(now) == ""
        if outcome == "issued":
            record = record.with_attempt(Attempt(at=now))
            ca.issued.append(now)
            continue
        pause = 1800.0 if outcome == "rateLimited" else 0.0
        record = record.with_attempt(Attempt(at=now, problem=outcome, words="no", retry_after=pause))
        ca.asked_to_wait.append((now, now + timedelta(seconds=pause)))
        ca.refused.extend([now] if outcome == "unauthorized" else [])


def test_a_year_of_which_every_run_begins_with_what_is_on_disk_is_the_same_and_the_file_stays_small(
    tmp_path: Path,
) -> None:
    path, chance = tmp_path / "attempts.json", random.Random(7)
    ca = Authority(chance, outages(chance, regular=False), 6 * DAY, (0.4, 0.66, 0.95))
    host = Host(certificate(BEGIN, ca.life))
    for now in runs(host, chance, 0):
        host.record = read_attempts(path, EMPTY.names, EMPTY.directory)
        host.run(now, ca)
        write_attempts(path, host.record)
    assert len(host.record.attempts) <= 60
    assert path.stat().st_size < 20_000
    kept, others = year(7, 6, windows=(0.4, 0.66, 0.95))
    assert (host.record, ca.issued) == (kept.record, others.issued)
