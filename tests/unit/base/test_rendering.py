from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest

import regdeploy
from regdeploy.rendering import render, template_text

PACKAGE = Path(regdeploy.__file__).parent
NAMES = sorted(str(path.relative_to(PACKAGE.parent / "templates")) for path in (PACKAGE.parent / "templates").iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_every_template_is_found_and_is_valid(name: str) -> None:
    text = template_text(name)

    assert text.endswith("\n")
    jinja2.Environment().parse(text)


def test_a_value_that_nobody_gave_is_an_error_and_never_empty_text() -> None:
    with pytest.raises(jinja2.UndefinedError, match="'where' is undefined"):
        render("regdeploy.toml.j2", settings=[])


def test_values_stand_as_they_are_since_nothing_here_is_html() -> None:
    setting = {"name": "user", "help": "Who & why <you>", "value": "\"a<b>&'c'\"", "example": "x"}

    text = render("regdeploy.toml.j2", settings=[setting], where="file")

    assert text.splitlines()[-2:] == ["# Who & why <you>.", "user = \"a<b>&'c'\""]
    assert text.endswith("'\"\n")


def test_a_template_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        template_text("no-such-template")


def test_in_a_wheel_the_templates_lie_inside_the_package(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "regdeploy", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PACKAGE.parent / "templates", tmp_path / "regdeploy" / "templates")
    code = "from regdeploy.rendering import *; import regdeploy; print(regdeploy.__file__); template_text('trust.txt')"

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout == f"{tmp_path}/regdeploy/__init__.py\n"
