"""The htpasswd file: what is in it, what is changed, and what stays as it was."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdeploy.errors import HostError, UsageError
from regdeploy.registry import users
from regdeploy.secret import Secret

KNOWN = bcrypt.hashpw(b"known", bcrypt.gensalt(4)).decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "htpasswd"


def test_without_a_file_there_is_nobody_and_the_first_user_makes_it(path: Path) -> None:
    assert users.read(path) == ()
    assert users.problems(path) == users.ABSENT
    assert not users.verify(path, "admin", Secret("x"))
    assert not users.remove(path, "admin")
    assert not path.exists()
    users.set_password(path, "admin", Secret("hunter2"))
    assert users.read(path) == ("admin",)
    assert users.problems(path) == ""
    assert users.verify(path, "admin", Secret("hunter2"))
    assert not users.verify(path, "admin", Secret("hunter3"))
    assert not users.verify(path, "other", Secret("hunter2"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["htpasswd"]
    assert path.read_text().startswith("admin:$2b$05$")


@pytest.mark.parametrize("text", ["", "\n\n", "# nobody yet\n", "  # nobody\r\n\r\n"])
def test_a_file_without_users_lets_nobody_in(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    assert users.read(path) == ()
    assert users.problems(path) == users.NOBODY


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("garbage", "line 2 is not NAME:HASH: the registry answers 400 to everybody"),
        (f":{KNOWN}", "line 2 has no name that can be typed"),
        (f"\ufeffbob:{KNOWN}", "line 2 has no name that can be typed"),
        ("bob:$apr1$Zx$y0kTqIb9LmZ8yVnH1yqVr1", "line 2 (bob) is not a bcrypt hash: bob cannot log in"),
        ("bob:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=", "line 2 (bob) is not a bcrypt hash: bob cannot log in"),
        ("bob:plain", "line 2 (bob) is not a bcrypt hash: bob cannot log in"),
        ("bob:", "line 2 (bob) is not a bcrypt hash: bob cannot log in"),
        (f"bob:{KNOWN[:-1]}", "line 2 (bob) is not a bcrypt hash: bob cannot log in"),
        (f"bob:{KNOWN}:more", "line 2 (bob) is not a bcrypt hash: bob cannot log in"),
    ],
)
def test_a_bad_line_is_named(path: Path, line: str, problem: str) -> None:
    path.write_text(f"admin:{KNOWN}\n{line}\n", encoding="utf-8")
    assert users.problems(path) == problem
    assert users.verify(path, "admin", Secret("known"))
    assert not users.verify(path, "bob", Secret("known"))
    assert not users.verify(path, "", Secret("known"))


def test_every_kind_of_bcrypt_hash_is_good(path: Path) -> None:
    for kind in "aby":
        path.write_text(f"admin:{KNOWN.replace('$2b$', f'$2{kind}$')}\n")
        assert users.problems(path) == ""
        assert users.verify(path, "admin", Secret("known"))


def test_what_no_hash_can_be_made_of_is_a_wrong_password_and_no_exception(path: Path) -> None:
    users.set_password(path, "admin", Secret("x"))
    for password in ("x" * 73, "\udcff", "x\0"):
        assert not users.verify(path, "admin", Secret(password))


def test_what_is_no_text_or_no_file_is_told_apart(path: Path) -> None:
    path.write_bytes(b"m\xfcller:x\n")
    assert users.problems(path).startswith("cannot be read: 'utf-8' codec")
    with pytest.raises(HostError, match="is not text"):
        users.read(path)
    path.unlink()
    path.mkdir()
    assert users.problems(path).startswith("cannot be read: [Errno 21]")
    with pytest.raises(HostError, match="Is a directory"):
        users.read(path)


def test_comments_line_ends_and_other_lines_stay_byte_for_byte(path: Path) -> None:
    path.write_bytes(f"# ours\r\n\r\nana:{KNOWN}\r\nodd\x0cname:{KNOWN}\nbob:old\r\nlast:{KNOWN}".encode())
    assert users.read(path) == ("ana", "odd\x0cname", "bob", "last")
    users.set_password(path, "bob", Secret("new"))
    lines = path.read_bytes().split(b"\n")
    assert lines[4].startswith(b"bob:$2b$05$")
    lines[4] = b"bob"
    assert lines == [
        b"# ours\r", b"\r", f"ana:{KNOWN}\r".encode(), f"odd\x0cname:{KNOWN}".encode(), b"bob",
        f"last:{KNOWN}".encode(), b"",
    ]  # fmt: skip
    assert users.verify(path, "ana", Secret("known"))


def test_of_two_lines_of_a_name_the_last_counts_and_a_new_password_leaves_one(path: Path) -> None:
    other = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
    path.write_text(f"bob:{other}\nana:{KNOWN}\nbob:{KNOWN}\n")
    assert users.verify(path, "bob", Secret("known"))
    assert not users.verify(path, "bob", Secret("other"))
    users.set_password(path, "bob", Secret("new"))
    assert users.read(path) == ("bob", "ana")
    assert users.verify(path, "bob", Secret("new"))


def test_nobodys_name_takes_no_comment_with_it(path: Path) -> None:
    path.write_text(f"# ours\n\ngarbage\nana:{KNOWN}\n")
    assert not users.remove(path, "")
    assert path.read_text() == f"# ours\n\ngarbage\nana:{KNOWN}\n"


def test_a_name_is_taken_away_with_all_its_lines(path: Path) -> None:
    path.write_text(f"bob:{KNOWN}\n# bob\nana:{KNOWN}\nbob:{KNOWN}\n")
    assert users.remove(path, "bob")
    assert path.read_text() == f"# bob\nana:{KNOWN}\n"
    assert not users.remove(path, "bob")
    assert users.remove(path, "ana")
    assert users.problems(path) == users.NOBODY


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "--user: is empty"),
        ("a:b", "--user: 'a:b' has a colon, which ends a name in HTTP logins"),
        (" a", "--user: ' a' has blanks at its ends or control characters"),
        ("a\n", "--user: 'a\\n' has blanks at its ends or control characters"),
        ("a\x07b", "--user: 'a\\x07b' has blanks at its ends or control characters"),
        ("\udcff", "--user: '\\udcff' has blanks at its ends or control characters"),
        (".regdeploy-a", "--user: '.regdeploy-a' starts with .regdeploy-, which regdeploy keeps for itself"),
        ("#a", "--user: '#a' starts with #, which makes it a comment in htpasswd"),
        ("a" * 256, f"--user: {'a' * 20!r}… is longer than 255 characters"),
    ],
)
def test_a_name_that_htpasswd_or_http_cannot_carry_is_refused(path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        users.set_password(path, name, Secret("x"))
    assert str(caught.value) == words
    assert not path.exists()


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("", "password: is empty"),
        ("é" * 37, "password: is 74 bytes long; bcrypt looks at the first 72 only"),
        ("a\nb", "password: has a control character (a line break, perhaps)"),
        ("a\x7f", "password: has a control character (a line break, perhaps)"),
        ("gr\udcfcn", "password: is not UTF-8 text"),
    ],
)
def test_a_password_that_bcrypt_would_not_take_whole_is_refused_and_not_shown(
    path: Path, password: str, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        users.set_password(path, "admin", Secret(password))
    assert str(caught.value) == words
    assert caught.value.__cause__ is None
    assert not path.exists()


def test_random_passwords_differ_and_can_be_read_aloud(path: Path) -> None:
    made = [users.generate_password().reveal() for _ in range(50)]
    assert len(set(made)) == 50
    for password in made:
        groups = password.split("-")
        assert [len(group) for group in groups] == [4] * 7
        assert not set("".join(groups)) & set("01ilo")
    users.set_password(path, "admin", Secret(made[0]))
    assert users.verify(path, "admin", Secret(made[0]))


def temporary(path: Path, name: str) -> bytes:
    """The line of a temporary user, as a killed run leaves it."""
    with users.temporary_user(path) as (made, _):
        line = path.read_bytes().partition(b"\n")[0] + b"\n"
    return line.replace(made.encode(), f"{users.TEMPORARY_PREFIX}{name}".encode())


@pytest.mark.parametrize(
    "text", ["", f"ana:{KNOWN}\n", f"ana:{KNOWN}", f"# ours\r\n\r\nana:{KNOWN}\r\n\n", f"\ufeffbob:{KNOWN}\ngarbage"]
)
def test_a_temporary_user_is_let_in_for_a_while_and_the_file_is_as_before(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    before, listed, problem = path.read_bytes(), users.read(path), users.problems(path)
    with users.temporary_user(path) as (name, password):
        first, _, rest = path.read_bytes().partition(b"\n")
        found, _, value = first.decode().partition(":")
        assert (found, rest) == (name, before)
        assert value.startswith("$2b$04$")
        assert bcrypt.checkpw(password.reveal().encode(), value.encode())
        assert users.read(path) == listed
        assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == before
    assert users.problems(path) == problem


def test_a_temporary_user_goes_when_the_work_fails_and_a_file_that_was_not_there_goes_too(path: Path) -> None:
    def interrupted() -> None:
        with users.temporary_user(path):
            assert path.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(path.parent.iterdir()) == []


def test_two_temporary_users_have_neither_name_nor_password_in_common(path: Path) -> None:
    made = []
    for _ in range(20):
        with users.temporary_user(path) as (name, password):
            made.append((name, password.reveal()))
    assert len({name for name, _ in made}) == len({password for _, password in made}) == 20


def test_who_is_added_meanwhile_stays(path: Path) -> None:
    path.write_text(f"ana:{KNOWN}\n")
    with users.temporary_user(path):
        path.write_bytes(path.read_bytes() + f"bob:{KNOWN}\n".encode())
    assert path.read_text() == f"ana:{KNOWN}\nbob:{KNOWN}\n"


def test_what_a_killed_run_left_is_no_user_and_goes_with_the_next_writing(path: Path) -> None:
    left = temporary(path, "dead")
    path.write_bytes(left)
    assert users.read(path) == ()
    assert users.problems(path) == users.NOBODY
    path.write_bytes(left + f"ana:{KNOWN}\ngarbage\n".encode())
    assert users.read(path) == ("ana",)
    assert users.problems(path) == "line 3 is not NAME:HASH: the registry answers 400 to everybody"
    assert not users.remove(path, ".regdeploy-dead")
    users.set_password(path, "bob", Secret("x"))
    assert users.read(path) == ("ana", "bob")
    assert b".regdeploy-" not in path.read_bytes()
    path.write_bytes(left + f"ana:{KNOWN}\n".encode())
    with users.temporary_user(path) as (name, _):
        assert [line.partition(b":")[0] for line in path.read_bytes().splitlines()] == [name.encode(), b"ana"]
    assert path.read_text() == f"ana:{KNOWN}\n"


def test_every_writing_gives_the_file_another_time_since_the_registry_looks_at_that_alone(path: Path) -> None:
    path.write_text(f"ana:{KNOWN}\n")
    times = [path.stat().st_mtime_ns]
    for _ in range(50):
        with users.temporary_user(path):
            times.append(path.stat().st_mtime_ns)
        times.append(path.stat().st_mtime_ns)
    assert all(before != after for before, after in pairwise(times))


def _good(check: str, text: str) -> bool:
    try:
        users.check_name(text) if check == "name" else users.check_password(Secret(text))
    except UsageError:
        return False
    return True


_NAMES = st.text(min_size=1, max_size=20).filter(lambda text: _good("name", text))
_PASSWORDS = st.text(min_size=1, max_size=30).filter(lambda text: _good("password", text))
_OTHERS = st.sampled_from(["# a comment", "", f"zoë:{KNOWN}", f"b ob:{KNOWN}\r", "garbage", "weak:{SHA}x"])


@settings(max_examples=60)
@given(name=_NAMES, password=_PASSWORDS, before=st.lists(_OTHERS), after=st.lists(_OTHERS), there=st.booleans())
def test_after_set_password_it_verifies_and_every_other_line_is_as_it_was(
    name: str, password: str, before: list[str], after: list[str], there: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "htpasswd"
        old = [*before, *([f"{name}:{KNOWN}"] if there else []), *after]
        path.write_bytes("".join(f"{line}\n" for line in old).encode())
        users.set_password(path, name, Secret(password))
        assert users.verify(path, name, Secret(password))
        assert not users.verify(path, name, Secret(password + "!"))
        lines = path.read_bytes().decode().split("\n")[:-1]
        kept = [line for line in lines if line.partition(":")[0] != name]
        assert kept == [line for line in old if line.partition(":")[0] != name]
        assert users.read(path).count(name) == 1
