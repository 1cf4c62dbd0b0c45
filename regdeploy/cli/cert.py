"""``cert``: the stored certificates looked at, gone back to, revoked, and the user's own brought in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from regdeploy.cli.command import Context, command, group
from regdeploy.cli.up import Ignore, Yes

if TYPE_CHECKING:
    from regdeploy.cli.screen import Screen
    from regdeploy.deployment.certs import Held
    from regdeploy.deployment.operations import Planned
    from regdeploy.deployment.spec import Spec

_Number = Annotated[int | None, typer.Argument(metavar="[N]", help="A version's number; without, the one in use")]
_Version = Annotated[int, typer.Argument(metavar="N", help="The version's number, as `cert list` shows it")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``, as a group."""
    cert = group(app, "The stored certificates: show, list, go back to one, bring your own, revoke.")
    command(cert)(show)
    command(cert, name="list")(list_)
    command(cert)(use)
    command(cert, name="import", also=("cert", "key"))(import_)
    command(cert)(revoke)
    app.add_typer(cert, name="cert")


def show(context: Context, number: _Number = None) -> None:
    """Show the certificate in use, or version N: what it says, where it is from, and whether it is really served."""
    from regdeploy.cli.screen import columns, document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment import certs  # noqa: PLC0415 - as above

    held = certs.show(context.request(), context.world(), number)
    if context.as_json:
        document({**held.as_json(), "chain": list(held.chain)})
        return
    print(f"version {held.stored.number:04}: {_marks(held)}")
    columns(list(_rows(held)))


def list_(context: Context) -> None:
    """List every stored version: the one in use, the one served, and those that were set aside."""
    from regdeploy.cli.screen import document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment import certs  # noqa: PLC0415 - as above

    found = certs.versions(context.request(), context.world())
    if context.as_json:
        document({"versions": [held.as_json() for held in found]})
        return
    for held in found:
        leaf = held.stored.leaf
        what = (
            held.stored.problem or f"until {leaf.not_after:%Y-%m-%d}  {leaf.issuer_name}, for {', '.join(leaf.names)}"
        )
        print(f"  {held.stored.number:04}  {_marks(held):<18}  {held.stored.source:<8}  {what}".rstrip())
    if not found:
        print("No certificate is stored.")


def use(context: Context, number: _Version, ignore: Ignore = None, yes: Yes = False) -> None:
    """Have version N served from now on, and verify that. Newer ones are set aside until another one is issued."""
    from regdeploy.deployment import certs  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment.request import resolve_request  # noqa: PLC0415 - as above

    request = context.request()
    with _screen(context, resolve_request(request).spec, yes=yes) as screen:
        done = certs.use(request, context.world(), screen, number, ignore=ignore or ())
    _told(context, done.planned, done.words)


def import_(context: Context, ignore: Ignore = None, yes: Yes = False) -> None:
    """Serve your own certificate from now on: as `up` with --cert and --key, and all else stays as it was saved."""
    from regdeploy.deployment import certs  # noqa: PLC0415 - help needs nothing of this

    request, world = context.request(), context.world()
    planned = certs.plan_import(request, world)
    pair = planned.observed.pair
    assert pair is not None, "observe reads it, or refuses it"
    leaf = pair.leaf
    with _screen(context, planned.spec, yes=yes) as screen:
        until = f"until {leaf.not_after:%Y-%m-%d}"
        screen.labelled("import", f"{leaf.issuer_name}, for {', '.join(leaf.names)}, {until}; nothing renews it")
        done = certs.bring(request, world, screen, ignore=ignore or ())
    words = "it is served" if done.plan.steps else "it is in use already: nothing to do"
    _told(context, done, f"{done.spec.url}: {words}")


def revoke(
    context: Context,
    number: _Number = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="NAME", help="unspecified, keyCompromise, superseded, ...")
    ] = "unspecified",
    ignore: Ignore = None,
    yes: Yes = False,
) -> None:
    """Have the CA revoke version N, or the certificate in use, which is replaced first. Asks for the name."""
    from regdeploy.cli.screen import document  # noqa: PLC0415 - help needs nothing of this
    from regdeploy.deployment import revoking  # noqa: PLC0415 - as above

    request, world = context.request(), context.world()
    wanted = revoking.plan_revocation(request, world, number, reason)
    with _screen(context, wanted.spec, yes=True) as screen:
        if not yes:
            screen.ask(wanted.question, wanted=wanted.spec.domain)
        done = revoking.revoke(request, world, screen, wanted, ignore=ignore or ())
    if context.as_json:
        document({"name": wanted.spec.name, "url": wanted.spec.url, **done.as_json()})
    else:
        print(done.words)


def _screen(context: Context, spec: Spec, *, yes: bool) -> Screen:
    from regdeploy.cli.screen import Screen  # noqa: PLC0415 - as above
    from regdeploy.deployment.domains import shown  # noqa: PLC0415 - as above

    return Screen(
        shown(spec.domain or spec.url),
        as_json=context.as_json,
        verbose=context.verbose,
        no_color=context.no_color,
        yes=yes,
    )


def _told(context: Context, done: Planned, words: str) -> None:
    from regdeploy.cli.screen import document  # noqa: PLC0415 - as above

    if not context.as_json:
        print(words)
        return
    steps = done.plan.as_json()
    document({"name": done.spec.name, "url": done.spec.url, "changed": bool(steps), "message": words, "steps": steps})


def _marks(held: Held) -> str:
    marks = (
        ("current", held.current),
        ("served", held.served),
        ("set aside", held.stored.set_aside is not None),
        ("revoked", held.stored.revoked is not None),
    )
    return ", ".join(word for word, on in marks if on) or "stored"


def _rows(held: Held) -> Iterator[tuple[str, str]]:
    stored, leaf = held.stored, held.stored.leaf
    if stored.problem or not stored.key_matches:
        yield "problem", stored.problem or "its key does not match"
    if leaf.fingerprint_sha256:
        yield "names", ", ".join(leaf.names)
        yield "issuer", leaf.issuer
        yield "serial", f"{leaf.serial:x}"
        yield (
            "valid",
            f"{leaf.not_before:%Y-%m-%d %H:%M} to {leaf.not_after:%Y-%m-%d %H:%M} UTC ({held.days_left} days)",
        )
        yield "key", leaf.key_type
        yield "SHA-256", leaf.fingerprint_sha256
    for subject in held.chain:
        yield "chain", subject
    if stored.source:
        asked = f" {stored.directory}" if stored.directory else ""
        yield "source", f"{stored.source}{asked}{f', profile {stored.profile}' if stored.profile else ''}"
        seen = f", first served {stored.deployed_at:%Y-%m-%d %H:%M} UTC" if stored.deployed_at else ", never served"
        yield "issued", f"{stored.issued_at:%Y-%m-%d %H:%M} UTC{seen}"
    if stored.set_aside:
        yield "set aside", f"{stored.set_aside:%Y-%m-%d %H:%M} UTC"
    if stored.revoked:
        yield "revoked", f"{stored.revoked:%Y-%m-%d %H:%M} UTC"
    if held.due:
        yield "renewal", f"from {held.due:%Y-%m-%d %H:%M} UTC on"
    if held.window:
        window = held.window
        why = f" ({window.reason})" if window.reason else ""
        yield "CA's window", f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC{why}"
