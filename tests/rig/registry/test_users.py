"""The registry's own view of an htpasswd file that changes under it."""

from __future__ import annotations

import pytest

from regdeploy.errors import RegdeployError
from regdeploy.registry import users
from regdeploy.secret import Secret
from tests.rig.registry.conftest import Registry, Start


def verdict(registry: Registry, user: str = "", password: str = "") -> str:
    """Empty where the login is good, else the error's code and words."""
    try:
        with registry.client(user, password) as client:
            client.repositories()
    except RegdeployError as error:
        return f"{error.code}: {error.what}"
    return ""


@pytest.fixture
def registry(start: Start) -> Registry:
    return start(logins={"admin": "old"})


def test_a_new_password_works_at_once_and_the_old_one_no_more(registry: Registry) -> None:
    path = registry.folder / "auth/htpasswd"
    refused = "registry.login: does not let 'admin' in with that password"
    assert verdict(registry, "admin", "old") == ""
    users.set_password(path, "admin", Secret("new"))
    assert (verdict(registry, "admin", "new"), verdict(registry, "admin", "old")) == ("", refused)
    users.set_password(path, "zoë ü", Secret("pässwörd:€"))
    assert (verdict(registry, "zoë ü", "pässwörd:€"), verdict(registry, "admin", "new")) == ("", "")
    assert users.remove(path, "admin")
    assert verdict(registry, "admin", "new") == refused
    assert verdict(registry) == "registry.login: wants a login"


def test_without_users_everybody_is_refused_as_problems_says(registry: Registry) -> None:
    path = registry.folder / "auth/htpasswd"
    users.remove(path, "admin")
    assert users.problems(path) == users.NOBODY
    assert verdict(registry, "admin", "old") == "registry.login: does not let 'admin' in with that password"


def test_a_line_without_a_colon_locks_everybody_out_as_problems_says(registry: Registry) -> None:
    path = registry.folder / "auth/htpasswd"
    assert verdict(registry, "admin", "old") == ""
    path.write_text(path.read_text() + "garbage\n")
    assert users.problems(path) == "line 2 is not NAME:HASH: the registry answers 400 to everybody"
    assert verdict(registry, "admin", "old").startswith("registry.answer: answers 400: ")


@pytest.mark.parametrize(
    ("extra", "admin"),
    [
        ("# a comment\n\n", True),
        ("bob:$apr1$Zx$y0kTqIb9LmZ8yVnH1yqVr1\n", True),
        ("bob:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=\n", True),
        ("bob:\n", True),
        (":\n", True),
        ("admin:nonsense\n", False),  # the last line of a name counts
    ],
)
def test_verify_and_the_registry_agree_on_odd_files(registry: Registry, extra: str, admin: bool) -> None:
    path = registry.folder / "auth/htpasswd"
    path.write_text(path.read_text() + extra)
    assert users.verify(path, "admin", Secret("old")) is admin
    assert (verdict(registry, "admin", "old") == "") is admin
    assert verdict(registry, "bob", "old") != ""
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert users.verify(path, "admin", Secret("old")) is admin
    assert (verdict(registry, "admin", "old") == "") is admin


def test_every_kind_of_bcrypt_hash_lets_in(registry: Registry) -> None:
    path = registry.folder / "auth/htpasswd"
    text = path.read_text()
    for kind in "aby":
        path.write_text(text.replace("$2b$", f"$2{kind}$"))
        assert verdict(registry, "admin", "old") == ""


def test_a_temporary_user_is_let_in_at_once_and_never_again(registry: Registry) -> None:
    path = registry.folder / "auth/htpasswd"
    before = path.read_bytes()
    assert verdict(registry, "admin", "old") == ""
    for _ in range(20):
        with users.temporary_user(path) as (name, password):
            assert verdict(registry, name, password.reveal()) == ""
            assert verdict(registry, "admin", "old") == ""
            assert verdict(registry, name, "guessed") != ""
        assert verdict(registry, name, password.reveal()) != ""
    assert verdict(registry, "admin", "old") == ""
    assert path.read_bytes() == before
