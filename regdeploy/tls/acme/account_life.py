"""What can be done with an account beside ordering (RFC 8555 sections 7.3.2, 7.3.5 and 7.3.6). None makes one."""

from __future__ import annotations

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.account import Account, existing_account
from regdeploy.tls.acme.network import Network
from regdeploy.tls.acme.settings import Errand
from regdeploy.tls.acme.visit import visit

_ACTS = {"rollover": Account.roll_over, "contact": Account.update, "deactivate": Account.deactivate}


def change_account(errand: Errand, act: str) -> None:
    """Do ``act`` with the account. Raises AcmeError, also where there is none, and HostError.

    ``rollover`` gives it a new key. After a crash at any point the account is not lost: both keys are on disk, and
    whatever opens the account next asks the CA which of them it knows. ``contact`` tells the CA that the settings'
    e-mail address, which may be empty, is the account's from now on. ``deactivate`` ends it for good: its certificates
    stay valid, and the next order registers another; a crash after the CA's yes costs that order one request more.
    """

    def work(ca: Network) -> None:
        account = existing_account(ca, errand)
        if account is None:
            raise AcmeError(ca.host, "has no account of this registry", "an account is registered by the first order")
        _ACTS[act](account)

    visit(errand, work)
