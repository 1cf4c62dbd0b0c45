"""The timer that renews while nobody looks: ``regdeploy-NAME.timer`` starts ``regdeploy-NAME.service`` twice a day."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from regdeploy.errors import HostError, UsageError
from regdeploy.files import make_folder, refusal, write_whole
from regdeploy.frozen import frozen
from regdeploy.rendering import template_text

FOLDER = Path("/etc/systemd/system")
RUN = Path("/run/systemd/system")

_MODE = 0o644
_LIMIT = 60.0  # seconds for one call of systemctl
_LONGEST_NAME = 255  # systemd.unit(5), the suffix included
_PRIVATE = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - the folders that PrivateTmp= hides
_PROPERTIES = (
    "Id,UnitFileState,ActiveState,NeedDaemonReload,NextElapseUSecRealtime,LastTriggerUSec,"
    "Result,ExecMainStatus,ExecMainStartTimestamp,ExecMainExitTimestamp"
)
_TIME = re.compile(r"(?:\w{3} )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?) UTC")


@frozen
class Unit:
    """A unit file: ``name`` with its suffix, ``text`` whole."""

    name: str
    text: str


@frozen
class TimerFacts:
    """What systemd knows of the timer; times are aware UTC.

    ``installed``: both files are there; ``differs``: one of them is there with another text. ``last_result`` is
    systemd's word for how the last run of this boot ended (``success``, ``exit-code``, ``timeout``; systemd.exec(5)),
    empty where it does not know, and ``last_exit_status`` the number of it. ``problem`` is why systemd could not be
    asked, as a sentence, or empty; then everything but the files counts as not so.
    """

    installed: bool = False
    differs: bool = False
    enabled: bool = False
    active: bool = False
    next_run: datetime | None = None
    last_run: datetime | None = None
    last_result: str = ""
    last_exit_status: int | None = None
    problem: str = ""


def available(run: Path = RUN) -> bool:
    """Whether systemd runs this host (sd_booted(3)) and can be spoken to."""
    return run.is_dir() and shutil.which("systemctl") is not None


def unit_names(name: str) -> tuple[str, str]:
    """The service and the timer of the deployment ``name``, escaped as systemd-escape(1) does, but for dashes.

    Raises UsageError where that becomes longer than a unit's name may be.
    """
    stem = f"regdeploy-{_escaped(name)}"
    if len(f"{stem}.service") > _LONGEST_NAME:
        raise UsageError("--name", f"{name!r} is too long for a systemd unit", "choose a shorter name")
    return f"{stem}.service", f"{stem}.timer"


def units(program: Path, root: Path, name: str, *, options: tuple[str, ...] = ()) -> tuple[Unit, Unit]:
    """The service and the timer that run ``PROGRAM renew --root ROOT --name NAME OPTIONS``. Pure.

    Both paths are absolute. Raises UsageError for one that a unit file cannot hold.
    """
    for path in (program, root):
        _check_path(path)
    if re.search(r"[\"'\\]", str(program)):  # systemd: "Executable name contains special characters"
        raise UsageError(str(program), "has a sign that systemd takes in no program's path", "install it elsewhere")
    service, timer = unit_names(name)
    arguments = ("renew", "--root", str(root), "--name", name, *options)
    hidden = any(path.is_relative_to(folder) for path in (program, root) for folder in _PRIVATE)
    values = {
        "unit": timer.removesuffix(".timer"),
        "label": _escaped(name),
        "root": _quoted(str(root)),
        "writable": _quoted(f"-{root}"),  # a root that is gone is for regdeploy to say, in words
        # The program's path is taken as it is, without variables (systemd.service(5), "Command lines").
        "command": " ".join([_quoted(str(program)), *(_quoted(text.replace("$", "$$")) for text in arguments)]),
        "private_tmp": "no" if hidden else "yes",
    }
    return (
        Unit(name=service, text=Template(template_text("regdeploy.service")).substitute(values)),
        Unit(name=timer, text=Template(template_text("regdeploy.timer")).substitute(values)),
    )


def install(wanted: tuple[Unit, ...], folder: Path = FOLDER) -> tuple[Path, ...]:
    """Write the units, enable and start the timer; return the files written. What is so already is left alone.

    Raises HostError. Killed or failed at any point, the same call does what is missing.
    """
    make_folder(folder, 0o755)
    timer = wanted[-1].name
    written = []
    for unit in wanted:
        data = unit.text.encode()
        if _content(folder / unit.name) != data:
            write_whole(folder / unit.name, data, _MODE)
            written.append(folder / unit.name)
    shown = _show(wanted)
    if written or any(facts.get("NeedDaemonReload") == "yes" for facts in shown.values()):
        _systemctl("daemon-reload")
    if not (_is_enabled(shown[timer]) and _is_active(shown[timer])):
        _systemctl("enable", "--now", timer)
    elif folder / timer in written:
        _systemctl("restart", timer)  # it would keep the moment that it had chosen
    return tuple(written)


def remove(name: str, folder: Path = FOLDER, run: Path = RUN) -> tuple[Path, ...]:
    """Stop and disable the timer of ``name`` and remove both units; return the files removed, none where none were.

    A renewal under way goes on. Where no systemd runs, the files go all the same. Raises HostError.
    """
    service, timer = unit_names(name)
    running = available(run)
    if running and (folder / timer).exists():
        _systemctl("disable", "--now", timer)
    removed = []
    for path in (folder / "timers.target.wants" / timer, folder / timer, folder / service):
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise refusal(path, error) from error
        removed.append(path)
    if running and removed:
        _systemctl("daemon-reload")
        with suppress(HostError):  # a service that never failed, or was never loaded, has nothing to forget
            _systemctl("reset-failed", service)
    return tuple(removed)


def timer_facts(wanted: tuple[Unit, ...], folder: Path = FOLDER) -> TimerFacts:
    """What is there of the units and what systemd says of them; never raises for want of systemd, only for files."""
    found = {unit.name: _content(folder / unit.name) for unit in wanted}
    installed = all(content is not None for content in found.values())
    differs = any(found[unit.name] not in (None, unit.text.encode()) for unit in wanted)
    service, timer = (unit.name for unit in wanted)
    try:
        shown = _show(wanted)
    except HostError as error:
        return TimerFacts(installed=installed, differs=differs, problem=str(error))
    ended = _time(shown[service].get("ExecMainExitTimestamp", ""))
    result = shown[service].get("Result", "")
    status = shown[service].get("ExecMainStatus", "")
    began = _time(shown[service].get("ExecMainStartTimestamp", ""))
    return TimerFacts(
        installed=installed,
        differs=differs,
        enabled=_is_enabled(shown[timer]),
        active=_is_active(shown[timer]),
        next_run=_time(shown[timer].get("NextElapseUSecRealtime", "")),
        last_run=began or _time(shown[timer].get("LastTriggerUSec", "")),  # the second survives a boot
        last_result=result if ended or result != "success" else "",  # "success" is also what never ran
        last_exit_status=int(status) if ended and status.isdecimal() else None,
    )


def _escaped(name: str) -> str:
    return re.sub(rb"[^A-Za-z0-9_.:-]", lambda found: b"\\x%02x" % found[0][0], name.encode()).decode()


def _check_path(path: Path) -> None:
    try:
        text = str(path).encode().decode()
    except UnicodeEncodeError as error:
        raise UsageError(repr(str(path)), "is not UTF-8, which a systemd unit must be", "use another path") from error
    if not path.is_absolute() or ".." in path.parts:
        raise UsageError(text, "is not an absolute path", "give the whole path, from / on")
    if re.search(r"[\x00-\x1f\x7f]", text):  # lists of paths know no \n and no \x0a: the escape is read as its letter
        raise UsageError(repr(text), "has a control character, which no path in a systemd unit can", "use another path")


def _quoted(text: str) -> str:
    """``text`` as one word of a unit file: no blank, quote, escape or specifier of systemd.syntax(7) is left in it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise refusal(path, error) from error


