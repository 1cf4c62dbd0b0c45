"""Whose a program is: only root can give one away, and the rig is run by root."""

from __future__ import annotations

import os
from pathlib import Path

from regdeploy.host.programs import check_program
from tests.unit.said import said


def test_a_program_or_link_of_another_user_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "link").symlink_to(program)
    os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)
    assert said(lambda: check_program(tmp_path / "link", "--hook")) == (
        f"--hook: {tmp_path}/link belongs to another user (uid 65534)\nhint: chown root {tmp_path}/link"
    )
    os.chown(program, 65534, 65534)
    assert f"{program} belongs to another user (uid 65534)" in said(lambda: check_program(program, "--hook"))
