"""``renew``: what is due, or one in any case; ``--dry-run`` proves that it would work."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from regdeploy.cli.command import Context, command
from regdeploy.cli.up import Ignore


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app)(renew)


def renew(
    context: Context,
    force: Annotated[bool, typer.Option("--force", help="Renew although nothing is due")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Order one and throw it away: nothing is touched")] = False,
    ignore: Ignore = None,
) -> None:
    """Renew the certificate where it is due, have it served and verify that. A timer does this twice a day."""
    from regdeploy.cli.screen import Screen, document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment import renewing, unattended  # noqa: PLC0415 - as above
    from regdeploy.deployment.domains import shown  # noqa: PLC0415 - as above
    from regdeploy.deployment.request import resolve_request  # noqa: PLC0415 - as above

    request, world = context.request(), context.world()
    spec = resolve_request(request).spec
    steps: list[dict[str, object]] = []
    with Screen(
        shown(spec.domain or spec.url),
        as_json=context.as_json,
        verbose=context.verbose,
        no_color=context.no_color,
        yes=True,
    ) as screen:
        if dry_run:
            words = renewing.prove(request, world, lambda text: screen.labelled("certificate", text))
        else:
            done = unattended.run(request, world, screen, by=_by(), forced=force, ignore=ignore or (), tell=_tell)
            words, steps = done.words, done.planned.plan.as_json()
    if not context.as_json:
        print(words)
    else:
        document({"name": spec.name, "url": spec.url, "changed": bool(steps), "message": words, "steps": steps})


def _tell(words: str) -> None:
    print(f"warning: {words}", file=sys.stderr)


def _by() -> str:
    """What started us: systemd says so (systemd.exec(5)), and who has a terminal is a person."""
    if os.environ.get("INVOCATION_ID"):
        return "systemd"
    return "hand" if sys.stdin is not None and sys.stdin.isatty() else "cron"
