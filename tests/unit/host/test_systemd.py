"""The units as text, and what is asked of systemctl: a stand-in on PATH keeps the calls and answers from a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regdeploy.errors import HostError, UsageError
from regdeploy.host.systemd import Unit, available, install, remove, timer_facts, unit_names, units
from tests.unit.said import said

PROGRAM = Path("/opt/regdeploy/bin/regdeploy")
ROOT = Path("/var/lib/registry")
SERVICE, TIMER = "regdeploy-registry.service", "regdeploy-registry.timer"

_SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")"
shift 2
echo "$*" >> calls
test "$1" != show || { cat answer; echo "$LC_ALL $TZ" > asked; }
test ! -e "fail-$1" || { cat "fail-$1" >&2; exit 1; }
"""
_ENABLED = {"UnitFileState": "enabled", "ActiveState": "active", "NeedDaemonReload": "no"}


@dataclass(frozen=True)
class StandIn:
    """What answers as systemctl does, where no systemd runs."""

    folder: Path

    def answers(self, *, service: dict[str, str] | None = None, timer: dict[str, str] | None = None) -> None:
        blocks = [{"Id": SERVICE, **(service or {})}, {"Id": TIMER, **(timer or {})}]
        text = "\n\n".join("\n".join(f"{name}={value}" for name, value in block.items()) for block in blocks)
        (self.folder / "answer").write_text(text + "\n")

    def fails(self, verb: str, words: str) -> None:
        (self.folder / f"fail-{verb}").write_text(words)

    def calls(self) -> list[str]:
        """The calls since the last look, ``show`` without its options."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [" ".join(word for word in line.split() if not word.startswith("--prop")) for line in lines]


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "systemctl").write_text(_SYSTEMCTL)
    (folder / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    stand_in = StandIn(folder)
    stand_in.answers()
    return stand_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "system"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What says that systemd runs this host."""
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def registry(root: Path = ROOT) -> tuple[Unit, Unit]:
    return units(PROGRAM, root, "registry")


def line(unit: Unit, key: str) -> str:
    (found,) = [line for line in unit.text.splitlines() if line.startswith(f"{key}=")]
    return found.partition("=")[2]


def test_the_service_runs_this_very_program_for_this_very_deployment() -> None:
    service, timer = units(PROGRAM, ROOT, "registry", options=("--docker-host", "unix:///run/d.sock"))

    assert (service.name, timer.name) == (SERVICE, TIMER)
    assert line(service, "ExecStart") == (
        '"/opt/regdeploy/bin/regdeploy" "renew" "--root" "/var/lib/registry" "--name" "registry" '
        '"--docker-host" "unix:///run/d.sock"'
    )
    assert line(service, "ReadWritePaths") == '"-/var/lib/registry"'
    assert line(service, "RequiresMountsFor") == '"/var/lib/registry"'
    assert line(service, "PrivateTmp") == "yes"
    assert "$" not in service.text + timer.text


def test_what_systemd_would_read_as_its_own_signs_is_escaped() -> None:
    service, _ = units(Path("/opt/a$b/regdeploy"), Path('/srv/a b%n"c\\d$e'), "registry")

    assert line(service, "ExecStart") == (
        '"/opt/a$b/regdeploy" "renew" "--root" "/srv/a b%%n\\"c\\\\d$$e" "--name" "registry"'
    )
    assert line(service, "ReadWritePaths") == '"-/srv/a b%%n\\"c\\\\d$e"'


@pytest.mark.parametrize(("program", "root"), [(PROGRAM, Path("/tmp/r")), (Path("/var/tmp/bin/regdeploy"), ROOT)])
def test_a_folder_that_a_private_tmp_would_hide_is_not_hidden(program: Path, root: Path) -> None:
    assert line(units(program, root, "registry")[0], "PrivateTmp") == "no"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("registry", "regdeploy-registry"),
        ("my-registry_2.x", "regdeploy-my-registry_2.x"),
        ("a b@c", "regdeploy-a\\x20b\\x40c"),
        ("é", "regdeploy-\\xc3\\xa9"),
    ],
)
def test_units_are_called_as_the_deployment(name: str, stem: str) -> None:
    assert unit_names(name) == (f"{stem}.service", f"{stem}.timer")


