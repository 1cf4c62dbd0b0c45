"""Where a spec comes from: which file is read, which is refused, and which wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regdeploy.deployment.request import Request, resolve_request
from regdeploy.deployment.saved import fresh_text
from regdeploy.deployment.spec import to_saved
from regdeploy.errors import UsageError


def ask(folder: Path, *, config: Path | None = None, environ: dict[str, str] | None = None, **flags: object) -> Request:
    """A request made in ``folder``; the root is there too unless a test says else."""
    given = {name.replace("_", "-"): value for name, value in flags.items()}
    return Request(flags={"root": str(folder / "root"), **given}, environ=environ or {}, config=config, folder=folder)


def test_the_stronger_layer_wins_and_its_source_is_told(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/regdeploy.toml").write_text("port = 1001\ntimeout = 11\nhttp-01-port = 81\nimage = 'a'\n")
    (tmp_path / "regdeploy.toml").write_text("port = 1002\ntimeout = 12\nhttp-01-port = 82\n")
    environ = {"REGDEPLOY_PORT": "1003", "REGDEPLOY_TIMEOUT": "13", "REGDEPLOY_USER": ""}

    found = resolve_request(ask(tmp_path, environ=environ, port="1004"))

    told = {name: found.sources[name] for name in ("port", "timeout", "http-01-port", "image", "user")}
    assert told == {
        "port": "flag",
        "timeout": "environment",
        "http-01-port": "file",
        "image": "saved",
        "user": "default",
    }
    spec = found.spec
    assert (spec.port, spec.timeout, spec.http_01_port, spec.image) == (1004, 13, 82, "a")


def test_a_file_may_name_the_root_and_what_was_saved_there_counts(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "regdeploy.toml").write_text("port = 1001\n")
    config = tmp_path / "my.toml"
    config.write_text(f'root = "{elsewhere}"\n')

    found = resolve_request(Request(flags={}, environ={}, config=config, folder=tmp_path))

    assert (found.spec.root, found.spec.port, found.sources["port"]) == (elsewhere, 1001, "saved")


def test_in_the_root_itself_the_saved_file_is_not_read_twice(tmp_path: Path) -> None:
    (tmp_path / "regdeploy.toml").write_text("port = 1001\n")

    found = resolve_request(Request(flags={"root": str(tmp_path)}, environ={}, config=None, folder=tmp_path))

    assert found.sources["port"] == "saved"


def refused(request: Request) -> str:
    with pytest.raises(UsageError) as caught:
        resolve_request(request)
    return f"{caught.value}\n{caught.value.hint}"


def test_a_config_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert refused(ask(tmp_path, config=tmp_path / "none.toml")) == (
        f"--config: {tmp_path}/none.toml is not a file\n`regdeploy init` writes one"
    )


def test_a_file_that_others_may_have_written_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "regdeploy.toml"
    file.write_text("port = 1001\n")
    file.chmod(0o666)

    assert refused(ask(tmp_path)) == (
        f"{file}: could have been written by another user\nname it with --config if you trust it"
    )
    assert resolve_request(ask(tmp_path, config=file)).spec.port == 1001


def test_a_file_of_bytes_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "regdeploy.toml").write_bytes(b"\xff\xfe")

    assert "is not text" in refused(ask(tmp_path))


def test_a_saved_spec_names_neither_its_folder_nor_another_deployment(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    saved = tmp_path / "root/regdeploy.toml"
    saved.write_text('root = "/srv"\n')
    assert refused(ask(tmp_path)) == f"{saved}: root: a saved spec cannot name its own folder\nremove that line"
    saved.write_text('name = "one"\n')
    assert refused(ask(tmp_path, name="two")) == (
        f"--name: {tmp_path}/root holds the deployment 'one', not 'two'\n"
        "give the other deployment a folder of its own with --root"
    )


def test_another_name_keeps_the_one_before_in_the_certificate_until_that_is_dropped(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()

    def up(**flags: Any) -> tuple[tuple[str, ...], object]:
        found = resolve_request(ask(tmp_path, **flags))
        saved = to_saved(found.spec, found.sources)
        (root / "regdeploy.toml").write_text(fresh_text(saved, where="saved"))
        return found.spec.domains, saved.get("former-domain")

    assert up(domain=["old.example.com", "alias.example.com"]) == (("old.example.com", "alias.example.com"), None)
    assert up(domain=["new.example.com"]) == (("new.example.com", "old.example.com"), ["old.example.com"])
    assert up() == (("new.example.com", "old.example.com"), ["old.example.com"])
    assert up(domain=["new.example.com"]) == (("new.example.com", "old.example.com"), ["old.example.com"])
    assert up(domain=["newer.example.com"])[0] == ("newer.example.com", "new.example.com", "old.example.com")
    assert up(domain=["old.example.com"])[0] == ("old.example.com", "newer.example.com", "new.example.com")
    assert up(former_domain=["none"]) == (("old.example.com",), [])
    assert up(domain=["other.example.com"], former_domain=["none"]) == (("other.example.com",), [])
