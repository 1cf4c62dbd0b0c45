"""``agent``: renew in the foreground, for a container or an init that is not systemd."""

from __future__ import annotations

import sys

import typer

from regdeploy.cli.command import Context, command


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app)(agent)


def agent(context: Context) -> None:
    """Run `renew` twice a day in the foreground, and soon again after a failure, until SIGTERM or Ctrl-C."""
    from regdeploy.cli.screen import Screen  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment import unattended  # noqa: PLC0415 - as above

    def tell(words: str) -> None:
        print(words, file=sys.stderr if context.as_json else sys.stdout, flush=True)

    screen = Screen("", as_json=context.as_json, verbose=context.verbose, no_color=context.no_color, yes=True)
    try:
        unattended.serve(context.request(), context.world(), screen, tell, unattended.sleep_until_told)
    except KeyboardInterrupt:
        tell("stopped")
