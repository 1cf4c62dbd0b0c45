"""What the host's security modules ask of bind mounts."""

from __future__ import annotations

from pathlib import Path

_ENFORCE = Path("/sys/fs/selinux/enforce")


def selinux_enforcing(enforce: Path = _ENFORCE) -> bool:
    """Does SELinux enforce here: then a mounted folder needs a label that containers may read (``:z``)."""
    try:
        return enforce.read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False
