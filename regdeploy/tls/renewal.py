"""When a certificate is to be renewed: policy only. Pure: ``now`` is an argument, and so is chance.

Two questions, answered apart: when the certificate is due, from its life and the CA's own window; and whether the CA
may be asked now, from what was tried before. A certificate that is due and may not be asked for waits; one at the end
of its life waits for nobody but the CA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from regdeploy.frozen import frozen
from regdeploy.tls.attempts import LOST, Attempt, Attempts, Window
from regdeploy.tls.certificate import Certificate

_SHORT_LIVED = timedelta(days=10)
_LATER = 30  # a thirtieth of life is what the CA's window can put renewal off by: its servers need spreading, no more
_EMERGENCY = 20  # a twentieth of life is left: our own patience ends
_DAY = timedelta(days=1)
#: The last is "daily" for a timer with a random delay of an hour: after 24 h every other run would come too early.
_BACK_OFF = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100), timedelta(hours=22))
_LONGEST_WAIT = timedelta(days=7)  # that a CA can ask for: one that says "in a year" must not end the registry
_CLOCK_ERROR = timedelta(days=1)  # what was noted further ahead than this was noted with a wrong clock
_ASK_AGAIN = (timedelta(hours=1), timedelta(days=1))  # of the CA's own wish; RFC 9773 section 4.3 leaves both to us
_ASK_AGAIN_DEFAULT = timedelta(hours=12)
_WEEK, _HOUR = timedelta(days=7), timedelta(hours=1)
_DUPLICATES = 5  # certificates for one set of names, a week (https://letsencrypt.org/docs/rate-limits/)
_FAILED_VALIDATIONS = 5  # a name, an hour (the same page)
#: What a CA says where it looked for the proof and did not find it.
VALIDATION_PROBLEMS = frozenset({"connection", "dns", "incorrectResponse", "tls", "unauthorized", "caa"})


def renew_after(leaf: Certificate) -> datetime:
    """The moment from which ``leaf`` is due: a third of its life is left, or half of one shorter than ten days.

    The CA's own advice where it gives none of its own (https://letsencrypt.org/docs/integration-guide/). Never a fixed
    number of days: lifetimes shrink.
    """
    left = leaf.lifetime / (2 if leaf.lifetime < _SHORT_LIVED else 3)
    return leaf.not_after - left


def due_at(leaf: Certificate, record: Attempts | None) -> datetime:
    """The moment from which ``leaf`` is due: the one chosen in the CA's window where there is one, else by its life.

    Where two were had within two days, not in the first day (or tenth) of life: a CA whose windows are always in the
    past would be asked for another certificate, and the registry restarted, at each run.
    """
    window = record.window if record else None
    if record is None or window is None or window.fingerprint != leaf.fingerprint_sha256:
        return renew_after(leaf)
    due = min(window.moment, renew_after(leaf) + leaf.lifetime / _LATER)
    recent = [one for one in record.attempts if not one.problem and abs(one.at - leaf.not_before) < 2 * _DAY]
    return max(due, leaf.not_before + min(_DAY, leaf.lifetime / 10)) if len(recent) > 1 else due


def is_emergency(leaf: Certificate, now: datetime) -> bool:
    """Whether so little of its life is left that our own patience with failures ends.

    A twentieth, or the last day where that is more: what a timer that comes twice a day is sure to find. A sixth at
    most of a life of days.
    """
    return now >= leaf.not_after - max(leaf.lifetime / _EMERGENCY, min(_DAY, leaf.lifetime / 6))


@frozen
class Wait:
    """Why the CA is not to be asked before ``until``. ``limit`` is the name by which a user can override it."""

    until: datetime
    why: str
    limit: str


def wait_before_order(
    record: Attempts,
    now: datetime,
    *,
    patient: bool,
    limited: bool,
) -> Wait | None:
    """Whether the CA may be asked for ``record``'s names at ``now``; None where it may.

    ``patient`` keeps our own back-off (1, 10, 100 minutes, then daily) and a certificate in reserve under the CA's
    weekly limit; without it only the CA's own word counts. ``limited`` says that the CA is one with those limits.
    """
    noted = record.until(now)
    failed = noted.failures()
    waits = list(_asked_to_wait(failed, ""))
    if limited:
        waits += _limits([one for one in noted.attempts if not one.directory], now, patient=patient)
    if patient and failed:
        waits.append(back_off(failed))
    return _longest(waits, now)


def wait_for_fallback(record: Attempts, directory: str, now: datetime) -> Wait | None:
    """Whether the CA at ``directory``, one to fall back on, asked not to be asked before another time."""
    return _longest(_asked_to_wait(record.until(now).failures(), directory), now)


def back_off(failed: Sequence[Attempt]) -> Wait:
    """Our own wait after ``failed``, at least one: 1, 10, 100 minutes, then daily, by how many runs have failed."""
    count, last = max(1, sum(not one.again for one in failed)), failed[-1]
    by = f", by {last.challenge}" if last.challenge else ""
    words = f"{count} attempt{'s'[: count > 1]} failed, the last{by}: {last.words}"
    return Wait(until=last.at + _BACK_OFF[min(count, len(_BACK_OFF)) - 1], why=words, limit="back-off")


def _longest(waits: Iterable[Wait], now: datetime) -> Wait | None:
    return max((wait for wait in waits if wait.until > now), key=lambda wait: wait.until, default=None)


def _asked_to_wait(failed: Iterable[Attempt], directory: str) -> Iterator[Wait]:
    """The CA's own Retry-After, of each failure that had one. A file can hold numbers of which no time can be made."""
    for one in failed:
        if one.retry_after > 0 and one.directory == directory:
            until = one.at + timedelta(seconds=min(one.retry_after, _LONGEST_WAIT.total_seconds()))
            yield Wait(until=until, why=f"the CA asked to wait: {one.words}", limit="retry-after")


