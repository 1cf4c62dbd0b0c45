"""What name servers have of dns-persist-01's records, one by one."""

from __future__ import annotations

import pytest

from regdeploy.errors import UsageError
from regdeploy.tls.acme.dns.propagation import spread
from regdeploy.tls.acme.dns.zones import Server
from regdeploy.tls.acme.persist import DnsPersist01, Look, faults
from regdeploy.tls.acme.standing import Standing
from tests.fakes.nameserver import Answer, failing, records
from tests.unit.said import said
from tests.unit.tls.acme.dns.conftest import Serve, patience

_AT = "_validation-persist.a.example.com."
_WANTED = Standing(issuers=("ca.example",), accounts=("https://ca.example/1",), wildcard=False, now=0)
_GOOD = records(f'{_AT} TXT "ca.example;" " accounturi=https://ca.example/1"')


def look(serve: Serve, number: int, answer: Answer) -> Look:
    port = serve(answer).port
    return Look(Server(name=f"ns{number}.example.com.", address="127.0.0.1", port=port), _AT)


def test_the_server_that_lacks_what_the_others_have_is_named_alone(serve: Serve) -> None:
    looks = [look(serve, 1, _GOOD), look(serve, 2, records()), look(serve, 3, _GOOD), look(serve, 4, records())]
    spread(looks, patience())
    assert faults(looks, _WANTED) == "ns2.example.com (127.0.0.1), ns4.example.com (127.0.0.1): no TXT record"


def test_what_all_have_is_no_fault(serve: Serve) -> None:
    looks = [look(serve, number, _GOOD) for number in (1, 2)]
    spread(looks, patience())
    assert not faults(looks, _WANTED)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(failing, "it answers SERVFAIL"), (records(authoritative=False), "it is not authoritative for that name")],
)
def test_a_server_that_does_not_know_is_not_one_that_has_nothing(serve: Serve, answer: Answer, words: str) -> None:
    assert said(lambda: spread([look(serve, 1, answer)], patience(0.1))).startswith(
        f"ns1.example.com (127.0.0.1): does not have the TXT record of {_AT} within 0 s: {words}\n"
    )


def test_a_resolver_that_is_none_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(UsageError, match="'ns1' is no address"):
        DnsPersist01(["ns1"])
