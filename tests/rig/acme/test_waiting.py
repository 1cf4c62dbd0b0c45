"""What an order waits for while its names are proved: how often the CA is asked, about what, and whose words count."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import pytest
from acme import messages

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.account import open_account
from regdeploy.tls.acme.authorization import prove
from regdeploy.tls.acme.challenges import Http01
from regdeploy.tls.acme.connection import session
from regdeploy.tls.acme.directory import directory_facts
from regdeploy.tls.acme.network import Network
from regdeploy.tls.acme.patience import Patience
from regdeploy.tls.acme.request import canonical, identifiers
from tests.rig.acme.conftest import Client
from tests.rig.parts.flaky import Answer, Flaky

_NAMES = ("a.example.com", "b.example.com")


class Hurried(Patience):
    """Time in which a wait for the CA takes none, but is noted; the deadline is as far as ever."""

    def __init__(self) -> None:
        super().__init__(60, threading.Event())
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.check()


@pytest.fixture
def hurried() -> Hurried:
    return Hurried()


@pytest.fixture
def endless(flaky: Flaky) -> Flaky:
    """A CA whose orders stay pending for ever."""
    flaky.on("POST /my-order", last=999, rewrite=pending)
    return flaky


def pending(answer: Answer) -> Answer:
    return answer.with_json(status="pending")


def valid(answer: Answer) -> Answer:
    return answer.with_json(status="valid")


_ERROR = {"type": "urn:ietf:params:acme:error:connection", "detail": "nobody is there"}
_CHALLENGE = {"type": "http-01", "url": "https://x.example/1", "token": "t" * 22, "status": "invalid", "error": _ERROR}


def failed(answer: Answer) -> Answer:
    """An authorization whose challenge failed."""
    return answer.with_json(status="invalid", challenges=[_CHALLENGE])


def is_of(answer: Answer, name: str) -> bool:
    """Whether an authorization is that name's: the CA lists them in any order."""
    found: str = json.loads(answer.body)["identifier"]["value"]
    return found == name


def looks(flaky: Flaky) -> list[str]:
    """What was asked after the CA had been told of the proofs."""
    kinds = [request.split("/")[1] for request in flaky.asked]
    last = max(number for number, kind in enumerate(kinds) if kind == "chalZ")
    return kinds[last + 1 :]


def proved(client: Client, patience: Patience, names: Sequence[str] = _NAMES) -> None:
    """Place an order and have its names proved, within that patience."""
    errand = client.errand(*names)
    bundle = errand.settings.ca_bundle
    facts = directory_facts(errand.settings.directory, bundle)
    ca = Network(session(bundle), facts, patience, errand.now, canonical(names))
    open_account(ca, errand)
    response = ca.post(ca.endpoint("newOrder"), messages.NewOrder(identifiers=identifiers(ca.names)))
    order = ca.read(messages.Order, response)
    prove(ca, response.headers["Location"], order.authorizations, Http01(80), client.reports.append)


def test_an_order_that_stays_pending_is_ready_when_its_authorizations_are_valid(
    client: Client, endless: Flaky, hurried: Hurried
) -> None:
    endless.on("POST /authZ", first=3, last=4, rewrite=pending)  # at the sixteenth look neither is valid
    endless.on("POST /authZ", first=5, rewrite=valid)
    endless.on("POST /authZ", first=6, rewrite=pending)
    endless.on("POST /authZ", first=7, last=99, rewrite=valid)
    proved(client, hurried)
    one, two = ["my-order"] * 16, ["my-order"] * 32
    assert looks(endless) == [*one, "authZ", "authZ", *one, "authZ", "authZ", *two, "authZ"]
    assert client.reports[-1] == "validated"


def test_an_order_that_stays_pending_fails_with_its_authorizations_words(
    client: Client, endless: Flaky, hurried: Hurried
) -> None:
    def one_failed(answer: Answer) -> Answer:
        return failed(answer) if is_of(answer, "b.example.com") else pending(answer)

    endless.on("POST /authZ", first=3, last=99, rewrite=one_failed)
    with pytest.raises(AcmeError) as caught:
        proved(client, hurried)
    assert (caught.value.where, caught.value.what) == ("b.example.com", "nobody is there")
    assert looks(endless)[:17] == [*["my-order"] * 16, "authZ"]
    assert endless.count("POST /my-order") == 16


def test_waits_grow_to_two_seconds_and_a_longer_one_that_the_ca_names_counts(
    client: Client, endless: Flaky, hurried: Hurried
) -> None:
    endless.on("POST /authZ", first=3, last=4, rewrite=lambda answer: pending(answer).with_header("Retry-After", "7"))
    endless.on("POST /authZ", first=5, last=99, rewrite=valid)
    proved(client, hurried)
    assert len(hurried.waits) == 32
    assert hurried.waits[:12] == sorted(hurried.waits[:12])
    assert hurried.waits[0] < 0.01
    assert hurried.waits[13:18] == [2.0, 2.0, 2.0, 7.0, 2.0]  # the seventeenth: the authorizations asked for that


def test_at_the_deadline_the_authorizations_are_asked_whatever_the_order_says(client: Client, endless: Flaky) -> None:
    endless.on("POST /authZ", first=2, rewrite=failed)
    with pytest.raises(AcmeError, match="nobody is there"):
        client.issue(timeout=0.5)
    assert endless.count("POST /authZ") == 2


def test_at_the_deadline_the_name_that_is_not_validated_is_told(client: Client, endless: Flaky) -> None:
    def one_pending(answer: Answer) -> Answer:
        return pending(answer) if is_of(answer, "b.example.com") else valid(answer)

    endless.on("POST /authZ", first=4, last=99, rewrite=one_pending)
    with pytest.raises(AcmeError) as caught:
        client.issue("a.example.com", "b.example.com", "c.example.com", timeout=0.6)
    assert caught.value.what == "has not validated b.example.com within 1 s"


def test_an_order_that_fails_has_its_own_words_where_no_authorization_says_why(client: Client, flaky: Flaky) -> None:
    error = {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it"}
    flaky.on("POST /my-order", rewrite=lambda answer: answer.with_json(status="invalid", error=error))
    flaky.on("POST /authZ", first=2, last=99, rewrite=valid)
    with pytest.raises(AcmeError) as caught:
        client.issue()
    assert (caught.value.what, caught.value.code) == ("CAA forbids it", "acme.caa")
    assert flaky.count("POST /finalize-order") == 0


def test_a_no_at_once_is_heard_and_no_order_is_looked_at(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /chalZ", rewrite=lambda answer: answer.with_json(**_CHALLENGE))
    with pytest.raises(AcmeError) as caught:
        client.issue()
    assert (caught.value.where, caught.value.what) == ("a.example.com", "nobody is there")
    assert caught.value.hint.startswith("port 80 of a.example.com must lead the CA to this host")
    assert looks(flaky) == []


def test_a_no_at_once_without_words_has_those_of_the_authorization(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /chalZ", rewrite=lambda answer: answer.with_json(status="invalid"))
    flaky.on("POST /authZ", first=2, rewrite=failed)
    with pytest.raises(AcmeError, match="nobody is there"):
        client.issue()
    assert looks(flaky) == ["authZ"]


def test_an_answer_to_a_proof_that_cannot_be_read_leaves_it_to_the_order(client: Client, flaky: Flaky) -> None:
    flaky.on("POST /chalZ", rewrite=lambda answer: Answer(200, answer.headers, b"thank you"))
    assert client.issue().bundle
