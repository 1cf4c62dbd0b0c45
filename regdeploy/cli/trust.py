"""``trust``: let clients on this host trust the internal CA, and say what other machines need."""

from __future__ import annotations

from typing import Annotated

import typer

from regdeploy.cli.command import Context, command


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app)(trust)


def trust(
    context: Context,
    remove: Annotated[bool, typer.Option("--remove", help="Take it away again")] = False,
) -> None:
    """Put the internal CA where Docker, podman and skopeo on this host look, and say what to do elsewhere."""
    from regdeploy.cli.screen import document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment import trusting  # noqa: PLC0415 - as above

    done = trusting.untrust(context.request()) if remove else trusting.trust(context.request())
    paths = [str(path) for path in done.changed]
    if context.as_json:
        document({"changed": paths, "certificate": str(done.certificate), "removed": remove})
        return
    for path in paths:
        print(f"{'removed' if remove else 'written'}: {path}")
    if not paths:
        print("Nothing to do: it is not trusted here." if remove else "Nothing to do: clients on this host trust it.")
    if not remove:
        print()
        print(done.instructions, end="")
