from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from regdeploy.tls.certificate import Certificate
from regdeploy.tls.renewal import is_due, renew_after

_BEGIN = datetime(2026, 11, 24, tzinfo=UTC)


def _lasting(lifetime: timedelta) -> Certificate:
    return Certificate(
        names=("registry.example.com",),
        subject="",
        issuer="",
        serial=1,
        not_before=_BEGIN,
        not_after=_BEGIN + lifetime,
        fingerprint_sha256="",
        key_type="ECDSA P-256",
    )


@pytest.mark.parametrize(
    ("lifetime", "after"),
    [
        (timedelta(days=90), timedelta(days=60)),
        (timedelta(days=45), timedelta(days=30)),
        (timedelta(days=10), timedelta(days=10) * 2 / 3),
        (timedelta(hours=160), timedelta(hours=80)),
        (timedelta(days=9), timedelta(days=4.5)),
    ],
)
def test_renewal_is_due_with_a_third_left_or_half_of_a_short_life(lifetime: timedelta, after: timedelta) -> None:
    leaf = _lasting(lifetime)
    assert renew_after(leaf) == _BEGIN + after
    assert not is_due(leaf, _BEGIN + after - timedelta(seconds=1))
    assert is_due(leaf, _BEGIN + after)


def test_an_expired_certificate_is_due() -> None:
    assert is_due(_lasting(timedelta(days=90)), _BEGIN + timedelta(days=400))
