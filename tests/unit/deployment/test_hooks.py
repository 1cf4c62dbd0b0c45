"""What a hook is told, what is told of one that failed, and what is kept of it for the next time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from regdeploy.deployment.hooks import (
    Hook,
    HookContext,
    HookFailure,
    begun,
    environment,
    pending,
    read_failures,
    remembered,
    run_hook,
    write_failures,
)
from regdeploy.deployment.settings import SETTINGS
from tests.builders import NOW

CONTEXT = HookContext(
    name="registry",
    domains=("registry.example.com", "r.example.com"),
    root=Path("/var/lib/registry"),
    certificate=Path("/var/lib/registry/certs/current/fullchain.pem"),
    key=Path("/var/lib/registry/certs/current/privkey.pem"),
    fingerprint="ab" * 32,
    not_after=NOW + timedelta(days=60),
    outcome="renewed",
)
FAILED = HookFailure(
    hook=Hook.DEPLOY,
    program=Path("/etc/regdeploy/deploy"),
    fingerprint="ab" * 32,
    at=NOW,
    status=3,
    words="ended with exit status 3",
    lines=("first", "推送失败"),
)


def hook(folder: Path, text: str) -> Path:
    path = folder / "hook"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_hook_is_told_all_that_is_known() -> None:
    assert environment(Hook.AFTER, CONTEXT) == {
        "REGDEPLOY_HOOK": "after",
        "REGDEPLOY_HOOK_NAME": "registry",
        "REGDEPLOY_HOOK_DOMAIN": "registry.example.com",
        "REGDEPLOY_HOOK_DOMAINS": "registry.example.com r.example.com",
        "REGDEPLOY_HOOK_ROOT": "/var/lib/registry",
        "REGDEPLOY_HOOK_CERTIFICATE": "/var/lib/registry/certs/current/fullchain.pem",
        "REGDEPLOY_HOOK_KEY": "/var/lib/registry/certs/current/privkey.pem",
        "REGDEPLOY_HOOK_FINGERPRINT": "ab" * 32,
        "REGDEPLOY_HOOK_NOT_AFTER": "2027-01-23T12:00:00Z",
        "REGDEPLOY_HOOK_OUTCOME": "renewed",
    }


def test_what_is_not_known_is_empty_and_an_outcome_is_for_after_only() -> None:
    told = environment(Hook.BEFORE, HookContext(name="registry", domains=(), root=Path("/r"), outcome="renewed"))
    assert {name for name, value in told.items() if value} == {
        "REGDEPLOY_HOOK",
        "REGDEPLOY_HOOK_NAME",
        "REGDEPLOY_HOOK_ROOT",
    }


def test_no_variable_of_a_hook_is_a_setting() -> None:
    assert not set(environment(Hook.AFTER, CONTEXT)) & {setting.variable for setting in SETTINGS}


def test_a_hook_that_does_its_work_leaves_nothing_to_tell(tmp_path: Path) -> None:
    program = hook(tmp_path, f'echo "$REGDEPLOY_HOOK $REGDEPLOY_HOOK_DOMAIN" > {tmp_path}/seen')
    assert run_hook(Hook.DEPLOY, program, CONTEXT, NOW) is None
    assert (tmp_path / "seen").read_text() == "deploy registry.example.com\n"


def test_a_hook_that_fails_is_told_with_its_own_words(tmp_path: Path) -> None:
    program = hook(tmp_path, "echo copying; echo 'no route to host' >&2; exit 3")
    failure = run_hook(Hook.DEPLOY, program, CONTEXT, NOW)
    assert failure == replace(FAILED, program=program, lines=("copying", "no route to host"))
    assert str(failure) == f"the deploy hook {program} ended with exit status 3: no route to host"


def test_a_hook_that_hangs_is_ended(tmp_path: Path) -> None:
    failure = run_hook(Hook.BEFORE, hook(tmp_path, "sleep 60"), CONTEXT, NOW, limit=0.2)
    assert failure is not None
    assert str(failure) == f"the before hook {tmp_path}/hook took longer than 0.2 s and was ended"


def test_a_hook_that_others_can_change_by_now_is_not_run(tmp_path: Path) -> None:
    program = hook(tmp_path, f"touch {tmp_path}/ran")
    program.chmod(0o777)
    failure = run_hook(Hook.AFTER, program, CONTEXT, NOW)
    assert failure is not None
    assert (failure.status, failure.words) == (None, f"was not run: {program} can be written by others (mode 0777)")
    assert not (tmp_path / "ran").exists()


def test_a_failure_is_pending_for_its_certificate_until_the_hook_succeeds() -> None:
    failures = remembered((), Hook.DEPLOY, FAILED)
    assert pending(failures, Hook.DEPLOY, FAILED.fingerprint) == FAILED
    assert pending(failures, Hook.DEPLOY, "cd" * 32) is None
    assert pending(failures, Hook.AFTER, FAILED.fingerprint) is None
    assert remembered(failures, Hook.DEPLOY, None) == ()


def test_attempts_for_one_certificate_add_up_and_another_begins_anew() -> None:
    failures = remembered((), Hook.DEPLOY, FAILED)
    failures = remembered(failures, Hook.DEPLOY, begun(Hook.DEPLOY, FAILED.program, CONTEXT, NOW))
    assert [one.attempts for one in failures] == [1]
    failures = remembered(failures, Hook.DEPLOY, FAILED)
    assert [one.attempts for one in failures] == [2]
    other = replace(FAILED, fingerprint="cd" * 32)
    assert remembered(failures, Hook.DEPLOY, other) == (other,)


def test_hooks_are_remembered_apart() -> None:
    after = replace(FAILED, hook=Hook.AFTER)
    failures = remembered((after,), Hook.DEPLOY, FAILED)
    assert failures == (after, FAILED)
    assert remembered(failures, Hook.AFTER, None) == (FAILED,)


def test_one_whose_end_nobody_saw_is_pending_too() -> None:
    failures = remembered((), Hook.DEPLOY, begun(Hook.DEPLOY, FAILED.program, CONTEXT, NOW))
    found = pending(failures, Hook.DEPLOY, FAILED.fingerprint)
    assert found is not None
    assert str(found) == "the deploy hook /etc/regdeploy/deploy was called, and nobody saw it end"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    failures = (FAILED, begun(Hook.AFTER, FAILED.program, CONTEXT, NOW))
    write_failures(tmp_path / "hooks.json", failures)
    assert read_failures(tmp_path / "hooks.json") == failures
    assert (tmp_path / "hooks.json").stat().st_mode & 0o777 == 0o600
    assert "推送失败" in (tmp_path / "hooks.json").read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"failures": 7}', "[" * 100_000, "\xff"])
def test_a_file_that_is_none_of_ours_holds_no_failure(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hooks.json"
    assert read_failures(path) == ()
    path.write_text(text, encoding="latin-1")
    assert read_failures(path) == ()
    assert read_failures(path / "below") == ()


@pytest.mark.parametrize(
    "change",
    [
        {"hook": "later"},
        {"at": "2026-11-24T12:00:00"},
        {"at": 7},
        {"program": None},
        {"words": None},
        {"fingerprint": 7},
        {"lines": [7]},
        {"lines": None},
        {"attempts": "1"},
        {"status": "3"},
    ],
)
def test_a_failure_of_another_shape_is_left_out_and_takes_no_other_with_it(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "hooks.json"
    write_failures(path, (replace(FAILED, hook=Hook.AFTER), FAILED))
    document = json.loads(path.read_text())
    document["failures"][0].update(change)
    document["failures"][1]["new"] = "of a later version"
    path.write_text(json.dumps({"failures": [*document["failures"], None, 7, {}]}))
    assert read_failures(path) == (FAILED,)
