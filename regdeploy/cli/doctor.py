"""``doctor``: what would stop ``up`` here."""

from __future__ import annotations

import typer

from regdeploy.cli.command import Context, command

_STOPPED = 1


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app, settings=True)(doctor)


def doctor(context: Context) -> int:
    """Check engine, permissions, ports, DNS, CA, clock, disk and folders. Exit 1 when something would stop `up`."""
    from regdeploy.cli.screen import document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment.checks import Verdict  # noqa: PLC0415 - as above
    from regdeploy.deployment.doctor import examine  # noqa: PLC0415 - as above

    found = examine(context.request(), context.world())
    stops = sum(check.verdict is Verdict.STOP for check in found)
    if context.as_json:
        document({"stops": stops, "checks": [check._asdict() for check in found]})
        return _STOPPED if stops else 0
    for check in found:
        print(f"  {check.verdict:<8} {check.item:<8} {check.message}")
        if check.hint and check.verdict is not Verdict.OK:
            print(f"  {'':<8} {'':<8} hint: {check.hint}")
    print("Nothing here stops `regdeploy up`." if not stops else f"{stops} of these would stop `regdeploy up`.")
    return _STOPPED if stops else 0
