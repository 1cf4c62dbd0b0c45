"""When a certificate is to be renewed: policy only. Pure: ``now`` is an argument."""

from __future__ import annotations

from datetime import datetime, timedelta

from regdeploy.tls.certificate import Certificate

_SHORT_LIVED = timedelta(days=10)


def renew_after(leaf: Certificate) -> datetime:
    """The moment from which ``leaf`` is due: a third of its life is left, or half of one shorter than ten days.

    The CA's own advice where it gives none of its own (https://letsencrypt.org/docs/integration-guide/). Never a fixed
    number of days: lifetimes shrink.
    """
    left = leaf.lifetime / (2 if leaf.lifetime < _SHORT_LIVED else 3)
    return leaf.not_after - left


def is_due(leaf: Certificate, now: datetime) -> bool:
    """Whether ``leaf`` is to be renewed at ``now``."""
    return now >= renew_after(leaf)
