"""``renew`` when nobody watches: what ran is noted, and people are told of failures and of an end that nears."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from regdeploy.deployment.calling import current_version
from regdeploy.deployment.certificates import waiting
from regdeploy.deployment.channels import channel
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.notify import Channel, Kind, attempts, notification, notify, should_tell
from regdeploy.deployment.observe import attempts_of
from regdeploy.deployment.renewing import Renewed, renew
from regdeploy.deployment.reporting import Reporter
from regdeploy.deployment.request import Request, resolve_request
from regdeploy.deployment.runs import Run, events, read_runs, tried, write_runs
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.undeployed import next_try
from regdeploy.deployment.world import World
from regdeploy.errors import Busy, CheckFailed, NotDeployed, RegdeployError, UsageError

LOOK_EVERY = timedelta(hours=12)
_SHORTEST = timedelta(minutes=1)


def run(
    request: Request,
    world: World,
    reporter: Reporter,
    *,
    by: str,
    forced: bool = False,
    ignore: Collection[str] = (),
    tell: Callable[[str], None],
) -> Renewed:
    """:func:`regdeploy.deployment.renewing.renew`, noted as a run of ``by``; raises what that raises.

    ``tell`` gets a sentence about each message that could not be sent.
    """
    spec = resolve_request(request).spec
    try:
        done = renew(request, world, reporter, forced=forced, ignore=ignore)
    except (NotDeployed, Busy):
        raise  # nothing of this deployment's was tried
    except RegdeployError as error:
        _note(spec, Run(at=world.now(), by=by, failed=True, words=str(error)), error, tell)
        raise
    waits = RegdeployError("", done.words) if done.waits else None  # where a failure is told, that is its words by now
    _note(spec, Run(at=world.now(), by=by, failed=False, words=done.words, waited=done.waits), waits, tell)
    return done


def serve(
    request: Request, world: World, reporter: Reporter, tell: Callable[[str], None], sleep: Callable[[float], None]
) -> None:
    """Run it again and again, as a timer would, until KeyboardInterrupt; soon after a failure, when the CA allows.

    Raises NotDeployed and UsageError: those no waiting mends.
    """
    while True:
        try:
            tell(run(request, world, reporter, by="agent", tell=tell).words)
        except RegdeployError as error:
            if isinstance(error, NotDeployed | UsageError) and not isinstance(error, CheckFailed):
                raise
            tell(f"{error}" + (f" ({error.hint})" if error.hint else ""))
        moment = next_look(resolve_request(request).spec, world)
        tell(f"next look {moment:%Y-%m-%d %H:%M} UTC")
        sleep((moment - world.now()).total_seconds())


def next_look(spec: Spec, world: World) -> datetime:
    """When it is to be looked at next: in half a day, or when an attempt that failed may be made again."""
    now = world.now()
    moments = [now + LOOK_EVERY, next_try(spec, now)]
    if spec.tls is Tls.ACME:
        record = attempts_of(spec)
        pause = waiting(spec, record, now, patient=True) if record.failures() else None
        moments.append(pause.until if pause is not None else None)
    return max(min(moment for moment in moments if moment is not None), now + _SHORTEST)


def _note(spec: Spec, run: Run, error: RegdeployError | None, tell: Callable[[str], None]) -> None:
    """Keep the run and tell who is to be told. Not to be able to is said, and is no failure."""
    path, current = Layout(spec.root).runs, current_version(spec)
    runs = (*read_runs(path), run)
    leaf = current.leaf if current else None
    ways = channels(spec)
    kind = should_tell(events(runs), run.at, leaf) if ways else None
    if kind is not None:
        message = notification(
            kind,
            name=spec.name,
            domain=spec.domain,
            host=socket.gethostname(),
            now=run.at,
            leaf=leaf,
            error=error if kind is Kind.FAILED else None,
            attempt=attempts(events(tried(runs))),
        )
        problems = notify(ways, message)
        for problem in problems:
            tell(f"not told: {problem}")
        if len(problems) < len(ways):
            runs = (*runs[:-1], replace(run, told=kind))
    with suppress(RegdeployError):
        write_runs(path, runs)


def channels(spec: Spec) -> tuple[Channel, ...]:
    """The ways to people that ``spec`` names. Raises UsageError."""
    named = (
        (spec.notify_webhook, spec.notify_webhook_secret_file, "--notify-webhook"),
        (spec.notify_mail, spec.notify_mail_password_file, "--notify-mail"),
    )
    return tuple(channel(url, secret, where) for url, secret, where in named if url)


def sleep_until_told(seconds: float) -> None:
    """Sleep; a signal ends it by KeyboardInterrupt. In steps, so that a clock that is set does not delay it."""
    until = time.monotonic() + max(0.0, seconds)
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 60.0))
