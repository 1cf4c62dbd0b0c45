"""A certificate from a real CA, and how few requests it takes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.directory import directory_facts
from tests.rig.acme.conftest import Client
from tests.rig.parts.flaky import Flaky, problem
from tests.rig.parts.pebble import Pebble

_ORDER = [
    "POST order-plz",
    "POST authZ",
    "POST chalZ",
    "POST my-order",
    "POST finalize-order",
    "POST my-order",
    "POST certZ",
]


def asked(flaky: Flaky) -> list[str]:
    """The requests without what is particular to one order, a look that was repeated only once."""
    kinds = [request.replace("/", "", 1).partition("/")[0] for request in flaky.asked]
    return [kind for number, kind in enumerate(kinds) if number == 0 or kind != kinds[number - 1]]


def is_free(port: int) -> bool:
    """Whether nobody listens on the port, on neither family."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            if connection.connect_ex((address, port)) == 0:
                return False
    return True


def test_the_certificate_is_the_cas_for_that_name_with_its_chain_and_key(client: Client, pebble: Pebble) -> None:
    issued = client.issue("a.example.com")
    leaf, *chain = x509.load_pem_x509_certificates(issued.bundle.fullchain_pem)
    root = x509.load_pem_x509_certificate(pebble.root_pem())
    policy = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName("a.example.com"))
    assert len(policy.verify(leaf, chain)) == 3
    assert chain == x509.load_pem_x509_certificates(pebble.intermediate_pem())
    assert issued.challenge == "http-01"
    assert issued.account.startswith(client.authority.directory.removesuffix("/dir"))
    assert client.reports == [
        "account registered, its terms agreed to: data:text/plain,Do%20what%20thou%20wilt",
        "order: 1 name to prove",
        "answering http-01 on port 80",
        "validated",
        "certificate issued",
    ]


def test_a_first_certificate_takes_ten_requests(client: Client, flaky: Flaky) -> None:
    client.issue()
    assert asked(flaky) == ["GET dir", "HEAD nonce-plz", "POST sign-me-up", *_ORDER]


def test_with_the_directory_at_hand_and_an_account_it_takes_eight(client: Client, flaky: Flaky) -> None:
    client.issue()
    facts = directory_facts(flaky.directory, flaky.ca_bundle)
    flaky.asked.clear()
    client.issue("another.example.com", directory=facts)
    assert asked(flaky) == ["HEAD nonce-plz", *_ORDER]


def test_another_certificate_has_the_same_account_and_another_key(client: Client) -> None:
    first, second = client.issue(), client.issue()
    assert first.account == second.account
    assert first.bundle.key_pem != second.bundle.key_pem
    assert client.reports.count("account found") == 0
    assert len(client.accounts) == 1


def test_several_names_are_proved_at_once_and_stand_in_the_certificate(client: Client, flaky: Flaky) -> None:
    issued = client.issue("c.example.com", "a.example.com", "b.example.com")
    assert set(issued.bundle.leaf.names) == {"c.example.com", "a.example.com", "b.example.com"}
    assert "order: 3 names to prove" in client.reports
    assert flaky.count("POST /chalZ") == 3
    assert flaky.count("POST /order-plz") == 1


