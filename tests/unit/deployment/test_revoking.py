"""A certificate revoked: replaced first where it is in use, and never served again. In memory."""

from __future__ import annotations

import itertools
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from regdeploy.deployment import certs, revoking
from regdeploy.deployment.renewing import renew
from regdeploy.deployment.revoking import Revoked
from regdeploy.errors import AcmeError, CertificateError, NotDeployed, UsageError
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import DirectoryFacts, Errand, Issued
from regdeploy.tls.store import CertificateStore
from tests.fakes.death import dying_before
from tests.fakes.mortal import Killed
from tests.fakes.world import FakeAuthority
from tests.unit.spine.host import ACME, INTERNAL, Host, copy_of


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with two versions, the second of them served."""
    made = Host(tmp_path / "root")
    made.up(ACME)
    renew(made.request({}), made.world(), made.reporter, forced=True)
    return made


def revoke(host: Host, number: int | None = None, reason: str = "unspecified") -> Revoked:
    """``regdeploy cert revoke --yes``."""
    wanted = revoking.plan_revocation(host.request({}), host.world(), number, reason)
    return revoking.revoke(host.request({}), host.world(), host.reporter, wanted)


def pem(host: Host, number: int) -> bytes:
    """What is stored as that version."""
    return CertificateStore(host.root / "certs").fullchain(number)


def served(host: Host) -> list[int]:
    """The numbers of the versions that a handshake gives: one."""
    return [held.stored.number for held in certs.versions(host.request({}), host.world()) if held.served]


def settled(host: Host) -> bool:
    """Whether neither ``renew`` nor ``up`` has anything to do."""
    done = renew(host.request({}), host.world(), host.reporter).changed
    return not done and host.plan({}).plan.text() == ""


def test_the_one_in_use_is_replaced_and_then_revoked_for_good(host: Host) -> None:
    question = revoking.plan_revocation(host.request({}), host.world(), None, "superseded").question
    assert question.startswith("Version 0002 (serial ")
    assert "and is replaced first" in question
    done = revoke(host, reason="superseded")
    assert done.words.endswith("version 0002 is revoked; another is in use")
    assert host.authority.revoked == [(pem(host, 2), "superseded")]
    assert served(host) == [3]
    with pytest.raises(CertificateError, match="cannot be used: it was revoked on 2026-11-24"):
        certs.use(host.request({}), host.world(), host.reporter, 2)
    assert settled(host)
    assert [line for line in (host.root / "history.jsonl").read_text().splitlines() if "cert revoke" in line]


def test_one_that_is_not_in_use_is_revoked_and_nothing_else_is_done(host: Host) -> None:
    issued = host.authority.issued
    assert revoke(host, 1).words.endswith("version 0001 is revoked")
    assert host.authority.revoked == [(pem(host, 1), "unspecified")]
    assert (served(host), host.authority.issued) == ([2], issued)
    assert not revoke(host, 1).new


def test_one_that_was_gone_back_to_is_revoked_although_its_renewal_clears_it_away(host: Host) -> None:
    for _ in range(2):
        renew(host.request({}), host.world(), host.reporter, forced=True)
    certs.use(host.request({}), host.world(), host.reporter, 2)
    before = pem(host, 2)
    revoke(host)
    assert host.authority.revoked == [(before, "unspecified")]
    assert served(host) == [5]
    assert settled(host)


def test_without_another_certificate_none_is_revoked(host: Host) -> None:
    host.authority.refusal = "policy forbids it"
    with pytest.raises(AcmeError, match="policy forbids it"):
        revoke(host)
    assert (served(host), host.authority.revoked) == ([2], [])


@dataclass
class _Keeping(FakeAuthority):
    """A CA that revokes nothing, and remembers with which key it was asked for another."""

    keys: list[Secret | None] = field(default_factory=list)

    def issue(self, errand: Errand, directory: DirectoryFacts | None) -> Issued:
        self.keys.append(errand.settings.reuse_key)
        return super().issue(errand, directory)

    def revoke(self, *_: object, **__: object) -> bool:
        raise AcmeError("ca.example", "the revocation was refused")


def test_what_the_ca_refuses_is_not_said_to_be_revoked_and_can_be_asked_for_again(host: Host) -> None:
    host.authority = _Keeping(clock=host.clock)
    with pytest.raises(AcmeError, match="the revocation was refused") as caught:
        revoke(host)
    assert caught.value.hint == "`regdeploy cert revoke 2` asks again"
    assert served(host) == [3]
    host.authority = FakeAuthority(clock=host.clock)
    assert revoke(host, 2).new


@pytest.mark.parametrize(("reason", "again"), [("keyCompromise", False), ("superseded", True)])
def test_a_key_that_others_have_is_not_used_again(tmp_path: Path, reason: str, *, again: bool) -> None:
    host = Host(tmp_path / "root")
    host.up({**ACME, "reuse-key": True})
    host.authority = keeping = _Keeping(clock=host.clock)
    with pytest.raises(AcmeError):
        revoke(host, reason=reason)
    assert [key is not None for key in keeping.keys] == [again]
    assert settled(host)


def test_what_no_ca_can_revoke_is_refused_before_anything_is_asked(host: Host, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'lost' is no reason to revoke"):
        revoke(host, reason="lost")
    with pytest.raises(UsageError, match="there are: 1, 2"):
        revoke(host, 9)
    own = Host(tmp_path / "internal")
    own.up(INTERNAL)
    with pytest.raises(UsageError, match="version 0001: came from internal"):
        revoke(own)
    with pytest.raises(NotDeployed):
        revoke(Host(tmp_path / "none"))
    assert host.authority.asked == 2
    assert host.authority.revoked == []


def test_killed_before_any_write_no_revoked_one_is_served_and_the_same_call_ends_it(host: Host) -> None:
    for write in itertools.count(1):
        one = copy_of(host, host.root.parent / f"write-{write}")
        with dying_before(write) as counter, suppress(Killed):
            revoke(one, 2)
        revoked = [certificate for certificate, _ in one.authority.revoked]
        one.up({})
        assert [pem(one, number) for number in served(one)] not in [[certificate] for certificate in revoked]
        revoke(one, 2)
        assert served(one) != [2], f"killed before write {write}"
        assert [certificate for certificate, _ in one.authority.revoked] == [pem(one, 2)]
        assert settled(one), f"killed before write {write}"
        shutil.rmtree(one.root)
        if counter.count < write:
            break
    assert write > 10, "the sweep saw hardly any write: it proves nothing"
