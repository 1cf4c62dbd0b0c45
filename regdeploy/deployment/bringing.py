"""A deployment's own files, brought from one root folder to another. Its images are not among them."""

from __future__ import annotations

from pathlib import Path

from regdeploy.deployment.layout import Layout
from regdeploy.deployment.request import read_text
from regdeploy.files import make_folder, refusal, switch_link, sync_folder, write_whole


def bring(old_root: Path, root: Path) -> None:
    """Have in ``root`` what ``old_root`` has, file by file, each whole; regdeploy.toml last. Raises HostError.

    What is there already is written again, so that a second run ends what a killed one began. Links stay links.
    """
    old, new = Layout(old_root), Layout(root)
    for folder in (old.certs, old.auth, old.config, old.acme, old.authority, old.secrets):
        _bring_folder(folder, root / folder.relative_to(old_root), but=old.migration)
    for before, after in ((old.history, new.history), (old.saved, new.saved)):
        if before.exists():
            _bring_file(before, after)


def bring_back(root: Path) -> None:
    """Move images back to the folder that they were moved out of, where they were. Raises HostError.

    Killed, the same again does what is left.
    """
    layout = Layout(root)
    source = (read_text(layout.moved_images) or "").strip()
    if not source:
        return
    from regdeploy.registry.transfer import Transfer  # noqa: PLC0415 - only where images were moved

    Transfer(layout.data, Path(source), damaged="leave-out", move=True).run()
    try:
        layout.moved_images.unlink()
        sync_folder(layout.secrets)
    except OSError as error:
        raise refusal(layout.moved_images, error) from error


def retire(old_root: Path) -> None:
    """Give regdeploy.toml in ``old_root`` another name: no command takes that folder for a deployment any more."""
    saved, retired = Layout(old_root).saved, Layout(old_root).retired
    try:
        if saved.exists():
            saved.replace(retired)
            sync_folder(old_root)
    except OSError as error:
        raise refusal(saved, error) from error


def _bring_folder(before: Path, after: Path, but: Path) -> None:
    if not before.is_dir():
        return
    if not after.is_dir():
        make_folder(after, before.stat().st_mode & 0o7777)
    for path in sorted(before.iterdir()):
        target = after / path.name
        if path.is_symlink():
            switch_link(target, str(path.readlink()))
        elif path.is_dir():
            _bring_folder(path, target, but)
        elif path != but:
            _bring_file(path, target)


def _bring_file(before: Path, after: Path) -> None:
    try:
        data, mode = before.read_bytes(), before.stat().st_mode & 0o7777
    except OSError as error:
        raise refusal(before, error) from error
    write_whole(after, data, mode)
