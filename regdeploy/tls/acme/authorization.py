"""Authorizations (RFC 8555 section 7.5): every name of an order proved, all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import requests
from acme import challenges, messages
from josepy.json_util import JSONObjectWithFields, encode_b64jose

from regdeploy.errors import AcmeError
from regdeploy.frozen import frozen
from regdeploy.tls.acme.challenges import Proof, Solver
from regdeploy.tls.acme.network import Network, Refusal
from regdeploy.tls.acme.patience import Pace
from regdeploy.tls.acme.problems import from_error, refused
from regdeploy.tls.acme.standing import standing


class _Ready(JSONObjectWithFields):
    """What tells the CA that the proof is in place: an empty object (RFC 8555 section 7.5.1)."""


@frozen
class _Pending:
    """An authorization to prove."""

    url: str
    proof: Proof
    challenge: messages.ChallengeBody


def prove(ca: Network, urls: Sequence[str], solver: Solver, report: Callable[[str], None]) -> None:
    """Have the CA validate the authorizations at ``urls``; those that are valid already cost nothing.

    Raises AcmeError with the CA's words for the first name that fails. The solver runs only while it is needed.
    """
    found = [pending for url in urls if (pending := _pending(ca, url, solver))]
    if not found:
        report("every name is proved already")
        return
    report(f"order: {len(found)} name{'s'[: len(found) > 1]} to prove")
    try:
        solver.start([pending.proof for pending in found])
        report(f"answering {solver.kind}{f' on port {solver.port}' if solver.port else ''}")
        asked = [_tell(ca, pending) for pending in found]
        _wait(ca, found, max(asked), solver)
    finally:
        solver.stop()
    report("validated")


def _pending(ca: Network, url: str, solver: Solver) -> _Pending | None:
    """What is to be proved for one authorization, None where it is valid."""
    authorization = ca.read(messages.Authorization, ca.post(url))
    if authorization.status == messages.STATUS_VALID:
        return None
    if authorization.status != messages.STATUS_PENDING:
        raise _failed(ca, authorization, solver)
    name = _name(ca, authorization)
    for challenge in authorization.challenges or ():
        # An unknown kind has no ``typ`` of its own: ``acme`` reads it as UnrecognizedChallenge.
        if challenge.chall.to_partial_json().get("type") == solver.kind:
            return _Pending(url=url, proof=_proof(ca, name, challenge.chall), challenge=challenge)
    offered = ", ".join(str(one.chall.to_partial_json().get("type")) for one in authorization.challenges or ())
    raise AcmeError(name, f"the CA offers no {solver.kind} for it, only: {offered or 'nothing'}", "choose another CA")


def _proof(ca: Network, name: str, challenge: challenges.Challenge) -> Proof:
    """The key authorization (RFC 8555 section 8.1), made here: ``acme`` does not know every kind that has one.

    dns-persist-01 has none, and no token, but a record that stands.
    """
    said, base = challenge.to_json(), name.removeprefix("*.")
    thumbprint = encode_b64jose(ca.key.thumbprint())
    if said.get("type") == "dns-persist-01":
        prefix, now = ca.directory.account_hash_prefix, ca.now().timestamp()
        wanted = standing(said, name, account=ca.account, thumbprint=thumbprint, prefix=prefix, now=now)
        return Proof(name=base, standing=wanted)
    token = said.get("token")
    if not isinstance(token, str):
        raise AcmeError(base, "the CA sent a challenge without a token", "run the same command again")
    return Proof(name=base, token=token, key_authorization=f"{token}.{thumbprint}")


def _tell(ca: Network, pending: _Pending) -> float:
    """Tell the CA that the proof is in place; the seconds after which it wants to be asked."""
    if pending.challenge.status != messages.STATUS_PENDING:
        return 0.0  # told before: the order is an old one
    try:
        response = ca.post(pending.challenge.uri, _Ready())
    except Refusal as no:
        if no.resent:
            return 0.0  # the answer to the first attempt got lost, and this says that it was carried out
        raise
    return ca.retry_after(response) or 0.0


def _wait(ca: Network, found: Sequence[_Pending], asked: float, solver: Solver) -> None:
    """Look at all that are pending, in turns, until none is."""
    pace = Pace(ca.patience)
    waiting = list(found)
    while waiting:
        pace.wait(asked, ca.host, f"has not validated {waiting[0].proof.name}")
        looks = [(pending, ca.post(pending.url)) for pending in waiting]
        waiting = [pending for pending, response in looks if not _is_valid(ca, response, solver)]
        asked = max(ca.retry_after(response) or 0.0 for _, response in looks)


def _is_valid(ca: Network, response: requests.Response, solver: Solver) -> bool:
    """Whether an authorization is valid rather than pending. Raises AcmeError for any other status."""
    authorization = ca.read(messages.Authorization, response)
    if authorization.status == messages.STATUS_VALID:
        return True
    if authorization.status == messages.STATUS_PENDING:
        return False
    raise _failed(ca, authorization, solver)


def _failed(ca: Network, authorization: messages.Authorization, solver: Solver) -> AcmeError:
    """The CA's words for an authorization that came to nothing."""
    name = _name(ca, authorization)
    for challenge in authorization.challenges or ():
        if challenge.error is not None:
            return refused(from_error(challenge.error), name, ca.now(), (name,), solver)
    status = authorization.status.name if authorization.status else "nothing"
    return AcmeError(name, f"the CA calls its authorization {status}", "run the same command again: it asks anew")


def _name(ca: Network, authorization: messages.Authorization) -> str:
    """The name that an authorization is for as it was asked for, the host of a CA that does not say."""
    if not authorization.identifier:
        return ca.host
    # A wildcard's is for the name below which it stands, and says so (RFC 8555 section 7.1.4).
    return f"*.{authorization.identifier.value}" if authorization.wildcard else str(authorization.identifier.value)
