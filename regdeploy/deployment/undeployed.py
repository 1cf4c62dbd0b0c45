"""A certificate that was put in place and was not served, so that the one before is back: when it is tried again.

Each try stops the registry for a moment. So it is left alone for 1, 10 and 100 minutes, then tried daily, as an order
is. Another certificate, or another container, is another matter: the row begins anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from regdeploy.deployment.certificates import newest_fitting
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.spec import Spec
from regdeploy.files import refusal, sync_folder, write_whole
from regdeploy.frozen import frozen
from regdeploy.tls.attempts import Attempt
from regdeploy.tls.renewal import Wait, back_off, is_emergency

#: The name of this wait, beside those of the CA's.
DEPLOYMENT = "deployment"
_MOST = 50
_WORDS = 1000
_AHEAD = timedelta(days=1)  # what was noted further ahead than this was noted with a wrong clock


@frozen
class Undeployed:
    """What was tried to have the leaf ``fingerprint`` (SHA-256, lower hex) served by the container with that id."""

    fingerprint: str
    container: str
    failures: tuple[Attempt, ...] = ()


def waiting_to_deploy(spec: Spec, observed: Observed, now: datetime) -> Wait | None:
    """Why the newest certificate is not to be deployed now; None where it may be, or is served.

    Near the end of the one in use nothing waits: what that one serves soon ends by itself.
    """
    record = _record(spec, observed, now)
    failures = tuple(one for one in record.failures if one.at - now <= _AHEAD) if record is not None else ()
    if not failures or _ends_soon(observed, now):
        return None
    wait = _wait(failures)
    return wait if wait.until > now else None


def next_try(spec: Spec, now: datetime) -> datetime | None:
    """When what was noted may be tried again, whether it still is to be; None where it may be now. Reads one file."""
    found = _read(spec)
    until = _wait(found.failures).until if found is not None and found.failures else now
    return until if now < until <= now + _AHEAD else None


def undeployed_words(spec: Spec, observed: Observed, now: datetime) -> str:
    """That the newest certificate was tried and is not served, and when it is tried again; empty where it is not so."""
    record = _record(spec, observed, now)
    if record is None or not record.failures:
        return ""
    wait = waiting_to_deploy(spec, observed, now)
    again = f"from {wait.until:%Y-%m-%d %H:%M} UTC on" if wait is not None else "at the next run"
    return f"{_wait(record.failures).why}: it is tried again {again}"


def note_undeployed(spec: Spec, observed: Observed, now: datetime, words: str, *, anew: bool) -> Undeployed | None:
    """Write down that deploying the newest certificate failed with ``words``; ``anew`` forgets what was before.

    Returns the record, None where the newest is served after all. Raises HostError.
    """
    record = _record(spec, observed, now)
    if record is None:
        return None
    before = () if anew else record.failures
    record = replace(record, failures=(*before[-_MOST + 1 :], Attempt(at=now, words=words[:_WORDS])))
    values = {
        "fingerprint": record.fingerprint,
        "container": record.container,
        "failures": [{"at": one.at.isoformat(), "words": one.words} for one in record.failures],
    }
    write_whole(Layout(spec.root).undeployed, json.dumps(values, indent=1).encode() + b"\n", 0o600)
    return record


def forget_undeployed(spec: Spec) -> None:
    """It is served. Raises HostError."""
    path = Layout(spec.root).undeployed
    try:
        path.unlink()
        sync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise refusal(path, error) from error


def _record(spec: Spec, observed: Observed, now: datetime) -> Undeployed | None:
    """The row for the newest certificate and the container that is there; None where it is served, or there is none."""
    newest, current = newest_fitting(spec, observed, now), observed.workload.current
    if newest is None or current is None or observed.served_fingerprint == newest.leaf.fingerprint_sha256:
        return None
    fresh = Undeployed(fingerprint=newest.leaf.fingerprint_sha256, container=current.id)
    found = _read(spec)
    if found is None or (found.fingerprint, found.container) != (fresh.fingerprint, fresh.container):
        return fresh
    return found


def _read(spec: Spec) -> Undeployed | None:
    """What is noted; None where nothing is. What cannot be read keeps no certificate from being deployed."""
    try:
        values = json.loads(Layout(spec.root).undeployed.read_bytes())
        failures = tuple(
            Attempt(at=datetime.fromisoformat(one["at"]).astimezone(UTC), problem="failed", words=str(one["words"]))
            for one in values["failures"]
        )
        return Undeployed(fingerprint=values["fingerprint"], container=values["container"], failures=failures)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _wait(failures: Sequence[Attempt]) -> Wait:
    wait = back_off(failures)
    return replace(wait, why=f"the new certificate was not served: {wait.why}", limit=DEPLOYMENT)


def _ends_soon(observed: Observed, now: datetime) -> bool:
    facts = observed.certificates
    current = [one.leaf for one in facts.versions if one.number == facts.current and not one.problem]
    return not current or is_emergency(current[0], now)
