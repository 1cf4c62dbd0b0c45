"""Certificates by dns-01: a real CA asks a real name server, whose secondary must have the records too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.challenges import Proof
from regdeploy.tls.acme.dns.solver import Dns01
from regdeploy.tls.acme.settings import DnsSettings
from tests.rig.acme.conftest import Client
from tests.rig.parts.bind import DELEGATED, PRIMARY, SECONDARY, ZONE, Bind
from tests.rig.parts.processes import environment
from tests.unit.said import said

_NAME = f"registry.{ZONE}"
_CHALLENGE = f"_acme-challenge.{_NAME}."
# By openssl: printf 1.thumbprint | openssl dgst -sha256 -binary | basenc --base64url | tr -d =
_VALUES = {"pLHOsJecymtK63KHVnILCDkVMt56IHl5A_zqqZPxBoU", "WvQIXWS8az_Jcc4S63i5SDMdDjEYzcVnODQTC1_uejs"}
_SILENT = (
    f"ns2.{ZONE} ({SECONDARY}): never answered about {_CHALLENGE} within 1 s\n"
    "hint: start it, or take its NS record out of the zone: the CA may ask any name server of the zone"
)


def proof(name: str = _NAME, token: str = "t") -> Proof:
    return Proof(name=name, token=token, key_authorization=f"{token}.thumbprint")


def test_a_wildcard_and_its_base_name_are_proved_by_dynamic_updates(
    client: Client, bind: Bind, settings: DnsSettings
) -> None:
    bind.update(f'update add {_CHALLENGE} 60 TXT "left by somebody"')
    issued = client.issue(_NAME, f"*.{_NAME}", challenge="dns-01", dns=settings)
    assert set(issued.bundle.leaf.names) == {_NAME, f"*.{_NAME}"}
    assert issued.challenge == "dns-01"
    assert client.reports[1:] == [
        "order: 2 names to prove",
        "answering dns-01",
        "validated",
        "certificate issued",
    ]
    assert bind.txt(_CHALLENGE) == {"left by somebody"}
    bind.update(f"update delete {_CHALLENGE} TXT")


def test_a_wildcard_and_its_base_name_are_proved_by_a_hook(client: Client, bind: Bind, hook: Path) -> None:
    with environment({"TSIG_KEY_FILE": str(bind.key_file), "DNS_SERVER": PRIMARY}):
        settings = DnsSettings(provider="hook", hook=hook, resolvers=(PRIMARY,), timeout=10)
        issued = client.issue(_NAME, f"*.{_NAME}", challenge="dns-01", dns=settings)
    assert set(issued.bundle.leaf.names) == {_NAME, f"*.{_NAME}"}
    assert bind.txt(_CHALLENGE) == set()


def test_a_name_that_delegates_its_challenge_is_proved_where_it_leads(
    client: Client, bind: Bind, settings: DnsSettings
) -> None:
    assert client.issue(f"alias.{ZONE}", challenge="dns-01", dns=settings).bundle.leaf.names == (f"alias.{ZONE}",)
    assert bind.txt(f"alias.{DELEGATED}") == set()


def test_every_name_server_has_all_values_when_it_has_started_and_none_when_it_is_stopped(
    bind: Bind, settings: DnsSettings, make_solver: Callable[[DnsSettings], Dns01]
) -> None:
    solver = make_solver(settings)
    solver.start([proof(token="1"), proof(token="2")])
    assert bind.txt(_CHALLENGE, PRIMARY) == bind.txt(_CHALLENGE, SECONDARY)
    assert bind.txt(_CHALLENGE) == _VALUES
    solver.stop()
    assert bind.txt(_CHALLENGE) == set()
    assert solver.notes == []


def test_a_secondary_that_looks_only_now_and_then_is_waited_for(
    settings: DnsSettings, tmp_path: Path, bind: Bind, make_solver: Callable[[DnsSettings], Dns01]
) -> None:
    bind.stop()
    slow = Bind(tmp_path / "slow", notify=False).start()
    try:
        solver = make_solver(replace(settings, tsig_key_file=slow.key_file))
        solver.start([proof()])
        assert len(slow.txt(_CHALLENGE, SECONDARY)) == 1
        solver.stop()
    finally:
        slow.stop()
        bind.start()


@pytest.mark.parametrize("dead", ["ended", "mute"])
def test_a_secondary_that_never_answers_is_named_and_nothing_is_left(
    bind: Bind, settings: DnsSettings, make_solver: Callable[[DnsSettings], Dns01], dead: str
) -> None:
    solver = make_solver(replace(settings, timeout=1))
    if dead == "ended":
        bind.stop_one(SECONDARY)
    else:
        bind.pause(SECONDARY)
    try:
        assert said(lambda: solver.start([proof()])) == _SILENT
        assert bind.txt(_CHALLENGE) == set()
    finally:
        bind.start_one(SECONDARY) if dead == "ended" else bind.resume(SECONDARY)


def test_stopped_from_another_thread_it_ends_and_takes_away_what_it_added(
    bind: Bind, settings: DnsSettings, make_solver: Callable[[DnsSettings], Dns01]
) -> None:
    solver = make_solver(replace(settings, timeout=600))
    errors: list[AcmeError] = []

    def start() -> None:
        with pytest.raises(AcmeError) as caught:
            solver.start([proof()])
        errors.append(caught.value)

    bind.pause(SECONDARY)
    try:
        thread = threading.Thread(target=start)
        thread.start()
        while not bind.txt(_CHALLENGE):
            assert thread.is_alive()
        solver.stop()
        thread.join(5)
        assert [error.code for error in errors] == ["acme.cancelled"]
        assert bind.txt(_CHALLENGE) == set()
    finally:
        bind.resume(SECONDARY)


def test_what_a_killed_run_left_does_no_harm(client: Client, bind: Bind, settings: DnsSettings) -> None:
    bind.update(f'update add {_CHALLENGE} 60 TXT "{next(iter(_VALUES))}"')
    assert client.issue(_NAME, challenge="dns-01", dns=settings).bundle
    assert bind.txt(_CHALLENGE) == {next(iter(_VALUES))}
    bind.update(f"update delete {_CHALLENGE} TXT")


def test_a_record_that_cannot_be_taken_away_is_noted(
    bind: Bind, settings: DnsSettings, make_solver: Callable[[DnsSettings], Dns01]
) -> None:
    solver = make_solver(settings)
    solver.start([proof(token="1")])
    value = next(iter(bind.txt(_CHALLENGE)))
    bind.stop_one(PRIMARY)
    try:
        solver.stop()
    finally:
        bind.start_one(PRIMARY)
    (note,) = solver.notes
    assert note == (
        f"the TXT record {_CHALLENGE} {value} may still be there, and does no harm: DNS server {PRIMARY}:53: the update"
        f" of {_CHALLENGE} did not get there: Connection refused"
    )
    bind.update(f"update delete {_CHALLENGE} TXT")


def refusal(settings: DnsSettings, bind: Bind, name: str = _NAME) -> str:
    """What starting says; nothing is left, and nothing noted."""
    solver = Dns01(settings)
    words = said(lambda: solver.start([proof(name)]))
    solver.stop()
    assert bind.txt(_CHALLENGE) == set()
    assert solver.notes == []
    return words


def test_an_update_that_the_server_refuses_says_why(bind: Bind, settings: DnsSettings, tmp_path: Path) -> None:
    unknown, wrong = tmp_path / "unknown", tmp_path / "wrong"
    bind.write_key(unknown, "unknown")
    bind.write_key(wrong, "regdeploy")
    assert {
        "another's key": refusal(replace(settings, tsig_key_file=bind.stranger_file), bind),
        "no key": refusal(replace(settings, tsig_key_file=None), bind),
        "unknown key": refusal(replace(settings, tsig_key_file=unknown), bind),
        "wrong secret": refusal(replace(settings, tsig_key_file=wrong), bind),
        "a secondary": refusal(replace(settings, server=f"{SECONDARY}:53"), bind),
        "nobody": refusal(replace(settings, server="[::1]:53"), bind),
    } == {
        "another's key": f"DNS server {PRIMARY}:53: refuses the update of {_CHALLENGE} (REFUSED)\n"
        f'hint: BIND: update-policy {{ grant "stranger" name {_CHALLENGE} TXT; }}; or send it to the primary',
        "no key": f"DNS server {PRIMARY}:53: refuses an update of {_CHALLENGE} that is not signed (REFUSED)\n"
        "hint: give a TSIG key file",
        "unknown key": f'DNS server {PRIMARY}:53: does not know the TSIG key "unknown" (BADKEY)\n'
        f"hint: compare name and algorithm in {unknown}",
        "wrong secret": f'DNS server {PRIMARY}:53: has another secret for the TSIG key "regdeploy" (BADSIG)\n'
        f"hint: compare the secret in {wrong}",
        "a secondary": f"DNS server {SECONDARY}:53: refuses the update of {_CHALLENGE} (REFUSED)\n"
        f'hint: BIND: update-policy {{ grant "regdeploy" name {_CHALLENGE} TXT; }}; or send it to the primary',
        "nobody": f"DNS server [::1]:53: the update of {_CHALLENGE} did not get there: Connection refused\n"
        "hint: see that it runs and that this host reaches its TCP port, or name another DNS server",
    }


def test_a_name_whose_zone_cannot_be_found_is_an_error_in_words(bind: Bind, settings: DnsSettings) -> None:
    assert refusal(settings, bind, f"loop.{ZONE}") == (
        f"_acme-challenge.loop.{ZONE}.: its aliases run in a circle: _acme-challenge.loop.{ZONE}. -> loop.{ZONE}. ->"
        f" _acme-challenge.loop.{ZONE}.\nhint: correct its CNAME records: one that leads to where the TXT record may be"
        " written is enough"
    )
    assert refusal(settings, bind, "elsewhere.invalid").startswith(
        "_acme-challenge.elsewhere.invalid.: the name servers did not answer about its CNAME record: "
    )
