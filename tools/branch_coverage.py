"""Say how much of some packages the tests have covered, and fail below a share: of the branches, not of all lines.

``python tools/branch_coverage.py PERCENT FOLDER...`` reads what ``pytest --cov`` left. coverage's own ``--fail-under``
counts lines and branches together, and so lets many untested branches pass.
"""

# ruff: noqa: INP001 - a script, no package

from __future__ import annotations

import json
import subprocess
import sys


def main(minimum: float, *folders: str) -> int:
    """Print the files with branches that no test took, then a line for each folder; 1 if a folder has too few."""
    include = f"--include={','.join(f'{folder}/*' for folder in folders)}"
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "report", "--skip-covered", "--show-missing", include], check=False)
    report = subprocess.run([*coverage, "json", "--quiet", "-o", "-", include], check=True, capture_output=True)
    files = json.loads(report.stdout)["files"]
    failed = False
    for folder in folders:
        sums = [file["summary"] for name, file in files.items() if name.startswith(f"{folder}/")]
        covered = sum(summary["covered_branches"] for summary in sums)
        branches = sum(summary["num_branches"] for summary in sums)
        percent = 100 * covered / branches if branches else 0.0
        failed |= percent < minimum
        print(f"{folder}: {covered} of {branches} branches, {percent:.1f} % (at least {minimum:.0f})")  # noqa: T201 - it is what this is for
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), *sys.argv[2:]))
