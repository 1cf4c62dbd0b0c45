"""``migrate-to-https``: a registry that was started by hand, over plain HTTP, becomes this deployment."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from regdeploy.cli.command import Context, command
from regdeploy.cli.up import Ignore, PasswordStdin, Yes, closing, given_password, show, title

if TYPE_CHECKING:
    from regdeploy.cli.screen import Screen
    from regdeploy.deployment.migrating import Migrating
    from regdeploy.deployment.request import Request
    from regdeploy.deployment.world import World

_SHOWN = 5


class Verify(StrEnum):
    """How much of every image is verified."""

    DIGESTS = "digests"
    FULL = "full"


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app, name="migrate-to-https", settings=True)(migrate_to_https)


def migrate_to_https(
    context: Context,
    source: Annotated[
        str, typer.Option("--from", metavar="CONTAINER", help="The registry to take over; found where there is one")
    ] = "",
    keep_localhost: Annotated[
        bool | None,
        typer.Option(
            "--keep-localhost/--no-keep-localhost",
            help="Go on to serve the port it was published on, on 127.0.0.1  [default: keep]",
            show_default=False,
        ),
    ] = None,
    leave_damaged: Annotated[
        bool, typer.Option("--leave-damaged", help="Go on without blobs that are damaged; each is named")
    ] = False,
    move: Annotated[
        bool,
        typer.Option(
            "--move", help="Move the images: for a disk without room for a copy. The pause is as long as that"
        ),
    ] = False,
    verify: Annotated[
        Verify, typer.Option("--verify", help="Ask the new registry for every digest, or read and hash every blob")
    ] = Verify.DIGESTS,
    discard_old: Annotated[
        bool, typer.Option("--discard-old", help="Remove the old registry's container, kept by an earlier migration")
    ] = False,
    password_stdin: PasswordStdin = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and do nothing")] = False,
    ignore: Ignore = None,
    yes: Yes = False,
) -> None:
    """Take a plain-HTTP registry, however it was started, to HTTPS with every image kept."""
    from regdeploy.cli.screen import Screen, document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment import migrating  # noqa: PLC0415 - as above
    from regdeploy.deployment.request import resolve_request  # noqa: PLC0415 - as above

    request, world = context.request(), context.world()
    if discard_old:
        _discard(context, request, world, yes=yes)
        return
    wishes = migrating.Wishes(
        container=source or _asked(request, world),
        keep_localhost=keep_localhost,
        leave_damaged=leave_damaged,
        full=verify is Verify.FULL,
        move=move,
    )
    password = given_password(context, password_stdin)
    if dry_run:
        _show(migrating.plan_migration(request, world, wishes, password=password), as_json=context.as_json)
        return
    spec = resolve_request(request).spec
    with Screen(
        title(spec.domain or spec.url),
        as_json=context.as_json,
        verbose=context.verbose,
        no_color=context.no_color,
        yes=yes,
    ) as screen:
        done = migrating.migrate(request, world, screen, wishes, password=password, ignore=ignore or [])
        closing(screen, done.planned, world)
        _what_changes(screen, done)
    if context.as_json:
        document(
            {
                "name": done.planned.spec.name,
                "domain": done.planned.spec.domain,
                "url": done.planned.spec.url,
                "kept_as": done.kept_as,
                "steps": done.planned.plan.as_json(),
            }
        )


def _discard(context: Context, request: Request, world: World, *, yes: bool) -> None:
    from regdeploy.cli.screen import Screen, document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment import migrating  # noqa: PLC0415 - as above

    kept = migrating.kept_one(request, world)
    data = ", ".join(mount.path or mount.source for mount in kept.mounts) or "in itself, and is lost with it"
    with Screen(
        kept.name, as_json=context.as_json, verbose=context.verbose, no_color=context.no_color, yes=yes
    ) as screen:
        if not yes:
            screen.ask(f"Remove {kept.name} for good? `regdeploy rollback` cannot bring it back then.", wanted="y")
        migrating.discard(request, world)
        screen.line(f"{kept.name} is removed. What it stored is not: {data}")
    if context.as_json:
        document({"removed": kept.name, "data": [mount.path or mount.source for mount in kept.mounts]})


def _asked(request: Request, world: World) -> str:
    """The registry that a person chose of several; empty where there is nothing to choose, or nobody to ask."""
    from regdeploy.deployment import migrating  # noqa: PLC0415 - help needs nothing of this

    if sys.stdin is None or not sys.stdin.isatty():
        return ""
    found = migrating.to_choose_from(request, world)
    if not found:
        return ""
    for number, container in enumerate(found, 1):
        print(f"  {number}  {container.name}  {container.image}", file=sys.stderr)
    print("Which registry? ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip()
    return found[int(answer) - 1].name if answer.isdigit() and 0 < int(answer) <= len(found) else answer


def _show(migrating: Migrating, *, as_json: bool) -> None:
    from regdeploy.cli.screen import columns  # noqa: PLC0415 - help needs nothing of this

    if migrating.handmade is not None and not as_json:
        origin = (("registry", f"{migrating.handmade.container.name}, {migrating.handmade.origin.words}"),)
        columns((*origin, *((left.item, f"{left.value}: {left.why}") for left in migrating.handmade.left)))
    show(migrating.planned, as_json=as_json)


def _what_changes(screen: Screen, done: Migrating) -> None:
    """What is different from now on, for this host and for others."""
    from regdeploy.host.trust import reference_host  # noqa: PLC0415 - help needs nothing of this

    spec = done.planned.spec
    host = reference_host(spec.domain, spec.port)
    if spec.localhost_port:
        login = "; log in there too" if spec.auth else ""
        screen.line(f"  localhost:{spec.localhost_port}/... still works on this host{login}")
    for name in done.repositories[:_SHOWN]:
        screen.line(f"  docker pull {host}/{name}        was localhost:{spec.localhost_port or 5000}/{name}")
    if len(done.repositories) > _SHOWN:
        screen.line(f"  ... and {len(done.repositories) - _SHOWN} more repositories, likewise")
    screen.line(f"  elsewhere: pull {host}/..., and take this host out of insecure-registries in daemon.json")
    if done.kept_as:
        screen.line(f"  the old registry is kept, stopped, as {done.kept_as}: `regdeploy rollback` brings it back")
