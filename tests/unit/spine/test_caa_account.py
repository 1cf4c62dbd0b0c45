"""The account that a CAA record demands is compared with the one that the ACME client keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from regdeploy.deployment.authorities import LETS_ENCRYPT
from regdeploy.deployment.checks import Verdict
from regdeploy.deployment.doctor import examine
from regdeploy.host.names import CaaFacts
from regdeploy.tls.acme.account import folder_of
from regdeploy.tls.acme.settings import DirectoryFacts
from tests.fakes.world import FakeAuthority, FakeNames
from tests.unit.spine.host import ACME, Host

URL = "https://ca.example/account/1"


class _Demanding(FakeNames):
    """Every name is for one account alone."""

    def caa(self, name: str) -> CaaFacts:
        return CaaFacts(records=((0, "issue", f"ca.example; accounturi={URL}"),), found_at="example.com")


class _Named(FakeAuthority):
    """A CA that goes by a name in CAA records."""

    def directory(self, url: str, ca_bundle: Path | None) -> DirectoryFacts:
        return replace(super().directory(url, ca_bundle), caa_identities=("ca.example",))


def _verdict(host: Host) -> Verdict:
    world = replace(host.world(), names=_Demanding(), authority=_Named())
    return next(check.verdict for check in examine(host.request(ACME), world) if check.item == "CAA")


def test_an_account_is_unknown_until_it_is_registered_and_then_the_right_one_or_not(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    account = folder_of(host.root / "acme", LETS_ENCRYPT) / "account.json"

    assert _verdict(host) is Verdict.WARNING
    account.parent.mkdir(parents=True)
    account.write_text("{ broken")
    assert _verdict(host) is Verdict.WARNING
    account.write_text(json.dumps({"url": URL}))
    assert _verdict(host) is Verdict.OK
    account.write_text(json.dumps({"url": URL + "0"}))
    assert _verdict(host) is Verdict.STOP
    account.unlink()
    account.mkdir()  # what cannot be read
    assert _verdict(host) is Verdict.WARNING
