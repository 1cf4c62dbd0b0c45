"""One folder holds one deployment, and its name is known even where nobody ever wrote it down."""

from __future__ import annotations

from pathlib import Path

import pytest

from regdeploy.deployment.request import Request, is_saved, read_text, resolve_request
from tests.unit.said import said


def asked(folder: Path, environ: dict[str, str] | None = None, **flags: object) -> Request:
    given = {"root": str(folder / "root"), **flags}
    return Request(flags=given, environ=environ or {}, config=None, folder=folder)


def saved(folder: Path, text: str) -> None:
    (folder / "root").mkdir()
    (folder / "root/regdeploy.toml").write_text(text)


def held(folder: Path, name: str, other: str) -> str:
    return (
        f"--name: {folder}/root holds the deployment {name!r}, not {other!r}\n"
        "hint: give the other deployment a folder of its own with --root"
    )


def test_a_name_that_was_never_written_down_is_the_default_one(tmp_path: Path) -> None:
    saved(tmp_path, "port = 5001\n")
    assert said(lambda: resolve_request(asked(tmp_path, name="other"))) == held(tmp_path, "registry", "other")
    assert resolve_request(asked(tmp_path, name="registry")).spec.name == "registry"


def test_a_name_in_the_environment_must_fit_as_well(tmp_path: Path) -> None:
    saved(tmp_path, 'name = " mine "\n')
    environ = {"REGDEPLOY_NAME": "yours"}
    assert said(lambda: resolve_request(asked(tmp_path, environ))) == held(tmp_path, "mine", "yours")
    assert resolve_request(asked(tmp_path, name="mine")).spec.name == "mine"
    assert resolve_request(asked(tmp_path)).spec.name == "mine"


def test_a_folder_that_holds_nothing_takes_any_name(tmp_path: Path) -> None:
    assert resolve_request(asked(tmp_path, name="other")).spec.name == "other"
    assert not is_saved(tmp_path / "root")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("port = \n", "is not valid TOML: Invalid value (at line 1, column 8)\nhint: mend that line, or move the file"),
        ("prot = 1\n", "prot: is not a known key\nhint: did you mean 'port'?"),
        ("port = 'x'\n", "port: 'x' is not a whole number from 1 to 65535"),
        ("name = 5\n", "name: 5 is not text\nhint: put it in quotes"),
    ],
)
def test_a_saved_spec_that_is_broken_is_named_with_the_line_or_the_key(tmp_path: Path, text: str, error: str) -> None:
    saved(tmp_path, text)
    told = said(lambda: resolve_request(asked(tmp_path)))
    assert told.startswith(f"{tmp_path}/root/regdeploy.toml: {error}")


def test_a_folder_in_the_place_of_a_file_is_said_in_the_systems_words(tmp_path: Path) -> None:
    (tmp_path / "regdeploy.toml").mkdir()
    assert said(lambda: resolve_request(asked(tmp_path))) == f"{tmp_path}/regdeploy.toml: Is a directory"


def test_what_is_not_there_has_no_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    assert read_text(tmp_path / "none") is None
    assert read_text(tmp_path / "file/below") is None
    assert read_text(tmp_path / "file") == "text"


def test_bytes_that_are_no_text_are_said_with_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff")
    assert said(lambda: read_text(tmp_path / "file")) == (
        f"{tmp_path}/file: is not text: invalid start byte\nhint: move that file away"
    )
