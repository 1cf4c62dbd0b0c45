"""The certificate: due, over, of another source, issued and not in place, in place and not served."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from regdeploy.deployment.challenge import Challenge
from regdeploy.engine.model import ObservedWorkload
from regdeploy.tls.certificate import Certificate
from regdeploy.tls.store import StoredVersion
from tests.builders import (
    DOMAIN,
    NOW,
    acme,
    certificate,
    container,
    deployed,
    files,
    internal,
    pair,
    resolved,
    serving,
    store,
    stored,
)
from tests.unit.deployment.sheet import planned, sheet

WAS = acme()
CA = "https://ca.example.net/dir"


def aged(days: float, **changes: Any) -> StoredVersion:
    """A version that was issued that long ago for ninety days."""
    return stored(leaf=certificate(begin=NOW - timedelta(days=days)), **changes)


def obtained(why: str) -> str:
    """The plan of another certificate for a container that stays."""
    return sheet(f"""
         1. obtain a certificate         {why}
         2. make the certificate current pair and chain change together
         3. restart the container        a registry reads its certificate only at start [interrupts]
         4. verify what is served        only a handshake shows what is served
    """)


def test_a_certificate_that_is_due_is_renewed() -> None:
    found = deployed(WAS, certificates=store(aged(60)))
    assert planned(WAS, found) == obtained("renewal is due since 2026-11-24, it ends 2026-12-24")


def test_a_certificate_that_is_due_in_a_second_is_left_alone() -> None:
    assert planned(WAS, deployed(WAS, certificates=store(aged(60))), now=NOW - timedelta(seconds=1)) == ""


def test_a_certificate_of_the_internal_ca_is_renewed_too() -> None:
    asked = internal()
    found = deployed(asked, certificates=store(aged(61, source="internal", directory="")))
    assert planned(asked, found) == obtained("renewal is due since 2026-11-23, it ends 2026-12-23")


def test_the_users_own_certificate_is_never_due_since_only_they_can_bring_another() -> None:
    asked = files()
    assert planned(asked, deployed(asked, certificates=store(aged(89, source="files", directory="")))) == ""


def test_a_certificate_that_is_over_is_not_called_due() -> None:
    found = deployed(WAS, certificates=store(aged(90)))
    assert planned(WAS, found) == obtained("it expired on 2026-11-24")


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (stored(source="internal"), "it came from internal, and --tls is acme"),
        (stored(directory=CA), "it came from https://ca.example.net/dir"),
        (stored(profile="classic"), "it was issued under the profile classic"),
        (stored(names=("old.example.com", DOMAIN)), "it is for old.example.com, registry.example.com"),
        (stored(key_matches=False), "its key does not match"),
        (stored(problem="its cert.json is missing"), "its cert.json is missing"),
    ],
)
def test_a_certificate_that_does_not_fit_is_replaced_and_the_plan_says_why(version: StoredVersion, why: str) -> None:
    assert planned(WAS, deployed(WAS, certificates=store(version))) == obtained(why)


def test_another_profile_is_another_certificate_and_the_same_one_is_left_alone() -> None:
    asked = acme(profile="tlsserver")
    assert planned(asked, deployed(WAS)) == sheet("""
         1. obtain a certificate         it has no profile
         2. make the certificate current pair and chain change together
         3. restart the container        a registry reads its certificate only at start [interrupts]
         4. verify what is served        only a handshake shows what is served
         5. save regdeploy.toml          changed: profile
    """)
    assert planned(asked, deployed(asked)) == ""


def test_a_profile_is_the_cas_and_matters_to_no_other_source() -> None:
    asked = internal(profile="tlsserver")
    assert planned(asked, deployed(asked)) == ""


def test_of_several_that_do_not_fit_the_newest_is_spoken_of() -> None:
    versions = store(stored(key_matches=False), stored(2, directory=CA), current=2)
    assert planned(WAS, deployed(WAS, certificates=versions)) == obtained("it came from https://ca.example.net/dir")


def test_another_pair_of_the_users_is_stored_and_served() -> None:
    asked = files()
    assert planned(asked, deployed(asked, pair=pair(2))) == obtained("the files changed")


def test_the_order_of_names_on_the_certificate_does_not_matter() -> None:
    asked = acme(domain=["mirror.example.com", DOMAIN])
    version = stored(names=(DOMAIN, "mirror.example.com"))
    assert planned(asked, deployed(asked, certificates=store(version, domain="mirror.example.com"))) == ""


def test_one_that_was_issued_and_is_not_in_place_is_not_ordered_again() -> None:
    found = deployed(WAS, certificates=store(stored(), stored(2, deployed=False)))
    assert planned(WAS, found) == sheet("""
         1. make the certificate current it was issued and is not in place
         2. restart the container        a registry reads its certificate only at start [interrupts]
         3. verify what is served        only a handshake shows what is served
    """)


def test_one_that_was_issued_for_a_container_that_stopped_is_put_in_place_and_started_with() -> None:
    stopped = ObservedWorkload(current=container(WAS, state="exited", exit_code=0))
    found = deployed(WAS, certificates=store(stored(), stored(2)), workload=stopped, served=None)
    assert planned(WAS, found) == sheet("""
         1. make the certificate current it was issued and is not in place
         2. start the container          it is stopped (exited, exit 0)
         3. verify what is served        only a handshake shows what is served
    """)


def test_one_that_is_in_place_and_not_served_is_pending_work() -> None:
    found = deployed(WAS, certificates=store(stored(), stored(2, deployed=False), current=2))
    assert planned(WAS, found) == sheet("""
         1. restart the container        a registry reads its certificate only at start [interrupts]
         2. verify what is served        only a handshake shows what is served
    """)


def test_what_is_served_decides_and_not_what_was_noted() -> None:
    found = deployed(WAS, certificates=store(stored(), stored(2, deployed=True), current=2), served=serving(2))
    assert planned(WAS, found) == ""


def test_an_endpoint_that_answers_without_tls_is_restarted() -> None:
    assert planned(WAS, deployed(WAS, served=serving(None))) == sheet("""
         1. restart the container        a registry reads its certificate only at start [interrupts]
         2. verify what is served        only a handshake shows what is served
    """)


@pytest.mark.parametrize(
    "links",
    [
        {},
        {f"{DOMAIN}.crt": "current/fullchain.pem"},
        {f"{DOMAIN}.crt": "/etc/ssl/r.crt", f"{DOMAIN}.key": "current/privkey.pem"},
    ],
)
def test_links_that_are_missing_or_lead_elsewhere_are_made_anew_while_the_registry_goes_on(
    links: dict[str, str],
) -> None:
    found = deployed(WAS, certificates=replace(store(stored()), links=links))
    assert planned(WAS, found) == sheet("""
         1. make the certificate current its links are missing
    """)


def test_where_another_leaf_is_served_than_the_missing_links_lead_to_it_is_restarted() -> None:
    found = deployed(WAS, certificates=replace(store(stored()), links={}), served=serving(2))
    assert planned(WAS, found) == sheet("""
         1. make the certificate current its links are missing
         2. restart the container        a registry reads its certificate only at start [interrupts]
         3. verify what is served        only a handshake shows what is served
    """)


def test_another_version_with_the_leaf_that_is_served_may_have_another_chain_and_is_read() -> None:
    same = store(stored(), stored(2, leaf=certificate(1)))
    assert planned(WAS, deployed(WAS, certificates=same)) == sheet("""
         1. make the certificate current it was issued and is not in place
         2. restart the container        a registry reads its certificate only at start [interrupts]
         3. verify what is served        only a handshake shows what is served
    """)


def test_a_store_without_a_current_version_gets_one() -> None:
    assert planned(WAS, deployed(WAS, certificates=store(stored(), current=None))) == sheet("""
         1. make the certificate current it was issued and is not in place
         2. restart the container        a registry reads its certificate only at start [interrupts]
         3. verify what is served        only a handshake shows what is served
    """)


def test_where_our_own_container_holds_the_challenges_port_it_is_stopped_and_the_plan_says_so() -> None:
    for kind, asked in (("http-01", acme(port=80, acme_directory=CA)), ("tls-alpn-01", acme(acme_directory=CA))):
        port = asked.spec.port
        taken = (Challenge(kind=kind, port=port, why="nothing else can be had"),)
        found = deployed(asked, certificates=store(aged(61, directory=CA)), challenges=taken)
        assert planned(asked, found) == sheet(f"""
             1. stop the container           it holds port {port}, which the challenge needs [interrupts]
             2. obtain a certificate         renewal is due since 2026-11-23, it ends 2026-12-23
             3. make the certificate current pair and chain change together
             4. restart the container        a registry reads its certificate only at start [interrupts]
             5. verify what is served        only a handshake shows what is served
        """)


def test_a_challenge_without_a_port_stops_nobody() -> None:
    taken = (Challenge(kind="dns-01", port=0, why="hetzner can write DNS records"),)
    found = deployed(WAS, certificates=store(aged(61)), challenges=taken)
    assert planned(WAS, found) == obtained("renewal is due since 2026-11-23, it ends 2026-12-23")


def test_a_container_that_does_not_run_holds_no_port() -> None:
    asked = acme(port=80)
    stopped = ObservedWorkload(current=container(asked, state="exited", exit_code=0))
    assert planned(asked, deployed(asked, certificates=store(aged(61)), workload=stopped, served=None)) == sheet("""
         1. obtain a certificate         renewal is due since 2026-11-23, it ends 2026-12-23
         2. make the certificate current pair and chain change together
         3. start the container          it is stopped (exited, exit 0)
         4. verify what is served        only a handshake shows what is served
    """)


def test_the_internal_ca_needs_no_port() -> None:
    asked = internal(port=80)
    found = deployed(asked, certificates=store(aged(61, source="internal", directory="")))
    assert planned(asked, found) == obtained("renewal is due since 2026-11-23, it ends 2026-12-23")


def test_a_container_on_another_port_leaves_the_challenges_port_free() -> None:
    asked = acme(http_01_port=8080)
    found = deployed(asked, certificates=store(aged(61)))
    assert planned(asked, found) == obtained("renewal is due since 2026-11-23, it ends 2026-12-23")


def test_another_domain_needs_another_certificate_and_another_container() -> None:
    asked = acme(domain=["other.example.com"])
    assert planned(asked, deployed(WAS)) == sheet("""
         1. obtain a certificate         it is for registry.example.com
         2. create the container         environment REGISTRY_HTTP_TLS_CERTIFICATE: /certs/registry.example.com.crt → /certs/other.example.com.crt; environment REGISTRY_HTTP_TLS_KEY: /certs/registry.example.com.key → /certs/other.example.com.key
         3. make the certificate current pair and chain change together
         4. start it in its place        environment REGISTRY_HTTP_TLS_CERTIFICATE: /certs/registry.example.com.crt → /certs/other.example.com.crt; environment REGISTRY_HTTP_TLS_KEY: /certs/registry.example.com.key → /certs/other.example.com.key [interrupts]
         5. verify what is served        a container that does not serve must not replace one that did
         6. clear away the old container the new one is verified
         7. save regdeploy.toml          changed: domain
    """)  # noqa: E501 - the plan as it is shown


def test_from_plain_http_to_https_the_certificate_comes_before_anything_is_stopped() -> None:
    was = resolved(port=5000)
    asked = internal(port=5000, auth=False)
    assert planned(asked, deployed(was)) == sheet("""
         1. obtain a certificate         there is none for registry.example.com
         2. create the container         environment REGISTRY_HTTP_ADDR: 0.0.0.0:5000 → 0.0.0.0:443; environment REGISTRY_HTTP_TLS_CERTIFICATE: /certs/registry.example.com.crt is missing; environment REGISTRY_HTTP_TLS_KEY: /certs/registry.example.com.key is missing; mount: /var/lib/registry/certs:/certs:ro is missing; port: 5000:443 is missing; port: 127.0.0.1:5000:5000 should not be there
         3. make the certificate current pair and chain change together
         4. start it in its place        environment REGISTRY_HTTP_ADDR: 0.0.0.0:5000 → 0.0.0.0:443; environment REGISTRY_HTTP_TLS_CERTIFICATE: /certs/registry.example.com.crt is missing; environment REGISTRY_HTTP_TLS_KEY: /certs/registry.example.com.key is missing; mount: /var/lib/registry/certs:/certs:ro is missing; port: 5000:443 is missing; port: 127.0.0.1:5000:5000 should not be there [interrupts]
         5. verify what is served        a container that does not serve must not replace one that did
         6. clear away the old container the new one is verified
         7. save regdeploy.toml          changed: domain, tls, auth
    """)  # noqa: E501 - the plan as it is shown


def test_a_pair_that_nobody_read_counts_as_unchanged() -> None:
    asked = files()
    assert planned(asked, deployed(asked, pair=None)) == ""


def test_a_short_lived_certificate_is_due_at_half_its_life() -> None:
    def leaf(hours: float) -> Certificate:
        return certificate(begin=NOW - timedelta(hours=hours), days=6)

    assert planned(WAS, deployed(WAS, certificates=store(stored(leaf=leaf(71))))) == ""
    assert planned(WAS, deployed(WAS, certificates=store(stored(leaf=leaf(72))))) == obtained(
        "renewal is due since 2026-11-24, it ends 2026-11-27"
    )
