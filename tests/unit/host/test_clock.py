from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from regdeploy.host.clock import offset_seconds

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.mark.parametrize(("ahead", "seconds"), [(0, 0.0), (90, 90.0), (-3600, -3600.0), (0.5, 0.5)])
def test_a_clock_that_is_ahead_gives_a_positive_offset(ahead: float, seconds: float) -> None:
    assert offset_seconds(NINE, NINE + timedelta(seconds=ahead)) == seconds


def test_time_zones_are_no_offset() -> None:
    assert offset_seconds(NINE, NINE.astimezone(timezone(timedelta(hours=8)))) == 0
