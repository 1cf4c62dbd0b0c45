"""What a name server answers to an update that a real one would hardly say, and where updates go."""

from __future__ import annotations

from pathlib import Path

import dns.message
import dns.rcode
import dns.tsig
import pytest

from regdeploy.secret import Secret
from regdeploy.tls.acme.dns.keyfile import TsigKey
from regdeploy.tls.acme.dns.rfc2136 import Rfc2136
from tests.fakes.nameserver import NameServer
from tests.unit.said import said
from tests.unit.tls.acme.dns.conftest import Serve, patience, record

_KEY = TsigKey(name="k", algorithm="hmac-sha256", secret=Secret("c2VjcmV0"), path=Path("/etc/k.key"))
_TSIG = dns.tsig.Key("k", "c2VjcmV0", "hmac-sha256")
_NAME_IT = "hint: name the zone's primary name server, which takes updates, as the DNS server"


def update(server: NameServer, key: TsigKey | None = None) -> str:
    """What an update says that fails, without the server's address."""
    words = said(lambda: Rfc2136(f"127.0.0.1:{server.port}", key).add(record(), patience()))
    return words.removeprefix(f"DNS server 127.0.0.1:{server.port}: ")


def test_clocks_that_differ_are_said_to_be_the_clocks(serve: Serve) -> None:
    def answer(question: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(question)
        reply.use_tsig(_TSIG, tsig_error=18, other_data=b"\0" * 6)
        reply.set_rcode(dns.rcode.NOTAUTH)
        return reply

    assert update(serve(answer, _TSIG), _KEY) == (
        "finds the time of the signature wrong (BADTIME): its clock and this host's are minutes apart\n"
        "hint: set both by NTP: timedatectl set-ntp true"
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (dns.rcode.NOTAUTH, f"does not hold the zone example.com. (NOTAUTH)\n{_NAME_IT}"),
        (
            dns.rcode.SERVFAIL,
            "answers the update of _acme-challenge.a.example.com. with SERVFAIL\nhint: look at its log",
        ),
    ],
)
def test_an_answer_that_is_no_success_has_words(serve: Serve, code: dns.rcode.Rcode, words: str) -> None:
    def answer(question: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(question)
        reply.set_rcode(code)
        return reply

    assert update(serve(answer)) == words


def test_an_answer_that_is_none_has_words(serve: Serve) -> None:
    assert update(serve(lambda question: b"nonsense")).startswith("gave an answer that cannot be used: ")
    assert update(serve(lambda question: None)).startswith(
        "the update of _acme-challenge.a.example.com. did not get there"
    )


def test_an_answer_that_somebody_else_signed_is_not_believed(serve: Serve) -> None:
    def answer(question: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(question)
        reply.use_tsig(dns.tsig.Key("k", "b3RoZXI=", "hmac-sha256"))
        return reply

    assert update(serve(answer, _TSIG), _KEY) == (
        'has another secret for the TSIG key "k" (BADSIG)\nhint: compare the secret in /etc/k.key'
    )


def test_without_a_server_or_an_address_of_the_primary_one_is_asked_for() -> None:
    assert said(lambda: Rfc2136("", None).remove(record(), patience())) == (
        f"ns1.example.com.: the primary of example.com. has no address\n{_NAME_IT}"
    )


def test_what_is_no_address_is_bad_usage() -> None:
    assert said(lambda: Rfc2136("ns1.example.com", None)).startswith(
        "DNS server: 'ns1.example.com' is no address with a port, or without one"
    )


def test_the_secret_is_in_no_error(serve: Serve) -> None:
    assert "c2VjcmV0" not in update(serve(lambda question: b"nonsense", _TSIG), _KEY)
