"""The stored certificates: what is said of them, and going back to one that is then left alone. In memory."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from regdeploy.deployment import certs
from regdeploy.deployment.certs import Held
from regdeploy.deployment.renewing import renew
from regdeploy.errors import CertificateError, NeedsConfirmation, NotDeployed, UsageError, VerifyFailed
from regdeploy.registry.api import EndpointFacts
from regdeploy.tls.attempts import Window, read_attempts, write_attempts
from regdeploy.tls.store import CertificateStore
from tests.fakes.death import dying_before
from tests.fakes.mortal import Killed
from tests.fakes.world import FakeEndpoint
from tests.unit.spine.host import ACME, DOMAIN, INTERNAL, LOCAL, Host, copy_of


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with two versions, the second of them served."""
    made = Host(tmp_path / "root")
    made.up(ACME)
    renewed(made)
    return made


def renewed(host: Host, *, forced: bool = True) -> bool:
    """``regdeploy renew --force``."""
    return renew(host.request({}), host.world(), host.reporter, forced=forced).changed


def use(host: Host, number: int) -> str:
    """``regdeploy cert use``."""
    return certs.use(host.request({}), host.world(), host.reporter, number).words


def listed(host: Host) -> tuple[Held, ...]:
    """``regdeploy cert list``."""
    return certs.versions(host.request({}), host.world())


def marks(host: Host) -> list[tuple[bool, bool, bool]]:
    """Of each version: current, served, set aside."""
    return [(held.current, held.served, held.stored.set_aside is not None) for held in listed(host)]


def served(host: Host) -> int:
    """The number of the version that a handshake gives, 0 for none."""
    return next((held.stored.number for held in listed(host) if held.served), 0)


def settled(host: Host) -> bool:
    """Whether neither ``renew`` nor ``up`` has anything to do."""
    return not renewed(host, forced=False) and host.plan({}).plan.text() == ""


def test_what_is_shown_is_what_the_files_and_the_handshake_say(host: Host) -> None:
    shown = certs.show(host.request({}), host.world())
    leaf = CertificateStore(host.root / "certs").bundle(2).leaf
    assert shown.as_json() == {
        "version": 2,
        "current": True,
        "served": True,
        "set_aside": None,
        "revoked": None,
        "problem": None,
        "names": [DOMAIN],
        "issuer": "CN=Test Intermediate",
        "serial": f"{leaf.serial:x}",
        "not_before": "2026-11-24T11:00:00Z",
        "not_after": "2027-02-22T11:00:00Z",
        "days_left": 89,
        "key_type": "ECDSA P-256",
        "fingerprint_sha256": leaf.fingerprint_sha256,
        "source": "acme",
        "directory": "https://acme-v02.api.letsencrypt.org/directory",
        "profile": None,
        "issued_at": "2026-11-24T12:00:00Z",
        "deployed_at": "2026-11-24T12:00:00Z",
        "renewed_from": "2027-01-23T11:00:00Z",
        "window": None,
    }
    assert shown.chain == ("CN=Test Intermediate",)


def test_one_that_is_not_in_use_is_not_said_to_be_renewed(host: Host) -> None:
    shown = certs.show(host.request({}), host.world(), 1).as_json()
    assert (shown["current"], shown["served"], shown["renewed_from"]) == (False, False, None)


def test_the_cas_window_is_shown_for_the_certificate_that_it_is_of(host: Host) -> None:
    leaf = CertificateStore(host.root / "certs").bundle(2).leaf
    path, now = host.root / "acme/attempts.json", host.clock()
    days = [now + timedelta(days=days) for days in (20, 22, 21, 1)]
    window = Window(
        fingerprint=leaf.fingerprint_sha256, start=days[0], end=days[1], moment=days[2], ask_again=days[3], reason="why"
    )
    record = read_attempts(path, (DOMAIN,), "https://acme-v02.api.letsencrypt.org/directory")
    write_attempts(path, replace(record, window=window))
    one, two = (held.as_json() for held in listed(host))
    assert one["window"] is None
    assert two["window"] == {
        "start": "2026-12-14T12:00:00Z",
        "end": "2026-12-16T12:00:00Z",
        "moment": "2026-12-15T12:00:00Z",
        "reason": "why",
    }
    assert two["renewed_from"] == "2026-12-15T12:00:00Z"


