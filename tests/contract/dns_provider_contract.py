"""What every provider of DNS records must do, as one suite: a test module derives from it and gives the subjects.

``provider`` may change both zones of the fixture ``bind``; ``unreachable`` is one whose name server is not there.
"""

from __future__ import annotations

import threading

import pytest

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.dns.provider import Place, Provider, Record
from regdeploy.tls.acme.patience import Patience
from tests.rig.parts.bind import DELEGATED, PRIMARY, ZONE, Bind

NAME = f"_acme-challenge.contract.{ZONE}."


def record(value: str, name: str = NAME, zone: str = f"{ZONE}.") -> Record:
    """A record of the name ``contract.example.test``."""
    place = Place(name=name, zone=zone, primary=f"ns1.{ZONE}.", primary_addresses=(PRIMARY,))
    return Record(domain=f"contract.{ZONE}", asked=NAME, place=place, value=value)


def patience(seconds: float = 10) -> Patience:
    return Patience(seconds, threading.Event())


class DnsProviderContract:
    """Every test leaves ``NAME`` without a value."""

    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, bind: Bind) -> None:
        bind.update(f"update delete {NAME} TXT")

    def test_a_value_stands_beside_a_strangers_who_keeps_his(self, provider: Provider, bind: Bind) -> None:
        bind.update(f'update add {NAME} 60 TXT "the stranger\'s"')
        provider.add(record("ours"), patience())
        assert bind.txt(NAME) == {"the stranger's", "ours"}
        provider.remove(record("ours"), patience())
        assert bind.txt(NAME) == {"the stranger's"}

    def test_two_values_are_there_at_once_and_go_one_by_one(self, provider: Provider, bind: Bind) -> None:
        for value in ("-first_1", "second-"):
            provider.add(record(value), patience())
        assert bind.txt(NAME) == {"-first_1", "second-"}
        provider.remove(record("-first_1"), patience())
        assert bind.txt(NAME) == {"second-"}
        provider.remove(record("second-"), patience())
        assert bind.txt(NAME) == set()

    def test_what_is_there_already_may_be_added_and_what_is_not_may_be_removed(
        self, provider: Provider, bind: Bind
    ) -> None:
        for _ in range(2):
            provider.add(record("ours"), patience())
        assert bind.txt(NAME) == {"ours"}
        for _ in range(2):
            provider.remove(record("ours"), patience())
        assert bind.txt(NAME) == set()

    def test_another_zone_is_changed_where_the_name_is_delegated(self, provider: Provider, bind: Bind) -> None:
        name = f"contract.{DELEGATED}."
        elsewhere = record("ours", name, f"{DELEGATED}.")
        provider.add(elsewhere, patience())
        assert (bind.txt(name), bind.txt(NAME)) == ({"ours"}, set())
        provider.remove(elsewhere, patience())
        assert bind.txt(name) == set()

    def test_a_name_server_that_cannot_be_reached_is_an_error_in_words(self, unreachable: Provider) -> None:
        with pytest.raises(AcmeError) as caught:
            unreachable.add(record("ours"), patience())
        assert caught.value.what
        assert caught.value.hint
