"""A plan as a person reads it, beside the text that is expected."""

from __future__ import annotations

from datetime import datetime

from regdeploy.deployment.observed import Observed
from regdeploy.deployment.plan import plan
from regdeploy.deployment.spec import Resolved
from tests.builders import CONFIG, NOW


def planned(asked: Resolved, found: Observed, *, config: str = CONFIG, now: datetime = NOW) -> str:
    """The whole plan."""
    return plan(asked, found, config, now).text()


def sheet(text: str) -> str:
    """``text`` as it stands in a test: without its first and last line, and four columns in from the last one."""
    first, *lines, last = text.split("\n")
    assert (first, last.strip()) == ("", ""), "a sheet begins and ends on lines of their own"
    return "\n".join(line.removeprefix(f"{last}    ") for line in lines)
