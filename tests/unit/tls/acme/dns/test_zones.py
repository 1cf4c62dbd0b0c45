"""Where a name's records lie: aliases, zones, name servers, and addresses as the user writes them."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from regdeploy.errors import UsageError
from regdeploy.tls.acme.dns.provider import Place
from regdeploy.tls.acme.dns.zones import Server, Zones, endpoint
from regdeploy.tls.acme.patience import Patience
from tests.fakes.nameserver import Answer, failing, records
from tests.unit.said import said
from tests.unit.tls.acme.dns.conftest import Serve, patience

_ZONE = ("example.com. SOA ns1.example.com. h.example.com. 1 2 3 4 5", "ns1.example.com. A 192.0.2.1")
_NAME = "_acme-challenge.a.example.com."


def zones(serve: Serve, answer: Answer) -> Zones:
    return Zones((f"127.0.0.1:{serve(answer).port}",), patience())


def chain(length: int) -> list[str]:
    """That many aliases from ``_NAME`` to ``end.example.com``."""
    names = [_NAME, *(f"n{number}.example.com." for number in range(1, length)), "end.example.com."]
    return [f"{one} CNAME {other}" for one, other in pairwise(names)]


def test_a_name_without_aliases_lies_in_the_nearest_zone_above(serve: Serve) -> None:
    found = zones(serve, records(*_ZONE, "com. SOA a.com. h.com. 1 2 3 4 5")).place(_NAME)
    assert found == Place(name=_NAME, zone="example.com.", primary="ns1.example.com.", primary_addresses=("192.0.2.1",))


@pytest.mark.parametrize("length", [1, 10])
def test_aliases_are_followed_to_their_end(serve: Serve, length: int) -> None:
    assert zones(serve, records(*_ZONE, *chain(length))).place(_NAME).name == "end.example.com."


def test_more_than_ten_aliases_are_too_many(serve: Serve) -> None:
    long = zones(serve, records(*_ZONE, *chain(11)))
    assert said(lambda: long.place(_NAME)) == (
        f"{_NAME}: has more than 10 aliases in a row\n"
        "hint: correct its CNAME records: one that leads to where the TXT record may be written is enough"
    )


def test_a_primary_without_an_address_is_found_all_the_same(serve: Serve) -> None:
    found = zones(serve, records(_ZONE[0])).place(_NAME)
    assert (found.primary, found.primary_addresses) == ("ns1.example.com.", ())


def test_every_address_of_every_name_server_is_one_to_ask_but_those_without_a_route(serve: Serve) -> None:
    found = zones(
        serve,
        records(
            *_ZONE,
            "ns1.example.com. AAAA fe80::1",  # link-local without an interface: no host has a route
            "ns1.example.com. A 192.0.2.3",
            "example.com. NS ns2.example.com.",
            "example.com. NS ns1.example.com.",
            "example.com. NS gone.example.com.",
            "ns2.example.com. AAAA ::1",
        ),
    ).servers("example.com.")
    assert found == (
        Server(name="gone.example.com.", address=""),
        Server(name="ns1.example.com.", address="192.0.2.1"),
        Server(name="ns1.example.com.", address="192.0.2.3"),
        Server(name="ns2.example.com.", address="::1"),
    )
    assert [str(server) for server in found[::3]] == ["gone.example.com", "ns2.example.com (::1)"]


def test_a_zone_that_nobody_here_can_ask_is_an_error(serve: Serve) -> None:
    lost = zones(serve, records("example.com. NS ns6.example.com.", "ns6.example.com. AAAA fe80::1"))
    assert said(lambda: lost.servers("example.com.")) == (
        "example.com.: has no name server that this host can reach\nhint: look at its NS records, and at IPv6"
    )


def test_a_name_in_no_zone_is_an_error(serve: Serve) -> None:
    nowhere = zones(serve, records())
    assert said(lambda: nowhere.place(_NAME)).startswith(f"{_NAME}: the zone that it is in was not found: ")


def test_a_resolver_that_fails_is_said_in_its_words(serve: Serve) -> None:
    words = said(lambda: zones(serve, failing).place(_NAME))
    assert words.startswith(f"{_NAME}: the name servers did not answer about its CNAME record: ")
    assert words.endswith("\nhint: look at this host's name servers (/etc/resolv.conf), or name others as resolvers")


def test_a_cancelled_search_asks_nobody_any_more(serve: Serve) -> None:
    cancel = threading.Event()
    server = serve(records(*_ZONE))
    search = Zones((f"127.0.0.1:{server.port}",), Patience(5, cancel))
    cancel.set()
    for work in (lambda: search.place(_NAME), lambda: search.addresses("ns1.example.com.")):
        assert said(work).startswith("certificate: cancelled")
    assert server.asked == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
    ],
)
def test_an_address_may_have_a_port(text: str, found: tuple[str, int]) -> None:
    assert endpoint(text, "DNS server") == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "ns1.example.com",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:x",
        "[::1",
        "[::1]53",
        "[::1]:",
    ],
)
def test_what_is_no_address_is_refused_as_given(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        endpoint(text, "DNS server")
    assert str(caught.value) == f"DNS server: {text!r} is no address with a port, or without one"
