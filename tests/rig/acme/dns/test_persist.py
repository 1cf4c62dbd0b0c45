"""dns-persist-01: real name servers are looked at; a CA that does not know the kind has a proxy that asks for it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.challenges import Proof
from regdeploy.tls.acme.persist import DnsPersist01
from regdeploy.tls.acme.settings import DnsSettings
from regdeploy.tls.acme.standing import Standing
from tests.rig.acme.conftest import Client
from tests.rig.parts.bind import DELEGATED, PRIMARY, SECONDARY, ZONE, Bind
from tests.rig.parts.flaky import Answer, Flaky
from tests.rig.parts.pebble import Pebble, PebbleOptions
from tests.unit.said import said

_NAME = f"registry.{ZONE}"
_AT = f"_validation-persist.{_NAME}."
_ACCOUNT = "https://ca.example/acct/1"
_GOOD = f'"ca.example; accounturi={_ACCOUNT}; policy=wildcard"'
_SERVERS = f"ns1.{ZONE} ({PRIMARY}), ns2.{ZONE} ({SECONDARY})"
_RESOLVERS = DnsSettings(provider="rfc2136", resolvers=(PRIMARY,))


@pytest.fixture
def zone(bind: Bind) -> Iterator[Bind]:
    """The name servers, whose records of this kind go with the test."""
    yield bind
    bind.update(*(f"update delete _validation-persist.{name}.{ZONE}. TXT" for name in ("registry", "b")))


@pytest.fixture(scope="module")
def believer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A CA that looks at no proof: the proxy before it asks for a kind that it does not know."""
    authority = Pebble(tmp_path_factory.mktemp("pebble-persist"), PebbleOptions(believes=True))
    try:
        yield authority.start()
    finally:
        authority.stop()


@pytest.fixture
def proxy(believer: Pebble, tmp_path: Path) -> Iterator[Flaky]:
    """A CA that offers dns-persist-01 and nothing else."""
    proxy = Flaky(tmp_path, believer.directory, believer.ca_bundle).start()
    proxy.on("POST /authZ", last=99, rewrite=_offered)
    yield proxy
    proxy.stop()


def _offered(answer: Answer) -> Answer:
    """The authorization with its dns-01 as the kind that has no token."""
    (known,) = (one for one in json.loads(answer.body)["challenges"] if one["type"] == "dns-01")
    persist = {"type": "dns-persist-01", "issuer-domain-names": ["ca.example", "authority.example"]}
    return answer.with_json(challenges=[{**{k: known[k] for k in ("url", "status")}, **persist}])


def proof(name: str = _NAME, *, wildcard: bool = False) -> Proof:
    wanted = Standing(issuers=("ca.example",), accounts=(_ACCOUNT,), wildcard=wildcard, now=time.time())
    return Proof(name=name, standing=wanted)


def seen(bind: Bind, *records: str, name: str = _AT) -> None:
    """Add the records and wait until the secondary has them."""
    bind.update(*(f"update add {name} 60 TXT {record}" for record in records))
    while bind.txt(name, SECONDARY) != bind.txt(name, PRIMARY):
        time.sleep(0.01)


def start(*proofs: Proof) -> None:
    solver = DnsPersist01([PRIMARY])
    try:
        solver.start(proofs)
    finally:
        solver.stop()


def test_the_record_that_the_error_asks_for_makes_this_order_and_every_later_one(
    proxy: Flaky, zone: Bind, tmp_path: Path
) -> None:
    client = Client(proxy, tmp_path / "state")

    def issue() -> str:
        return client.issue(_NAME, f"*.{_NAME}", challenge="dns-persist-01", dns=_RESOLVERS).account

    with pytest.raises(AcmeError) as caught:
        issue()
    told = caught.value
    assert str(told) == f"{_AT}: no record there lets the CA prove the name: {_SERVERS}: no TXT record"
    assert proxy.count("POST /chalZ") == 0
    _, _, record = told.hint.partition(f"{_AT} IN TXT ")
    seen(zone, record)
    account = issue()
    assert client.reports[-4:] == [
        "order: 2 names to prove",
        "answering dns-persist-01",
        "validated",
        "certificate issued",
    ]
    assert told.hint == (
        "make this record once, by hand, and leave it there: "
        f'{_AT} IN TXT "ca.example; accounturi={account}; policy=wildcard"'
    )
    assert issue() == account
    assert zone.txt(_AT) == {f"ca.example; accounturi={account}; policy=wildcard"}
    assert {str(payload) for request, payload in proxy.said if "/chalZ" in request} == {"{}"}


def test_one_good_record_among_others_is_enough(zone: Bind) -> None:
    long = f'"ca.example; accounturi={_ACCOUNT}; x={"x" * 150}" "{"x" * 150}; policy=wildcard"'
    seen(zone, '"other.example; accounturi=https://other.example/1"', long)
    start(proof(), proof(wildcard=True))


def test_every_record_that_is_wrong_is_shown_and_each_to_make_is_said_once(zone: Bind) -> None:
    seen(zone, '"other.example"', f'"ca.example; accounturi={_ACCOUNT}"')
    other = f"_validation-persist.b.{ZONE}."
    assert said(lambda: start(proof(), proof(wildcard=True), proof(f"b.{ZONE}"))) == (
        f"{_AT}, {other}: no record there lets the CA prove the name: {_SERVERS}:"
        f' "ca.example; accounturi={_ACCOUNT}" has no policy=wildcard, "other.example" is for another CA;'
        f" {_SERVERS}: no TXT record\n"
        "hint: make these records once, by hand, and leave them there:\n"
        f"{_AT} IN TXT {_GOOD}\n"
        f'{other} IN TXT "ca.example; accounturi={_ACCOUNT}"'
    )


def test_a_name_that_leads_elsewhere_has_its_record_there(bind: Bind) -> None:
    there = f"alias.{DELEGATED}."
    wanted = proof(f"alias.{ZONE}")
    assert said(lambda: start(wanted)) == (
        f"{there}: no record there lets the CA prove the name: {_SERVERS}: no TXT record\n"
        f'hint: make this record once, by hand, and leave it there: {there} IN TXT "ca.example; accounturi={_ACCOUNT}"'
    )
    seen(bind, _GOOD, name=there)
    start(wanted)
    bind.update(f"update delete {there} TXT")


def test_stopped_it_looks_no_more(bind: Bind) -> None:
    solver = DnsPersist01([PRIMARY])
    solver.stop()
    assert said(lambda: solver.start([proof()])) == (
        "certificate: cancelled: the order is left to the CA, which forgets it"
    )
