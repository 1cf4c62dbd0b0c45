"""TSIG keys as BIND's tools write them, and files that others could change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regdeploy.errors import UsageError
from regdeploy.tls.acme.dns.keyfile import read_key
from regdeploy.tls.acme.dns.trusted import trusted
from tests.unit.said import said

_KEY = 'key "regdeploy" {\n\talgorithm hmac-sha256;\n\tsecret "aGFs//8=";\n};\n'
_HINT = '\nhint: tsig-keygen NAME writes such a file: key "NAME" { algorithm hmac-sha256; secret "..."; };'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "k.key"
    path.touch(mode=0o600)
    path.write_text(_KEY)
    return path


@pytest.mark.parametrize(
    "text",
    [
        _KEY,
        'key regdeploy{algorithm HMAC-SHA256.;secret "aGFs//8=";}',
        f'# key "old" {{ algorithm hmac-md5; secret "b2xk"; }};\n/* key "older"\n{{ }} */ {_KEY} // the end',
    ],
)
def test_a_key_is_read_as_bind_reads_it(file: Path, text: str) -> None:
    file.write_text(text)
    key = read_key(file)
    assert (key.name, key.algorithm.removesuffix("."), key.secret.reveal(), key.warning) == (
        "regdeploy",
        "hmac-sha256",
        "aGFs//8=",
        "",
    )
    assert "aGFs" not in repr(key)


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("hmac-md5", "hmac-md5.sig-alg.reg.int"),
        ("hmac-md5.sig-alg.reg.int", "hmac-md5.sig-alg.reg.int"),
        ("hmac-sha512", "hmac-sha512"),
        ("hmac-sha256-128", "hmac-sha256-128"),
    ],
)
def test_algorithms_are_named_as_dns_names_them(file: Path, given: str, known: str) -> None:
    file.write_text(_KEY.replace("hmac-sha256", given))
    assert read_key(file).algorithm == known


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", f"holds no TSIG key, one is needed{_HINT}"),
        ("aGFsbG8=", f"holds no TSIG key, one is needed{_HINT}"),
        (_KEY * 2, f"holds 2 TSIG keys, one is needed{_HINT}"),
        (_KEY.replace("secret", "sekret"), f"its secret is missing, or not base64{_HINT}"),
        (_KEY.replace("aGFs", "a!"), f"its secret is missing, or not base64{_HINT}"),
        (_KEY.replace("hmac-sha256", "rot13"), "its algorithm is rot13\nhint: use hmac-sha256"),
        (_KEY.replace("algorithm", "a"), "its algorithm is missing\nhint: use hmac-sha256"),
    ],
)
def test_what_is_no_key_is_said(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    assert said(lambda: read_key(file)) == f"{file}: {words}"


def test_a_secret_may_stand_without_quotes(file: Path) -> None:
    file.write_text("key k { algorithm hmac-sha256; secret aGFsbG8=; };")
    assert read_key(file).secret.reveal() == "aGFsbG8="


def test_what_is_no_text_is_said(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    assert said(lambda: read_key(file)) == f"{file}: is not text, so no TSIG key{_HINT}"


def test_a_file_that_everybody_can_read_is_used_with_a_warning(file: Path) -> None:
    file.chmod(0o644)
    assert read_key(file).warning == (
        f"{file} can be read by every user of this host, who can then change the zone: chmod o-r {file}"
    )


@pytest.mark.parametrize("mode", [0o602, 0o622])
def test_a_file_that_others_can_write_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert said(lambda: read_key(file)) == (
        f"{file}: can be written by others (mode {mode:04o})\nhint: chmod go-w {file}"
    )


def test_a_file_in_a_folder_that_others_can_write_is_refused_also_behind_a_link(file: Path) -> None:
    safe, loose = file.parent / "safe", file.parent / "loose"
    for folder in (safe, loose):
        folder.mkdir(mode=0o755)
        (folder / "key").touch(mode=0o600)
    (safe / "link").symlink_to(loose / "key")
    (loose / "link").symlink_to(safe / "key")
    loose.chmod(0o777)
    for path in (loose / "key", safe / "link", loose / "link"):
        assert said(lambda path=path: trusted(path)) == (  # type: ignore[misc]  # mypy takes no defaults
            f"{path}: lies in {loose}, where others could replace it\nhint: chmod go-w {loose}"
        )
    trusted(safe / "key")
    loose.chmod(0o1777)
    trusted(loose / "key")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    assert said(lambda: trusted(tmp_path)) == f"{tmp_path}: is not a file\nhint: name the file itself"
    assert said(lambda: trusted(tmp_path / "none")).startswith(f"{tmp_path}/none: No such file or directory")
    with pytest.raises(UsageError):
        trusted(circle)


def test_a_file_of_another_user_is_refused(file: Path) -> None:
    if os.geteuid() != 0:
        assert trusted(Path("/etc/hostname")).st_uid == 0  # root's is fine; nobody else's is at hand
        return
    os.chown(file, 12345, 0)
    assert said(lambda: trusted(file)) == f"{file}: belongs to another user (uid 12345)\nhint: chown root {file}"
