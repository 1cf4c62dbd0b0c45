"""What can be done with an account beside ordering (RFC 8555 sections 7.3.2, 7.3.5 and 7.3.6). None makes one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.account import Account, existing_account
from regdeploy.tls.acme.network import Network
from regdeploy.tls.acme.settings import AcmeSettings
from regdeploy.tls.acme.visit import visit


def update_contact(
    settings: AcmeSettings,
    state: Path,
    *,
    now: Callable[[], datetime],
    report: Callable[[str], None],
    cancel: threading.Event,
) -> None:
    """Tell the CA that ``settings.email``, which may be empty, is the account's address from now on.

    ``settings``, ``state``, ``now``, ``report`` and ``cancel`` are as for an order. Raises AcmeError, also where there
    is no account, and HostError.
    """
    _with_account(settings, state, Account.update, now=now, report=report, cancel=cancel)


def roll_over(
    settings: AcmeSettings,
    state: Path,
    *,
    now: Callable[[], datetime],
    report: Callable[[str], None],
    cancel: threading.Event,
) -> None:
    """Give the account a new key. Arguments and errors are those of :func:`update_contact`.

    After a crash at any point the account is not lost: both keys are on disk, and whatever opens the account next asks
    the CA which of them it knows.
    """
    _with_account(settings, state, Account.roll_over, now=now, report=report, cancel=cancel)


def deactivate(
    settings: AcmeSettings,
    state: Path,
    *,
    now: Callable[[], datetime],
    report: Callable[[str], None],
    cancel: threading.Event,
) -> None:
    """End the account for good: its certificates stay valid, and the next order registers another.

    Arguments and errors are those of :func:`update_contact`. A crash after the CA's yes costs the next order one
    request more.
    """
    _with_account(settings, state, Account.deactivate, now=now, report=report, cancel=cancel)


def _with_account(
    settings: AcmeSettings,
    state: Path,
    act: Callable[[Account], None],
    *,
    now: Callable[[], datetime],
    report: Callable[[str], None],
    cancel: threading.Event,
) -> None:
    def work(ca: Network) -> None:
        account = existing_account(ca, settings, state, report)
        if account is None:
            raise AcmeError(ca.host, "has no account of this registry", "an account is registered by the first order")
        act(account)

    visit(settings, work, now=now, cancel=cancel)
