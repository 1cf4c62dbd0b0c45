"""Authorizations (RFC 8555 section 7.5): every name of an order proved, all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import requests
from acme import challenges, messages
from josepy.json_util import JSONObjectWithFields, encode_b64jose

from regdeploy.errors import AcmeError
from regdeploy.frozen import frozen
from regdeploy.tls.acme.challenges import Proof, Solver
from regdeploy.tls.acme.finalize import failed
from regdeploy.tls.acme.network import Network, Refusal
from regdeploy.tls.acme.patience import Pace
from regdeploy.tls.acme.problems import from_error, refused
from regdeploy.tls.acme.standing import standing

_CLOSER_LOOK = 16  # after 10 s, where the CA names no other time; then at twice as many, and so on


class _Ready(JSONObjectWithFields):
    """What tells the CA that the proof is in place: an empty object (RFC 8555 section 7.5.1)."""


@frozen
class _Pending:
    """An authorization to prove, for the name as it was asked for."""

    url: str
    name: str
    proof: Proof
    challenge: messages.ChallengeBody


def prove(ca: Network, url: str, authorizations: Sequence[str], solver: Solver, report: Callable[[str], None]) -> None:
    """Have the CA validate the ``authorizations`` of the order at ``url``; those that are valid already cost nothing.

    Returns when the order is ready, or all its authorizations are valid. Raises AcmeError with the CA's words for the
    first name that fails. The solver runs only while it is needed.
    """
    found = [pending for one in authorizations if (pending := _pending(ca, one, solver))]
    if not found:
        report("every name is proved already")
        return
    report(f"order: {len(found)} name{'s'[: len(found) > 1]} to prove")
    try:
        solver.start([pending.proof for pending in found])
        report(f"answering {solver.kind}{f' on port {solver.port}' if solver.port else ''}")
        asked = [_tell(ca, pending, solver) for pending in found]
        _wait(ca, url, found, max(asked), solver)
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
            return _Pending(url=url, name=name, proof=_proof(ca, name, challenge.chall), challenge=challenge)
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


def _tell(ca: Network, pending: _Pending, solver: Solver) -> float:
    """Tell the CA that the proof is in place; the seconds after which it wants to be asked.

    Raises AcmeError with its words where it looks at once and says no: the order may never say so.
    """
    if pending.challenge.status != messages.STATUS_PENDING:
        return 0.0  # told before: the order is an old one
    try:
        response = ca.post(pending.challenge.uri, _Ready())
    except Refusal as no:
        if no.resent:
            return 0.0  # the answer to the first attempt got lost, and this says that it was carried out
        raise
    _check(ca, pending, response, solver)
    return ca.retry_after(response) or 0.0


def _check(ca: Network, pending: _Pending, response: requests.Response, solver: Solver) -> None:
    """Raise AcmeError where the CA looked at the proof before it answered, and says no."""
    try:
        challenge = ca.read(messages.ChallengeBody, response)
    except AcmeError:
        return  # it was told, and what comes of it is the order's to say
    if challenge.status == messages.STATUS_INVALID:
        if challenge.error is not None:
            raise _refused(ca, pending.name, challenge.error, solver)
        _look(ca, [pending], solver)


def _wait(ca: Network, url: str, found: Sequence[_Pending], asked: float, solver: Solver) -> None:
    """Look at the order until it is pending no more: one request, however many names it has.

    The authorizations say whose fault it is where it fails. Now and then, and at the deadline, they are looked at where
    it stays pending as well: some CAs never tell an order what became of them.
    """
    pace, waiting = Pace(ca.patience), found
    for look in count(1):
        pace.wait(asked, ca.host, f"has not validated {waiting[0].name}")
        response = ca.post(url)
        order = ca.read(messages.Order, response)
        if order.status == messages.STATUS_READY:
            return
        is_pending, asked = order.status == messages.STATUS_PENDING, ca.retry_after(response) or 0.0
        if is_pending and not _is_closer(look) and ca.patience.left > 0:
            continue
        waiting, later = _look(ca, waiting, solver)
        if not is_pending:
            raise failed(ca, order)
        if not waiting:
            return
        asked = max(asked, later)


def _is_closer(look: int) -> bool:
    return look >= _CLOSER_LOOK and look.bit_count() == 1


def _look(ca: Network, waiting: Sequence[_Pending], solver: Solver) -> tuple[Sequence[_Pending], float]:
    """Those of the authorizations that are pending still, and the seconds after which the CA wants to be asked.

    Raises AcmeError for one that is neither pending nor valid.
    """
    still, asked = [], 0.0
    for pending in waiting:
        response = ca.post(pending.url)
        authorization = ca.read(messages.Authorization, response)
        if authorization.status == messages.STATUS_PENDING:
            still.append(pending)
            asked = max(asked, ca.retry_after(response) or 0.0)
        elif authorization.status != messages.STATUS_VALID:
            raise _failed(ca, authorization, solver)
    return still, asked


def _failed(ca: Network, authorization: messages.Authorization, solver: Solver) -> AcmeError:
    """The CA's words for an authorization that came to nothing."""
    name = _name(ca, authorization)
    for challenge in authorization.challenges or ():
        if challenge.error is not None:
            return _refused(ca, name, challenge.error, solver)
    status = authorization.status.name if authorization.status else "nothing"
    return AcmeError(name, f"the CA calls its authorization {status}", "run the same command again: it asks anew")


def _refused(ca: Network, name: str, error: messages.Error, solver: Solver) -> AcmeError:
    return refused(from_error(error), name, ca.now(), (name,), solver)


def _name(ca: Network, authorization: messages.Authorization) -> str:
    """The name that an authorization is for as it was asked for, the host of a CA that does not say."""
    if not authorization.identifier:
        return ca.host
    # A wildcard's is for the name below which it stands, and says so (RFC 8555 section 7.1.4).
    return f"*.{authorization.identifier.value}" if authorization.wildcard else str(authorization.identifier.value)
