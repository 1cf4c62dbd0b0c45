"""Who is asked whether the CA's port leads here: every address of every name, while the challenge's port is free."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from regdeploy.deployment.challenge import Challenge
from regdeploy.deployment.observed import HostFacts
from regdeploy.deployment.plan import Plan
from regdeploy.deployment.spec import Resolved
from regdeploy.deployment.surroundings import host_facts
from regdeploy.engine.model import ContainerFacts, Publish
from regdeploy.host.names import Resolution
from regdeploy.host.reach import Outcome, Reached
from tests.builders import DOMAIN, NOW, acme, deployed, internal
from tests.fakes.engine import FakeEngine
from tests.fakes.world import FakeClock, FakeNames, fake_world

#: Ports that nothing on a usual machine listens on: whether they are free is looked up.
HTTP = Challenge(kind="http-01", port=28080, why="")
ALPN = Challenge(kind="tls-alpn-01", port=28443, why="")
ANSWER = Reached(name=DOMAIN, address="203.0.113.7", port=80, outcome=Outcome.SILENT)


@dataclass
class Names(FakeNames):
    """Names with these addresses; ``asked`` is what was to be reached, and by which ports."""

    found: Mapping[str, Resolution] = field(default_factory=dict)
    asked: list[tuple[Mapping[str, tuple[str, ...]], int, int]] = field(default_factory=list)
    own: frozenset[str] = frozenset()

    def resolve(self, name: str) -> Resolution:
        return self.found.get(name, Resolution(error="does not exist"))

    def reach(
        self, addresses: Mapping[str, tuple[str, ...]], *, own: frozenset[str], asked: int, listened: int
    ) -> tuple[Reached, ...]:
        self.asked.append((addresses, asked, listened))
        self.own = own
        return (ANSWER,)


def looked(
    names: Names, *kinds: Challenge, asked: Resolved | None = None, engine: FakeEngine | None = None, plan: Plan | None
) -> HostFacts:
    """What is gathered for ``plan``, None for ``doctor``, where the challenges are these."""
    asked = asked or acme()
    world = replace(fake_world(engine or FakeEngine(), FakeClock(NOW)), names=names)
    return host_facts(asked.spec, deployed(asked, challenges=kinds), world, plan)


@pytest.mark.parametrize(("kind", "ports"), [(HTTP, (80, 28080)), (ALPN, (443, 28443))], ids=["http-01", "tls-alpn-01"])
def test_every_address_of_every_name_is_asked_at_the_cas_port_and_ours_is_listened_on(
    kind: Challenge, ports: tuple[int, int]
) -> None:
    other = "mirror.example.com"
    names = Names(
        found={
            DOMAIN: Resolution(a=("203.0.113.7", "203.0.113.8"), aaaa=("2001:db8::7",)),
            other: Resolution(aaaa=("2001:db8::8",)),
        }
    )
    facts = looked(names, kind, asked=acme(domain=[DOMAIN, other]), plan=None)
    addresses = {DOMAIN: ("203.0.113.7", "203.0.113.8", "2001:db8::7"), other: ("2001:db8::8",)}
    assert names.asked == [(addresses, *ports)]
    assert facts.reached == (ANSWER,)
    assert names.own == facts.own_addresses != frozenset()


def test_a_name_without_an_address_has_nobody_to_be_asked() -> None:
    names = Names()
    looked(names, HTTP, plan=None)
    assert names.asked == [({DOMAIN: ()}, 80, 28080)]


def test_only_the_first_kind_is_what_a_ca_asks_for_first() -> None:
    names = Names()
    looked(names, ALPN, HTTP, plan=None)
    assert [ports for _, *ports in names.asked] == [[443, 28443]]


def test_a_challenge_that_needs_no_port_leads_nobody_here() -> None:
    names = Names()
    facts = looked(names, Challenge(kind="dns-01", port=0, why=""), plan=None)
    assert (names.asked, facts.reached) == ([], ())


def test_a_port_that_somebody_holds_cannot_be_listened_on() -> None:
    with socket.create_server(("", 0)) as held:
        names = Names()
        facts = looked(names, replace(HTTP, port=held.getsockname()[1]), plan=None)
    assert (names.asked, facts.reached) == ([], ())


def test_nor_one_that_a_container_publishes_without_listening_on_it() -> None:
    engine = FakeEngine()
    engine.add(
        ContainerFacts(
            id="f" * 64,
            name="web",
            state="running",
            started_at=NOW,
            image="nginx",
            publishes=(Publish("", HTTP.port, 80),),
        )
    )
    names = Names()
    facts = looked(names, HTTP, engine=engine, plan=None)
    assert facts.publishers[HTTP.port] == ("web",)
    assert (names.asked, facts.reached) == ([], ())


@pytest.mark.parametrize(
    ("asked", "plan"), [(acme(), Plan(())), (internal(), None)], ids=["nothing is ordered", "no CA is asked"]
)
def test_where_no_ca_will_ask_nobody_is_reached_for(asked: Resolved, plan: Plan | None) -> None:
    names = Names()
    facts = looked(names, HTTP, asked=asked, plan=plan)
    assert (names.asked, facts.reached) == ([], ())
