"""The registry's ``config.yml``: what its environment cannot say, or should not.

A string.Template: every ``up`` and ``status`` compares with this text, and Jinja2 takes 20 to 45 ms to import and
render it (how much depends on what is loaded already), where this takes 0.1 ms.

https://distribution.github.io/distribution/about/configuration/
"""

from __future__ import annotations

from string import Template

from regdeploy.rendering import template_text

#: How long a stopping registry lets requests end, in seconds. The container's stop timeout must be longer.
DRAIN_SECONDS = 30

_TLS = "  tls:\n    minimumtls: tls1.2"
_PLAIN = "  # Plain HTTP: there is no certificate."
_FILESYSTEM = "  filesystem:\n    rootdirectory: /var/lib/registry"
_DRIVER = "  # Its parameters, which may be secret, come from the environment.\n  {}: {{}}"


def render_config(
    *,
    tls: bool,
    delete: bool = True,
    read_only: bool = False,
    drain_seconds: int = DRAIN_SECONDS,
    driver: str = "filesystem",
) -> str:
    """The text of ``config.yml``, good for 2.x and 3.x alike. The same input always gives the same text.

    ``read_only`` refuses pushes and deletes while pulls go on (for a garbage collection); it takes a restart.
    ``driver`` stores the images; any but the default has its parameters from the environment alone.
    """
    return Template(template_text("config.yml")).substitute(
        tls=_TLS if tls else _PLAIN,
        delete=str(delete).lower(),
        read_only=str(read_only).lower(),
        drain_seconds=drain_seconds,
        driver=_FILESYSTEM if driver == "filesystem" else _DRIVER.format(driver),
    )