def _show(wanted: tuple[Unit, ...]) -> Mapping[str, Mapping[str, str]]:
    """What ``systemctl show`` says, by unit; a unit that it does not tell of has nothing."""
    names = [unit.name for unit in wanted]
    blocks = _systemctl("show", f"--property={_PROPERTIES}", *names).split("\n\n")
    told = [dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line) for block in blocks]
    return {name: next((facts for facts in told if facts.get("Id") == name), {}) for name in names}


def _is_enabled(timer: Mapping[str, str]) -> bool:
    return timer.get("UnitFileState") == "enabled"


def _is_active(timer: Mapping[str, str]) -> bool:
    return timer.get("ActiveState") == "active"


def _time(text: str) -> datetime | None:
    """A timestamp of ``systemctl show``, printed in UTC; None for ``n/a``, nothing, and what older ones print.

    ``--timestamp=unix`` would be simpler to read, but a timer's own times took no notice of it up to systemd 258
    (https://github.com/systemd/systemd/issues/39282).
    """
    found = _TIME.fullmatch(text)
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None


def _systemctl(*arguments: str) -> str:
    where = " ".join(["systemctl", *(text for text in arguments if not text.startswith("-"))])
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(
            ["systemctl", "--no-pager", "--no-ask-password", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        words = f"did not end within {_LIMIT:.0f} s"
    except OSError as error:
        words = f"could not be run: {error.strerror or error}"
    else:
        if not done.returncode:
            return done.stdout
        words = " ".join(done.stderr.split()) or f"ended with exit status {done.returncode}"
    raise HostError(where, words, "without systemd, let cron run `regdeploy renew` twice a day", code="host.systemd")
