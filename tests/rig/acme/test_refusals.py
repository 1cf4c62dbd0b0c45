"""The CA says no, or sends what is none: its own words, and a hint that fits."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from regdeploy.errors import AcmeError
from tests.certs import make_leaf, make_root
from tests.rig.acme.conftest import Client
from tests.rig.acme.test_issue import is_free
from tests.rig.parts.flaky import Answer, Flaky, problem
from tests.rig.parts.pebble import Pebble


def refusal(client: Client, *names: str, **settings: Any) -> AcmeError:
    """The error of an order that comes to nothing; the port is free after it."""
    with pytest.raises(AcmeError) as caught:
        client.issue(*names, **settings)
    assert is_free(80)
    return caught.value


def test_a_name_that_the_ca_blocks_is_refused_in_its_words(
    start_pebble: Callable[..., Pebble], make_client: Callable[[Pebble], Client]
) -> None:
    client = make_client(start_pebble(blocklist=("blocked.example.com",)))
    error = refusal(client, "blocked.example.com")
    assert error.code == "acme.rejectedIdentifier"
    assert "blocked.example.com" in error.what
    assert error.hint == "this CA does not issue for blocked.example.com: choose another name, or --tls internal"


def test_a_name_that_leads_nowhere_is_refused_with_what_must_reach_this_host(client: Client, pebble: Pebble) -> None:
    pebble.set_address("dead.example.com", "203.0.113.99")
    error = refusal(client, "dead.example.com")
    assert error.code == "acme.connection"
    assert error.where == "dead.example.com"
    assert "203.0.113.99" in error.what or "unreachable" in error.what
    assert error.hint == (
        "port 80 of dead.example.com must lead the CA to this host: look at firewall, router, other web servers"
    )


def test_a_name_without_an_address_is_refused_with_what_dns_must_say(client: Client, pebble: Pebble) -> None:
    pebble.dns_says("set-servfail", host="lost.example.com")
    error = refusal(client, "lost.example.com")
    assert error.where == "lost.example.com"
    assert error.problem in {"dns", "connection"}
    assert "lost.example.com" in error.hint


@contextmanager
def other_web_server() -> Iterator[None]:
    """Somebody else's web server on port 80, where the CA comes."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 80), _Elsewhere)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing to the terminal."""


def test_a_web_server_in_between_is_named_with_the_port_behind_it(client: Client) -> None:
    with other_web_server(), pytest.raises(AcmeError) as caught:
        client.issue(http_01_port=8081)
    assert caught.value.problem in {"unauthorized", "incorrectResponse"}
    assert "404" in caught.value.what
    assert caught.value.hint == (
        "port 80 of a.example.com must lead the CA to this host's port 8081: look at firewall, router, other web"
        " servers"
    )


def test_of_several_names_the_one_that_fails_is_named(client: Client, pebble: Pebble) -> None:
    pebble.set_address("dead.example.com", "203.0.113.99")
    assert refusal(client, "a.example.com", "dead.example.com", "b.example.com").where == "dead.example.com"


@pytest.mark.parametrize("status", ["deactivated", "expired", "revoked", "nonsense"])
@pytest.mark.parametrize("look", [1, 2], ids=["before", "after"])
def test_an_authorization_that_is_no_more_is_an_error(client: Client, flaky: Flaky, status: str, look: int) -> None:
    flaky.on("POST /my-order", last=99, rewrite=lambda answer: answer.with_json(status="invalid"))
    flaky.on("POST /authZ", first=look, last=99, rewrite=lambda answer: answer.with_json(status=status))
    error = refusal(client)
    if status == "nonsense":
        assert error.what.startswith("gave no authorization that can be read")
    else:
        assert error.where == "a.example.com"
        assert error.what == f"the CA calls its authorization {status}"