def test_what_is_broken_is_said_and_nothing_is_made_up_for_it(host: Host) -> None:
    (host.root / "certs/versions/0001/cert.json").write_text("{")
    shown = certs.show(host.request({}), host.world(), 1)
    found = shown.as_json()
    assert str(found["problem"]).startswith("its cert.json is broken")
    assert {found[key] for key in ("not_after", "serial", "days_left", "issued_at", "fingerprint_sha256")} == {None}
    with pytest.raises(CertificateError, match=r"version 0001: cannot be used: its cert\.json is broken"):
        use(host, 1)


def test_one_gone_back_to_is_served_and_left_alone_until_another_is_issued(host: Host) -> None:
    assert marks(host) == [(False, False, False), (True, True, False)]
    assert use(host, 1).endswith("version 0001 is in use; it ends 2027-02-22")
    assert marks(host) == [(True, True, False), (False, False, True)]
    assert settled(host)
    assert use(host, 1).endswith("version 0001 is in use already; it ends 2027-02-22")
    assert use(host, 2).endswith("version 0002 is in use; it ends 2027-02-22")
    assert marks(host) == [(False, False, False), (True, True, False)]
    assert settled(host)
    use(host, 1)
    assert renewed(host)
    assert marks(host) == [(False, False, False), (False, False, True), (True, True, False)]
    assert settled(host)


def test_the_plan_says_what_is_done_and_nothing_is_without_a_yes(host: Host) -> None:
    host.reporter.yes = False
    with pytest.raises(NeedsConfirmation, match="clients are refused for a moment"):
        use(host, 1)
    assert marks(host) == [(False, False, False), (True, True, False)]
    host.reporter.yes = True
    plan = certs.use(host.request({}), host.world(), host.reporter, 1).planned.plan
    assert plan.text().splitlines() == [
        " 1. set newer versions aside     version 0001 was chosen: no newer one is to take its place by itself",
        " 2. make the certificate current it was asked for by its number",
        " 3. restart the container        a registry reads its certificate only at start [interrupts]",
        " 4. verify what is served        only a handshake shows what is served",
    ]


class _Deaf(FakeEndpoint):
    """An endpoint that does not come back after a restart."""

    def wait(self, *_: object) -> EndpointFacts:
        return EndpointFacts(error="refuses connections")


def test_one_that_is_not_served_is_undone_marks_and_all(host: Host) -> None:
    well = host.endpoint
    host.endpoint = _Deaf(host.engine)
    with pytest.raises(VerifyFailed):
        use(host, 1)
    host.endpoint = well
    assert marks(host) == [(False, False, False), (True, True, False)]
    assert settled(host)


def test_one_that_is_set_aside_is_not_fallen_back_to_when_the_one_in_use_ends(host: Host) -> None:
    use(host, 1)
    host.clock.forward(days=95)
    assert host.plan({}).plan.flat[0].why == "it expired on 2027-02-22"


def test_one_that_is_due_is_used_and_said_to_be_replaced_soon(host: Host) -> None:
    host.clock.forward(days=70)
    renewed(host)
    assert use(host, 1).endswith("it ends 2027-02-22, and is due: the next `regdeploy renew` makes another")
    assert renewed(host, forced=False)


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (lambda host: host.clock.forward(days=91), "it expired on 2027-02-22"),
        (lambda host: host.up({"domain": [DOMAIN, "mirror.example.com"]}), f"it is for {DOMAIN}"),
        (lambda host: host.up({"tls": "internal"}), "it came from acme, and --tls is internal"),
        (lambda host: (host.root / "certs/versions/0001/privkey.pem").write_text("junk"), "privkey.pem"),
    ],
    ids=["expired", "other names", "another source", "broken"],
)
def test_one_that_cannot_serve_is_refused_with_the_reason(host: Host, happens: object, words: str) -> None:
    assert callable(happens)
    happens(host)
    before = marks(host)
    with pytest.raises(CertificateError, match=words):
        use(host, 1)
    assert marks(host) == before


