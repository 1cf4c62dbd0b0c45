"""``rollback`` in memory: back to any earlier state, forth again, and killed anywhere on the way."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from regdeploy.deployment import rollback as work
from regdeploy.deployment.history import Entry, read
from regdeploy.deployment.renewing import renew
from regdeploy.deployment.request import Request
from regdeploy.deployment.rollback import Rollback
from regdeploy.deployment.upgrade import upgrade
from regdeploy.errors import CheckFailed, NeedsConfirmation, NotDeployed, UsageError, VerifyFailed
from regdeploy.tls.store import CertificateStore
from tests.fakes.death import dying_before
from tests.fakes.engine import registry_image
from tests.fakes.mortal import Killed
from tests.unit.spine.host import ACME, DOMAIN, INTERNAL, LOCAL, OTHER_PORT, PORT, Host, copy_of

NEWER = registry_image("3.1.2")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "root")


def back(host: Host, number: int | None = None) -> Rollback:
    """``regdeploy rollback [--to N] --yes``."""
    found = planned(host, number)
    return work.rollback(host.request({}), host.world(), host.reporter, found.entry.number)


def planned(host: Host, number: int | None = None) -> Rollback:
    """``regdeploy rollback --dry-run``."""
    found = work.plan_rollback(host.request({}), host.world(), number)
    assert isinstance(found, Rollback)
    return found


def upgraded(host: Host) -> None:
    """``regdeploy upgrade``, with another image under the tag by now."""
    host.engine.available["registry:3"] = NEWER
    upgrade(host.request({}), host.world(), host.reporter)


def entries(host: Host) -> tuple[Entry, ...]:
    return read(host.root / "history.jsonl")


def saved(host: Host) -> Mapping[str, object]:
    """What regdeploy.toml holds."""
    return host.plan({}).observed.saved or {}


def image(host: Host) -> str:
    """The id of the image that serves."""
    container = host.serving()
    return container.image_id if container else ""


def settled(host: Host) -> bool:
    """Whether the next ``up`` has nothing to do, and something serves."""
    return host.plan({}).plan.text() == "" and host.serves({})


def test_without_a_number_it_is_the_last_state_that_differs_and_a_rollback_is_rolled_back(host: Host) -> None:
    host.up(ACME)
    host.up({**ACME, "port": OTHER_PORT})
    host.image_pushed()

    for port in (PORT, OTHER_PORT, PORT):
        done = back(host)
        assert done.planned.spec.port == port
        assert saved(host)["port"] == port
        assert settled(host)
        assert host.image_is_there()
    assert [entry.operation for entry in entries(host)] == [
        *("up", "up", "rollback --to 1", "rollback --to 2", "rollback --to 3"),
    ]


def test_a_state_is_that_of_its_entry_whatever_came_between(host: Host) -> None:
    host.up(INTERNAL)
    host.up({**INTERNAL, "auth": False, "image": "registry:2.8"})
    host.up({**INTERNAL, "port": OTHER_PORT})

    back(host, 1)

    assert saved(host) == {"domain": [DOMAIN], "port": PORT, "tls": "internal"}
    assert image(host) == host.engine.available["registry:3"].id
    assert settled(host)
    back(host, 2)
    assert (saved(host)["auth"], image(host)) == (False, host.engine.available["registry:2.8"].id)
    assert host.has_read_its_config()
    assert settled(host)


def test_the_same_state_is_nothing_to_do_and_leaves_no_entry(host: Host) -> None:
    host.up(LOCAL)

    assert back(host, 1).planned.plan.steps == ()
    assert len(entries(host)) == 1


def test_a_tag_that_names_another_image_gives_way_to_the_digest_and_up_does_not_undo_that(host: Host) -> None:
    host.up(INTERNAL)
    old = host.engine.images["registry:3"]
    upgraded(host)
    assert image(host) == NEWER.id

    done = back(host)

    assert image(host) == old.id
    assert saved(host)["image"] == old.repo_digests[0]
    assert done.notes == (f"registry:3 names another image now: {old.repo_digests[0]} is saved in its place",)
    assert settled(host)
    assert back(host, 1).planned.plan.steps == ()
    assert back(host, 2).notes == ()
    assert (image(host), "image" in saved(host)) == (NEWER.id, False)
    assert settled(host)


def test_without_a_digest_it_is_the_id(host: Host) -> None:
    host.engine.available["registry:3"] = old = replace(registry_image(), repo_digests=())
    host.up(INTERNAL)
    upgraded(host)

    back(host)

    assert (image(host), saved(host)["image"]) == (old.id, old.id)
    assert settled(host)


def test_an_image_that_the_engine_has_no_more_is_pulled_by_the_digest_of_its_own_repository(host: Host) -> None:
    mirrored = "mirror.example.com:5000/registry:3"
    digest = f"mirror.example.com:5000/registry@sha256:{'d' * 64}"
    old = replace(registry_image(), repo_digests=("elsewhere/registry@sha256:" + "e" * 64, digest))
    host.engine.available[mirrored] = old
    host.up({**INTERNAL, "image": mirrored})
    host.up({**INTERNAL, "image": "registry:2.8"})
    for name in [name for name, one in host.engine.images.items() if one.id == old.id]:
        del host.engine.images[name]
    host.engine.host.available = {digest: old}  # by its digest alone

    done = back(host)

    assert (image(host), saved(host)["image"]) == (old.id, digest)
    assert done.notes == (f"the engine has that image no more: {digest} is pulled, and saved",)
    assert settled(host)


def test_an_image_that_nobody_has_any_more_is_refused_before_anything_is_touched(host: Host) -> None:
    host.engine.available["registry:3"] = replace(registry_image(), repo_digests=())
    host.up(INTERNAL)
    host.up({**INTERNAL, "image": "registry:2.8"})
    gone = host.engine.images.pop("registry:3")
    before = entries(host)

    with pytest.raises(CheckFailed, match=rf"registry:3 of entry 1 \({gone.id[:19]}\) no more, and it has no digest"):
        back(host)

    assert entries(host) == before
    assert settled(host)


def test_the_certificate_goes_back_too_and_stays(host: Host) -> None:
    host.up(ACME)
    renewed(host)
    assert current(host) == 2

    done = back(host)

    assert (done.entry.number, current(host), done.notes) == (1, 1, ())
    assert not renewed(host, forced=False)
    assert settled(host)
    back(host)
    assert current(host) == 2
    assert settled(host)


def test_spec_and_image_count_before_the_certificate(host: Host) -> None:
    host.up(ACME)
    host.up({**ACME, "port": OTHER_PORT})
    renewed(host)

    assert back(host).entry.number == 1
    assert (saved(host)["port"], current(host)) == (PORT, 1)


def renewed(host: Host, *, forced: bool = True) -> bool:
    return renew(host.request({}), host.world(), host.reporter, forced=forced).changed


def current(host: Host) -> int | None:
    return CertificateStore(host.root / "certs").read().current


@pytest.mark.parametrize(
    ("days", "gone", "why"),
    [
        (0, True, "it is not stored any more"),
        (61, False, "it is due for renewal since 2027-01-23"),
        (91, False, "it expired on 2027-02-22"),
    ],
)
def test_a_certificate_that_is_of_no_use_any_more_stays_out_and_that_is_said(
    host: Host, days: int, gone: bool, why: str
) -> None:
    host.up(ACME)
    host.clock.forward(days=days)
    renewed(host)
    host.up({**ACME, "port": OTHER_PORT})
    if gone:
        shutil.rmtree(host.root / "certs/versions/0001")

    done = back(host, 1)

    assert done.notes == (f"the certificate is not version 0001 again: {why}",)
    assert (saved(host)["port"], current(host)) == (PORT, 2)
    assert settled(host)


def test_a_certificate_that_was_revoked_is_not_gone_back_to(host: Host) -> None:
    host.up(ACME)
    renewed(host)
    CertificateStore(host.root / "certs").mark_revoked(1, host.clock())

    done = back(host, 1)

    assert done.notes == ("the certificate is not version 0001 again: it was revoked on 2026-11-24",)
    assert (done.planned.plan.steps, current(host)) == ((), 2)


def test_another_names_certificate_is_taken_again_without_setting_the_newer_aside(host: Host) -> None:
    host.up(ACME)
    host.up({**ACME, "domain": ["other.example.com"], "former-domain": ["none"]})
    issued = host.authority.issued

    back(host)

    assert (current(host), host.authority.issued) == (1, issued)
    versions = CertificateStore(host.root / "certs").read().versions
    assert [version.set_aside for version in versions] == [None] * len(versions)
    assert settled(host)


def test_what_is_pending_in_an_edited_file_is_noted_before_it_is_overwritten(host: Host) -> None:
    host.up(LOCAL)
    path = host.root / "regdeploy.toml"
    path.write_text(path.read_text().replace(f"port = {PORT}", f"port = {OTHER_PORT}"))

    back(host)

    assert (saved(host)["port"], [entry.operation for entry in entries(host)]) == (
        PORT,
        ["up", "found", "rollback --to 1"],
    )
    found = entries(host)[1].state
    assert found is not None
    assert found.saved["port"] == OTHER_PORT
    assert back(host).planned.spec.port == OTHER_PORT
    assert settled(host)


def test_a_registry_that_was_taken_down_comes_back(host: Host) -> None:
    host.up(LOCAL)
    host.engine.remove("registry")

    assert back(host).entry.number == 1
    assert settled(host)
    assert [entry.operation for entry in entries(host)] == ["up", "rollback --to 1"]


def test_what_the_environment_says_otherwise_is_told(host: Host) -> None:
    host.up(LOCAL)
    host.up({"port": OTHER_PORT})
    environ = {"REGDEPLOY_PORT": str(OTHER_PORT), "REGDEPLOY_TIMEOUT": "60"}
    request = Request(flags={"root": str(host.root)}, environ=environ, config=None, folder=host.root.parent)

    done = work.rollback(request, host.world(), host.reporter, 1)

    assert done.notes == ("given otherwise, and taken by the next `regdeploy up`: port (environment)",)
    assert (saved(host)["port"], host.serves({})) == (PORT, True)


def test_users_and_images_stay_as_they_are(host: Host) -> None:
    host.up(INTERNAL)
    host.up({**INTERNAL, "user": "ops"})
    host.image_pushed()
    before = (host.root / "auth/htpasswd").read_text()

    back(host)

    assert (host.root / "auth/htpasswd").read_text() == before
    assert host.image_is_there()


def test_a_no_leaves_all_as_it_is(host: Host) -> None:
    host.up(LOCAL)
    host.up({"port": OTHER_PORT})
    before = entries(host)
    host.reporter.yes = False

    with pytest.raises(NeedsConfirmation):
        back(host)

    assert (entries(host), saved(host)["port"], settled(host)) == (before, OTHER_PORT, True)


def test_what_does_not_serve_any_more_is_undone_and_noted(host: Host) -> None:
    host.up(INTERNAL)
    host.up({**INTERNAL, "image": "registry:2.8"})
    host.engine.broken[host.engine.images["registry:3"].id] = ("panic",)

    with pytest.raises(VerifyFailed):
        back(host)

    assert image(host) == host.engine.images["registry:2.8"].id
    assert settled(host)
    assert (entries(host)[-1].operation, bool(entries(host)[-1].error)) == ("rollback --to 1", True)


def test_dry_run_changes_nothing(host: Host) -> None:
    host.up(LOCAL)
    host.up({"port": OTHER_PORT})
    before = (entries(host), saved(host), host.serving())

    found = planned(host)

    assert "port: 127.0.0.1:28444:5000 → 127.0.0.1:28443:5000" in found.planned.plan.text()
    assert (entries(host), saved(host), host.serving()) == before


def refused(host: Host, number: int | None) -> str:
    with pytest.raises(UsageError) as caught:
        planned(host, number)
    return str(caught.value)


def test_what_is_no_state_is_refused_in_words(host: Host) -> None:
    with pytest.raises(NotDeployed):
        planned(host)
    host.up(LOCAL)
    host.engine.taken_ports.add(OTHER_PORT)
    with pytest.raises(Exception, match="port is already allocated"):
        host.up({"port": OTHER_PORT})
    with (host.root / "history.jsonl").open("a") as file:
        file.write(json.dumps({"at": "2026-11-24", "operation": "down", "outcome": "done"}) + "\n")

    assert refused(host, None) == "history: has no earlier state that differs from the present one"
    assert refused(host, 2) == "entry 2: failed, and was undone: up left no state of its own"
    assert refused(host, 3) == "entry 3: does not say what the registry was after it: down"
    assert refused(host, 4) == "entry 4: is not in history; there are 1 to 3"
    assert refused(host, 0) == "--to: 0 is what was before regdeploy, and there was no other registry"
    (host.root / "history.jsonl").unlink()
    assert refused(host, 1) == "entry 1: is not in history; there are none"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"colour": "red"}, "entry 2: has a setting that this version does not know: colour"),
        ({"port": 0}, "entry 2: port: 0 is not a whole number from 1 to 65535"),
        ({"name": "other"}, "entry 2: is of the deployment 'other', not 'registry'"),
    ],
)
def test_values_that_are_not_valid_here_are_refused(host: Host, spec: Mapping[str, object], words: str) -> None:
    host.up(LOCAL)
    line = {"at": "2026-11-24", "operation": "up", "outcome": "done", "spec": spec, "image_id": ""}
    with (host.root / "history.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")

    assert refused(host, 2) == words


def steps(start: Host, goal: int) -> int:
    """Roll back and die before every write, one after the other; ``up`` then converges, and so does the same call."""
    for write in itertools.count(1):
        for ends in ("up", "rollback"):
            host = copy_of(start, start.root.parent / f"killed-{write}-{ends}")
            killed = True
            with dying_before(write):
                try:
                    back(host, goal)
                except Killed:
                    pass
                else:
                    killed = False
            if ends == "up":
                host.up({})
            else:
                back(host, goal)
                assert image(host) == entries(start)[goal - 1].state.image_id  # type: ignore[union-attr]  # it has one
            assert settled(host), f"killed before write {write}, then {ends}"
            assert host.image_is_there()
            shutil.rmtree(host.root)
        if not killed:
            return write - 1
    raise AssertionError("every sweep has an end")


def test_killed_before_any_write_up_or_the_same_call_converges(host: Host) -> None:
    host.up(ACME)
    renewed(host)
    upgraded(host)
    host.up({**ACME, "port": OTHER_PORT})
    host.image_pushed()

    assert steps(host, 1) > 10
