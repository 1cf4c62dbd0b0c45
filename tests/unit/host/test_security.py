from __future__ import annotations

from pathlib import Path

import pytest

from regdeploy.host.security import selinux_enforcing


@pytest.mark.parametrize(("text", "enforcing"), [("1", True), ("1\n", True), ("0", False), ("", False)])
def test_selinux_enforces_where_the_kernel_says_so(tmp_path: Path, text: str, enforcing: bool) -> None:
    (tmp_path / "enforce").write_text(text)

    assert selinux_enforcing(tmp_path / "enforce") is enforcing


def test_a_host_without_selinux_enforces_nothing(tmp_path: Path) -> None:
    assert selinux_enforcing(tmp_path / "enforce") is False
    assert selinux_enforcing(tmp_path) is False
