"""The deployment's account at its CA: looked at, and changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from enum import StrEnum

from regdeploy.deployment.layout import Layout
from regdeploy.deployment.obtain import acme_settings
from regdeploy.deployment.request import Request, deployed_spec
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.world import World
from regdeploy.errors import NotDeployed, UsageError
from regdeploy.host.lock import Lock
from regdeploy.tls.acme.settings import Errand


class Act(StrEnum):
    """What is done with an account beside ordering."""

    ROLL_OVER = "rollover"
    CONTACT = "contact"
    DEACTIVATE = "deactivate"


def account_facts(request: Request) -> Mapping[str, object]:
    """What is on disk of the account: ``directory``, ``url``, ``contact``, ``terms_agreed``, ``eab_kid``.

    Raises NotDeployed where nothing is deployed, or no account was registered yet.
    """
    from regdeploy.tls.acme import saved_account  # noqa: PLC0415 - only where it is asked for

    spec = _with_acme(request)
    facts = saved_account(Layout(spec.root).acme, spec.acme_directory)
    if facts is None:
        raise NotDeployed(
            spec.acme_directory, "has no account of this registry", "an account is registered by the first order"
        )
    return facts


def change_account(request: Request, world: World, act: Act, report: Callable[[str], None]) -> None:
    """Do ``act`` at the CA; certificates are not touched. Raises NotDeployed, UsageError, AcmeError and HostError.

    Killed at any point, the account is not lost, and the same call goes on.
    """
    spec = _with_acme(request)
    with Lock(spec.root, f"account {act}"):
        errand = Errand(
            settings=acme_settings(spec),
            state=Layout(spec.root).acme,
            now=world.now,
            report=report,
            cancel=threading.Event(),
        )
        world.authority.change_account(errand, act.value)


def _with_acme(request: Request) -> Spec:
    spec = deployed_spec(request)
    if spec.tls is not Tls.ACME:
        raise UsageError("account", f"with --tls {spec.tls} there is no account at a CA", "")
    return spec
