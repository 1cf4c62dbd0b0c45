"""``logs``: what the registry says."""

from __future__ import annotations

from typing import Annotated

import typer

from regdeploy.cli.command import Context, command
from regdeploy.cli.streams import unread
from regdeploy.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app)(logs)


def logs(
    context: Context,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, max=1_000_000, help="How many lines from the end")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C")] = False,
) -> None:
    """Print the registry's log."""
    from regdeploy.cli.screen import document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment.operations import log_lines  # noqa: PLC0415 - as above

    if follow and context.as_json:
        raise UsageError("--follow", "and --json contradict each other: --json is one document", "leave one out")
    lines = log_lines(context.request(), context.world(), tail, follow=follow)
    if context.as_json:
        document({"lines": list(lines)})
        return
    for line in lines:
        print(line, flush=follow)
        if follow and unread():
            return
