"""The ``regdeploy`` command. A new command is a function in a file here, and a line in the table below."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

import regdeploy
from regdeploy.cli import (
    account,
    agent,
    cert,
    doctor,
    down,
    history,
    init,
    logs,
    migrate,
    renew,
    rollback,
    status,
    trust,
    up,
    upgrade,
)
from regdeploy.cli.command import Outline
from regdeploy.cli.errors import INTERRUPTED, tell
from regdeploy.cli.streams import finish, steady

#: The commands in the order of the help, and the file of each.
COMMANDS = {
    "up": up,
    "plan": up,
    "migrate-to-https": migrate,
    "status": status,
    "renew": renew,
    "agent": agent,
    "upgrade": upgrade,
    "rollback": rollback,
    "history": history,
    "down": down,
    "doctor": doctor,
    "init": init,
    "logs": logs,
    "trust": trust,
    "cert": cert,  # a group: typer lists those after the others
    "account": account,
}


def build(chosen: str = "", kind: type[typer.Typer] = typer.Typer) -> typer.Typer:
    """The command line; where ``chosen`` is a command, only with what is in its file: a dozen cost 10 ms a start."""
    app = kind(
        help="A private image registry over HTTPS on this Docker host, in one command.",
        no_args_is_help=True,
        rich_markup_mode=None,  # loading rich for --help costs more than all the rest
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    modules = COMMANDS.values() if chosen not in COMMANDS else (COMMANDS[chosen],)
    for module in dict.fromkeys(modules):
        module.register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        print(f"regdeploy {regdeploy.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version")
    ] = False,
) -> None:
    pass


#: click's base of all usage errors, wherever this version of typer keeps click.
_ClickError: type[Exception] = typer.BadParameter.__mro__[2]


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and end the process with its exit status."""
    stdout = steady()  # before anything else is opened
    gc.set_threshold(100_000)  # what is loaded stays: looking it through for garbage costs 15 ms a start
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # undo as for Ctrl-C
    as_json = "--json" in sys.argv[1:]
    commands = typer.main.get_command(_asked_for(sys.argv[1] if len(sys.argv) > 1 else "--help"))
    try:
        code = commands.main(standalone_mode=False)
    except _ClickError as error:
        words: str = error.format_message()  # type: ignore[attr-defined]
        if type(error).__name__ == "NoArgsIsHelpError":  # a group alone: its help, which is no error
            print(words)
        else:
            tell("usage", words, _usage_hint(error, commands), as_json=as_json)
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        tell("interrupted", "interrupted", "", as_json=as_json)
        code = INTERRUPTED
    sys.exit(finish(stdout, code))


def _asked_for(first: str) -> typer.Typer:
    """The command line as far as it is needed for what begins with that word."""
    completing = "_REGDEPLOY_COMPLETE" in os.environ  # typer's own way in: it wants to know every option
    return build(first, Outline if first in ("-h", "--help") and not completing else typer.Typer)


def _usage_hint(error: BaseException, commands: object) -> str:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path if context else _typed(commands)} --help` lists the options"


def _typed(command: object) -> str:
    """The command that was typed, as far as there is one: an option without its value comes without a context."""
    path = "regdeploy"
    for word in sys.argv[1:]:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        path += f" {word}"
    return path