def test_an_authorization_that_failed_before_has_the_words_of_then(client: Client, flaky: Flaky) -> None:
    def failed(answer: Answer) -> Answer:
        error = {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it"}
        challenge = {"type": "http-01", "url": "https://x.example/1", "token": "t" * 22, "status": "invalid"}
        return answer.with_json(status="invalid", challenges=[{**challenge, "error": error}])

    flaky.on("POST /authZ", rewrite=failed)
    error = refusal(client)
    assert (error.what, error.code) == ("CAA forbids it", "acme.caa")
    assert error.hint == (
        "change the CAA record of a.example.com so that it allows this CA, or choose another with --acme-directory"
    )
    assert flaky.count("POST /chalZ") == 0


def test_an_authorization_without_http_01_says_what_there_is(client: Client, flaky: Flaky) -> None:
    def only_others(answer: Answer) -> Answer:
        found = [
            {"type": kind, "url": "https://x.example/1", "token": "t" * 22, "status": "pending"}
            for kind in ("dns-01", "tls-alpn-01", "new-01")
        ]
        return answer.with_json(challenges=found)

    flaky.on("POST /authZ", rewrite=only_others)
    assert refusal(client).what == "the CA offers no http-01 for it, only: dns-01, tls-alpn-01, new-01"


def test_a_wildcard_is_not_for_http_01(client: Client) -> None:
    error = refusal(client, "*.example.com")
    assert (error.where, error.what) == ("*.example.com", "the CA offers no http-01 for it, only: dns-01")


def test_an_order_that_is_invalid_from_the_start_has_its_own_words(client: Client, flaky: Flaky) -> None:
    error = {"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "policy forbids it"}
    flaky.on("POST /order-plz", rewrite=lambda answer: answer.with_json(status="invalid", error=error))
    assert refusal(client).what == "policy forbids it"


@pytest.mark.parametrize("status", ["invalid", "valid"])
def test_an_order_that_ends_without_a_certificate_or_words_is_an_error(
    client: Client, flaky: Flaky, status: str
) -> None:
    flaky.on("POST /my-order", rewrite=lambda answer: answer.with_json(status="ready"))
    for kind in ("finalize-order", "my-order"):
        flaky.on(f"POST /{kind}", rewrite=lambda answer: answer.with_json(status=status, certificate=None), last=99)
    assert refusal(client).what == f"calls the order {status}, and gives no certificate"


@pytest.mark.parametrize("status", ["valid", "processing"])
def test_an_order_of_somebody_elses_key_is_not_waited_for(client: Client, flaky: Flaky, status: str) -> None:
    flaky.on("POST /order-plz", rewrite=lambda answer: answer.with_json(status=status))
    words = f"gave an order that is {status} already: its certificate is for a key that is not here"
    assert refusal(client).what == words
    assert flaky.count("POST /authZ") == 0


def test_a_fault_that_ended_an_order_is_told_where_the_order_itself_says_nothing(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /finalize-order", problem(500, "serverInternal", "enrollment failed"))
    flaky.on("POST /finalize-order", problem(403, "orderNotReady", "it is invalid"), first=2)
    flaky.on("POST /my-order", rewrite=lambda answer: answer.with_json(status="ready"))
    flaky.on("POST /my-order", first=2, rewrite=lambda answer: answer.with_json(status="invalid"))
    words = "calls the order invalid, and gives no certificate, after it said: enrollment failed"
    assert refusal(client).what == words


def test_names_that_an_order_adds_or_leaves_out_are_told_before_anything_is_proved(
    client: Client, flaky: Flaky
) -> None:
    for found in ([], [{"type": "dns", "value": "a.example.com"}, {"type": "ip", "value": "192.0.2.1"}]):
        flaky.on("POST /order-plz", rewrite=lambda answer, found=found: answer.with_json(identifiers=found))  # type: ignore[misc]  # mypy takes no defaults
        assert "took the order with" in refusal(client).what
    assert flaky.count("POST /authZ") == 0


def test_new_terms_of_service_are_named_with_the_page_to_agree_on(client: Client, flaky: Flaky) -> None:
    no = problem(
        403, "userActionRequired", "the terms have changed", Link='<https://ca.example/t2>;rel="terms-of-service"'
    )
    flaky.on("POST /order-plz", no.with_json(instance="https://ca.example/agree"))
    error = refusal(client)
    assert (error.what, error.code) == ("the terms have changed", "acme.userActionRequired")
    assert error.hint == (
        "the CA's terms of service are now https://ca.example/t2: agree at https://ca.example/agree,"
        " then run the same command again"
    )
    assert flaky.count("POST /order-plz") == 1


def test_an_order_without_a_url_is_an_error(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", rewrite=lambda answer: answer.without("Location"))
    assert refusal(client).what == "took the order and did not say where it is"


def test_an_order_that_cannot_be_read_is_an_error(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /order-plz", rewrite=lambda answer: Answer(201, answer.headers, b"<html>hello</html>"))
    assert refusal(client).what.startswith("gave no order that can be read")


def test_an_order_that_stays_in_processing_ends_at_the_deadline(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /my-order", rewrite=lambda answer: answer.with_json(status="ready"))
    for kind in ("finalize-order", "my-order"):
        flaky.on(
            f"POST /{kind}", last=99, rewrite=lambda answer: answer.with_json(status="processing", certificate=None)
        )
    begin = time.monotonic()
    error = refusal(client, timeout=1)
    assert error.what == "has not issued the certificate within 1 s"
    assert time.monotonic() - begin >= 1
    assert 1 < flaky.count("POST /my-order") < 15  # ever less often


def test_a_validation_that_does_not_come_ends_at_the_deadline(client: Client, flaky: Flaky) -> None:
    for kind in ("my-order", "authZ"):
        flaky.on(f"POST /{kind}", last=99, rewrite=lambda answer: answer.with_json(status="pending"))
    assert refusal(client, timeout=0.6).what == "has not validated a.example.com within 1 s"


def test_the_ca_says_when_to_look_at_the_order_and_is_obeyed(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /chalZ", rewrite=lambda answer: answer.with_header("Retry-After", "1"))
    flaky.on(
        "POST /my-order", rewrite=lambda answer: answer.with_json(status="pending").with_header("Retry-After", "1")
    )
    begin = time.monotonic()
    client.issue()
    assert time.monotonic() - begin >= 2
    kinds = [request.split("/")[1] for request in flaky.asked]
    assert kinds[kinds.index("chalZ") : kinds.index("finalize-order")] == ["chalZ", "my-order", "my-order"]


def test_an_order_that_is_ready_only_later_is_finalized_then(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /finalize-order", problem(403, "orderNotReady", "still pending"))
    flaky.on("POST /my-order", rewrite=lambda answer: answer.with_json(status="pending"))
    assert client.issue().bundle
    assert flaky.count("POST /finalize-order") == 2


def test_a_request_that_is_refused_has_the_cas_words(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /finalize-order", problem(400, "badCSR", "I do not like that key"))
    error = refusal(client)
    assert (error.what, error.code, error.hint) == ("I do not like that key", "acme.badCSR", "")


def test_a_challenge_that_is_refused_has_the_cas_words(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /chalZ", problem(400, "malformed", "which challenge?"))
    assert refusal(client).what == "which challenge?"


def test_an_order_from_before_whose_challenge_was_told_is_waited_for(client: Client, flaky: Flaky) -> None:
    def told(answer: Answer) -> Answer:
        found = [{**challenge, "status": "processing"} for challenge in json.loads(answer.body)["challenges"]]
        return answer.with_json(challenges=found)

    flaky.on("POST /authZ", rewrite=told)
    flaky.on("POST /my-order", rewrite=lambda answer: answer.with_json(status="ready"))
    flaky.on("POST /finalize-order", problem(403, "orderNotReady", "of course not: nothing was proved"), last=99)
    assert refusal(client, timeout=0.3).what.startswith("has not issued the certificate")
    assert client.reports[-1] == "validated"
    assert flaky.count("POST /chalZ") == 0


def leaf_only(answer: Answer) -> Answer:
    """What a CA that signs with its root sends."""
    first = x509.load_pem_x509_certificates(answer.body)[0]
    return Answer(answer.status, answer.headers, first.public_bytes(Encoding.PEM))


def somebody_elses(answer: Answer) -> Answer:
    """A certificate for another key."""
    return Answer(answer.status, answer.headers, make_leaf(make_root(), "a.example.com").pem)


def test_a_leaf_alone_is_enough_for_a_ca_that_signs_with_its_root(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /certZ", rewrite=leaf_only)
    assert client.issue().bundle.chain == ()


@pytest.mark.parametrize(
    ("rewrite", "what"),
    [
        (lambda answer: Answer(200, answer.headers, answer.body[:700]), "has no end"),
        (lambda answer: Answer(200, answer.headers, b""), ""),
        (lambda answer: Answer(200, answer.headers, b"<html>"), ""),
        (somebody_elses, "does not belong to"),
    ],
    ids=["truncated", "empty", "html", "somebody else's"],
)
def test_what_comes_as_a_certificate_is_checked(
    client: Client, flaky: Flaky, rewrite: Callable[[Answer], Answer], what: str
) -> None:
    flaky.on("POST /certZ", rewrite=rewrite)
    error = refusal(client)
    assert "the CA's certificate" in str(error) or "its key" in str(error)
    assert what in error.what
    assert error.hint


def test_a_certificate_for_fewer_names_is_refused(client: Client, flaky: Flaky) -> None:
    short = Client(flaky, client.state)
    kept: list[bytes] = []

    def keep(answer: Answer) -> Answer:
        kept.append(answer.body)
        return answer

    flaky.on("POST /certZ", rewrite=keep)
    issued = short.issue("a.example.com", "b.example.com")
    assert set(issued.bundle.leaf.names) == {"a.example.com", "b.example.com"}
    flaky.on("POST /certZ", rewrite=lambda answer: Answer(200, answer.headers, kept[0]))
    assert refusal(client, "a.example.com", "c.example.com").where in {"the CA's certificate", "its key"}
