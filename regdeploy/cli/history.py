"""``history``: what was done, when, by whom, with what outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from regdeploy.cli.command import Context, command

if TYPE_CHECKING:
    from regdeploy.deployment.history import Entry

_WIDEST = 100  # signs of what was done, unless all of it is asked for


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app)(history)


def history(
    context: Context,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1_000_000, help="How many, from the newest")] = 20,
) -> None:
    """List what was done, the newest last: number, time (UTC), who, what, outcome, how long. See `rollback`."""
    from regdeploy.cli.screen import document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment.history import recorded, shown  # noqa: PLC0415 - as above

    spec, found = recorded(context.request())
    entries = found[-count:]
    if context.as_json:
        document({"name": spec.name, "url": spec.url, "entries": [shown(entry) for entry in entries]})
        return
    for entry in entries:
        print(_line(entry, whole=context.verbose))
    if not entries:
        print("Nothing was done yet.")


def _line(entry: Entry, *, whole: bool) -> str:
    outcome = "failed" if entry.error else "done"
    what = " ".join((entry.error or entry.words).split())
    if not whole and len(what) > _WIDEST:
        what = f"{what[: _WIDEST - 1]}…"
    head = f"{entry.number:4}  {entry.at:%Y-%m-%d %H:%M}  {entry.by:<10}  {entry.operation:<16}  {outcome:<6}"
    line = f"{head} {entry.seconds:7.1f} s  {what}".rstrip()
    return "".join(sign if sign.isprintable() else "?" for sign in line)  # never what a terminal would obey
