"""``upgrade``: another image."""

from __future__ import annotations

from typing import Annotated

import typer

from regdeploy.cli.command import Context, command
from regdeploy.cli.rollback import screen_of, tell
from regdeploy.cli.up import Ignore, Yes


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app, also=("image",))(upgrade)


def upgrade(
    context: Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, pull nothing and do nothing")] = False,
    ignore: Ignore = None,
    yes: Yes = False,
) -> None:
    """Run what there is under the image's name by now, or another one with --image; put all back where that fails."""
    from regdeploy.deployment import upgrade as work  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment.request import deployed_spec  # noqa: PLC0415 - as above

    request, world = context.request(), context.world()
    with screen_of(context, deployed_spec(request), yes=yes) as screen:
        if dry_run:
            found = work.plan_upgrade(request, world)
        else:
            found = work.upgrade(request, world, screen, ignore=ignore or ())
        for note in found.notes:
            screen.labelled("note", note)
        tell(context, screen, found.planned, found.words, found.notes, done=not dry_run)
