"""A registry's endpoint seen over the network: what it really serves.

What speaks HTTP and TLS is loaded at the first question: it takes 20 ms, and planning needs the facts' type alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from regdeploy.frozen import frozen

_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.1
_ATTEMPT = 1.0  # the kernel repeats a SYN that got lost after a second: rather knock anew, and be more patient then


@frozen
class EndpointFacts:
    """What answered at an address.

    ``reachable``: an HTTP answer came (over TLS where that was asked); its status is ``http_status``. Otherwise
    ``error`` is a sentence that says how far it got. ``auth_required`` is None unless /v2/ said 200 or 401.
    ``leaf_der`` is the certificate served, trusted or not. ``trusted_by`` is ``system``, the label of a bundle, or
    empty when nothing verified it or nobody asked.
    """

    reachable: bool = False
    error: str = ""
    http_status: int | None = None
    auth_required: bool | None = None
    is_registry: bool = False
    leaf_der: bytes | None = None
    trusted_by: str = ""
    tls_version: str = ""


def probe(
    address: str,
    port: int,
    *,
    server_name: str,
    tls: bool,
    timeout: float,
    trust: Mapping[str, bytes] | None = None,
) -> EndpointFacts:
    """Ask ``address``:``port`` for /v2/ as ``server_name``, over one connection; never raises for what is out there.

    With ``trust`` (label to PEM; may be empty) it also asks who vouches for the certificate and the name: the
    system's store, then each bundle, by one more handshake each until one does. ``timeout`` is in seconds, for each
    wait: for the connection, the handshake, the answer. A wildcard's star in ``server_name`` stands for some label.
    """
    from regdeploy.registry import connection  # noqa: PLC0415 - http.client and ssl, only where something is asked

    target = connection.Target(address, port, server_name.replace("*", "any"))
    facts = connection.ask(target, tls, timeout)
    return facts if trust is None else connection.judged(facts, target, timeout, trust)


def wait_until_serving(
    address: str,
    port: int,
    *,
    server_name: str,
    tls: bool,
    deadline: float,
    trust: Mapping[str, bytes] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> EndpointFacts:
    """Probe until an HTTP answer comes, for ``deadline`` seconds from now, or until ``stopped()`` says it never will.

    Returns the last facts seen. Waits 10 ms at first, growing to 100 ms, between attempts of 1 s at first, growing too.
    ``trust`` is asked once, at the end.
    """
    from regdeploy.registry import connection  # noqa: PLC0415 - as above

    target = connection.Target(address, port, server_name.replace("*", "any"))
    until = time.monotonic() + deadline
    wait, patience = _FIRST_WAIT, _ATTEMPT
    while True:
        began = time.monotonic()
        facts = connection.ask(target, tls, min(patience, max(0.05, until - began)))
        if facts.reachable or time.monotonic() + wait >= until or stopped():
            break
        if time.monotonic() - began >= patience:
            patience *= 2
        time.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_WAIT)
    return facts if trust is None else connection.judged(facts, target, _ATTEMPT, trust)