def _limits(noted: Sequence[Attempt], now: datetime, *, patient: bool) -> list[Wait]:
    """The CA's limits, reckoned from what was asked from here: it is not asked what it would refuse."""
    waits = []
    issued = sorted(one.at for one in noted if one.problem in ("", LOST) and now - one.at < _WEEK)
    most = _DUPLICATES - 1 if patient else _DUPLICATES
    if len(issued) >= most:
        words = f"{len(issued)} certificates for these names in a week, and the limit is {_DUPLICATES}"
        waits.append(Wait(until=issued[-most] + _WEEK, why=words, limit="duplicate-certificates"))
    refused = sorted(one.at for one in noted if one.problem in VALIDATION_PROBLEMS and now - one.at < _HOUR)
    if len(refused) >= _FAILED_VALIDATIONS:
        words = f"{len(refused)} validations failed in an hour, and the limit is {_FAILED_VALIDATIONS}"
        waits.append(Wait(until=refused[-_FAILED_VALIDATIONS] + _HOUR, why=words, limit="failed-validations"))
    return waits


def choose_window(
    leaf: Certificate,
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    before: Window | None,
    ask_again: float | None,
    reason: str,
    chance: Callable[[], float],
) -> Window | None:
    """The CA's window for ``leaf`` with a moment of it; None for one that makes no sense, and then life alone counts.

    The moment is chosen once, evenly, and kept until the window changes. ``ask_again`` is the CA's Retry-After in
    seconds; ``chance`` gives a number from 0 to 1. A window in the past is the CA's word that it is to be now
    (RFC 9773 section 4.2).
    """
    if start >= end or end < leaf.not_before:
        return None
    wish = timedelta(seconds=min(ask_again, _ASK_AGAIN[1].total_seconds())) if ask_again else _ASK_AGAIN_DEFAULT
    again = now + max(wish, _ASK_AGAIN[0])
    same = before is not None and (before.fingerprint, before.start, before.end) == (
        leaf.fingerprint_sha256,
        start,
        end,
    )
    moment = before.moment if same and before is not None else start + (end - start) * chance()
    return Window(
        fingerprint=leaf.fingerprint_sha256,
        start=start,
        end=end,
        moment=moment.replace(microsecond=0),
        ask_again=again,
        reason=reason,
    )


def may_ask_window(record: Attempts, leaf: Certificate, now: datetime) -> bool:
    """Whether it is time to ask the CA for its window again."""
    window = record.window
    if window is None or window.fingerprint != leaf.fingerprint_sha256:
        return True
    return now >= window.ask_again or window.ask_again - now > _ASK_AGAIN[1] + _CLOCK_ERROR
