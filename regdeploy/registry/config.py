"""The registry's ``config.yml``: what its environment cannot say, or should not.

https://distribution.github.io/distribution/about/configuration/
"""

from __future__ import annotations

from regdeploy.rendering import render

#: How long a stopping registry lets requests end, in seconds. The container's stop timeout must be longer.
DRAIN_SECONDS = 30


def render_config(
    *,
    tls: bool,
    delete: bool = True,
    read_only: bool = False,
    drain_seconds: int = DRAIN_SECONDS,
) -> str:
    """The text of ``config.yml``, good for 2.x and 3.x alike. The same input always gives the same text.

    ``read_only`` refuses pushes and deletes while pulls go on (for a garbage collection); it takes a restart.
    """
    return render(
        "config.yml.j2",
        tls=tls,
        delete=delete,
        read_only=read_only,
        drain_seconds=drain_seconds,
    )
