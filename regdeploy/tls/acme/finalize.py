"""From an order that is ready to a certificate that was checked (RFC 8555 sections 7.4 and 7.4.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urljoin

import requests
from acme import messages
from cryptography import x509

from regdeploy.errors import AcmeError, CertificateError
from regdeploy.tls.acme.network import Network, Refusal
from regdeploy.tls.acme.patience import Pace
from regdeploy.tls.acme.problems import from_error, linked, refused
from regdeploy.tls.acme.request import PrivateKey
from regdeploy.tls.bundle import make_bundle
from regdeploy.tls.certificate import Bundle
from regdeploy.tls.parsed import key_pem

_MOST = 10  # other chains that are looked at: a CA has one or two


def finalize(ca: Network, url: str, order: messages.Order, csr: x509.CertificateSigningRequest) -> str:
    """Send the request for the order at ``url`` and wait for the certificate; its URL. Raises AcmeError."""
    message = messages.CertificateRequest(csr=csr)
    pace = Pace(ca.patience)
    target, ca.fault = order.finalize, ""
    response: requests.Response | None = None
    while True:
        if response is None or order.status == messages.STATUS_READY:
            response = _send(ca, target, message) or ca.post(url)
            order = ca.read(messages.Order, response)
        if order.status == messages.STATUS_VALID and order.certificate:
            return order.certificate
        if order.status not in (messages.STATUS_PENDING, messages.STATUS_READY, messages.STATUS_PROCESSING):
            raise failed(ca, order)
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


def failed(ca: Network, order: messages.Order) -> AcmeError:
    """The CA's words for an order that came to nothing: those of the order, else of the fault that ended it."""
    if order.error is not None:
        return refused(from_error(order.error), ca.host, ca.now(), ca.names)
    status = order.status.name if order.status else "nothing"
    before = f", after it said: {ca.fault}" if ca.fault else ""
    return AcmeError(
        ca.host, f"calls the order {status}, and gives no certificate{before}", "run the same command again"
    )


def fetch(ca: Network, url: str, key: PrivateKey, preferred: str, report: Callable[[str], None]) -> Bundle:
    """The certificate at ``url``, checked, with the chain whose topmost issuer has the common name ``preferred``.

    The CA's own choice where that is empty, and with a report where there is no such chain: only what is needed is
    fetched, and a chain that cannot be had costs no certificate. Raises AcmeError for one that is not fit.
    """
    response = ca.post(url)
    default = _bundle(ca, response, key)
    if not preferred or _top(default) == preferred:
        return default
    for other in _others(ca, response, key, report):
        if other.leaf == default.leaf and _top(other) == preferred:
            return other
    report(f"{ca.host} offers no chain from {preferred!r}: its own choice, from {_top(default)!r}, is taken")
    return default


def _others(
    ca: Network, response: requests.Response, key: PrivateKey, report: Callable[[str], None]
) -> Iterator[Bundle]:
    """Yield the other chains in the CA's order; one that cannot be had is told and passed over."""
    for link in linked(response, "alternate")[:_MOST]:
        try:
            yield _bundle(ca, ca.post(urljoin(response.url, link)), key)
        except AcmeError as error:
            if error.problem == "cancelled":
                raise
            report(f"another chain cannot be had: {error}")


def _top(bundle: Bundle) -> str:
    """Whoever issued the end of the chain: the root, whether or not it was sent along."""
    return (bundle.chain[-1] if bundle.chain else bundle.leaf).issuer_common_name


def _bundle(ca: Network, response: requests.Response, key: PrivateKey) -> Bundle:
    """The certificate as it came, checked: what a CA sends is text like any other."""
    try:
        return make_bundle(
            response.content,
            key_pem(key).reveal().encode(),
            names=tuple(ca.names),
            now=ca.now(),
            cert_name="the CA's certificate",
            key_name="its key",
            complete=True,  # a CA that signs with its root sends the leaf alone
        )
    except CertificateError as error:  # its hint is about files that a user has
        hint = "run the same command again; if that ends the same way, check this host's clock, and tell the CA"
        raise AcmeError(error.where, error.what, hint) from error
