"""Templates, found beside the package in a wheel and at the top of the tree in an editable install."""

from __future__ import annotations

from pathlib import Path


def template_text(name: str) -> str:
    """The text of the template ``name`` (a path below ``templates/``)."""
    package = Path(__file__).parent
    folder = package / "templates"
    if not folder.is_dir():
        folder = package.parent / "templates"
    return (folder / name).read_text(encoding="utf-8")


def render(name: str, **values: object) -> str:
    """Render the template ``name``; a value that the template names and nobody gave is an error, never empty text.

    Raises jinja2.UndefinedError, which is a defect of regdeploy and not the user's.
    """
    import jinja2  # noqa: PLC0415 - 60 ms that only the commands that write files pay

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - YAML, TOML and unit files, never HTML
    )
    return environment.from_string(template_text(name)).render(**values)
