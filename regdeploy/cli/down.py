"""``down``: stop and remove the containers; with --purge the data too."""

from __future__ import annotations

from typing import Annotated

import typer

from regdeploy.cli.command import Context, command
from regdeploy.cli.up import Yes


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app)(down)


def down(
    context: Context,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also delete images, certificates and users, for good")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be taken away and do nothing")] = False,
    yes: Yes = False,
) -> int | None:
    """Stop and remove the containers; data and certificates stay, and `up` brings all back."""
    from regdeploy.cli.screen import Screen, document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment import teardown  # noqa: PLC0415 - as above

    request, world = context.request(), context.world()
    found = teardown.plan_down(request, world, purge=purge)
    names = [container.name for container in found.containers]
    paths = [str(path) for path in found.paths]
    with Screen(
        found.spec.domain or found.spec.url,
        as_json=context.as_json,
        verbose=context.verbose,
        no_color=context.no_color,
        yes=yes,
    ) as screen:
        for name in names:
            screen.labelled("remove", f"container {name}")
        for path in paths:
            screen.labelled("delete", f"{path} for good")
        if not dry_run and not found.empty:
            if not yes:
                if purge:
                    screen.ask(f"Type {found.spec.name} to delete all this for good:", wanted=found.spec.name)
                else:
                    screen.ask("Clients are refused from then on. Go on?", wanted="y")
            teardown.down(request, world, found)
        screen.line(_closing(found, dry_run=dry_run))
    if context.as_json:
        document(
            {"name": found.spec.name, "changed": not dry_run and not found.empty, "containers": names, "deleted": paths}
        )
    return None


def _closing(found: object, *, dry_run: bool) -> str:
    from regdeploy.deployment.teardown import Teardown  # noqa: PLC0415 - as above

    assert isinstance(found, Teardown)
    if found.empty:
        return "It is down already: nothing to do."
    if dry_run:
        return "Nothing was touched."
    if found.purge:
        return f"{found.spec.name} is gone."
    return f"{found.spec.name} is down. Everything stays in {found.spec.root}; `regdeploy up` brings it back."
