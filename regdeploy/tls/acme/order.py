"""An order from first to last (RFC 8555 section 7.4): account, names proved, CSR sent, certificate fetched, checked."""

from __future__ import annotations

from collections.abc import Callable

import requests
from acme import messages
from josepy.json_util import field as jose_field

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.account import Account, open_account
from regdeploy.tls.acme.authorization import prove
from regdeploy.tls.acme.challenges import Solver
from regdeploy.tls.acme.finalize import failed, fetch, finalize
from regdeploy.tls.acme.network import Network, Refusal
from regdeploy.tls.acme.renewal_info import certificate_id
from regdeploy.tls.acme.request import identifiers, load_key, make_key, names_of, signing_request
from regdeploy.tls.acme.settings import AcmeSettings, DirectoryFacts, Errand, Issued
from regdeploy.tls.acme.solvers import solver_for
from regdeploy.tls.acme.visit import visit

#: What a CA says of a certificate that it is told to replace, and will not: replaced before a crash, or not its own.
_REPLACES_REFUSED = ("alreadyReplaced", "malformed", "unauthorized")


def issue(errand: Errand, directory: DirectoryFacts | None) -> Issued:
    """Obtain a certificate for the settings' names by the challenge, and with a key of the kind, that they name.

    ``directory`` is what the CA said of itself, None to ask it. Raises AcmeError, UsageError for a binding that is
    none, CertificateError for a key that cannot be used again, and HostError where the account cannot be written.
    Whatever happens, the port is free afterwards, and a crash costs nothing: the account is kept, the order is simply
    made anew.
    """
    settings, report = errand.settings, errand.report
    solver = solver_for(settings)

    def work(ca: Network) -> Issued:
        key = make_key(settings.key_type) if settings.reuse_key is None else load_key(settings.reuse_key)
        account = open_account(ca, errand)
        url, order = _place(ca, account, settings, report)
        _prove(ca, url, order, solver, report)
        certificate = finalize(ca, url, order, signing_request(key, ca.names))
        bundle = fetch(ca, certificate, key, settings.preferred_chain, report)
        report("certificate issued")
        return Issued(bundle=bundle, account=ca.account, challenge=solver.kind)

    try:
        return visit(errand, work, directory)
    finally:
        solver.stop()


def _prove(ca: Network, url: str, order: messages.Order, solver: Solver, report: Callable[[str], None]) -> None:
    """Have every name of the order proved, for which there may be nothing to do."""
    match order.status:
        case messages.STATUS_PENDING:
            prove(ca, url, order.authorizations or (), solver, report)
        case messages.STATUS_READY:
            report("every name is proved already")
        case messages.STATUS_VALID | messages.STATUS_PROCESSING if order.error is None:
            raise AcmeError(
                ca.host,
                f"gave an order that is {order.status.name} already: its certificate is for a key that is not here",
                "run the same command again: it orders anew",
            )
        case _:
            raise failed(ca, order)


def _place(
    ca: Network, account: Account, settings: AcmeSettings, report: Callable[[str], None]
) -> tuple[str, messages.Order]:
    """Make the order, with another account where the CA has lost this one; its URL and what it says."""
    try:
        response = _ask(ca, settings, report)
    except Refusal as no:
        if not account.is_lost(no):
            raise
        account.replace()
        response = _ask(ca, settings, report)
    url = response.headers.get("Location", "")
    if not url:
        raise AcmeError(ca.host, "took the order and did not say where it is", "run the same command again")
    order = ca.read(messages.Order, response)
    _check_names(ca, order)
    return url, order


def _check_names(ca: Network, order: messages.Order) -> None:
    """The CA must have understood what was asked for, before anything is proved (RFC 8555 section 7.4)."""
    got, wanted = names_of(order.identifiers or ()), frozenset(ca.names)
    if got != wanted:
        missing, added = ", ".join(sorted(wanted - got)), ", ".join(sorted(got - wanted))
        words = " and ".join(filter(None, (missing and f"without {missing}", added and f"with {added}, not asked for")))
        raise AcmeError(ca.host, f"took the order {words}", "another CA may do what is asked: --acme-directory")


class _NewOrder(messages.NewOrder):
    """With what RFC 9773 section 5 adds, and ``acme`` lacks."""

    replaces: str = jose_field("replaces", omitempty=True)


def _ask(ca: Network, settings: AcmeSettings, report: Callable[[str], None]) -> requests.Response:
    """Ask for the order; where the CA does not accept that it replaces a certificate, for one that replaces none."""
    names = identifiers(ca.names)
    wanted = settings.replaces and "renewalInfo" in ca.directory.endpoints
    replaces = certificate_id(settings.replaces) if wanted else ""
    url = ca.endpoint("newOrder")
    try:
        return ca.post(url, _NewOrder(identifiers=names, profile=settings.profile, replaces=replaces))
    except Refusal as no:
        if not replaces or no.problem not in _REPLACES_REFUSED:
            raise
        report(f"{ca.host} does not take this for a renewal ({no.problem}): ordered as a new certificate")
        return ca.post(url, _NewOrder(identifiers=names, profile=settings.profile))
