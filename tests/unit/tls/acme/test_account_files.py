"""Where accounts lie, and why a package that nobody uses costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from regdeploy.tls.acme.account import folder_of
from regdeploy.tls.acme.connection import host_of


def test_the_folder_can_be_read_by_its_host_and_is_the_directorys_alone(tmp_path: Path) -> None:
    one = folder_of(tmp_path, "https://acme-v02.api.letsencrypt.org/directory")
    other = folder_of(tmp_path, "https://acme-v02.api.letsencrypt.org/other")
    assert one.parent == tmp_path / "accounts"
    assert one.name == "acme-v02.api.letsencrypt.org-5e76d31517ec"
    assert one != other


@pytest.mark.parametrize("url", ["https://CA.example:14000/dir", "https://[::1]:14000/dir", "../../etc", ""])
def test_no_address_leads_out_of_the_folder(tmp_path: Path, url: str) -> None:
    folder = folder_of(tmp_path, url)
    assert folder.resolve().parent == tmp_path / "accounts"
    assert set(folder.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://ca.example:14000/dir", "ca.example:14000"),
        ("ca.example", "ca.example"),
        ("https://[::1", "https://[::1"),
    ],
)
def test_a_ca_is_named_by_its_host(url: str, host: str) -> None:
    assert host_of(url) == host


def test_the_package_loads_nothing_heavy_and_pyopenssl_is_never_loaded() -> None:
    code = (
        "import sys, regdeploy.tls.acme as acme\n"
        "heavy = {'acme', 'josepy', 'requests', 'cryptography', 'OpenSSL'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "import regdeploy.tls.acme.order\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['acme', 'cryptography', 'josepy', 'requests']"]
