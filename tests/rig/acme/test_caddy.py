"""The ACME server that comes with Caddy (smallstep's): issued and renewed, whatever else it leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from regdeploy.tls.acme.directory import directory_facts
from tests.rig.acme.conftest import Client
from tests.rig.parts.caddy import Caddy
from tests.rig.parts.names import hosts_entry

_NAME = "caddy.example.com"


@pytest.fixture
def caddy(tmp_path: Path) -> Iterator[Caddy]:
    made = Caddy(tmp_path / "caddy")
    with hosts_entry(_NAME, "127.0.0.1"):  # before it starts: Go looks at the file again after five seconds only
        try:
            yield made.start()
        finally:
            made.stop()


def test_a_ca_by_other_authors_issues_and_renews_a_certificate_of_hours(caddy: Caddy, tmp_path: Path) -> None:
    client = Client(caddy, tmp_path / "state")
    first, second = client.issue(_NAME), client.issue(_NAME)
    assert first.account == second.account
    assert first.bundle.leaf.serial != second.bundle.leaf.serial
    assert first.bundle.leaf.names == (_NAME,)
    assert first.bundle.leaf.lifetime < timedelta(days=1)
    leaf, *chain = x509.load_pem_x509_certificates(first.bundle.fullchain_pem)
    root = x509.load_pem_x509_certificate(caddy.ca_bundle.read_bytes())
    policy = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName(_NAME))
    assert policy.verify(leaf, chain)[-1] == root
    facts = directory_facts(caddy.directory, caddy.ca_bundle)
    assert (facts.profiles, facts.eab_required) == ((), False)
