"""What every command has: the common options, the settings as options where it takes them, one handler for errors.

The settings' options are made from the spec's own table, so that a setting is written down once.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regdeploy.cli.errors import guarded
from regdeploy.deployment.settings import SETTINGS, Setting
from regdeploy.errors import UsageError
from regdeploy.frozen import frozen

if TYPE_CHECKING:
    from regdeploy.deployment.request import Request
    from regdeploy.deployment.world import World

#: Settings that every command takes; the others only those that work out a whole spec.
_ALWAYS = ("name", "root")

_COMMON: Mapping[str, Any] = {
    "config": Annotated[Path | None, typer.Option("--config", help="Read this regdeploy.toml")],
    "docker_host": Annotated[str | None, typer.Option("--docker-host", metavar="URL", help="The Docker engine")],
    "as_json": Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout")],
    "verbose": Annotated[bool, typer.Option("--verbose", help="Show every step, and tracebacks")],
    "no_color": Annotated[bool, typer.Option("--no-color", help="No colours (NO_COLOR does the same)")],
}


@frozen
class Context:
    """What a command was given beside its own options."""

    flags: Mapping[str, object]
    config: Path | None
    docker_host: str | None
    as_json: bool
    verbose: bool
    no_color: bool

    def request(self) -> Request:
        """The request for the spine."""
        from regdeploy.deployment.request import Request  # noqa: PLC0415 - a command that only prints help needs none

        return Request(flags=self.flags, environ=os.environ, config=self.config, folder=Path.cwd())

    def world(self) -> World:
        """The real parts: this host's engine, network, name servers and clock."""
        from datetime import UTC, datetime  # noqa: PLC0415 - as above

        from regdeploy.deployment.world import (  # noqa: PLC0415 - a command that only prints help needs none
            NetworkEndpoint,
            SystemdTimers,
            SystemNames,
            World,
        )
        from regdeploy.engine.connect import connect  # noqa: PLC0415 - the Docker SDK
        from regdeploy.host.lock import user_name  # noqa: PLC0415 - as above
        from regdeploy.tls.acme import AcmeAuthority  # noqa: PLC0415 - as above

        uid = os.getuid()
        return World(
            engine=connect(self.docker_host),
            endpoint=NetworkEndpoint(),
            authority=AcmeAuthority(),
            names=SystemNames(),
            timers=SystemdTimers(_program()),
            now=lambda: datetime.now(UTC),
            uid=uid,
            who=os.environ.get("SUDO_USER") or user_name(uid),
        )


def _program() -> Path | None:
    """The file that was started as ``regdeploy``, or the one beside this Python; None where there is neither."""
    for path in (Path(sys.argv[0]), Path(sys.executable).parent / "regdeploy"):
        if path.name == "regdeploy" and path.is_file():
            return path.absolute()
    return None


class Outline(typer.Typer):
    """A command line of names and first lines, without any options: all that the list of commands shows."""


def group(app: typer.Typer, words: str) -> typer.Typer:
    """A group of commands of the kind that ``app`` is; ``words`` say in the help what they are about."""
    return type(app)(help=words, no_args_is_help=True, rich_markup_mode=None)


def command(
    app: typer.Typer, *, name: str | None = None, settings: bool = False, also: tuple[str, ...] = ()
) -> Callable[[Callable[..., int | None]], Callable[..., None]]:
    """Register a command: ``body(context, **own options)`` returns its exit status, None for 0.

    With ``settings`` it takes every setting as an option, otherwise --name and --root and those in ``also``.
    """

    def register(body: Callable[..., int | None]) -> Callable[..., None]:
        chosen = [setting for setting in SETTINGS if settings or setting.name in (*_ALWAYS, *also)]

        def run(**given: Any) -> None:  # noqa: ANN401 - whatever the options' types are
            flags = {setting.name: given.pop(setting.field) for setting in chosen}
            staging = given.pop("staging", False)
            common = {key: given.pop(key) for key in _COMMON}

            def work() -> int | None:
                return body(Context(flags=_with_staging(flags) if staging else flags, **common), **given)

            raise typer.Exit(guarded(work, as_json=common["as_json"], verbose=common["verbose"]))

        run.__name__ = name or body.__name__.removesuffix("_")
        run.__doc__ = body.__doc__
        parameters = [] if isinstance(app, Outline) else list(_parameters(body, chosen, settings))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {}
        app.command(name=run.__name__)(run)
        return run

    return register


def _with_staging(flags: Mapping[str, object]) -> dict[str, object]:
    if flags.get("acme-directory"):
        raise UsageError("--staging", "and --acme-directory contradict each other", "leave one of the two out")
    return {**flags, "acme-directory": "letsencrypt-staging"}


def _parameters(body: Callable[..., object], chosen: list[Setting], staging: bool) -> Iterator[inspect.Parameter]:
    """The settings first, then the command's own options, then the common ones."""
    for setting in chosen:
        empty: object = [] if setting.schema.get("type") == "array" else None
        yield _parameter(setting.field, _option(setting), empty)
    if staging:
        yield _parameter(
            "staging",
            Annotated[bool, typer.Option("--staging", help="Let's Encrypt's staging CA: to try things")],
            False,
        )
    own = inspect.signature(body, eval_str=True)
    for parameter in list(own.parameters.values())[1:]:
        yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
    for key, annotation in _COMMON.items():
        yield _parameter(key, annotation, False if key in ("as_json", "verbose", "no_color") else None)


def _parameter(name: str, annotation: object, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _option(setting: Setting) -> object:
    """The option for a setting. Its value is read by the setting itself, which says better what is wrong with it."""
    flag = f"--{setting.name}"
    kind = setting.schema.get("type")
    if kind == "boolean":
        return Annotated[
            bool | None, typer.Option(f"{flag}/--no-{setting.name}", help=setting.help, show_default=False)
        ]
    if kind == "array":
        return Annotated[list[str], typer.Option(flag, metavar=setting.metavar, help=setting.help, show_default=False)]
    if setting.metavar in ("FILE", "PATH"):
        return Annotated[Path | None, typer.Option(flag, metavar=setting.metavar, help=setting.help)]
    choices = tuple(map(str, setting.schema.get("enum", ())))  # type: ignore[call-overload]  # a list in every schema
    return Annotated[
        str | None,
        typer.Option(
            flag,
            metavar="|".join(choices) if choices else setting.metavar,
            help=setting.help,
            autocompletion=(lambda: list(choices)) if choices else None,
        ),
    ]
