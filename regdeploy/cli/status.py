"""``status``: the truth about the deployment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from regdeploy.cli.command import Context, command
from regdeploy.cli.streams import unread
from regdeploy.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from regdeploy.deployment.standing import Status

_UNHEALTHY = 4
_WATCH_SECONDS = 2.0


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app)(status)


def status(
    context: Context,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds until Ctrl-C")] = False,
) -> int:
    """Show what is really there and served. Exit 0: all is well; 3: nothing is deployed; 4: something is wrong."""
    from regdeploy.cli.screen import columns, document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment.standing import State  # noqa: PLC0415 - as above
    from regdeploy.deployment.status import status as look  # noqa: PLC0415 - as above

    if watch and context.as_json:
        raise UsageError("--watch", "and --json contradict each other: --json is one document", "leave one out")
    world = context.world()
    while True:
        found = look(context.request(), world)
        if context.as_json:
            document(found.as_json())
        else:
            if watch:
                print("\033[2J\033[H", end="")
            print(_headline(found))
            columns(list(_rows(found, world.now())))
        if not watch or unread():
            return 0 if found.state is State.SERVING else _UNHEALTHY
        print(end="", flush=True)  # a pipe would get it only when much has come together
        time.sleep(_WATCH_SECONDS)


def _headline(found: Status) -> str:
    from regdeploy.deployment.domains import shown  # noqa: PLC0415 - as above

    return f"{shown(found.spec.domain) if found.spec.domain else found.url} is {found.state}"


def _rows(found: Status, now: datetime) -> Iterator[tuple[str, str]]:
    yield from _what_runs(found, now)
    yield from _what_is_served(found, now)
    yield "storage", _storage(found)
    if found.spec.auth:
        yield "access", f"login: {', '.join(found.observed.users) or 'nobody'}"
    else:
        yield "access", "no login: whoever reaches it can read and write"
    for item in found.drift:
        yield "drift", str(item) if item.wanted else f"{item.item}: {item.found}"
    for problem in found.problems:
        yield "problem", problem
    if found.drift:
        yield "", "`regdeploy plan` shows what `regdeploy up` would do about the drift"


def _what_runs(found: Status, now: datetime) -> Iterator[tuple[str, str]]:
    from regdeploy.deployment.apply import describe_image  # noqa: PLC0415 - as above
    from regdeploy.deployment.standing import uptime  # noqa: PLC0415 - as above

    container = found.container
    if container is None:
        yield "container", "none"
        return
    since = uptime(found, now)
    health = f", {container.health}" if container.health != "none" else ""
    yield (
        "container",
        f"{container.name} {container.state}{f' for {since}' if since else ''}{health} ({container.id[:12]})",
    )
    if found.image is not None:
        yield "image", describe_image(container.image, found.image, found.version)


def _what_is_served(found: Status, now: datetime) -> Iterator[tuple[str, str]]:
    facts = found.observed.served
    if facts is None or not facts.reachable:
        yield "endpoint", f"{found.url} does not answer" + (f": {facts.error}" if facts else "")
    else:
        login = {True: "asks for a login", False: "asks for no login", None: f"answers {facts.http_status}"}
        over = f" over {facts.tls_version}" if facts.tls_version else ""
        yield "endpoint", f"{found.url} {login[facts.auth_required]}{over}"
    served = found.served
    if served is None:
        return
    trusted = {"": "not trusted by this host", "system": "trusted by this host"}
    by = facts.trusted_by if facts else ""
    days = (served.not_after - now).days
    yield "certificate", f"{served.issuer_name}, {trusted.get(by, f'proved by {by}')}, for {', '.join(served.names)}"
    due = f", renewed from {found.due:%Y-%m-%d} on" if found.due else ""
    yield "", f"until {served.not_after:%Y-%m-%d} ({days} days){due}"
    if found.due:
        yield "renewal", _renewal(found)


def _renewal(found: Status) -> str:
    """What will run it, and how it went the last time."""
    timer, last = found.observed.timer, found.runs[-1] if found.runs else None
    following = f", next {timer.next_run:%Y-%m-%d %H:%M} UTC" if timer and timer.next_run else ""
    words = {
        "systemd": f"the timer of systemd{following}",
        "agent": "`regdeploy agent`",
        "cron": "a script or cron",
        "": "nothing runs it: start `regdeploy agent`, or let cron run `regdeploy renew` twice a day",
    }[found.renewed_by]
    went = ("failed" if last.failed else "waited" if last.waited else "done") if last else ""
    return words + (f"; last {last.at:%Y-%m-%d %H:%M} UTC, {went}" if last else "")


def _storage(found: Status) -> str:
    from regdeploy.deployment.checks import human_bytes  # noqa: PLC0415 - as above
    from regdeploy.deployment.layout import Layout  # noqa: PLC0415 - as above

    if found.driver != "filesystem":
        return f"the images lie in {found.driver}, which is not looked into"
    least = "at least " if found.used_is_minimum else ""
    count = f"{found.repositories} {'repository' if found.repositories == 1 else 'repositories'}"
    used, free = human_bytes(found.used_bytes), human_bytes(found.disk.free_bytes)
    return f"{least}{used} used, {free} free, {count} in {Layout(found.spec.root).data}"
