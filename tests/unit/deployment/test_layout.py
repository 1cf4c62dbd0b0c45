"""The paths and modes are promised to users (README, "What lies where") and to containers that run already."""

from __future__ import annotations

from pathlib import Path

from regdeploy.deployment.layout import Layout

LAYOUT = Layout(Path("/srv/r"))


def test_folders_come_parents_first_with_the_modes_that_keep_secrets_from_other_users() -> None:
    assert [(str(path), oct(mode)) for path, mode in LAYOUT.folders] == [
        ("/srv/r", "0o711"),
        ("/srv/r/data", "0o755"),
        ("/srv/r/certs", "0o711"),
        ("/srv/r/certs/versions", "0o711"),
        ("/srv/r/auth", "0o711"),
        ("/srv/r/config", "0o755"),
        ("/srv/r/acme", "0o700"),
        ("/srv/r/secrets", "0o700"),
    ]


def test_every_path_is_where_it_was_in_the_version_before() -> None:
    paths = {name: getattr(LAYOUT, name) for name, value in vars(Layout).items() if isinstance(value, property)}
    del paths["folders"]
    assert {name: str(path.relative_to("/srv/r")) for name, path in paths.items()} == {
        "data": "data",
        "certs": "certs",
        "auth": "auth",
        "htpasswd": "auth/htpasswd",
        "config": "config",
        "config_file": "config/config.yml",
        "unread": "config/unread",
        "acme": "acme",
        "attempts": "acme/attempts.json",
        "runs": "acme/runs.json",
        "stopped": "acme/stopped",
        "undeployed": "acme/undeployed.json",
        "hooks": "acme/hooks.json",
        "authority": "ca",
        "secrets": "secrets",
        "http_secret": "secrets/http.secret",
        "migration": "secrets/migration.json",
        "listed": "secrets/listed.json",
        "copied_from": "secrets/copied-from",
        "moved_images": "secrets/moved-images",
        "environment": "secrets/environment",
        "carried": "secrets/carried",
        "first_password": "secrets/first-password",
        "saved": "regdeploy.toml",
        "retired": "regdeploy.toml.moved",
        "history": "history.jsonl",
    }


def test_nothing_secret_lies_below_a_mounted_folder() -> None:
    mounted = (LAYOUT.data, LAYOUT.certs, LAYOUT.auth, LAYOUT.config)
    for path in (LAYOUT.acme, LAYOUT.authority, LAYOUT.http_secret, LAYOUT.first_password, LAYOUT.saved):
        assert not any(path.is_relative_to(folder) for folder in mounted)
