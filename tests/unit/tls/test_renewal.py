"""When a certificate is due, and whether the CA may be asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from regdeploy.tls.attempts import LOST, Attempt, Attempts, Window
from regdeploy.tls.certificate import Certificate
from regdeploy.tls.renewal import (
    Wait,
    choose_window,
    due_at,
    is_emergency,
    may_ask_window,
    renew_after,
    wait_before_order,
    wait_for_fallback,
)

_BEGIN = datetime(2026, 11, 24, tzinfo=UTC)
NOW = _BEGIN + timedelta(days=30)


def _lasting(lifetime: timedelta) -> Certificate:
    return Certificate(
        names=("registry.example.com",),
        subject="",
        issuer="",
        serial=1,
        not_before=_BEGIN,
        not_after=_BEGIN + lifetime,
        fingerprint_sha256="",
        key_type="ECDSA P-256",
    )


@pytest.mark.parametrize(
    ("lifetime", "after"),
    [
        (timedelta(days=90), timedelta(days=60)),
        (timedelta(days=45), timedelta(days=30)),
        (timedelta(days=10), timedelta(days=10) * 2 / 3),
        (timedelta(hours=160), timedelta(hours=80)),
        (timedelta(days=9), timedelta(days=4.5)),
    ],
)
def test_renewal_is_due_with_a_third_left_or_half_of_a_short_life(lifetime: timedelta, after: timedelta) -> None:
    leaf = _lasting(lifetime)
    assert renew_after(leaf) == _BEGIN + after
    assert due_at(leaf, None) == _BEGIN + after


def test_the_moment_in_the_cas_window_counts_and_puts_renewal_off_by_a_thirtieth_of_life_at_most() -> None:
    leaf = _lasting(timedelta(days=90))
    assert due_at(leaf, record(window=window(start=20, moment=25))) == _BEGIN + timedelta(days=25)
    assert due_at(leaf, record(window=window(start=80, moment=85))) == _BEGIN + timedelta(days=63)
    other = window(start=20, moment=25, fingerprint="of another certificate")
    assert due_at(leaf, record(window=other)) == renew_after(leaf)


@pytest.mark.parametrize(("left", "emergency"), [(5.0, False), (4.5, True), (-1.0, True)])
def test_the_last_twentieth_of_life_is_an_emergency(left: float, emergency: bool) -> None:
    assert is_emergency(_lasting(timedelta(days=90)), _BEGIN + timedelta(days=90 - left)) is emergency


@pytest.mark.parametrize(("failures", "minutes"), [(1, 1), (2, 10), (3, 100), (4, 1320), (9, 1320)])
def test_after_failures_it_waits_longer_and_longer(failures: int, minutes: int) -> None:
    found = wait(record(*[failed(0)] * failures), 0)
    assert found is not None
    assert (found.until, found.limit) == (NOW + timedelta(minutes=minutes), "back-off")
    assert found.why.startswith(f"{failures} attempt")
    assert found.why.endswith("the last: no")
    assert wait(record(*[failed(0)] * failures), minutes) is None


def test_a_certificate_ends_the_row_of_failures() -> None:
    assert wait(record(failed(-3), failed(-2), issued(-1)), 0) is None


def test_in_a_hurry_only_the_cas_own_word_counts() -> None:
    hours34 = 34 * 3600.0
    assert wait(record(failed(0)), 0, patient=False) is None
    found = wait(record(failed(0, retry_after=hours34), failed(5)), 10, patient=False)
    assert found is not None
    assert (found.until, found.limit) == (NOW + timedelta(hours=34), "retry-after")
    assert wait(record(failed(0, retry_after=hours34)), 34 * 60, patient=False) is None


def test_a_ca_that_says_in_a_year_is_asked_again_in_a_week() -> None:
    found = wait(record(failed(0, retry_after=366 * 86400.0)), 0)
    assert found is not None
    assert found.until == NOW + timedelta(days=7)


def test_what_was_noted_by_a_clock_that_was_far_ahead_keeps_nobody_waiting() -> None:
    assert wait(record(failed(3 * 1440, retry_after=86400.0)), 0) is None
    found = wait(record(failed(600)), 0)  # ten hours ahead: may be true, so it counts
    assert found is not None
    assert found.until == NOW + timedelta(minutes=601)


def test_five_certificates_a_week_are_the_limit_and_one_is_kept_in_reserve() -> None:
    four = record(*(issued(-1440 * day) for day in (6, 5, 4, 3)))
    found = wait(four, 0)
    assert found is not None
    assert (found.limit, found.until) == ("duplicate-certificates", NOW + timedelta(days=1))
    assert wait(four, 0, patient=False) is None
    assert wait(four, 0, limited=False) is None
    five = record(*(issued(-1440 * day) for day in (6, 5, 4, 3, 2)))
    assert wait(five, 0, patient=False) is not None
    assert wait(five, 1440, patient=False) is None


def test_a_past_window_is_obeyed_at_once_but_not_in_a_row() -> None:
    leaf, past = _lasting(timedelta(days=90)), window(start=0, moment=0)
    first, second = (Attempt(at=_BEGIN + timedelta(hours=hour)) for hour in (-11, 1))
    assert due_at(leaf, record(second, window=past)) == _BEGIN
    assert due_at(leaf, record(first, second, window=past)) == _BEGIN + timedelta(days=1)


def test_the_last_day_is_an_emergency_too_and_a_sixth_of_a_life_of_days() -> None:
    assert not is_emergency(_lasting(timedelta(days=7)), _BEGIN + timedelta(days=5.9))
    assert is_emergency(_lasting(timedelta(days=7)), _BEGIN + timedelta(days=6))
    assert not is_emergency(_lasting(timedelta(hours=24)), _BEGIN + timedelta(hours=19))
    assert is_emergency(_lasting(timedelta(hours=24)), _BEGIN + timedelta(hours=20))


def test_a_certificate_that_was_lost_is_a_failure_here_and_one_of_five_at_the_ca() -> None:
    lost = record(*(issued(-1440 * day) for day in (6, 5, 4, 3)), failed(-1, problem=LOST))
    found = wait(lost, 0, patient=False)
    assert found is not None
    assert (found.limit, found.until) == ("duplicate-certificates", NOW + timedelta(days=1))
    assert wait(record(failed(0, problem=LOST)), 0.5) is not None


def test_the_kinds_that_one_run_tried_are_one_failure_here_and_each_a_validation_at_the_ca() -> None:
    http, alpn = failed(-10, problem="connection"), failed(-9, problem="connection")
    run = (replace(http, challenge="http-01"), replace(alpn, challenge="tls-alpn-01", again=True))
    found = wait(record(*run), -9)
    assert found is not None
    assert (found.until, found.why) == (
        NOW - timedelta(minutes=8),
        "1 attempt failed, the last, by tls-alpn-01: no",
    )
    found = wait(record(*run, *run, run[0]), 0, patient=False)
    assert found is not None
    assert found.limit == "failed-validations"
    assert wait(record(run[1]), -9) is not None  # the one before it is too old to be kept


def test_what_another_ca_said_or_gave_is_not_the_first_ones() -> None:
    other = "https://other.example/dir"
    asked = record(replace(failed(0, retry_after=7200.0), directory=other))
    assert wait(asked, 60, patient=False) is None
    found = wait_for_fallback(asked, other, NOW)
    assert found is not None
    assert found.until == NOW + timedelta(hours=2)
    assert wait_for_fallback(asked, other, NOW + timedelta(hours=2)) is None
    assert wait_for_fallback(record(failed(0, retry_after=7200.0)), other, NOW) is None
    assert wait(record(*(replace(issued(-day), directory=other) for day in range(9))), 0) is None


@pytest.mark.parametrize("seconds", [1e15, float("inf")])
def test_a_wait_of_which_no_time_can_be_made_is_a_week(seconds: float) -> None:
    found = wait(record(failed(0, retry_after=seconds)), 0)
    assert found is not None
    assert found.until == NOW + timedelta(days=7)
    assert wait(record(failed(0, retry_after=float("nan"))), 0, patient=False) is None


def test_what_failed_after_a_certificate_that_a_clock_ahead_noted_still_counts() -> None:
    found = wait(record(issued(600), failed(0, retry_after=7200.0)), 1)
    assert found is not None
    assert found.limit == "retry-after"


def test_the_weekly_limit_is_reckoned_by_times_whatever_the_order_of_the_notes() -> None:
    found = wait(record(*(issued(-1440 * day) for day in (3, 4, 5, 6))), 0)
    assert found is not None
    assert found.until == NOW + timedelta(days=1)


def test_five_failed_validations_an_hour_are_the_limit() -> None:
    refused = record(*(failed(minute, problem="unauthorized") for minute in (-50, -40, -30, -20, -10)))
    found = wait(refused, 0, patient=False)
    assert found is not None
    assert (found.limit, found.until) == ("failed-validations", NOW + timedelta(minutes=10))
    others = record(*(failed(minute, problem="serverInternal") for minute in (-50, -40, -30, -20, -10)))
    assert wait(others, 0, patient=False) is None


def chosen(start: float, end: float, *, before: Window | None = None, ask_again: float | None = None) -> Window | None:
    """The window from these days of life, looked at on day 30, by a chance of a half."""
    return choose_window(
        _lasting(timedelta(days=90)),
        _BEGIN + timedelta(days=start),
        _BEGIN + timedelta(days=end),
        NOW,
        before=before,
        ask_again=ask_again,
        reason="",
        chance=lambda: 0.5,
    )


def test_the_moment_is_chosen_once_and_anew_where_the_window_moves() -> None:
    first = chosen(60, 62)
    assert first is not None
    assert first.moment == _BEGIN + timedelta(days=61)
    kept = replace(first, moment=_BEGIN + timedelta(days=60, hours=1))
    again, moved = chosen(60, 62, before=kept), chosen(60, 63, before=kept)
    assert again is not None
    assert moved is not None
    assert again.moment == kept.moment
    assert moved.moment == _BEGIN + timedelta(days=61.5)


@pytest.mark.parametrize(("start", "end"), [(62, 60), (60, 60), (-9, -8)])
def test_a_window_without_sense_is_none(start: float, end: float) -> None:
    assert chosen(start, end) is None


def test_a_window_in_the_past_means_now() -> None:
    found = chosen(1, 2)
    assert found is not None
    assert due_at(_lasting(timedelta(days=90)), record(window=found)) < NOW


@pytest.mark.parametrize(
    ("asked", "hours"), [(None, 12), (6 * 3600.0, 6), (1.0, 1), (10 * 86400.0, 24), (366 * 86400.0, 24)]
)
def test_the_ca_is_asked_again_when_it_wants_within_reason(asked: float | None, hours: int) -> None:
    found = chosen(60, 62, ask_again=asked)
    assert found is not None
    assert found.ask_again == NOW + timedelta(hours=hours)
    leaf = _lasting(timedelta(days=90))
    assert not may_ask_window(record(window=found), leaf, NOW + timedelta(hours=hours, seconds=-1))
    assert may_ask_window(record(window=found), leaf, NOW + timedelta(hours=hours))
    assert may_ask_window(record(), leaf, NOW)
    assert may_ask_window(record(window=found), leaf, NOW - timedelta(days=9))  # the clock was wrong when it was chosen


def record(*attempts: Attempt, window: Window | None = None) -> Attempts:
    return Attempts(
        names=("registry.example.com",), directory="https://ca.example/dir", attempts=attempts, window=window
    )


def failed(minutes: float, *, problem: str = "failed", retry_after: float = 0.0) -> Attempt:
    return Attempt(at=NOW + timedelta(minutes=minutes), problem=problem, words="no", retry_after=retry_after)


def issued(minutes: float) -> Attempt:
    return Attempt(at=NOW + timedelta(minutes=minutes))


def window(*, start: float, moment: float, fingerprint: str = "") -> Window:
    day = _BEGIN + timedelta(days=start)
    return Window(
        fingerprint=fingerprint,
        start=day,
        end=day + timedelta(days=9),
        moment=_BEGIN + timedelta(days=moment),
        ask_again=NOW,
    )


def wait(found: Attempts, minutes: float, *, patient: bool = True, limited: bool = True) -> Wait | None:
    """Whether it waits that many minutes from now."""
    return wait_before_order(found, NOW + timedelta(minutes=minutes), patient=patient, limited=limited)
