"""``rollback``: back to the state after an earlier operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from regdeploy.cli.command import Context, command
from regdeploy.cli.up import Ignore, Yes, title

if TYPE_CHECKING:
    from regdeploy.cli.screen import Screen
    from regdeploy.deployment.giving_back import GivingBack
    from regdeploy.deployment.operations import Planned
    from regdeploy.deployment.request import Request
    from regdeploy.deployment.rollback import Rollback
    from regdeploy.deployment.spec import Spec
    from regdeploy.deployment.world import World


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app)(rollback)


def rollback(
    context: Context,
    to: Annotated[
        int | None,
        typer.Option(
            "--to", metavar="N", min=0, help="The entry of `history` whose state it is; 0 is what was before regdeploy"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and do nothing")] = False,
    ignore: Ignore = None,
    yes: Yes = False,
) -> None:
    """Go back to an earlier state: settings, image and certificate, the last that differs from now. Images stay."""
    from regdeploy.deployment import rollback as work  # noqa: PLC0415 - help needs nothing of this

    request, world = context.request(), context.world()
    found = work.plan_rollback(request, world, to)
    if not isinstance(found, work.Rollback):
        _give_back(context, request, world, found, to, dry_run=dry_run, yes=yes)
        return
    with screen_of(context, found.planned.spec, yes=yes) as screen:
        entry = found.entry
        screen.labelled(
            "back to", f"entry {entry.number}: {entry.operation} by {entry.by}, {entry.at:%Y-%m-%d %H:%M} UTC"
        )
        for note in found.notes:
            screen.labelled("note", note)
        if dry_run:
            tell(context, screen, found.planned, "", found.notes, done=False, entry=entry.number)
            return
        done = work.rollback(request, world, screen, entry.number, ignore=ignore or ())
        tell(context, screen, done.planned, _words(done), done.notes, done=True, entry=entry.number)


def _words(done: Rollback) -> str:
    if not done.planned.plan.steps:
        return f"{done.planned.spec.url} is in that state: nothing to do."
    return f"{done.planned.spec.url} is in the state after entry {done.entry.number} again."


def screen_of(context: Context, spec: Spec, *, yes: bool) -> Screen:
    """What a person sees while a deployment is changed."""
    from regdeploy.cli.screen import Screen  # noqa: PLC0415 - help needs nothing of this

    return Screen(
        title(spec.domain or spec.url),
        as_json=context.as_json,
        verbose=context.verbose,
        no_color=context.no_color,
        yes=yes,
    )


def tell(
    context: Context,
    screen: Screen,
    planned: Planned,
    words: str,
    notes: tuple[str, ...],
    *,
    done: bool,
    **more: object,
) -> None:
    """The end: the plan where it was only asked for, what came of it, a first password, or the one document."""
    from regdeploy.cli.screen import document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment import operations  # noqa: PLC0415 - as above

    plan, spec = planned.plan, planned.spec
    if not done:
        screen.line(plan.text() or "Nothing would be done.")
    if words:
        screen.line(words)
    login = operations.first_login(spec) if done else None
    if login is not None:
        screen.line(f"  user {login[0]}, password (shown once): {login[1].reveal()}")
        operations.first_login_shown(spec)
    if context.as_json:
        facts = {"name": spec.name, "url": spec.url, "changed": done and bool(plan.steps), **more}
        document({**facts, "message": words or None, "notes": list(notes), "steps": plan.as_json()})


def _give_back(
    context: Context, request: Request, world: World, found: GivingBack, to: int | None, *, dry_run: bool, yes: bool
) -> None:
    """The registry from before regdeploy: shown, asked about, and given back."""
    from regdeploy.cli.screen import document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment import rollback as work  # noqa: PLC0415 - as above

    name = found.kept.name_before
    with screen_of(context, found.spec, yes=yes) as screen:
        screen.labelled("back to", f"{name}, the registry from before regdeploy, kept as {found.old.name}")
        for tag in found.only_new:
            screen.labelled("note", f"{tag} was pushed since, and is not in it")
        screen.line(found.text())
        if not dry_run:
            if not yes:
                screen.ask(f"{found.spec.url}: {name} takes its place again, over plain HTTP. Go on?", wanted="y")
            work.give_back(request, world, found, to)
            screen.line(f"{name} serves again, as it did before regdeploy.")
    if context.as_json:
        document({"name": found.spec.name, "changed": not dry_run, "container": name, "only_new": list(found.only_new)})
