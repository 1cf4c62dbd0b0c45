"""``account``: the registry's account at its CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from regdeploy.cli.command import Context, command, group
from regdeploy.cli.up import Yes

if TYPE_CHECKING:
    from regdeploy.deployment.accounts import Act


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``, as a group."""
    account = group(app, "The account at the CA: show it, give it a new key or address, end it.")
    command(account)(show)
    command(account)(rollover)
    command(account, also=("email",))(contact)
    command(account)(deactivate)
    app.add_typer(account, name="account")


def show(context: Context) -> None:
    """Show the account: its URL, its address, and the terms that were agreed to."""
    from regdeploy.cli.screen import columns, document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment.accounts import account_facts  # noqa: PLC0415 - as above

    facts = account_facts(context.request())
    if context.as_json:
        document(facts)
    else:
        columns([(name.replace("_", " "), str(value or "none")) for name, value in facts.items()])


def rollover(context: Context) -> None:
    """Give the account a new key. Certificates are not touched."""
    from regdeploy.deployment.accounts import Act  # noqa: PLC0415 - as above

    _act(context, Act.ROLL_OVER)


def contact(context: Context) -> None:
    """Tell the CA another address: --email ADDRESS, or --email '' for none."""
    from regdeploy.deployment.accounts import Act  # noqa: PLC0415 - as above

    _act(context, Act.CONTACT)


def deactivate(context: Context, yes: Yes = False) -> None:
    """End the account for good. Certificates stay valid; the next order registers another account."""
    from regdeploy.deployment.accounts import Act  # noqa: PLC0415 - as above

    _act(context, Act.DEACTIVATE, ask=not yes)


def _act(context: Context, act: Act, *, ask: bool = False) -> None:
    from regdeploy.cli.screen import Screen, document  # noqa: PLC0415 - as above
    from regdeploy.deployment.accounts import change_account  # noqa: PLC0415 - as above

    request, world = context.request(), context.world()
    told: list[str] = []
    with Screen(
        "account", as_json=context.as_json, verbose=context.verbose, no_color=context.no_color, yes=not ask
    ) as screen:
        if ask:
            screen.ask("An account that is ended cannot be had back. Go on?", wanted="y")
        change_account(request, world, act, told.append)
        for words in told:
            screen.line(f"  {words}")
    if context.as_json:
        document({"action": act.value, "changed": True, "messages": told})