def test_a_name_more_is_two_requests_more_however_often_the_order_is_looked_at(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /my-order", last=3, rewrite=lambda answer: answer.with_json(status="pending"))
    client.issue(*(f"n{number}.example.com" for number in range(20)))
    assert flaky.count("POST /authZ") == flaky.count("POST /chalZ") == 20
    assert flaky.count("POST /my-order") > 3


def test_names_that_are_proved_already_are_not_proved_again(
    start_pebble: Callable[..., Pebble], make_client: Callable[..., Client]
) -> None:
    client = make_client(start_pebble(authz_reuse=100))
    client.issue()
    client.reports.clear()
    client.issue()
    assert client.reports == ["every name is proved already", "certificate issued"]


def test_an_order_is_finalized_too_where_only_its_authorizations_say_that_they_are_valid(
    start_pebble: Callable[..., Pebble], tmp_path: Path
) -> None:
    authority = start_pebble(authz_reuse=100)
    proxy = Flaky(tmp_path, authority.directory, authority.ca_bundle).start()
    try:
        client = Client(proxy, tmp_path / "state")
        client.issue()
        proxy.on("POST /order-plz", rewrite=lambda answer: answer.with_json(status="pending"))
        client.reports.clear()
        assert client.issue().bundle
    finally:
        proxy.stop()
    assert client.reports == ["every name is proved already", "certificate issued"]
    assert proxy.count("POST /chalZ") == 1


def test_a_ca_that_rejects_sixty_in_a_hundred_good_nonces_is_borne_with(
    start_pebble: Callable[..., Pebble], make_client: Callable[..., Client]
) -> None:
    client = make_client(start_pebble(nonce_reject=60))
    for number in range(5):
        assert client.issue(f"n{number}.example.com").bundle.leaf.names == (f"n{number}.example.com",)


def test_a_nonce_that_is_bad_for_ever_is_an_error_with_the_cas_words(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", problem(400, "badNonce", "no nonce pleases me", Replay_Nonce="AAAA"), last=99)
    with pytest.raises(AcmeError, match="no nonce pleases me") as caught:
        client.issue()
    assert caught.value.problem == "badNonce"
    assert flaky.count("POST /order-plz") == 21
    assert flaky.count("HEAD /nonce-plz") == 1


def test_the_port_is_free_afterwards_and_while_nothing_is_to_be_proved(client: Client) -> None:
    seen: list[bool] = []
    client.reports = _Watching(seen)
    client.issue()
    assert seen == [True, True, False, True, True]  # taken only after "answering"
    assert is_free(80)


class _Watching(list[str]):
    """Notes with each report whether port 80 is free."""

    def __init__(self, seen: list[bool]) -> None:
        super().__init__()
        self.seen = seen

    def append(self, words: str) -> None:
        super().append(words)
        self.seen.append(is_free(80))


def test_a_profile_is_asked_for_where_it_is_given_and_else_not_mentioned(client: Client, flaky: Flaky) -> None:
    # Pebble 2.4 knows no profiles and passes over the member.
    client.issue()
    client.issue(profile="shortlived")
    orders = [said for request, said in flaky.said if request == "POST /order-plz"]
    names = [{"type": "dns", "value": "a.example.com"}]
    assert orders == [{"identifiers": names}, {"identifiers": names, "profile": "shortlived"}]


def test_what_has_no_members_is_sent_as_an_empty_object_not_as_a_question(client: Client, flaky: Flaky) -> None:
    client.issue()
    payloads = {request.split("/")[1]: said for request, said in flaky.said}
    assert payloads["chalZ"] == {}
    assert payloads["authZ"] is payloads["my-order"] is payloads["certZ"] is None


def test_a_taken_port_is_named_and_whoever_holds_it_keeps_it(client: Client, flaky: Flaky) -> None:
    with socket.create_server(("127.0.0.1", 80)) as holder:
        with pytest.raises(AcmeError) as caught:
            client.issue()
        assert caught.value.where == "port 80"
        assert caught.value.what == "is taken, and the CA's http-01 challenge must be answered there"
        assert caught.value.hint == (
            "stop what listens there (ss -ltnp 'sport = :80'), or forward the CA's question to another"
            " port and name it with --http-01-port"
        )
        assert holder.fileno() > 0
        with socket.create_connection(("127.0.0.1", 80), timeout=1):
            holder.accept()[0].close()
    assert flaky.count("POST /chalZ") == 0  # no validation is wasted: five that fail an hour is the limit
    assert client.issue().bundle


def test_another_port_is_taken_where_it_is_named(
    start_pebble: Callable[..., Pebble], make_client: Callable[..., Client]
) -> None:
    client = make_client(start_pebble(http_port=5002))
    assert client.issue(http_01_port=5002).bundle
    assert "answering http-01 on port 5002" in client.reports


def test_a_longer_chain_comes_whole(start_pebble: Callable[..., Pebble], make_client: Callable[..., Client]) -> None:
    client = make_client(start_pebble(chain_length=3))
    assert len(client.issue().bundle.chain) == 3
