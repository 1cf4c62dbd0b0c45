"""Waiting for name servers: who is asked, until when, and what is said of those that are late."""

from __future__ import annotations

import threading

import dns.flags
import dns.message
import pytest

from regdeploy.tls.acme.dns.propagation import Watch, spread
from regdeploy.tls.acme.dns.zones import Server
from regdeploy.tls.acme.patience import Patience
from tests.fakes.nameserver import Answer, NameServer, failing, records
from tests.unit.said import said
from tests.unit.tls.acme.dns.conftest import Serve, patience

_NAME = "_acme-challenge.a.example.com."
_BOTH = (f'{_NAME} TXT "one"', f'{_NAME} TXT "two"')
_LATE = "hint: see that it follows the zone's primary (NOTIFY, zone transfer), or give the records more time to spread"
_GONE = "hint: start it, or take its NS record out of the zone: the CA may ask any name server of the zone"


def watch(server: NameServer, *values: str) -> Watch:
    return Watch(
        Server(name="ns1.example.com.", address="127.0.0.1", port=server.port), _NAME, values or ("one", "two")
    )


def late(serve: Serve, answer: Answer) -> str:
    return said(lambda: spread([watch(serve(answer))], patience(0.1)))


def test_a_server_that_has_all_values_among_others_is_asked_once(serve: Serve) -> None:
    server = serve(records(*_BOTH, f'{_NAME} TXT "a stranger\'s"'))
    spread([watch(server)], patience())
    assert server.asked == [f"{_NAME} TXT"]


def test_one_that_follows_is_asked_until_it_has_them_and_the_others_no_more(serve: Serve) -> None:
    answers = iter([records(), records(_BOTH[0]), records(*_BOTH)])
    slow = serve(lambda question: next(answers)(question))  # noqa: PLW0108 - another each time
    quick = serve(records(*_BOTH))
    spread([watch(slow), watch(quick)], patience())
    assert (len(slow.asked), len(quick.asked)) == (3, 1)


def test_a_value_in_pieces_is_one_value(serve: Serve) -> None:
    spread([watch(serve(records(f'{_NAME} TXT "on" "e"')), "one")], patience())


def test_an_answer_that_is_too_long_for_a_datagram_is_read_whole(serve: Serve) -> None:
    whole = records(*_BOTH)
    turns = iter([True, False])

    def answer(question: dns.message.Message) -> dns.message.Message | bytes | None:
        if next(turns):
            reply = dns.message.make_response(question)
            reply.flags |= dns.flags.TC
            return reply
        return whole(question)

    spread([watch(serve(answer))], patience())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (records(), "it has 0 of 2 values"),
        (records(_BOTH[0]), "it has 1 of 2 values"),
        (records(_BOTH[0], authoritative=False), "it is not authoritative for that name"),
        (failing, "it answers SERVFAIL"),
    ],
    ids=["none", "one", "lame", "failing"],
)
def test_what_a_late_server_says_is_told(serve: Serve, answer: Answer, words: str) -> None:
    assert late(serve, answer) == (
        f"ns1.example.com (127.0.0.1): does not have the TXT record of {_NAME} within 0 s: {words}\n{_LATE}"
    )


def test_one_that_never_answers_is_named_before_those_that_are_late(serve: Serve) -> None:
    mute, slow = serve(lambda question: None), serve(records())
    assert said(lambda: spread([watch(slow), watch(mute)], patience(0.1))) == (
        f"ns1.example.com (127.0.0.1): never answered about {_NAME} within 0 s\n{_GONE}"
    )


def test_one_that_answers_nonsense_has_not_answered(serve: Serve) -> None:
    words = late(serve, lambda question: b"nonsense")
    assert words.startswith(f"ns1.example.com (127.0.0.1): never answered about {_NAME} within 0 s")


def test_one_whose_name_has_no_address_is_named() -> None:
    nowhere = Watch(Server(name="gone.example.com.", address=""), _NAME, ["one"])
    assert said(lambda: spread([nowhere], patience(0.05))) == (
        f"gone.example.com: never answered about {_NAME} within 0 s: its name has no address\n{_GONE}"
    )


def test_cancelled_it_asks_nobody_any_more(serve: Serve) -> None:
    cancel = threading.Event()
    cancel.set()
    server = serve(records())
    assert said(lambda: spread([watch(server)], Patience(60, cancel))).startswith("certificate: cancelled")
    assert server.asked == []
