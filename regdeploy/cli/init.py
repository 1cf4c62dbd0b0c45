"""``init``: a commented regdeploy.toml to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regdeploy.cli.command import Context, command
from regdeploy.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app, name="init", settings=True)(init)


def init(
    context: Context,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print it instead of writing ./regdeploy.toml")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema for editors instead")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there")] = False,
) -> None:
    """Write a commented regdeploy.toml with every setting; the options given are set in it."""
    from regdeploy.cli.screen import document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment.operations import initial_file  # noqa: PLC0415 - as above
    from regdeploy.deployment.request import FILE_NAME  # noqa: PLC0415 - as above
    from regdeploy.deployment.settings import json_schema  # noqa: PLC0415 - as above
    from regdeploy.files import write_whole  # noqa: PLC0415 - as above

    if schema:
        document(json_schema())
        return
    text = initial_file(context.flags)
    if stdout:
        print(text, end="")
        return
    path = Path.cwd() / FILE_NAME
    if path.exists() and not force:
        raise UsageError(str(path), "is there already", "--force replaces it; --stdout prints a new one")
    write_whole(path, text.encode(), 0o644)
    if context.as_json:
        document({"written": str(path)})
    else:
        print(f"{path} is written. Edit it, then run `regdeploy plan` in this folder.")
