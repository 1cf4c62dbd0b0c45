"""``history.jsonl``: one line an operation: what was done, when, by whom, with what outcome, and what it came to.

What a line keeps of the deployment after it is what ``rollback`` needs to come back to it, and nothing secret.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.plan import Plan
from regdeploy.deployment.request import Request, deployed_spec, read_text, resolve_request
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.steps import WORDS, ActivateWorkload, EndMigration, SettleWorkload
from regdeploy.deployment.workload import is_ours
from regdeploy.deployment.world import World
from regdeploy.engine.model import ImageFacts
from regdeploy.errors import RegdeployError
from regdeploy.files import append_line, refusal
from regdeploy.frozen import frozen
from regdeploy.tls.store import CertificateStore

MODE = 0o600
#: No more is read, from the end: a thousand operations and more.
MOST_BYTES = 2 << 20
#: What says most about an operation, the most telling first.
_TELLING = (
    *("copy-data", "activate-workload", "restart-workload", "issue-certificate", "install-certificate"),
    *("start-workload", "set-password", "save-spec"),
)
_PHRASES = dict(WORDS.values())


@frozen
class State:
    """A deployment after an operation, as far as it can be come back to.

    ``saved`` are the values of regdeploy.toml, ``image_id`` and ``image_digests`` those of the image that the
    container was made from, empty where it is not known; ``certificate`` is the number of the version in use.
    """

    saved: Mapping[str, object]
    image_id: str = ""
    image_digests: tuple[str, ...] = ()
    certificate: int | None = None


@frozen
class Kept:
    """A container that somebody else made, replaced and kept: its id and name now, and what it had before."""

    id: str
    name: str
    name_before: str
    restart_policy: str
    restart_retries: int = 0


@frozen
class Entry:
    """One operation. ``steps`` are the plan, (step, why) in order; ``error`` is empty when it was done.

    ``number`` is given when it is recorded; ``state`` is None where it failed, or was made by a version that kept none;
    ``replaced`` is the container that was in the registry's place before this.
    """

    at: datetime
    operation: str
    by: str
    seconds: float
    steps: tuple[tuple[str, str], ...]
    image: str
    version: str
    error: str = ""
    number: int = 0
    state: State | None = None
    replaced: Kept | None = None

    @property
    def words(self) -> str:
        """What was done, in few words: the step that says most, with its cause, and how many others there were."""
        if not self.steps:
            return ""
        ranks = {name: rank for rank, name in enumerate(_TELLING)}
        step, why = min(self.steps, key=lambda one: ranks.get(one[0], len(ranks)))
        others = f", and {len(self.steps) - 1} more" if self.steps[1:] else ""
        return f"{_PHRASES.get(step, step)}: {why}{others}"

    def as_json(self) -> dict[str, object]:
        """The line's keys, which are stable; what an entry does not have is left out."""
        line: dict[str, object] = {
            "number": self.number,
            "at": self.at.isoformat(timespec="seconds"),
            "operation": self.operation,
            "by": self.by,
            "outcome": "failed" if self.error else "done",
            "seconds": round(self.seconds, 3),
            "steps": [{"step": step, "why": why} for step, why in self.steps],
            "image": self.image,
            "regdeploy": self.version,
        }
        if self.error:
            line["error"] = self.error
        if self.state is not None:
            line["spec"] = dict(self.state.saved)
            line["image_id"] = self.state.image_id
            line["image_digests"] = list(self.state.image_digests)
            line["certificate"] = self.state.certificate
        if self.replaced is not None:
            line["replaced"] = dict(vars(self.replaced))
        return line


def record(path: Path, entry: Entry) -> None:
    """Append ``entry`` with the next number. Raises HostError.

    A kill leaves at most a torn last line, which readers skip.
    """
    numbers = [before.number for before in read(path)]
    line = {**entry.as_json(), "number": max(numbers, default=0) + 1}
    append_line(path, json.dumps(line, ensure_ascii=False), MODE)


def read(path: Path, most: int = MOST_BYTES) -> tuple[Entry, ...]:
    """The entries, the oldest first, as far as they lie in the last ``most`` bytes. Raises HostError.

    Lines that are torn, or none of ours, are passed over. What was written without a number is counted from its
    neighbours, so that no two are alike.
    """
    found = [entry for line in _lines(path, most) if (entry := _entry(line)) is not None]
    first = next((at for at, entry in enumerate(found) if entry.number), len(found))
    number = max(0, found[first].number - first - 1) if first < len(found) else 0
    entries = []
    for entry in found:
        number = max(entry.number, number + 1)
        entries.append(replace(entry, number=number))
    return tuple(entries)


