"""What came of bringing a registry's data from one folder into another."""

from __future__ import annotations

from pathlib import Path

from regdeploy.errors import HostError
from regdeploy.frozen import frozen

_SHOWN = 10


@frozen
class Damage:
    """A blob that could not be brought, or a place that could not be looked into, at ``path`` of the source.

    ``digest`` is "" where it is about no blob; ``names`` are the images that need it, as people name them.
    """

    path: Path
    what: str
    digest: str = ""
    names: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """One sentence for the user."""
        shown = ", ".join(self.names[:3]) + (f" and {len(self.names) - 3} more" if self.names[3:] else "")
        return f"{self.path} {self.what}" + (f" (part of {shown})" if shown else "")


class DamagedImages(HostError):  # noqa: N818 - as its fellows in errors.py
    """Some of the source is damaged, and nobody said that it is to be left out. ``damages`` has all of it."""

    default_code = "registry.damaged"

    def __init__(self, source: Path, damages: tuple[Damage, ...]) -> None:
        shown = "; ".join(one.words for one in damages[:_SHOWN])
        rest = f"; and {len(damages) - _SHOWN} more" if damages[_SHOWN:] else ""
        hint = "push these images again, or go on without what is damaged: --leave-damaged"
        super().__init__(str(source), f"{len(damages)} damaged: {shown}{rest}", hint)
        self.damages = damages


@frozen
class Outcome:
    """What was done: blobs linked and copied, ``copied_bytes`` with pushes under way, ``written_files`` besides blobs.

    ``removed_files`` were gone from the source again. ``damaged`` is what was left out, all of it known so far.
    """

    linked_files: int = 0
    linked_bytes: int = 0
    copied_files: int = 0
    copied_bytes: int = 0
    written_files: int = 0
    removed_files: int = 0
    damaged: tuple[Damage, ...] = ()

    def __add__(self, other: Outcome) -> Outcome:
        """Both, one after the other."""
        return Outcome(
            linked_files=self.linked_files + other.linked_files,
            linked_bytes=self.linked_bytes + other.linked_bytes,
            copied_files=self.copied_files + other.copied_files,
            copied_bytes=self.copied_bytes + other.copied_bytes,
            written_files=self.written_files + other.written_files,
            removed_files=self.removed_files + other.removed_files,
            damaged=self.damaged + other.damaged,
        )