def test_what_no_unit_can_hold_is_refused() -> None:
    assert said(lambda: unit_names("库" * 63)) == (
        f"--name: {'库' * 63!r} is too long for a systemd unit\nhint: choose a shorter name"
    )
    assert said(lambda: units(Path("regdeploy"), ROOT, "registry")) == (
        "regdeploy: is not an absolute path\nhint: give the whole path, from / on"
    )
    for program in ("/opt/it's/regdeploy", '/opt/"/regdeploy', "/opt/\\/regdeploy"):
        with pytest.raises(UsageError, match="has a sign that systemd takes in no program's path"):
            units(Path(program), ROOT, "registry")
    with pytest.raises(UsageError, match="is not UTF-8"):
        units(PROGRAM, Path("/srv/\udcff"), "registry")
    with pytest.raises(UsageError, match="has a control character"):
        units(PROGRAM, Path("/srv/a\nb"), "registry")
    with pytest.raises(UsageError, match="is not an absolute path"):
        units(PROGRAM, Path("/srv/../etc"), "registry")


def test_the_first_install_writes_reloads_and_starts(systemctl: StandIn, folder: Path) -> None:
    written = install(registry(), folder)

    assert written == (folder / SERVICE, folder / TIMER)
    assert [path.read_text() for path in written] == [unit.text for unit in registry()]
    assert [path.stat().st_mode & 0o777 for path in written] == [0o644, 0o644]
    assert systemctl.calls() == [f"show {SERVICE} {TIMER}", "daemon-reload", f"enable --now {TIMER}"]


def test_the_second_install_only_looks(systemctl: StandIn, folder: Path) -> None:
    install(registry(), folder)
    before = [(folder / name).stat().st_ino for name in (SERVICE, TIMER)]
    systemctl.calls()
    systemctl.answers(timer=_ENABLED)

    assert install(registry(), folder) == ()
    assert systemctl.calls() == [f"show {SERVICE} {TIMER}"]
    assert [(folder / name).stat().st_ino for name in (SERVICE, TIMER)] == before


def test_a_timer_that_somebody_stopped_or_disabled_is_started_again(systemctl: StandIn, folder: Path) -> None:
    install(registry(), folder)
    for changed in ({"ActiveState": "inactive"}, {"UnitFileState": "disabled"}):
        systemctl.calls()
        systemctl.answers(timer={**_ENABLED, **changed})
        assert install(registry(), folder) == ()
        assert systemctl.calls() == [f"show {SERVICE} {TIMER}", f"enable --now {TIMER}"]


def test_only_what_changed_is_written_and_a_changed_timer_chooses_its_moment_anew(
    systemctl: StandIn, folder: Path
) -> None:
    install(registry(), folder)
    systemctl.answers(timer=_ENABLED)
    systemctl.calls()
    assert install(registry(Path("/srv/registry")), folder) == (folder / SERVICE,)
    assert systemctl.calls() == [f"show {SERVICE} {TIMER}", "daemon-reload"]

    service, timer = registry(Path("/srv/registry"))
    assert install((service, replace(timer, text=timer.text + "#\n")), folder) == (folder / TIMER,)
    assert systemctl.calls() == [f"show {SERVICE} {TIMER}", "daemon-reload", f"restart {TIMER}"]


def test_an_install_that_died_before_the_reload_is_finished_by_the_next(systemctl: StandIn, folder: Path) -> None:
    systemctl.fails("daemon-reload", "Failed to connect to bus\n")
    assert said(lambda: install(registry(), folder)) == (
        "systemctl daemon-reload: Failed to connect to bus\n"
        "hint: without systemd, let cron run `regdeploy renew` twice a day"
    )
    (systemctl.folder / "fail-daemon-reload").unlink()
    systemctl.calls()
    systemctl.answers(service={"NeedDaemonReload": "yes"}, timer=_ENABLED)

    assert install(registry(), folder) == ()
    assert systemctl.calls() == [f"show {SERVICE} {TIMER}", "daemon-reload"]


def test_removing_leaves_nothing_behind_and_again_asks_nothing(systemctl: StandIn, folder: Path, run: Path) -> None:
    install(registry(), folder)
    (folder / "timers.target.wants").mkdir()
    (folder / "timers.target.wants" / TIMER).symlink_to(folder / TIMER)
    (folder / "other.timer").touch()
    systemctl.calls()

    removed = remove("registry", folder, run)
    assert removed == (folder / "timers.target.wants" / TIMER, folder / TIMER, folder / SERVICE)
    assert systemctl.calls() == [f"disable --now {TIMER}", "daemon-reload", f"reset-failed {SERVICE}"]
    assert sorted(path.name for path in folder.iterdir()) == ["other.timer", "timers.target.wants"]

    assert remove("registry", folder, run) == ()
    assert systemctl.calls() == []