def test_where_nothing_runs_it_is_put_in_place_and_nobody_is_asked(host: Host) -> None:
    host.engine.stop("registry", 1)
    host.reporter.yes = False
    assert use(host, 1).endswith("version 0001 is in use, and nothing serves it; it ends 2027-02-22")
    assert marks(host) == [(True, False, False), (False, False, True)]


def test_the_deploy_hook_is_told_of_it(host: Host, tmp_path: Path) -> None:
    program, told = tmp_path / "hook", tmp_path / "told"
    program.write_text(f'#!/bin/sh\ncat "$REGDEPLOY_HOOK_CERTIFICATE" > {told}\n')
    program.chmod(0o755)
    host.up({"hook-deploy": str(program)})
    use(host, 1)
    assert told.read_bytes() == CertificateStore(host.root / "certs").fullchain(1)


def test_records_of_before_say_nothing_of_this_and_count(host: Host) -> None:
    for path in (host.root / "certs/versions").glob("*/cert.json"):
        record = json.loads(path.read_text())
        del record["set_aside"], record["revoked"]
        path.write_text(json.dumps(record))
    assert marks(host) == [(False, False, False), (True, True, False)]
    assert settled(host)


def test_a_number_that_is_not_there_lists_those_that_are(host: Host) -> None:
    for ask in (use, lambda host, number: certs.show(host.request({}), host.world(), number)):
        with pytest.raises(UsageError, match="version 9: is not stored; there are: 1, 2"):
            ask(host, 9)
    with pytest.raises(UsageError, match="version 0"):
        certs.show(host.request({}), host.world(), 0)


def test_without_a_deployment_there_is_none_to_show_use_or_replace(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    with pytest.raises(NotDeployed):
        listed(host)
    with pytest.raises(NotDeployed):
        use(host, 1)
    with pytest.raises(NotDeployed):
        certs.bring(host.request({"cert": tmp_path / "a", "key": tmp_path / "b"}), host.world(), host.reporter)
    assert not host.root.exists()


def test_a_registry_without_tls_has_none(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up(LOCAL)
    assert listed(host) == ()
    with pytest.raises(CertificateError, match="has no certificate in use"):
        certs.show(host.request({}), host.world())


def _futures(start: Host) -> Iterator[tuple[int, Host]]:
    for write in itertools.count(1):
        host = copy_of(start, start.root.parent / f"write-{write}")
        yield write, host
        shutil.rmtree(host.root)


@pytest.mark.parametrize(("chosen", "before"), [(1, 3), (3, 1), (2, 4)], ids=["back", "forward", "aside and back"])
def test_killed_before_any_write_it_is_that_one_or_the_one_before_and_the_same_call_ends_it(
    tmp_path: Path, chosen: int, before: int
) -> None:
    start = Host(tmp_path / "root")
    start.up(INTERNAL)
    for _ in range(2):
        renewed(start)
    if before != 3:
        use(start, 1)
    if before == 4:
        renewed(start)
    for write, host in _futures(start):
        with dying_before(write) as counter, suppress(Killed):
            use(host, chosen)
        host.up({})
        assert served(host) in (chosen, before), f"killed before write {write}"
        assert settled(host), f"killed before write {write}"
        use(host, chosen)
        assert served(host) == chosen, f"killed before write {write}"
        assert settled(host), f"killed before write {write}"
        if counter.count < write:
            break
    assert write > 4, "the sweep saw hardly any write: it proves nothing"
