"""The solver with a provider that fails, hangs or is not there; what it is made from."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.challenges import Proof
from regdeploy.tls.acme.dns.hook import Hook
from regdeploy.tls.acme.dns.lexicon import Lexicon, _masked
from regdeploy.tls.acme.dns.provider import Record
from regdeploy.tls.acme.dns.solver import Dns01
from regdeploy.tls.acme.patience import Patience
from regdeploy.tls.acme.settings import AcmeSettings, DnsSettings
from regdeploy.tls.acme.solvers import solver_for
from tests.fakes.nameserver import records
from tests.rig.parts.processes import environment
from tests.unit.said import said
from tests.unit.tls.acme.dns.conftest import Serve, patience, record

_ZONE = (
    "example.com. SOA ns1.example.com. h.example.com. 1 2 3 4 5",
    "example.com. NS gone.example.com.",
)
_NO_ADDRESS = (
    "is no address with a port, or without one\nhint: write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353"
)
_PROOFS = [Proof(name="a.example.com", token=token, key_authorization=token) for token in "12"]


class Provider:
    """Notes what it is asked for; it fails or waits as told."""

    kind = "fake"

    def __init__(self) -> None:
        self.values: list[str] = []
        self.adds = 0
        self.failing: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def add(self, record: Record, patience: Patience) -> None:
        self.adds += 1
        self.entered.set()
        self.gate.wait(5)
        self.values.append(record.value)
        self._fail("add")

    def remove(self, record: Record, patience: Patience) -> None:
        self._fail("remove")
        self.values.remove(record.value)

    def _fail(self, action: str) -> None:
        if action in self.failing:
            raise AcmeError("fake", f"does not {action}")


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def make(serve: Serve, provider: Provider) -> Callable[..., Dns01]:
    def solver(timeout: float = 0.05) -> Dns01:
        resolver = f"127.0.0.1:{serve(records(*_ZONE)).port}"
        return Dns01(DnsSettings(provider="fake", resolvers=(resolver,), timeout=timeout), provider)

    return solver


def test_what_does_not_spread_is_taken_away_before_it_is_an_error(
    make: Callable[..., Dns01], provider: Provider
) -> None:
    solver = make()
    assert said(lambda: solver.start(_PROOFS)).startswith("gone.example.com: never answered")
    assert provider.values == []
    assert solver.notes == []


def test_an_add_that_fails_may_have_come_and_is_taken_away(make: Callable[..., Dns01], provider: Provider) -> None:
    provider.failing = {"add"}
    solver = make()
    assert said(lambda: solver.start(_PROOFS)) == "fake: does not add"
    assert provider.values == []


def test_what_was_refused_when_it_was_to_be_added_is_not_noted_as_left(
    make: Callable[..., Dns01], provider: Provider
) -> None:
    provider.failing = {"add", "remove"}
    solver = make()
    assert said(lambda: solver.start(_PROOFS)) == "fake: does not add"
    assert solver.notes == []


def test_records_that_cannot_be_taken_away_are_noted_once_each(make: Callable[..., Dns01], provider: Provider) -> None:
    provider.failing = {"remove"}
    solver = make()
    assert said(lambda: solver.start(_PROOFS)).startswith("gone.example.com: never answered")
    solver.stop()
    assert solver.notes == [
        f"the TXT record _acme-challenge.a.example.com. {value} may still be there, and does no harm:"
        " fake: does not remove"
        for value in reversed(provider.values)
    ]
    assert len(provider.values) == 2


def test_an_add_under_way_is_waited_for_by_who_stops_not_by_who_started(
    make: Callable[..., Dns01], provider: Provider
) -> None:
    provider.gate.clear()
    solver = make()
    started = threading.Thread(target=lambda: said(lambda: solver.start(_PROOFS)))
    stopped = threading.Thread(target=solver.stop)
    started.start()
    assert provider.entered.wait(5)
    stopped.start()
    started.join(5)
    assert not started.is_alive()
    assert stopped.is_alive()
    provider.gate.set()
    stopped.join(5)
    assert not stopped.is_alive()
    assert (provider.adds, provider.values) == (1, [])  # the second one does not even begin


def test_stopped_before_it_starts_it_changes_nothing_and_may_be_stopped_again(
    make: Callable[..., Dns01], provider: Provider
) -> None:
    solver = make()
    solver.stop()
    with pytest.raises(AcmeError) as caught:
        solver.start(_PROOFS)
    assert caught.value.code == "acme.cancelled"
    solver.stop()
    assert not provider.entered.is_set()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            DnsSettings(provider="route53"),
            "DNS provider: 'route53' is none\nhint: choose rfc2136, hook or lexicon:NAME",
        ),
        (
            DnsSettings(provider="lexicon:"),
            "DNS provider: 'lexicon:' is none\nhint: choose rfc2136, hook or lexicon:NAME",
        ),
        (
            DnsSettings(provider="hook"),
            "DNS provider: hook names no program\nhint: docs/dns-hook.md shows one to begin with",
        ),
        (
            DnsSettings(provider="rfc2136", server="ns1"),
            f"DNS server: 'ns1' {_NO_ADDRESS}",
        ),
        (
            DnsSettings(provider="rfc2136", resolvers=("ns1",)),
            f"resolver: 'ns1' {_NO_ADDRESS}",
        ),
        (None, "dns-01: needs a DNS provider\nhint: choose rfc2136, hook or lexicon:NAME"),
    ],
    ids=["unknown", "lexicon without a name", "no hook", "server", "resolver", "no settings"],
)
def test_settings_that_cannot_be_used_are_refused_before_anything(settings: DnsSettings | None, words: str) -> None:
    order = AcmeSettings(directory="https://ca.example/dir", names=("a.example.com",), challenge="dns-01", dns=settings)
    assert said(lambda: solver_for(order)) == words


def test_the_settings_choose_the_provider_and_a_loose_key_file_is_noted(tmp_path: Path) -> None:
    key, hook = tmp_path / "k.key", tmp_path / "hook"
    key.write_text('key k { algorithm hmac-sha256; secret "aGFsbG8="; };')
    key.chmod(0o644)
    hook.touch(0o700)
    update = Dns01(DnsSettings(provider="rfc2136", tsig_key_file=key))
    assert [note.partition(",")[0] for note in update.notes] == [f"{key} can be read by every user of this host"]
    assert isinstance(Dns01(DnsSettings(provider="hook", hook=hook))._provider, Hook)
    assert isinstance(Dns01(DnsSettings(provider="lexicon:ddns"))._provider, Lexicon)


def test_a_service_that_lexicon_does_not_know_is_an_error_in_its_words() -> None:
    assert said(lambda: Lexicon("nobody", ask_system=True).add(record(), patience())) == (
        "lexicon:nobody: This provider (nobody) is not supported by Lexicon.\n"
        "hint: check the variables LEXICON_NOBODY_*, and that example.com is a zone there"
    )


def test_what_the_variables_for_lexicon_hold_is_in_no_error() -> None:
    with environment({"LEXICON_X_AUTH_TOKEN": "p/ss w0rd", "LEXICON_X_ID": "1"}):
        assert _masked("GET https://x/1?t=p%2Fss%20w0rd\nrefused p/ss w0rd") == "GET https://x/1?t=*** refused ***"


def test_without_lexicon_the_line_that_installs_it_is_told() -> None:
    code = (
        "import sys; sys.modules['lexicon'] = None\n"
        "from regdeploy.errors import UsageError\n"
        "from regdeploy.tls.acme.dns.lexicon import Lexicon\n"
        "try:\n    Lexicon('cloudflare', ask_system=True)\n"
        "except UsageError as error:\n    print(error, error.hint, sep='; ')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "lexicon:cloudflare: needs dns-lexicon, which is not installed; pip install 'regdeploy[dns]'\n"
    )