def test_a_service_that_never_failed_is_no_reason_to_fail(systemctl: StandIn, folder: Path, run: Path) -> None:
    install(registry(), folder)
    systemctl.fails("reset-failed", "Unit not loaded.\n")
    assert len(remove("registry", folder, run)) == 2


def test_a_timer_that_cannot_be_stopped_keeps_its_files(systemctl: StandIn, folder: Path, run: Path) -> None:
    install(registry(), folder)
    systemctl.fails("disable", "Access denied\n")
    with pytest.raises(HostError, match=r"systemctl disable .*: Access denied"):
        remove("registry", folder, run)
    assert (folder / TIMER).exists()


def test_where_no_systemd_runs_the_files_go_all_the_same(systemctl: StandIn, folder: Path, tmp_path: Path) -> None:
    install(registry(), folder)
    systemctl.calls()
    assert len(remove("registry", folder, tmp_path / "nowhere")) == 2
    assert systemctl.calls() == []


def test_facts_are_what_systemctl_shows(systemctl: StandIn, folder: Path) -> None:
    install(registry(), folder)
    systemctl.answers(
        service={
            "Result": "exit-code",
            "ExecMainStatus": "4",
            "ExecMainStartTimestamp": "Tue 2026-11-24 02:07:11 UTC",
            "ExecMainExitTimestamp": "Tue 2026-11-24 02:07:12.345678 UTC",
        },
        timer={
            **_ENABLED,
            "NextElapseUSecRealtime": "Tue 2026-11-24 14:07:00 UTC",
            "LastTriggerUSec": "Tue 2026-11-24 02:07:10 UTC",
        },
    )
    facts = timer_facts(registry(), folder)

    assert (facts.installed, facts.differs, facts.enabled, facts.active) == (True, False, True, True)
    assert facts.next_run == datetime(2026, 11, 24, 14, 7, tzinfo=UTC)
    assert facts.last_run == datetime(2026, 11, 24, 2, 7, 11, tzinfo=UTC)
    assert (facts.last_result, facts.last_exit_status, facts.problem) == ("exit-code", 4, "")
    assert (systemctl.folder / "asked").read_text() == "C UTC\n"


def test_after_a_boot_the_last_run_is_known_and_its_result_is_not(systemctl: StandIn, folder: Path) -> None:
    systemctl.answers(
        service={"Result": "success", "ExecMainStatus": "0", "ExecMainStartTimestamp": "", "ExecMainExitTimestamp": ""},
        timer={**_ENABLED, "LastTriggerUSec": "Tue 2026-11-24 02:07:10 UTC", "NextElapseUSecRealtime": "n/a"},
    )
    facts = timer_facts(registry(), folder)
    assert facts.last_run == datetime(2026, 11, 24, 2, 7, 10, tzinfo=UTC)
    assert (facts.next_run, facts.last_result, facts.last_exit_status) == (None, "", None)


def test_another_text_on_disk_is_told(systemctl: StandIn, folder: Path) -> None:
    install(registry(), folder)
    (folder / SERVICE).write_text("[Service]\n")
    assert timer_facts(registry(), folder).differs
    (folder / SERVICE).unlink()
    facts = timer_facts(registry(), folder)
    assert (facts.installed, facts.differs) == (False, False)


@pytest.mark.parametrize("answer", ["", "garbage\n\n\n=\n", "Id=other.timer\nActiveState=active\n"])
def test_an_answer_of_another_shape_means_not_so(systemctl: StandIn, folder: Path, answer: str) -> None:
    (systemctl.folder / "answer").write_text(answer)
    facts = timer_facts(registry(), folder)
    assert (facts.enabled, facts.active, facts.next_run, facts.problem) == (False, False, None, "")


def test_without_systemctl_the_files_are_still_told(
    systemctl: StandIn, folder: Path, monkeypatch: pytest.MonkeyPatch, run: Path
) -> None:
    install(registry(), folder)
    assert available(run)
    monkeypatch.setenv("PATH", str(folder))

    facts = timer_facts(registry(), folder)
    assert (facts.installed, facts.enabled) == (True, False)
    assert facts.problem.endswith("could not be run: No such file or directory")
    assert not available(run)


def test_a_host_that_systemd_did_not_boot_has_no_timer(systemctl: StandIn, folder: Path) -> None:
    assert not available(folder / "nowhere")
    systemctl.fails("show", "System has not been booted with systemd as init system (PID 1). Can't operate.\n")
    assert timer_facts(registry(), folder).problem == (
        f"systemctl show {SERVICE} {TIMER}: "
        "System has not been booted with systemd as init system (PID 1). Can't operate."
    )
