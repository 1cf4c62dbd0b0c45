"""When something is told, over a certificate's whole life, and in which words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from regdeploy import __version__
from regdeploy.deployment.notify import Event, Kind, Notification, attempts, notification, notify, should_tell
from regdeploy.errors import AcmeError
from regdeploy.tls.certificate import Certificate
from tests.builders import DOMAIN, NOW, certificate

LEAF = certificate(begin=NOW, days=90)
TWICE = timedelta(hours=12)
DAY = timedelta(days=1)


def lived(runs: Iterable[tuple[datetime, bool]], leaf: Certificate | None) -> list[tuple[float, Kind]]:
    """What is told in a life of these runs (time, failed), each with the days since NOW."""
    history: list[Event] = []
    told = []
    for at, failed in runs:
        event = Event(at=at, failed=failed)
        kind = should_tell([*history, event], at, leaf)
        history.append(replace(event, told=kind))
        if kind:
            told.append(((at - NOW) / DAY, kind))
    return told


def runs(begin: float, end: float, *, failed: bool) -> list[tuple[datetime, bool]]:
    """A run each half day, from ``begin`` to ``end`` in days since NOW."""
    count = int((end - begin) * 2)
    return [(NOW + timedelta(days=begin) + TWICE * number, failed) for number in range(count)]


def test_nothing_is_told_while_all_is_well() -> None:
    assert lived(runs(0, 60, failed=False), LEAF) == []
    assert lived(runs(0, 5, failed=False), None) == []
    assert should_tell([], NOW, LEAF) is None


def test_a_failure_is_told_at_once_and_then_daily() -> None:
    assert lived(runs(10, 13, failed=True), LEAF) == [(10, Kind.FAILED), (11, Kind.FAILED), (12, Kind.FAILED)]
    assert lived(runs(10, 11, failed=True), None) == [(10, Kind.FAILED)]


def test_a_timer_that_is_late_by_chance_is_told_daily_all_the_same() -> None:
    late = [(NOW + timedelta(hours=hours), True) for hours in (0.9, 12.5, 24.1, 36.2, 48.0)]
    assert [round(day * 24, 1) for day, _ in lived(late, LEAF)] == [0.9, 24.1, 48.0]


def test_it_is_told_once_that_it_works_again() -> None:
    life = [*runs(10, 11, failed=True), *runs(11, 14, failed=False), *runs(14, 14.5, failed=True)]
    assert lived(life, LEAF) == [(10, Kind.FAILED), (11, Kind.RECOVERED), (14, Kind.FAILED)]


def test_what_is_left_is_told_at_a_third_a_tenth_and_a_twentieth() -> None:
    assert lived(runs(50, 90, failed=False), LEAF) == [(60, Kind.EXPIRING), (81, Kind.EXPIRING), (85.5, Kind.EXPIRING)]


def test_a_moment_that_has_passed_is_told_though_a_failure_was_just_told() -> None:
    often = [(NOW + timedelta(days=80.9, hours=hours), True) for hours in range(5)]
    assert [round((day - 80.9) * 24) for day, _ in lived(often, LEAF)] == [0, 3]


def test_of_moments_that_passed_unseen_one_is_told() -> None:
    assert lived([(NOW + 88 * DAY, False), (NOW + 88 * DAY + TWICE, False)], LEAF) == [(88, Kind.EXPIRING)]


def test_a_run_that_has_nothing_to_do_is_no_recovery_of_a_certificate_that_ends() -> None:
    assert lived([*runs(70, 70.5, failed=True), *runs(70.5, 72, failed=False)], LEAF) == [(70, Kind.FAILED)]


def test_another_certificate_is_a_recovery_and_begins_anew() -> None:
    told = Event(at=NOW + 86 * DAY, failed=False, told=Kind.EXPIRING)
    renewed = certificate(2, begin=NOW + 87 * DAY, days=45)
    now = NOW + 87 * DAY
    history = [told, Event(at=now, failed=False)]
    assert should_tell(history, now, renewed) is Kind.RECOVERED
    history[-1] = replace(history[-1], told=Kind.RECOVERED)
    later = NOW + 87 * DAY + 31 * DAY
    assert should_tell([*history, Event(at=later, failed=False)], later, renewed) is Kind.EXPIRING


def test_what_a_wrong_clock_wrote_keeps_nobody_uninformed() -> None:
    ahead = Event(at=NOW + 1000 * DAY, failed=True, told=Kind.FAILED)
    assert should_tell([ahead, Event(at=NOW, failed=True)], NOW, LEAF) is Kind.FAILED
    assert should_tell([ahead], NOW, LEAF) is None


def test_attempts_are_the_failures_in_a_row() -> None:
    history = [Event(at=NOW, failed=failed) for failed in (True, False, True, True)]
    assert (attempts(history), attempts(history[:2]), attempts([])) == (2, 0, 0)


def test_a_failure_is_told_with_the_words_of_the_ca() -> None:
    error = AcmeError("order", "429: too many", "wait until tomorrow", problem="rateLimited")
    made = notification(
        Kind.FAILED,
        name="registry",
        domain=DOMAIN,
        host="box",
        now=NOW + timedelta(days=77, hours=12),
        leaf=LEAF,
        error=error,
        attempt=3,
    )
    assert made.subject == f"{DOMAIN}: renewal failed, the certificate ends on 2027-02-22 12:00 UTC, in 12 days"
    assert made.text == (
        "order: 429: too many\n"
        "hint: wait until tomorrow\n"
        "\n"
        "The certificate in use ends on 2027-02-22 12:00 UTC, in 12 days.\n"
        "Runs that have failed in a row: 3.\n"
        "\n"
        "On box, `regdeploy status --name registry` shows more.\n"
        f"-- regdeploy {__version__}\n"
    )
    assert made.facts == {
        "name": "registry",
        "domain": DOMAIN,
        "event": "renewal-failed",
        "message": "order: 429: too many",
        "hint": "wait until tomorrow",
        "not_after": "2027-02-22T12:00:00Z",
        "error_code": "acme.rateLimited",
        "attempt": 3,
        "host": "box",
        "version": __version__,
    }


def test_the_end_is_told_in_days_hours_and_as_past() -> None:
    def subject(left: timedelta) -> str:
        now = LEAF.not_after - left
        return notification(Kind.EXPIRING, name="r", domain=DOMAIN, host="box", now=now, leaf=LEAF).subject

    assert subject(timedelta(days=1, hours=5)) == f"{DOMAIN}: the certificate ends on 2027-02-22 12:00 UTC, in 1 day"
    assert subject(timedelta(hours=5)) == f"{DOMAIN}: the certificate ends on 2027-02-22 12:00 UTC, in 5 hours"
    assert subject(-DAY) == f"{DOMAIN}: the certificate ended on 2027-02-22 12:00 UTC"


def test_a_recovery_and_a_first_certificate_have_words_of_their_own() -> None:
    again = notification(Kind.RECOVERED, name="r", domain=DOMAIN, host="box", now=NOW, leaf=LEAF)
    assert again.subject == f"{DOMAIN}: the certificate is renewed again"
    assert again.text.startswith(
        f"The certificate of {DOMAIN} is renewed again\n\n"
        "The certificate in use ends on 2027-02-22 12:00 UTC, in 90 days.\n"
    )
    none = notification(Kind.FAILED, name="r", domain=DOMAIN, host="box", now=NOW, leaf=None)
    assert none.subject == f"{DOMAIN}: renewal failed, there is no certificate yet"
    assert (none.facts["not_after"], none.facts["error_code"]) == (None, "")


@dataclass
class Fake:
    """A channel that says ``problem``, or breaks."""

    problem: str = ""
    broken: bool = False
    sent: list[Notification] = field(default_factory=list)

    def send(self, notification: Notification) -> str:
        self.sent.append(notification)
        if self.broken:
            raise LookupError("with a password in it")
        return self.problem


def test_every_channel_is_used_whatever_the_others_do() -> None:
    message = Notification(subject="s", text="t", facts={})
    channels = [Fake(broken=True), Fake(problem="no way"), Fake()]
    assert notify(channels, message) == ("Fake failed: LookupError", "no way")
    assert [channel.sent for channel in channels] == [[message]] * 3