def recorded(request: Request) -> tuple[Spec, tuple[Entry, ...]]:
    """The deployment's spec and its history, the oldest first. Raises NotDeployed where there is neither."""
    spec = resolve_request(request).spec
    path = Layout(spec.root).history
    if not path.exists():
        deployed_spec(request)
    return spec, read(path)


def shown(entry: Entry) -> dict[str, object]:
    """The entry's keys for whoever asks: of addresses that let their holder write somewhere, the host alone."""
    line = entry.as_json()
    if entry.state is not None:
        line["spec"] = {name: _masked(name, value) for name, value in entry.state.saved.items()}
    return line


def _masked(name: str, value: object) -> object:
    if name not in ("notify-webhook", "notify-mail") or not value:
        return value
    scheme, _, rest = str(value).partition("://")
    return f"{scheme}://{rest.partition('?')[0].partition('/')[0].rpartition('@')[2]}/***"


def _lines(path: Path, most: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            begin = max(0, size - most)
            file.seek(begin)
            lines = file.read(most).split(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise refusal(path, error) from error
    yield from lines[1:] if begin else lines  # the first one may have begun before


def _entry(line: bytes) -> Entry | None:
    try:
        return _read(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _number(values: Mapping[str, Any]) -> int:
    number = values.get("number")
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 0


def _read(values: Mapping[str, Any]) -> Entry:
    at = datetime.fromisoformat(values["at"])
    error = str(values.get("error") or "it failed") if values.get("outcome") != "done" else ""
    return Entry(
        at=at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC),
        operation=str(values["operation"]),
        by=str(values.get("by", "")),
        seconds=float(values.get("seconds") or 0),
        steps=tuple((str(step["step"]), str(step["why"])) for step in values.get("steps") or ()),
        image=str(values.get("image", "")),
        version=str(values.get("regdeploy", "")),
        error=error,
        number=_number(values),
        state=None if error else _state(values),
        replaced=None if error else _kept(values.get("replaced")),
    )


def _state(values: Mapping[str, Any]) -> State | None:
    saved, certificate = values.get("spec"), values.get("certificate")
    if not isinstance(saved, dict):
        return None
    return State(
        saved=saved,
        image_id=str(values.get("image_id") or ""),
        image_digests=tuple(map(str, values.get("image_digests") or ())),
        certificate=certificate if isinstance(certificate, int) else None,
    )


def _kept(values: object) -> Kept | None:
    if not isinstance(values, dict):
        return None
    texts = {name: str(values[name]) for name in ("id", "name", "name_before", "restart_policy")}
    return Kept(**texts, restart_retries=int(values.get("restart_retries") or 0))


def state_after(spec: Spec, observed: Observed, plan: Plan, image: ImageFacts | None, world: World) -> State | None:
    """What ``spec``'s deployment is, now that ``plan`` was carried out with ``image``; None where that cannot be read.

    The image is that of the container: its reference may name another one by now.
    """
    current = observed.workload.current
    made = any(isinstance(step, ActivateWorkload) for step in plan.flat)
    try:
        if not made and current is not None and is_ours(current, spec.name):
            image = _image_of(current.image_id, image, world)
        return State(
            saved=tomllib.loads(read_text(Layout(spec.root).saved) or ""),
            image_id=image.id if image is not None else "",
            image_digests=image.repo_digests if image is not None else (),
            certificate=CertificateStore(Layout(spec.root).certs).read().current if spec.domains else None,
        )
    except (RegdeployError, tomllib.TOMLDecodeError):
        return None


def _image_of(image_id: str, known: ImageFacts | None, world: World) -> ImageFacts:
    if known is not None and known.id == image_id:
        return known
    return world.engine.image(image_id) or ImageFacts(id=image_id)


def kept_container(spec: Spec, observed: Observed, plan: Plan) -> Kept | None:
    """Somebody else's container that ``plan`` has replaced and kept; None where there was none."""
    name = next((step.keep_as for step in plan.flat if isinstance(step, SettleWorkload) and step.keep_as), None)
    there, migration = observed.workload, observed.migration
    if name is None and migration is not None and migration.moved_from is None:
        name = migration.name if any(isinstance(step, EndMigration) for step in plan.flat) else None  # a run was killed
    if name is None:
        return None
    if migration is not None:
        return Kept(
            id=migration.container,
            name=name,
            name_before=migration.name,
            restart_policy=migration.restart_policy,
            restart_retries=migration.restart_retries,
        )
    foreign = [one for one in (there.current, there.previous) if one is not None and not is_ours(one, spec.name)]
    if not foreign:
        return None
    one = foreign[0]
    return Kept(
        id=one.id,
        name=name,
        name_before=one.name.removesuffix("-previous"),
        restart_policy=one.restart_policy,
        restart_retries=one.restart_retries,
    )
