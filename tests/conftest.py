"""One rule for all tests: a property may be slow on a busy machine. In CI hypothesis has its own profile."""

from __future__ import annotations

import os

from hypothesis import settings

if "CI" not in os.environ:
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")
