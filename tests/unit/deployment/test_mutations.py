"""Wrong planners: the tests of the plan must see through every one of them.

Each mutation is a text of the code and what stands in its place. A text that is not there exactly once fails as well:
who moves the code moves the mutation along.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

TREE = Path(__file__).parents[3]
DEPLOYMENT = "regdeploy/deployment"
TESTS = "tests/unit/deployment"


class Mutation(NamedTuple):
    """What is made wrong, where, and how."""

    meaning: str
    file: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "a certificate is renewed without asking whether it is due",
        "certificates.py",
        "if now >= due and not waiting(spec, observed.attempts, now, patient=patient):",
        "if not waiting(spec, observed.attempts, now, patient=patient):",
    ),
    Mutation(
        "a certificate that is over is served on",
        "certificates.py",
        "if version.leaf.not_after <= now:",
        "if version.leaf.not_after < now:",
    ),
    Mutation(
        "the oldest version that fits is taken",
        "certificates.py",
        "return max(fitting, key=lambda version: version.number, default=None)",
        "return min(fitting, key=lambda version: version.number, default=None)",
    ),
    Mutation(
        "a certificate for fewer names is good enough",
        "certificates.py",
        "if set(version.names) != set(spec.domains):",
        "if not set(version.names) <= set(spec.domains):",
    ),
    Mutation(
        "what is served is not looked at",
        "certificates.py",
        "return self.changes or served != self.fingerprint",
        "return self.changes",
    ),
    Mutation(
        "a stranger's stopped container is replaced unasked",
        "container.py",
        "finish[0] = ActivateWorkload(why=why, interrupts=True)",
        "finish[0] = ActivateWorkload(why=why, interrupts=False)",
    ),
    Mutation(
        "a prepared container is used whatever it is",
        "container.py",
        "prepared = prepared and not differences(desired, there.candidate)",
        "prepared = prepared and bool(differences)",
    ),
    Mutation(
        "a stranger's container is removed like our own",
        "container.py",
        "if is_ours(old, spec.name):",
        "if old:",
    ),
    Mutation(
        "a registry is restarted for links alone",
        "certificates.py",
        "return self.changes or served != self.fingerprint",
        "return bool(self.install) or served != self.fingerprint",
    ),
    Mutation(
        "what the archive holds is not compared",
        "container.py",
        "if given is None or given.is_same(there):",
        "if given is None or given:",
    ),
    Mutation(
        "a config.yml that was written before a kill counts as read",
        "container.py",
        "stale = edited or observed.config_unread_by == start_of(current)",
        "stale = edited",
    ),
    Mutation(
        "ports are not compared",
        "workload.py",
        'yield from _mapping("port", _ports(desired.publishes), _ports(found.publishes))',
        'yield from _mapping("port", _ports(desired.publishes), _ports(desired.publishes))',
    ),
    Mutation(
        "whoever made a container, it is ours",
        "workload.py",
        "return container.labels.get(LABEL_DEPLOYMENT) == name",
        "return container.labels.get(LABEL_DEPLOYMENT) != f'not {name}'",
    ),
)


def copied(folder: Path) -> Path:
    """The code and the tests of the plan, in a tree of their own."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TREE / "regdeploy", folder / "regdeploy", ignore=ignore)
    for name in ("pyproject.toml", "tests/builders.py", f"{TESTS}/sheet.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TREE / name, folder / name)
    for test in (TREE / TESTS).glob("test_plan_*.py"):
        shutil.copy(test, folder / TESTS)
    return folder


def verdict(folder: Path) -> subprocess.CompletedProcess[str]:
    """What the tests of the plan say of the code in ``folder``; it is proved that they looked at that code."""
    script = (
        "import sys, pytest, pathlib; code = pytest.main(sys.argv[1:]); import regdeploy;"
        "assert pathlib.Path(regdeploy.__file__).is_relative_to(pathlib.Path.cwd()); sys.exit(code)"
    )
    command = [sys.executable, "-c", script, "-x", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesis", TESTS]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))}
    environment |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, subprocess.CompletedProcess[str]]:
    """What the tests say of every mutant, and of the code as it is (under the empty name); all at the same time."""
    folders = {"": copied(tmp_path_factory.mktemp("sound"))}
    for mutation in MUTATIONS:
        folder = folders[mutation.meaning] = copied(tmp_path_factory.mktemp("mutant"))
        path = folder / DEPLOYMENT / mutation.file
        text = path.read_text(encoding="utf-8")
        assert text.count(mutation.old) == 1, f"{mutation.file} no longer holds once: {mutation.old}"
        path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return dict(zip(folders, pool.map(verdict, folders.values()), strict=True))


def test_the_code_as_it_is_passes(verdicts: dict[str, subprocess.CompletedProcess[str]]) -> None:
    assert verdicts[""].returncode == 0, verdicts[""].stdout


@pytest.mark.parametrize("meaning", [mutation.meaning for mutation in MUTATIONS])
def test_a_wrong_planner_is_seen_through(meaning: str, verdicts: dict[str, subprocess.CompletedProcess[str]]) -> None:
    assert verdicts[meaning].returncode == 1, f"the mutant lives: {meaning}\n{verdicts[meaning].stdout}"
    assert "AssertionError" in verdicts[meaning].stdout, "it fails for another reason than a wrong plan"
