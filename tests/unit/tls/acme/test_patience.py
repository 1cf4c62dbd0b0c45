"""How long is waited, when it is looked again, and what a CA's Retry-After means."""

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

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
YEAR = 366 * 24 * 3600.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("9" * 400, YEAR),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", YEAR),
        ("Tue, 24 Nov 99999999999999999999 12:00:00 GMT", None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": text}, NOW) == seconds


def test_no_retry_after_is_none() -> None:
    assert retry_after({}, NOW) is None


def test_a_date_is_read_by_the_cas_own_clock() -> None:
    headers = {"Retry-After": "Tue, 24 Nov 2026 15:00:30 GMT", "Date": "Tue, 24 Nov 2026 15:00:00 GMT"}
    assert retry_after(headers, NOW) == 30.0


@given(st.text())
def test_no_header_whatever_breaks_it(text: str) -> None:
    found = retry_after({"Retry-After": text, "Date": text}, NOW)
    assert found is None or 0 <= found <= YEAR


def test_a_date_without_a_zone_is_utc() -> None:
    assert http_date("Tue, 24 Nov 2026 12:00:00 -0000") == NOW
    assert http_date("Tue, 24 Nov 2026 13:00:00 +0100") == NOW


def test_each_pause_is_longer_than_the_last_and_the_cas_wish_is_the_least() -> None:
    pace = Pace(Patience(5, threading.Event()))
    took = []
    for asked in (None, None, None, None, 0.1):
        begin = time.monotonic()
        pace.wait(asked, "ca", "does nothing")
        took.append(time.monotonic() - begin)
    assert 0.005 <= took[0] < took[3]
    assert took[4] >= 0.1


def test_one_look_is_made_at_the_deadline_and_none_after_it() -> None:
    pace = Pace(Patience(0.1, threading.Event()))
    begin = time.monotonic()
    pace.wait(60, "ca", "does nothing")
    assert 0.1 <= time.monotonic() - begin < 30
    with pytest.raises(AcmeError, match="ca: does nothing within 0 s"):
        pace.wait(None, "ca", "does nothing")


def test_a_cancelled_sleep_ends_at_once() -> None:
    cancel = threading.Event()
    patience = Patience(60, cancel)
    threading.Timer(0.05, cancel.set).start()
    begin = time.monotonic()
    with pytest.raises(AcmeError) as caught:
        patience.sleep(30)
    assert caught.value.code == "acme.cancelled"
    assert time.monotonic() - begin < 20


def test_what_is_supervised_returns_and_raises_as_if_it_were_not() -> None:
    patience = Patience(5, threading.Event())
    assert supervised(lambda: 17, patience, "ca") == 17
    with pytest.raises(ZeroDivisionError):
        supervised(lambda: 1 // 0, patience, "ca")


def test_what_hangs_is_given_up_when_cancelled_and_long_after_the_deadline() -> None:
    hanging, cancel = threading.Event(), threading.Event()
    try:
        with pytest.raises(AcmeError, match="ca: no answer within -6 s"):
            supervised(hanging.wait, Patience(-6, cancel), "ca")
        cancel.set()
        with pytest.raises(AcmeError) as caught:
            supervised(hanging.wait, Patience(60, cancel), "ca")
    finally:
        hanging.set()
    assert caught.value.problem == "cancelled"
