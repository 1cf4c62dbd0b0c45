"""ACME (RFC 8555). The only package that imports ``acme`` and ``josepy``, and only when a function here is called."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from regdeploy.tls.acme.settings import AcmeSettings, DirectoryFacts, Issued, RenewalInfo


def issue(
    settings: AcmeSettings,
    state: Path,
    *,
    now: Callable[[], datetime],
    report: Callable[[str], None],
    cancel: threading.Event,
    directory: DirectoryFacts | None,
) -> Issued:
    """Obtain a certificate; see :func:`regdeploy.tls.acme.order.issue`."""
    from regdeploy.tls.acme import order  # noqa: PLC0415 - acme and josepy, only where a certificate is obtained

    return order.issue(settings, state, now=now, report=report, cancel=cancel, directory=directory)


def saved_account(state: Path, directory: str) -> Mapping[str, object] | None:
    """What ``state`` keeps of the account at a CA; see :func:`regdeploy.tls.acme.account.saved_account`."""
    from regdeploy.tls.acme import account  # noqa: PLC0415 - acme and josepy, only where an account is looked at

    return account.saved_account(state, directory)


def change_account(
    act: str,
    settings: AcmeSettings,
    state: Path,
    *,
    now: Callable[[], datetime],
    report: Callable[[str], None],
    cancel: threading.Event,
) -> None:
    """Do ``act`` (``rollover``, ``contact``, ``deactivate``); see :mod:`regdeploy.tls.acme.account_life`."""
    from regdeploy.tls.acme import account_life  # noqa: PLC0415 - as above

    acts = {
        "rollover": account_life.roll_over,
        "contact": account_life.update_contact,
        "deactivate": account_life.deactivate,
    }
    acts[act](settings, state, now=now, report=report, cancel=cancel)


def directory_facts(url: str, ca_bundle: Path | None) -> DirectoryFacts:
    """What the CA says of itself; see :func:`regdeploy.tls.acme.directory.directory_facts`."""
    from regdeploy.tls.acme import directory  # noqa: PLC0415 - requests, only where a CA is asked

    return directory.directory_facts(url, ca_bundle)


def renewal_window(directory: DirectoryFacts, ca_bundle: Path | None, pem: bytes) -> RenewalInfo | None:
    """When the CA wants a certificate renewed; see :func:`regdeploy.tls.acme.renewal_info.renewal_info`."""
    from regdeploy.tls.acme import renewal_info  # noqa: PLC0415 - cryptography, only where a CA is asked

    return renewal_info.renewal_info(directory, ca_bundle, pem)


__all__ = ["change_account", "directory_facts", "issue", "renewal_window", "saved_account"]
