"""``up`` and ``plan``: make the deployment true, or say what that would mean."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from regdeploy.cli.command import Context, command
from regdeploy.errors import UsageError

if TYPE_CHECKING:
    from regdeploy.cli.screen import Screen
    from regdeploy.deployment.operations import Planned
    from regdeploy.deployment.request import Request
    from regdeploy.deployment.world import World
    from regdeploy.secret import Secret

_CHANGES = 5

PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password of --user from stdin")]
Ignore = Annotated[
    list[str] | None, typer.Option("--ignore", metavar="CHECK", help="Go on although this check says stop; repeatable")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Go on where a step interrupts service or destroys something")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    command(app, settings=True)(up)
    command(app, settings=True)(plan)


def up(
    context: Context,
    password_stdin: PasswordStdin = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and do nothing")] = False,
    ignore: Ignore = None,
    yes: Yes = False,
) -> int | None:
    """Make the deployment true: plan, show, apply, verify. Run again it changes nothing and says so."""
    from regdeploy.deployment.ahead import authority_ready  # noqa: PLC0415 - help needs nothing of this

    if dry_run:
        return plan(context, password_stdin=password_stdin)
    request, world = context.request(), context.world()
    with authority_ready(request, world):  # before the rest is imported
        _up(context, request, world, given_password(context, password_stdin), ignore=ignore or [], yes=yes)
    return None


def _up(
    context: Context, request: Request, world: World, password: Secret | None, *, ignore: list[str], yes: bool
) -> None:
    from regdeploy.cli.screen import Screen, document  # noqa: PLC0415 - as above
    from regdeploy.deployment import operations  # noqa: PLC0415 - as above
    from regdeploy.deployment.request import resolve_request  # noqa: PLC0415 - as above

    spec = resolve_request(request).spec
    with Screen(
        title(spec.domain or spec.url),
        as_json=context.as_json,
        verbose=context.verbose,
        no_color=context.no_color,
        yes=yes,
    ) as screen:
        done = operations.up(request, world, screen, password=password, ignore=ignore)
        closing(screen, done, world)
    if context.as_json:
        document(
            {
                "name": done.spec.name,
                "domain": done.spec.domain or None,
                "url": done.spec.url,
                "changed": bool(done.plan.steps),
                "steps": done.plan.as_json(),
            }
        )


def plan(
    context: Context,
    password_stdin: PasswordStdin = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 5 when something would change")] = False,
) -> int | None:
    """Show what `up` would do, step by step with the cause of each, and do nothing."""
    from regdeploy.deployment import operations  # noqa: PLC0415 - as above

    planned = operations.plan_up(context.request(), context.world(), password=given_password(context, password_stdin))
    show(planned, as_json=context.as_json)
    return _CHANGES if exit_code and planned.plan.steps else None


def show(planned: Planned, *, as_json: bool) -> None:
    """Print the plan."""
    from regdeploy.cli.screen import document  # noqa: PLC0415 - help needs nothing of this

    steps = planned.plan.steps
    if as_json:
        document(
            {
                "name": planned.spec.name,
                "url": planned.spec.url,
                "changes": bool(steps),
                "interrupts": planned.plan.interrupts,
                "destroys": planned.plan.destroys,
                "steps": planned.plan.as_json(),
            }
        )
    elif steps:
        print(title(planned.spec.domain or planned.spec.url))
        print(planned.plan.text())
    else:
        print(f"{planned.spec.url} is as it should be: nothing to do.")


def title(name: str) -> str:
    """A registry's name as it is shown."""
    from regdeploy.deployment.domains import shown  # noqa: PLC0415 - as above

    return shown(name)


def given_password(context: Context, from_stdin: bool) -> Secret | None:
    """The password that comes with the command: from stdin, or typed for a user who has none yet."""
    from regdeploy.deployment import operations  # noqa: PLC0415 - as above
    from regdeploy.registry.users import check_password  # noqa: PLC0415 - as above
    from regdeploy.secret import Secret  # noqa: PLC0415 - as above

    user = operations.user_without_password(context.request())
    if from_stdin:
        return check_password(Secret(sys.stdin.readline().rstrip("\r\n")), "--password-stdin")
    if not user:
        return None
    if not sys.stdin.isatty():
        raise UsageError("--user", f"there is no terminal to ask for {user}'s password", "--password-stdin reads it")
    first = getpass.getpass(f"Password for {user} (empty: a random one, shown once): ")
    if not first:
        return None
    if getpass.getpass("Once more: ") != first:
        raise UsageError("password", "the two differ", "nothing was touched: try again")
    return check_password(Secret(first))


def closing(screen: Screen, done: Planned, world: World) -> None:
    """The last lines: where it is, what comes next, and the password that is shown once."""
    from regdeploy.deployment import operations  # noqa: PLC0415 - as above
    from regdeploy.deployment.settings import Tls  # noqa: PLC0415 - as above
    from regdeploy.host.trust import reference_host  # noqa: PLC0415 - as above

    spec = done.spec
    if done.plan.steps:
        screen.line(f"{spec.url} is up.{operations.renewal_words(done, world)}")
    else:
        screen.line(f"{spec.url} is as it should be: nothing to do.")
    login = operations.first_login(spec)
    if not done.plan.steps and login is None:
        return
    host = reference_host(spec.domain, spec.port) if spec.domain else f"localhost:{spec.port}"
    if spec.tls is Tls.INTERNAL:
        screen.line("  regdeploy trust                lets Docker on this host trust it; it also says what others need")
    if login is not None:
        screen.line(f"  docker login {host} -u {login[0]}        password (shown once): {login[1].reveal()}")
        operations.first_login_shown(spec)
    elif spec.auth:
        screen.line(f"  docker login {host} -u {spec.user}")
    screen.line(f"  docker tag busybox {host}/busybox && docker push {host}/busybox")
