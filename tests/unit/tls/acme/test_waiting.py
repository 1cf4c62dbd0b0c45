"""When a CA is asked again: Retry-After, the pace of looking, the deadline, and somebody who cancels."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.directory import http_date, retry_after
from regdeploy.tls.acme.patience import Pace, Patience, supervised

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
YEAR = 366 * 24 * 3600.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": " 120 "}, 120),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "²"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 400}, YEAR),
        ({"Retry-After": "Tue, 24 Nov 2026 12:01:00 GMT"}, 60),
        ({"Retry-After": "Tuesday, 24-Nov-26 12:01:00 GMT"}, 60),
        ({"Retry-After": "Tue, 24 Nov 2026 12:01:00 -0000"}, 60),
        ({"Retry-After": "Tue, 24 Nov 2026 14:01:00 +0200"}, 60),
        ({"Retry-After": "Tue, 24 Nov 2026 11:00:00 GMT"}, 0),
        ({"Retry-After": "Fri, 24 Nov 2056 12:00:00 GMT"}, YEAR),
        ({"Retry-After": "Tue, 24 Nov 2026 12:01:00 GMT", "Date": "Tue, 24 Nov 2026 12:00:50 GMT"}, 10),
        ({"Retry-After": "Tue, 24 Nov 2026 12:01:00 GMT", "Date": "whenever"}, 60),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_cas_own_clock(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@given(text=st.text(max_size=40), date=st.text(max_size=40))
def test_retry_after_is_within_a_year_or_nothing_whatever_a_ca_sends(text: str, date: str) -> None:
    seconds = retry_after({"Retry-After": text, "Date": date}, NOW)
    assert seconds is None or 0 <= seconds <= YEAR


@given(st.text(max_size=40))
def test_a_date_is_aware_or_none(text: str) -> None:
    when = http_date(text)
    assert when is None or when.tzinfo is not None


def test_looks_come_soon_at_first_and_ever_later() -> None:
    pace = Pace(Patience(60, threading.Event()))
    moments = [time.monotonic()]
    for _ in range(6):
        pace.wait(None, "ca", "has not done it")
        moments.append(time.monotonic())
    pauses = [later - earlier for earlier, later in zip(moments, moments[1:], strict=False)]
    assert pauses[0] < 0.03
    assert sum(pauses) == pytest.approx(0.005 * (1.6**6 - 1) / 0.6, abs=0.05)
    assert pauses[-1] > pauses[0]


def test_a_moment_that_the_ca_named_is_not_anticipated() -> None:
    begin = time.monotonic()
    Pace(Patience(60, threading.Event())).wait(0.15, "ca", "has not done it")
    assert 0.15 <= time.monotonic() - begin < 0.25


def test_the_deadline_bounds_what_the_ca_asks_for_and_one_look_is_made_there() -> None:
    patience = Patience(0.1, threading.Event())
    pace = Pace(patience)
    begin = time.monotonic()
    pace.wait(3600, "ca.example", "has not done it")
    assert 0.1 <= time.monotonic() - begin < 0.2
    with pytest.raises(AcmeError) as caught:
        pace.wait(3600, "ca.example", "has not done it")
    assert str(caught.value) == "ca.example: has not done it within 0 s"
    assert caught.value.hint == "run the same command again later; the CA's status page may say what is wrong"
    assert caught.value.code == "acme"


def test_whoever_sleeps_is_woken_by_a_cancel() -> None:
    cancel = threading.Event()
    threading.Timer(0.05, cancel.set).start()
    begin = time.monotonic()
    with pytest.raises(AcmeError) as caught:
        Patience(60, cancel).sleep(30)
    assert time.monotonic() - begin < 0.15
    assert caught.value.code == "acme.cancelled"
    assert caught.value.problem == "cancelled"


def test_supervised_work_returns_its_result_in_its_own_time() -> None:
    begin = time.monotonic()
    assert supervised(lambda: 42, Patience(60, threading.Event()), "ca") == 42
    assert time.monotonic() - begin < 0.04  # not a turn of looking at the cancel


@pytest.mark.parametrize("error", [AcmeError("ca", "no"), ValueError("odd"), SystemExit(3), TimeoutError("mine")])
def test_supervised_work_raises_what_it_raises(error: BaseException) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        supervised(work, Patience(60, threading.Event()), "ca")
    assert caught.value is error


def test_supervised_work_that_hangs_is_left_when_cancelled() -> None:
    cancel, hang = threading.Event(), threading.Event()
    threading.Timer(0.05, cancel.set).start()
    begin = time.monotonic()
    with pytest.raises(AcmeError) as caught:
        supervised(hang.wait, Patience(60, cancel), "ca")
    assert caught.value.code == "acme.cancelled"
    assert time.monotonic() - begin < 0.2
    hang.set()


def test_supervised_work_that_hangs_long_after_the_deadline_is_left() -> None:
    hang = threading.Event()
    with pytest.raises(AcmeError, match="ca.example: no answer within") as caught:
        supervised(hang.wait, Patience(-6, threading.Event()), "ca.example")  # the deadline was six seconds ago
    assert caught.value.code == "acme"
    hang.set()
