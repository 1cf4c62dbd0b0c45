"""What the spine tells while it works, and what it asks. ``cli`` implements it; tests record it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from regdeploy.deployment.checks import Check
from regdeploy.deployment.plan import Plan
from regdeploy.deployment.steps import Step
from regdeploy.frozen import frozen


@frozen
class Event:
    """Something that happened in a step: it ``began``, is under way, or is ``done`` after ``seconds``.

    ``words`` say how far it is or what came of it; ``done_bytes`` of ``total_bytes`` where bytes are moved.
    """

    step: Step
    phase: str
    words: str = ""
    seconds: float = 0.0
    done_bytes: int = 0
    total_bytes: int = 0


class Reporter(Protocol):
    """The person at the terminal, or nobody. Events may come from two threads at once."""

    def checked(self, checks: Sequence[Check]) -> None:
        """The checks before the work came out like this."""
        ...

    def event(self, event: Event) -> None:
        """Something happened in a step."""
        ...

    def confirm(self, plan: Plan, question: str) -> None:
        """Ask whether to go on with a plan that interrupts or destroys.

        Returns when the answer is yes. Raises NeedsConfirmation when it is no, or when there is nobody to ask.
        """
        ...
