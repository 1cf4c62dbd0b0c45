"""Is this host's clock right: a wrong one makes new certificates look expired, or not valid yet."""

from __future__ import annotations

from datetime import datetime


def offset_seconds(date: datetime, now: datetime) -> float:
    """How far ``now`` is ahead of ``date`` (an HTTP Date header, whole seconds), in seconds; negative when behind.

    Both are aware. The time that the answer travelled is in it, so less than two seconds means nothing.
    """
    return (now - date).total_seconds()
