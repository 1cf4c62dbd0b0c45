"""What comes as a certificate, in every shape that it should not have; and other chains that cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from regdeploy.errors import AcmeError, CertificateError
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import Issued
from tests.certs import make_intermediate, make_key, make_leaf, make_root
from tests.rig.acme.conftest import Client
from tests.rig.parts.flaky import Answer, Flaky, problem
from tests.rig.parts.pebble import Pebble

NAME = "a.example.com"
ROOT = make_root()
UPPER = make_intermediate(ROOT, "Upper")
LOWER = make_intermediate(UPPER, "Lower")
STRANGER = make_intermediate(make_root("Other Root"), "Other")
LEAF = make_leaf(LOWER, NAME)
WHOLE = LEAF.pem + LOWER.pem + UPPER.pem


def issued_as(client: Client, flaky: Flaky, body: bytes, key: bytes = LEAF.key_pem) -> Issued:
    """What comes of an order whose certificate is ``body``."""
    flaky.on("POST /certZ", rewrite=lambda answer: Answer(200, answer.headers, body))
    return client.issue(NAME, reuse_key=Secret(key.decode()))


def leaf(**options: Any) -> bytes:
    """A certificate for the key of LEAF, from LOWER, with what is right above it."""
    names = options.pop("names", (NAME,))
    return make_leaf(LOWER, *names, key=LEAF.key, **options).pem + LOWER.pem + UPPER.pem


@pytest.mark.parametrize(
    "body",
    [
        WHOLE,
        WHOLE.replace(b"\n", b"\r\n"),
        LEAF.pem + UPPER.pem + LOWER.pem,
        UPPER.pem + LOWER.pem + LEAF.pem,
        WHOLE + ROOT.pem,
        WHOLE + STRANGER.pem,
        b"subject=a.example.com\n\n" + WHOLE + b"\n-- \nyours, the CA\n",
        WHOLE + LOWER.pem,
    ],
    ids=["right", "crlf", "shuffled", "backwards", "with the root", "with a stranger", "with words", "twice"],
)
def test_a_chain_in_any_shape_is_put_right(client: Client, flaky: Flaky, body: bytes) -> None:
    assert issued_as(client, flaky, body).bundle.fullchain_pem == WHOLE


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b" \r\n", "is empty"),
        (b"<html>no</html>", "is not PEM"),
        (LEAF.der, "is a certificate in DER form, not PEM"),
        (WHOLE[:-40], "has no end"),
        (WHOLE[40:], "that never began"),
        (LOWER.pem + UPPER.pem, "does not belong to"),
        (make_leaf(LOWER, NAME).pem + LOWER.pem, "does not belong to"),
        (LEAF.pem + STRANGER.pem, 'the intermediate "Lower" is missing'),
        (leaf(names=("b.example.com",)), "is for b.example.com, not for a.example.com"),
        (leaf(names=()), "names no host"),
        (leaf(begin=datetime.now(UTC) + timedelta(days=1)), "is not valid before"),
        (leaf(begin=datetime.now(UTC) - timedelta(days=99)), "expired on"),
        (
            leaf(usages=()).replace(LOWER.pem, make_intermediate(UPPER, "Lower", key=LOWER.key, ca=False).pem),
            "is no CA",
        ),
    ],
    ids=[
        *("empty", "blank", "html", "der", "torn", "headless", "no leaf", "another key", "strangers alone"),
        *("another name", "no name", "of the future", "expired", "below no CA"),
    ],
)
def test_what_is_not_fit_is_refused_and_the_port_is_free(client: Client, flaky: Flaky, body: bytes, words: str) -> None:
    with pytest.raises(AcmeError) as caught:
        issued_as(client, flaky, body)
    assert words in caught.value.what
    assert caught.value.hint.startswith(
        "run the same command again; if that ends the same way, check this host's clock"
    )
    assert "PRIVATE" not in str(caught.value)


def test_a_leaf_without_anything_above_it_is_believed(client: Client, flaky: Flaky) -> None:
    assert issued_as(client, flaky, LEAF.pem).bundle.chain == ()


@pytest.mark.parametrize("pem", [b"no key", make_key("Ed25519")], ids=["junk", "ed25519"])
def test_a_key_that_cannot_be_used_again_is_refused_before_anything_is_ordered(
    client: Client, flaky: Flaky, pem: Any
) -> None:
    text = pem if isinstance(pem, bytes) else make_leaf(ROOT, NAME, key=pem).key_pem
    with pytest.raises(CertificateError, match="the key in use"):
        client.issue(reuse_key=Secret(text.decode()))
    assert flaky.count("POST") == 0


@pytest.fixture
def forked(start_pebble: Callable[..., Pebble], tmp_path: Path) -> Iterator[tuple[Client, Flaky]]:
    """A client of a CA with three chains, and the proxy between them."""
    authority = start_pebble(alternate_roots=2)
    proxy = Flaky(tmp_path, authority.directory, authority.ca_bundle).start()
    yield Client(proxy, tmp_path / "state"), proxy
    proxy.stop()


def top(issued: Issued) -> str:
    return issued.bundle.chain[-1].issuer_common_name


def test_another_chain_that_cannot_be_had_costs_no_certificate(forked: tuple[Client, Flaky]) -> None:
    client, proxy = forked
    own = top(client.issue())
    proxy.on("POST /certZ/.*/alternate/1", problem(404, "malformed", "no such chain"))
    proxy.on("POST /certZ/.*/alternate/2", rewrite=lambda answer: Answer(200, answer.headers, b"<html>"))
    assert top(client.issue(preferred_chain="No Such Root")) == own
    told = "\n".join(client.reports)
    assert "another chain cannot be had: " in told
    assert "no such chain" in told
    assert "is not PEM" in told
    assert f"offers no chain from 'No Such Root': its own choice, from '{own}', is taken" in told
    assert proxy.count("/alternate/") == 2


def test_another_chain_of_another_certificate_is_not_taken(forked: tuple[Client, Flaky]) -> None:
    client, proxy = forked
    own = top(client.issue())
    other = make_leaf(ROOT, NAME, key=LEAF.key)
    proxy.on("/alternate/", rewrite=lambda answer: Answer(200, answer.headers, other.pem), last=2)
    issued = client.issue(NAME, reuse_key=Secret(LEAF.key_pem.decode()), preferred_chain="Test Root")
    assert top(issued) == own


def test_what_is_preferred_already_is_not_looked_for(forked: tuple[Client, Flaky]) -> None:
    client, proxy = forked
    own = top(client.issue())
    assert top(client.issue(preferred_chain=own)) == own
    assert proxy.count("/alternate/") == 0


def test_cancelled_between_two_chains_it_ends(forked: tuple[Client, Flaky]) -> None:
    client, proxy = forked

    def cancel(answer: Answer) -> Answer:
        client.cancel.set()
        return answer

    proxy.on("/alternate/", rewrite=cancel)
    with pytest.raises(AcmeError) as caught:
        client.issue(preferred_chain="No Such Root")
    assert caught.value.problem == "cancelled"
