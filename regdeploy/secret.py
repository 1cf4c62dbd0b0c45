"""A secret is a type that prints as ``***``: it never reaches argv, a label, a log or an exception by accident."""

from __future__ import annotations


class Secret:
    """Text that must not be shown. ``reveal()`` is the one way to it, easy to find with grep."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)
