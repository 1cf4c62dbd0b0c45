"""An error as its whole text: where, what, hint."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regdeploy.errors import RegdeployError


def said(work: Callable[[], object]) -> str:
    """The text of the error that ``work`` ends with, as the user reads it."""
    with pytest.raises(RegdeployError) as caught:
        work()
    error = caught.value
    return str(error) + (f"\nhint: {error.hint}" if error.hint else "")
