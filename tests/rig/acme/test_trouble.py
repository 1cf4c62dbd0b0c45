"""Busy CAs, lost connections, somebody who cancels: what is safe is done again, the rest ends at once."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from regdeploy.errors import AcmeError
from tests.rig.acme.conftest import Client
from tests.rig.acme.test_issue import is_free
from tests.rig.parts.flaky import Answer, Flaky, problem

_EVERY = ["GET /dir", "HEAD /nonce", "POST /sign-me-up", "POST /order-plz", "POST /authZ", "POST /chalZ"]
_EVERY += ["POST /finalize-order", "POST /my-order", "POST /certZ"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_short_retry_after_is_waited_for(client: Client, flaky: Flaky, status: int) -> None:
    flaky.on("POST /order-plz", problem(status, "rateLimited", "in a moment", Retry_After="1"))
    begin = time.monotonic()
    assert client.issue().bundle
    assert 1 <= time.monotonic() - begin < 9


def test_a_short_retry_after_is_waited_for_at_the_nonce_too(client: Client, flaky: Flaky) -> None:
    flaky.on("HEAD /nonce", Answer(503, {"Retry-After": "0"}))
    assert client.issue().bundle
    assert flaky.count("HEAD /nonce") == 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_long_retry_after_is_an_error_at_once_that_says_until_when(client: Client, flaky: Flaky, status: int) -> None:
    flaky.on("POST /order-plz", problem(status, "rateLimited", "too many already", Retry_After="3600"), last=99)
    begin = time.monotonic()
    with pytest.raises(AcmeError) as caught:
        client.issue()
    assert time.monotonic() - begin < 5
    assert caught.value.code == "acme.rateLimited"
    assert caught.value.what == "too many already"
    assert caught.value.retry_after == 3600
    until = datetime.now(UTC) + timedelta(hours=1)
    assert f"{until:%Y-%m-%d %H}:" in caught.value.hint
    assert "--staging" in caught.value.hint
    assert flaky.count("POST /order-plz") == 1


def test_more_than_ten_seconds_are_not_waited_for_however_much_time_there_is(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", problem(429, "rateLimited", "in a while", Retry_After="11"))
    begin = time.monotonic()
    with pytest.raises(AcmeError, match="in a while") as caught:
        client.issue(timeout=180)
    assert caught.value.retry_after == 11
    assert time.monotonic() - begin < 5


def test_a_retry_after_may_be_a_date(client: Client, flaky: Flaky) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(days=2), usegmt=True)
    flaky.on("POST /order-plz", Answer(429, {"Retry-After": when}))
    with pytest.raises(AcmeError, match="answered HTTP 429") as caught:
        client.issue()
    assert caught.value.retry_after == pytest.approx(2 * 24 * 3600, abs=5)
    assert caught.value.problem == "rateLimited"


def test_a_limit_without_a_time_is_an_error_at_once(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", problem(429, "rateLimited", "too many already"), last=99)
    with pytest.raises(AcmeError, match="too many already") as caught:
        client.issue()
    assert caught.value.retry_after is None
    assert caught.value.hint.startswith("wait before the next attempt")
    assert flaky.count("POST /order-plz") == 1


def test_a_short_wait_that_is_longer_than_the_deadline_is_not_begun(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", problem(429, "rateLimited", "in a moment", Retry_After="9"))
    begin = time.monotonic()
    with pytest.raises(AcmeError, match="in a moment"):
        client.issue(timeout=3)
    assert time.monotonic() - begin < 3


def test_a_short_wait_that_never_ends_is_an_error(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", problem(503, "rateLimited", "in a moment", Retry_After="0"), last=99)
    with pytest.raises(AcmeError, match="in a moment"):
        client.issue()
    assert flaky.count("POST /order-plz") == 3


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_fault_of_the_server_is_passed_over_once_or_twice(client: Client, flaky: Flaky, status: int) -> None:
    flaky.on("POST /order-plz", Answer(status, {}, b"<html>oops</html>"))
    assert client.issue().bundle


def test_a_fault_of_the_server_that_stays_is_an_error(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /finalize-order", problem(500, "serverInternal", "the database is gone"), last=99)
    with pytest.raises(AcmeError, match="the database is gone") as caught:
        client.issue()
    assert caught.value.hint == "the CA has a fault of its own: run the same command again later"
    assert flaky.count("POST /finalize-order") == 3


@pytest.mark.parametrize("request_", _EVERY[1:])
def test_an_answer_that_is_lost_on_the_way_costs_a_second_attempt(client: Client, flaky: Flaky, request_: str) -> None:
    flaky.on(request_, lose=True)
    assert client.issue().bundle
    assert flaky.count(request_) >= 2


@pytest.mark.parametrize("request_", ["POST /order-plz", "POST /chalZ", "POST /finalize-order"])
def test_a_gateways_error_after_the_work_was_done_costs_a_second_attempt(
    client: Client, flaky: Flaky, request_: str
) -> None:
    flaky.on(request_, rewrite=lambda _: Answer(504, {}, b"gateway timeout"))
    assert client.issue().bundle


def test_a_request_that_is_lost_before_it_is_carried_out_is_sent_again(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /finalize-order", Answer(200), lose=True)
    assert client.issue().bundle
    assert flaky.count("POST /finalize-order") == 2


def test_connections_that_are_always_lost_are_an_error_after_three_attempts(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", Answer(200), lose=True, last=99)
    with pytest.raises(AcmeError) as caught:
        client.issue()
    assert caught.value.where == client.authority.directory.split("/")[2]
    assert caught.value.what.startswith("the connection failed: ")
    assert flaky.count("POST /order-plz") == 3


def test_a_ca_that_hangs_is_an_error_at_the_deadline(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", Answer(200), delay=3, last=99)
    begin = time.monotonic()
    with pytest.raises(AcmeError) as caught:
        client.issue(timeout=1.0)
    assert caught.value.what == "no answer within 1 s"
    assert time.monotonic() - begin < 9


def test_a_ca_without_nonces_is_an_error(client: Client, flaky: Flaky) -> None:
    flaky.on("HEAD /nonce", rewrite=lambda answer: answer.without("Replay-Nonce"), last=99)
    with pytest.raises(AcmeError, match="gave no nonce that can be read"):
        client.issue()


def test_a_nonce_that_cannot_be_read_is_none(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /sign-me-up", rewrite=lambda answer: answer.with_header("Replay-Nonce", "a"))
    assert client.issue().bundle
    assert flaky.count("HEAD /nonce") == 2


def test_a_nonce_that_cannot_be_had_is_the_cas_no(client: Client, flaky: Flaky) -> None:
    flaky.on("HEAD /nonce", Answer(404), last=99)
    with pytest.raises(AcmeError, match="answered HTTP 404"):
        client.issue()


def test_a_redirection_is_not_followed_by_what_is_signed(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", Answer(307, {"Location": "/elsewhere"}), last=99)
    with pytest.raises(AcmeError, match="answered HTTP 307"):
        client.issue()
    assert flaky.count("elsewhere") == 0


def test_cancelled_while_the_ca_does_not_answer_it_ends_at_once(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /chalZ", delay=1.0)
    ended = _cancel_after("answering", client, 0.1)
    assert ended < 5
    assert is_free(80)


def test_cancelled_between_two_looks_it_ends_at_once(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /my-order", last=99, rewrite=lambda answer: answer.with_json(status="pending"))
    ended = _cancel_after("answering", client, 0.3)
    assert ended < 5
    assert is_free(80)


def test_cancelled_before_it_began_nothing_is_ordered(client: Client, flaky: Flaky) -> None:
    client.cancel.set()
    with pytest.raises(AcmeError) as caught:
        client.issue()
    assert caught.value.code == "acme.cancelled"
    time.sleep(0.05)
    assert flaky.count("POST") == 0


def _cancel_after(words: str, client: Client, seconds: float) -> float:
    """Cancel that long after the report; the seconds from then until the end, which must be by that."""
    moment: list[float] = []

    def cancel() -> None:
        moment.append(time.monotonic())
        client.cancel.set()

    class Reports(list[str]):
        def append(self, what: str) -> None:
            super().append(what)
            if what.startswith(words):
                threading.Timer(seconds, cancel).start()

    client.reports = Reports()
    with pytest.raises(AcmeError) as caught:
        client.issue()
    assert caught.value.code == "acme.cancelled"
    return time.monotonic() - moment[0]
