"""An order from first to last (RFC 8555 section 7.4): account, names proved, CSR sent, certificate fetched, checked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import urljoin

import requests
from acme import messages
from cryptography import x509
from josepy.json_util import field as jose_field

from regdeploy.errors import AcmeError, CertificateError
from regdeploy.tls.acme.account import Account, open_account
from regdeploy.tls.acme.authorization import prove
from regdeploy.tls.acme.challenges import Solver
from regdeploy.tls.acme.connection import host_of, session
from regdeploy.tls.acme.directory import read_directory
from regdeploy.tls.acme.network import Network, Refusal
from regdeploy.tls.acme.patience import Pace, Patience, supervised
from regdeploy.tls.acme.problems import from_error, refused
from regdeploy.tls.acme.renewal_info import certificate_id
from regdeploy.tls.acme.request import (
    PrivateKey,
    identifiers,
    key_pem,
    load_key,
    make_key,
    names_of,
    signing_request,
    top_issuer,
)
from regdeploy.tls.acme.settings import AcmeSettings, DirectoryFacts, Issued
from regdeploy.tls.acme.solvers import solver_for
from regdeploy.tls.certificate import Bundle

_DIRECTORY_TIMEOUT = 10.0
#: What a CA says of a certificate that it is told to replace, and will not: replaced before a crash, or not its own.
_REPLACES_REFUSED = ("alreadyReplaced", "malformed", "unauthorized")


def issue(
    settings: AcmeSettings,
    state: Path,
    *,
    now: Callable[[], datetime],
    report: Callable[[str], None],
    cancel: threading.Event,
    directory: DirectoryFacts | None,
) -> Issued:
    """Obtain a certificate for ``settings.names`` by the challenge, and with a key of the kind, that ``settings`` name.

    ``state`` keeps accounts; ``now`` is aware; ``report`` gets short phrases, from another thread; ``cancel`` ends it
    within a tenth of a second; ``directory`` is what the CA said of itself, None to ask it. Raises AcmeError,
    UsageError for a binding that is none, and HostError where ``state`` cannot be written. Whatever happens, the port
    is free afterwards, and a crash costs nothing: the account is kept, the order is simply made anew.
    """
    solver = solver_for(settings)
    patience = Patience(settings.timeout, cancel)

    def work() -> Issued:
        connection = session(settings.ca_bundle)
        facts = directory or read_directory(connection, settings.directory, _DIRECTORY_TIMEOUT)
        ca = Network(connection, facts, patience, now, settings.names)
        account = open_account(ca, settings, state, report)
        return _obtain(ca, account, settings, solver, report)

    try:
        return supervised(work, patience, host_of(settings.directory))
    finally:
        solver.stop()


def _obtain(
    ca: Network, account: Account, settings: AcmeSettings, solver: Solver, report: Callable[[str], None]
) -> Issued:
    key = make_key(settings.key_type) if settings.reuse_key is None else load_key(settings.reuse_key)
    url, order = _place(ca, account, settings, report)
    if order.status == messages.STATUS_PENDING:
        prove(ca, order.authorizations or (), solver, report)
    elif order.status == messages.STATUS_READY:
        report("every name is proved already")
    else:
        raise _failed(ca, order)
    certificate = _finalize(ca, url, order, signing_request(key, settings.names))
    pem = _chain(ca, certificate, settings.preferred_chain, report)
    bundle = _bundle(ca, pem, key, settings.names)
    report("certificate issued")
    return Issued(bundle=bundle, account=ca.account, challenge=solver.kind)


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
    _check_names(ca, order, settings.names)
    return url, order


def _check_names(ca: Network, order: messages.Order, asked: tuple[str, ...]) -> None:
    """The CA must have understood what was asked for, before anything is proved (RFC 8555 section 7.4)."""
    got, wanted = names_of(order.identifiers or ()), names_of(identifiers(asked))
    if got != wanted:
        missing, added = ", ".join(sorted(wanted - got)), ", ".join(sorted(got - wanted))
        words = " and ".join(filter(None, (missing and f"without {missing}", added and f"with {added}, not asked for")))
        raise AcmeError(ca.host, f"took the order {words}", "another CA may do what is asked: --acme-directory")


class _NewOrder(messages.NewOrder):
    """With what RFC 9773 section 5 adds, and ``acme`` lacks."""

    replaces: str = jose_field("replaces", omitempty=True)


def _ask(ca: Network, settings: AcmeSettings, report: Callable[[str], None]) -> requests.Response:
    """Ask for the order; where the CA does not accept that it replaces a certificate, for one that replaces none."""
    names = identifiers(settings.names)
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


def _finalize(ca: Network, url: str, order: messages.Order, csr: x509.CertificateSigningRequest) -> str:
    """Send the request and wait for the certificate; its URL."""
    message = messages.CertificateRequest(csr=csr)
    pace = Pace(ca.patience)
    finalize = order.finalize
    response: requests.Response | None = None
    while True:
        if response is None or order.status == messages.STATUS_READY:
            response = _send(ca, finalize, message) or ca.post(url)
            order = ca.read(messages.Order, response)
        if order.status == messages.STATUS_VALID and order.certificate:
            return order.certificate
        if order.status not in (messages.STATUS_PENDING, messages.STATUS_READY, messages.STATUS_PROCESSING):
            raise _failed(ca, order)
        pace.wait(ca.retry_after(response), ca.host, "has not issued the certificate")
        response = ca.post(url)
        order = ca.read(messages.Order, response)


def _send(ca: Network, url: str, message: messages.CertificateRequest) -> requests.Response | None:
    """Finalize; None where the order itself says how it stands: it was not ready yet, or is being finalized already."""
    try:
        return ca.post(url, message)
    except Refusal as no:
        if no.problem == "orderNotReady" or no.resent:
            return None
        raise


def _failed(ca: Network, order: messages.Order) -> AcmeError:
    if order.error is not None:
        return refused(from_error(order.error), ca.host, ca.now(), ca.names)
    status = order.status.name if order.status else "nothing"
    return AcmeError(ca.host, f"calls the order {status}, and gives no certificate", "run the same command again")


def _chain(ca: Network, url: str, preferred: str, report: Callable[[str], None]) -> bytes:
    """The certificate with the chain whose top was issued by ``preferred``, else the CA's own choice.

    Other chains are fetched only where one is preferred and the first is another (RFC 8555 section 7.4.2).
    """
    response = ca.post(url)
    if not preferred or top_issuer(response.content) == preferred:
        return response.content
    links = requests.utils.parse_header_links(response.headers.get("Link", ""))
    for link in links:
        if link.get("rel") == "alternate":
            other = ca.post(urljoin(url, link["url"]))
            if top_issuer(other.content) == preferred:
                return other.content
    report(f"{ca.host} offers no chain from {preferred!r}: its own choice is taken")
    return response.content


def _bundle(ca: Network, pem: bytes, key: PrivateKey, names: tuple[str, ...]) -> Bundle:
    """The certificate as it came, checked: what a CA sends is text like any other."""
    from regdeploy.tls.bundle import make_bundle  # noqa: PLC0415 - beside cryptography, which is loaded by now

    try:
        return make_bundle(
            pem,
            key_pem(key),
            names=names,
            now=ca.now(),
            cert_name="the CA's certificate",
            key_name="its key",
            complete=True,  # a CA that signs with its root sends the leaf alone
        )
    except CertificateError as error:
        raise AcmeError(error.where, error.what, error.hint or "run the same command again") from error
