"""What is told to people about renewals that nobody watches, and when. Pure but for :func:`notify`, which sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from regdeploy import __version__
from regdeploy.errors import RegdeployError
from regdeploy.frozen import frozen
from regdeploy.tls.certificate import Certificate

#: "Daily" for a timer that comes twice a day with an hour of chance: 24 h would often be a day and a half.
_DAILY = timedelta(hours=22)
#: Of the certificate's life: what is left when something is said, whatever was said before.
_THRESHOLDS = (1 / 3, 1 / 10, 1 / 20)


class Kind(StrEnum):
    """What is told; the value is the ``event`` of the facts."""

    FAILED = "renewal-failed"
    EXPIRING = "certificate-expiring"
    RECOVERED = "renewal-recovered"


@frozen
class Event:
    """One run: ``failed`` or not, at an aware time, and what was ``told`` then, None for nothing."""

    at: datetime
    failed: bool
    told: Kind | None = None


@frozen
class Notification:
    """A message: one line, a text, and the same as facts that JSON can hold.

    The keys of ``facts`` are stable: ``name`` and ``domain`` of the deployment, ``event`` (a value of :class:`Kind`),
    ``message``, ``hint`` and ``error_code`` (those of the error, or empty), ``not_after`` (RFC 3339 in UTC, or null),
    ``attempt`` (how many runs in a row have failed), ``host`` and ``version`` (of regdeploy).
    """

    subject: str
    text: str
    facts: Mapping[str, str | int | None]


class Channel(Protocol):
    """A way to people."""

    def send(self, notification: Notification) -> str:
        """Send it within bounded time. Returns why it could not be, as a sentence without secrets; empty when sent."""
        ...


def notify(channels: Sequence[Channel], notification: Notification) -> tuple[str, ...]:
    """Send by every channel; return what went wrong, in sentences. Never raises: no renewal fails for a message."""
    problems = []
    for channel in channels:
        try:
            problems.append(channel.send(notification))
        except Exception as error:  # noqa: BLE001 - a defect of a channel must not cost the certificate either
            problems.append(f"{type(channel).__name__} failed: {type(error).__name__}")
    return tuple(problem for problem in problems if problem)


def should_tell(history: Sequence[Event], now: datetime, leaf: Certificate | None) -> Kind | None:
    """What to tell after the last event of ``history`` (oldest first), None for nothing.

    A failure is told when it is the first since a success, then once a day. Apart from that something is told when a
    third, a tenth and a twentieth of the life of ``leaf``, the certificate in use, is left; once, where several of
    these moments have passed. That it works again is told once, where anything else was told before, and not while the
    certificate is still about to end. Events later than ``now`` are those of a clock that was wrong.
    """
    past = [event for event in history if event.at <= now]
    if not past:
        return None
    told = next((event for event in reversed(past) if event.told is not None), None)
    passed = _passed(leaf, now)
    crossed = passed > (_passed(leaf, told.at) if told else 0)
    if past[-1].failed:
        streak = _streak(past)
        first = not any(event.told is Kind.FAILED for event in streak)
        daily = told is not None and now - told.at >= _DAILY
        return Kind.FAILED if first or daily or crossed else None
    if crossed:
        return Kind.EXPIRING
    return Kind.RECOVERED if told and told.told is not Kind.RECOVERED and not passed else None


def attempts(history: Sequence[Event]) -> int:
    """How many runs in a row have failed, up to the last one of ``history``."""
    return len(_streak(history))


def notification(
    kind: Kind,
    *,
    name: str,
    domain: str,
    host: str,
    now: datetime,
    leaf: Certificate | None,
    error: RegdeployError | None = None,
    attempt: int = 0,
) -> Notification:
    """The message for ``kind``; ``error`` is what a failed run ended with, ``leaf`` the certificate in use."""
    message = {
        Kind.FAILED: str(error) if error else "the renewal failed",
        Kind.EXPIRING: f"the certificate of {domain} {_ends(leaf, now)}",
        Kind.RECOVERED: f"the certificate of {domain} is renewed again",
    }[kind]
    hint = error.hint if error else ""
    end = f"The certificate in use {_ends(leaf, now)}." if leaf else "There is no certificate yet."
    lines = [f"{message[:1].upper()}{message[1:]}" if kind is not Kind.FAILED else message]
    lines += [f"hint: {hint}"] if hint else []
    lines += ["", end] if kind is not Kind.EXPIRING else []
    lines += [f"Runs that have failed in a row: {attempt}."] if attempt else []
    lines += ["", f"On {host}, `regdeploy status --name {name}` shows more.", f"-- regdeploy {__version__}"]
    return Notification(
        subject=_subject(kind, domain or name, leaf, now),
        text="\n".join(lines) + "\n",
        facts={
            "name": name,
            "domain": domain,
            "event": str(kind),
            "message": message,
            "hint": hint,
            "not_after": leaf.not_after.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if leaf else None,
            "error_code": error.code if error else "",
            "attempt": attempt,
            "host": host,
            "version": __version__,
        },
    )


def _subject(kind: Kind, what: str, leaf: Certificate | None, now: datetime) -> str:
    if kind is Kind.RECOVERED:
        return f"{what}: the certificate is renewed again"
    end = f"the certificate {_ends(leaf, now)}" if leaf else "there is no certificate yet"
    return f"{what}: renewal failed, {end}" if kind is Kind.FAILED else f"{what}: {end}"


def _ends(leaf: Certificate | None, now: datetime) -> str:
    if leaf is None:
        return "is not there yet"
    date = leaf.not_after.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    left = leaf.not_after - now
    if left <= timedelta():
        return f"ended on {date}"
    count, unit = (left.days, "day") if left.days else (left.seconds // 3600, "hour")
    return f"ends on {date}, in {count} {unit}{'s' * (count != 1)}"


def _streak(history: Sequence[Event]) -> list[Event]:
    """The failures at the end of ``history``, newest first."""
    found = []
    for event in reversed(history):
        if not event.failed:
            break
        found.append(event)
    return found


def _passed(leaf: Certificate | None, at: datetime) -> int:
    """How many thresholds lie behind ``at``; none before the certificate was, so another one begins anew."""
    if leaf is None:
        return 0
    left = (leaf.not_after - at) / leaf.lifetime
    return sum(left <= threshold for threshold in _THRESHOLDS)
