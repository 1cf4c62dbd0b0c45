"""What a CA says of renewal (RFC 9773), and an order that says what it replaces."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.directory import directory_facts
from regdeploy.tls.acme.renewal_info import certificate_id, renewal_info
from regdeploy.tls.acme.settings import RenewalInfo
from tests.rig.acme.conftest import Client
from tests.rig.parts.flaky import Answer, Flaky, problem

WINDOW = {"start": "2026-12-24T10:00:00Z", "end": "2026-12-26T12:00:00.123456789+02:00"}


def offer(flaky: Flaky) -> None:
    """Have the CA say that it offers this."""
    base = flaky.directory.replace("/dir", "/renewal")
    flaky.on("GET /dir", last=99, rewrite=lambda answer: answer.with_json(renewalInfo=base))


def ask(flaky: Flaky, pem: bytes) -> RenewalInfo | None:
    return renewal_info(directory_facts(flaky.directory, flaky.ca_bundle), flaky.ca_bundle, pem)


def answer(content: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(200, {"Content-Type": "application/json", **named}, json.dumps(content).encode())


def test_the_window_comes_with_its_page_and_when_to_ask_again(client: Client, flaky: Flaky) -> None:
    pem = client.issue().bundle.fullchain_pem
    offer(flaky)
    page = "https://ca.example/why"
    flaky.on("GET /renewal", answer({"suggestedWindow": WINDOW, "explanationURL": page}, Retry_After="21600"))
    assert ask(flaky, pem) == RenewalInfo(
        start=datetime(2026, 12, 24, 10, tzinfo=UTC),
        end=datetime(2026, 12, 26, 10, 0, 0, 123456, tzinfo=UTC),
        explanation=page,
        retry_after=21600,
    )
    assert flaky.asked[-1] == f"GET /renewal/{certificate_id(pem)}"


def test_a_certificate_is_named_by_its_issuers_key_and_its_serial_number(client: Client) -> None:
    pem = client.issue().bundle.fullchain_pem
    leaf = x509.load_pem_x509_certificate(pem)
    key, _, serial = certificate_id(pem).partition(".")
    assert "=" not in key + serial
    assert int.from_bytes(decoded(serial), signed=True) == leaf.serial_number
    extension = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert decoded(key) == extension.key_identifier


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_ca_that_does_not_offer_it_is_not_asked(client: Client, flaky: Flaky) -> None:
    pem = client.issue().bundle.fullchain_pem
    assert ask(flaky, pem) is None
    assert flaky.count("renewal") == 0


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (Answer(404), "answered HTTP 404"),
        (Answer(200, {}, b"<html>no</html>"), "gave no renewal window that can be read"),
        (answer({"suggestedWindow": {"start": "soon", "end": "later"}}), "gave no renewal window that can be read"),
        (answer({"suggestedWindow": {"start": "2026-12-24T10:00:00", "end": "x"}}), "gave no renewal window"),
        (answer([]), "gave no renewal window that can be read"),
    ],
)
def test_what_is_no_window_is_said(client: Client, flaky: Flaky, spoilt: Answer, words: str) -> None:
    pem = client.issue().bundle.fullchain_pem
    offer(flaky)
    flaky.on("GET /renewal", spoilt)
    with pytest.raises(AcmeError, match=words):
        ask(flaky, pem)


def orders(flaky: Flaky) -> list[Any]:
    """What was asked for, of every order."""
    return [said.get("replaces") for request, said in flaky.said if "order-plz" in request and said]


def test_an_order_says_what_it_replaces_where_the_ca_offers_that(client: Client, flaky: Flaky) -> None:
    first = client.issue().bundle.fullchain_pem
    client.issue(replaces=first)
    offer(flaky)
    client.issue(replaces=first)
    client.issue()
    assert orders(flaky) == [None, None, certificate_id(first), None]


def test_one_that_was_replaced_before_a_crash_is_ordered_once_more_as_new(client: Client, flaky: Flaky) -> None:
    first = client.issue().bundle.fullchain_pem
    offer(flaky)
    flaky.on("POST /order-plz", problem(409, "alreadyReplaced", "it has been replaced"))
    assert client.issue(replaces=first).bundle
    assert orders(flaky) == [None, certificate_id(first), None]
    assert "does not take this for a renewal (alreadyReplaced)" in "\n".join(client.reports)


def test_a_no_to_the_order_itself_is_not_asked_twice(client: Client, flaky: Flaky) -> None:
    first = client.issue().bundle.fullchain_pem
    offer(flaky)
    flaky.on("POST /order-plz", problem(403, "rejectedIdentifier", "not here"), last=9)
    with pytest.raises(AcmeError, match="not here"):
        client.issue(replaces=first)
    assert orders(flaky) == [None, certificate_id(first)]
