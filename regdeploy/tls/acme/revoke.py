"""A certificate revoked (RFC 8555 section 7.6): by the account that ordered it, else by its own key."""

from __future__ import annotations

from collections.abc import Callable

from acme import messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.jwk import JWKEC, JWKRSA

from regdeploy.errors import AcmeError, CertificateError, UsageError
from regdeploy.secret import Secret
from regdeploy.tls.acme.account import existing_account
from regdeploy.tls.acme.network import Network, Refusal
from regdeploy.tls.acme.settings import Errand
from regdeploy.tls.acme.visit import visit
from regdeploy.tls.bundle import split_pem
from regdeploy.tls.parsed import belongs, parse, private_keys
from regdeploy.tls.pem import read_blocks

#: Why a subscriber revokes (RFC 5280 section 5.3.1): the other codes are for CAs.
REASONS = {
    "unspecified": 0,
    "keyCompromise": 1,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
}

#: What a CA says to an account that it does not know, or that did not order the certificate.
_NOT_THE_ISSUER = ("unauthorized", "accountDoesNotExist")


def revoke(errand: Errand, certificate: bytes, *, key: Secret | None, reason: str) -> bool:
    """Have the CA revoke the first of ``certificate`` (PEM); whether it was not yet. ``reason`` is one of REASONS.

    ``key`` (PEM) is the certificate's own, or None: it signs where there is no account, or that of another
    ordered the certificate. Raises UsageError and CertificateError before anything is asked, AcmeError and HostError.
    Asked again after a crash it says that it is done.
    """
    if reason not in REASONS:
        raise UsageError("--reason", f"{reason!r} is no reason to revoke", f"choose one of {', '.join(REASONS)}")
    leaf = parse(split_pem(certificate, "the certificate")[0], "the certificate")
    own = _own_key(key, leaf) if key is not None else None
    message = messages.Revocation(certificate=leaf, reason=REASONS[reason])

    def work(ca: Network) -> bool:
        try:
            _ask(ca, message, lambda: existing_account(ca, errand) is not None, own)
        except Refusal as no:
            if no.problem != "alreadyRevoked":
                raise
            errand.report("the certificate was revoked already")
            return False
        errand.report(f"certificate revoked: {reason}")
        return True

    return visit(errand, work)


def _ask(ca: Network, message: messages.Revocation, by_account: Callable[[], bool], own: JWKEC | JWKRSA | None) -> None:
    """Ask by the account, if there is one, then by the certificate's key."""
    url = ca.endpoint("revokeCert")
    try:
        if by_account():
            ca.post(url, message)
            return
    except Refusal as no:
        if no.problem not in _NOT_THE_ISSUER:
            raise
        if own is None:
            no.hint = "another account ordered it: give the certificate's private key"
            raise
    if own is None:
        hint = "give the certificate's private key, or the state of the account that ordered it"
        raise AcmeError(ca.host, "has no account of this registry that could revoke the certificate", hint)
    ca.key, ca.account = own, ""
    ca.post(url, message)


def _own_key(pem: Secret, leaf: x509.Certificate) -> JWKEC | JWKRSA:
    where = "the certificate's key"
    key, _ = private_keys(read_blocks(pem.reveal().encode(), where), where)[0]
    if not belongs(key, leaf):
        raise CertificateError(where, "does not belong to the certificate", "give the key that was issued with it")
    if isinstance(key, rsa.RSAPrivateKey):
        return JWKRSA(key=key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return JWKEC(key=key)
    raise CertificateError(where, "is of a kind that ACME does not sign with", "revoke by the account that ordered it")
