from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from regdeploy.errors import CertificateError, HostError
from regdeploy.tls.bundle import make_bundle
from regdeploy.tls.certificate import Bundle
from regdeploy.tls.store import CertificateStore, StoredVersion, StoreFacts
from regdeploy.tls.stored import UNREADABLE
from tests.certs import make_intermediate, make_leaf, make_root
from tests.unit.tls.ends import as_nobody, file_size_limit, killed_everywhere, on_tiny_disk, open_folder

NAME = "registry.example.com"
NOW = datetime.now(UTC)
DIRECTORY = "https://ca.example.com/dir"
_INTERMEDIATE = make_intermediate(make_root())


def _bundle() -> Bundle:
    leaf = make_leaf(_INTERMEDIATE, NAME)
    return make_bundle(
        leaf.pem + _INTERMEDIATE.pem, leaf.key_pem, names=(NAME,), now=NOW, cert_name="cert.pem", key_name="key.pem"
    )


ONE, TWO = _bundle(), _bundle()


def _add(certs: Path, bundle: Bundle = ONE) -> int:
    return CertificateStore(certs).add(bundle, source="acme", directory=DIRECTORY, issued_at=NOW, names=(NAME,))


def _only(certs: Path) -> StoredVersion:
    (version,) = CertificateStore(certs).read().versions
    return version


def _tree(folder: Path) -> dict[str, str]:
    """Every path below ``folder`` with its mode, or where it leads."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else f"{stat.S_IMODE(path.stat().st_mode):04o}"
        for path in sorted(folder.rglob("*"))
    }


def test_a_folder_that_is_not_there_is_an_empty_store(tmp_path: Path) -> None:
    assert CertificateStore(tmp_path / "certs").read() == StoreFacts(current=None, versions=(), links={})


def test_what_was_added_is_there_whole_and_not_current(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        assert _add(tmp_path) == 1
    finally:
        os.umask(old)
    assert _tree(tmp_path) == {
        "versions": "0711",
        "versions/0001": "0711",
        "versions/0001/cert.json": "0644",
        "versions/0001/fullchain.pem": "0644",
        "versions/0001/privkey.pem": "0600",
    }
    assert CertificateStore(tmp_path).read() == StoreFacts(
        current=None,
        versions=(
            StoredVersion(
                number=1,
                leaf=ONE.leaf,
                source="acme",
                names=(NAME,),
                issued_at=NOW,
                directory=DIRECTORY,
                key_matches=True,
                deployed=False,
                problem="",
            ),
        ),
        links={},
    )
    assert CertificateStore(tmp_path).bundle(1) == ONE


def test_the_record_is_made_to_be_read_and_holds_no_key(tmp_path: Path) -> None:
    _add(tmp_path)
    text = (tmp_path / "versions/0001/cert.json").read_text()
    record = json.loads(text)
    assert record["source"] == "acme"
    assert record["issued_at"] == NOW.isoformat()
    assert record["deployed_at"] is None
    assert int(record["leaf"]["serial"], 16) == ONE.leaf.serial
    assert record["leaf"]["fingerprint_sha256"] == ONE.leaf.fingerprint_sha256
    assert not any(line in text for line in ONE.key_pem.reveal().splitlines() if line)


def test_the_profile_is_noted_and_a_record_of_before_has_none(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    store.add(ONE, source="acme", directory=DIRECTORY, issued_at=NOW, names=(NAME,), profile="tlsserver")
    assert _only(tmp_path).profile == "tlsserver"
    path = tmp_path / "versions/0001/cert.json"
    record = json.loads(path.read_text())
    del record["profile"]
    path.write_text(json.dumps(record))
    assert (_only(tmp_path).profile, _only(tmp_path).problem) == ("", "")
    store.mark_deployed(1, NOW)
    assert _only(tmp_path).deployed


def test_a_version_is_numbered_after_the_highest_whatever_lies_in_between(tmp_path: Path) -> None:
    (tmp_path / "versions/0007").mkdir(parents=True)
    (tmp_path / "versions/notes").mkdir()
    (tmp_path / "versions/12").mkdir()
    (tmp_path / "versions/00020").mkdir()
    (tmp_path / "versions/0009").write_text("a file")
    assert _add(tmp_path) == 10
    (tmp_path / "versions/9999").mkdir()
    assert _add(tmp_path) == 10000
    assert [version.number for version in CertificateStore(tmp_path).read().versions] == [7, 9, 10, 9999, 10000]


def test_installing_links_the_domain_and_switches_both_files_at_once(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    _add(tmp_path)
    _add(tmp_path, TWO)
    store.install(1, NAME)
    facts = store.read()
    assert facts.current == 1
    assert facts.links == {f"{NAME}.crt": "current/fullchain.pem", f"{NAME}.key": "current/privkey.pem"}
    assert (tmp_path / "current").readlink() == Path("versions/0001")
    assert (tmp_path / f"{NAME}.crt").read_bytes() == ONE.fullchain_pem
    store.install(2, NAME)
    assert (tmp_path / f"{NAME}.crt").read_bytes() == TWO.fullchain_pem
    assert (tmp_path / f"{NAME}.key").read_text() == TWO.key_pem.reveal()
    store.install(1, NAME)
    assert (tmp_path / f"{NAME}.key").read_text() == ONE.key_pem.reveal()


def test_a_wrong_link_is_put_right(tmp_path: Path) -> None:
    _add(tmp_path)
    (tmp_path / f"{NAME}.crt").symlink_to("elsewhere")
    (tmp_path / "current").symlink_to("nowhere")
    assert CertificateStore(tmp_path).read().current is None
    CertificateStore(tmp_path).install(1, NAME)
    assert (tmp_path / f"{NAME}.crt").read_bytes() == ONE.fullchain_pem


def test_a_file_of_the_user_s_own_is_not_replaced_by_a_link(tmp_path: Path) -> None:
    _add(tmp_path)
    (tmp_path / f"{NAME}.key").write_text("the only copy")
    with pytest.raises(HostError, match="is a file that regdeploy did not put there") as caught:
        CertificateStore(tmp_path).install(1, NAME)
    assert caught.value.where == str(tmp_path / f"{NAME}.key")
    assert (tmp_path / f"{NAME}.key").read_text() == "the only copy"
    assert CertificateStore(tmp_path).read().current is None


def test_the_former_domain_keeps_its_links_until_pruning_is_told_the_new_one(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    _add(tmp_path)
    store.install(1, "old.example.com")
    store.install(1, "_wildcard.example.com")
    (tmp_path / "mine.crt").symlink_to("/elsewhere.crt")
    (tmp_path / "crt").symlink_to("current/fullchain.pem")
    store.prune(3)
    assert "old.example.com.crt" in store.read().links
    store.prune(3, "_wildcard.example.com")
    assert store.read().links == {
        "_wildcard.example.com.crt": "current/fullchain.pem",
        "_wildcard.example.com.key": "current/privkey.pem",
        "mine.crt": "/elsewhere.crt",
        "crt": "current/fullchain.pem",
    }
    assert (tmp_path / "_wildcard.example.com.crt").read_bytes() == ONE.fullchain_pem


def test_switching_goes_back_and_to_none(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    store.switch(None)
    _add(tmp_path)
    _add(tmp_path)
    store.install(2, NAME)
    store.switch(1)
    assert store.read().current == 1
    store.switch(None)
    store.switch(None)
    assert store.read().current is None
    assert (tmp_path / f"{NAME}.crt").is_symlink()


def test_a_version_that_is_not_there_is_neither_made_current_nor_read(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    acts: list[Callable[[], object]] = [
        lambda: store.install(4, NAME),
        lambda: store.switch(4),
        lambda: store.bundle(4),
        lambda: store.mark_deployed(4, NOW),
    ]
    for act in acts:
        with pytest.raises(CertificateError, match="there is no such certificate version"):
            act()
    assert _tree(tmp_path) == {}


def test_deployed_is_a_fact_of_its_own_and_the_first_time_counts(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    _add(tmp_path)
    path = tmp_path / "versions/0001/cert.json"
    store.mark_deployed(1, NOW + timedelta(minutes=1))
    assert _only(tmp_path).deployed
    before = path.read_bytes()
    store.mark_deployed(1, NOW + timedelta(days=1))
    assert path.read_bytes() == before
    assert json.loads(before)["deployed_at"] == (NOW + timedelta(minutes=1)).isoformat()
    assert (_only(tmp_path).leaf, stat.S_IMODE(path.stat().st_mode)) == (ONE.leaf, 0o644)


def test_marking_what_has_no_record_is_refused(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    _add(tmp_path)
    path = tmp_path / "versions/0001/cert.json"
    path.write_text("{}")
    with pytest.raises(CertificateError, match="is broken: KeyError: 'leaf'"):
        store.mark_deployed(1, NOW)
    path.unlink()
    with pytest.raises(CertificateError, match="is missing"):
        store.mark_deployed(1, NOW)
    path.mkdir()
    with pytest.raises(HostError, match="Is a directory"):
        store.mark_deployed(1, NOW)


# Reading what somebody changed by hand


def _write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def _change(**values: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "cert.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda folder: (folder / "cert.json").unlink(), "its cert.json is missing"),
        (lambda folder: (folder / "fullchain.pem").unlink(), "its fullchain.pem is missing"),
        (lambda folder: (folder / "privkey.pem").unlink(), "its privkey.pem is missing"),
        (
            lambda folder: [(folder / "privkey.pem").unlink(), (folder / "privkey.pem").mkdir()],
            "its privkey.pem cannot be read: Is a directory",
        ),
        (_write("fullchain.pem", b""), "its fullchain.pem: is empty"),
        (_write("fullchain.pem", ONE.key_pem.reveal().encode()), "its fullchain.pem: holds no certificate"),
        (
            _write("fullchain.pem", ONE.fullchain_pem[:-30]),
            "its fullchain.pem: the CERTIFICATE that begins in line ",
        ),
        (
            _write("fullchain.pem", _INTERMEDIATE.pem + ONE.fullchain_pem),
            "its fullchain.pem: CN=Test Intermediate is not followed by its issuer",
        ),
        (_write("privkey.pem", ONE.fullchain_pem), "its privkey.pem: holds no private key, only CERTIFICATE"),
        (_write("cert.json", b"\xff"), "its cert.json is broken: 'utf-8' codec can't decode byte 0xff"),
        (_write("cert.json", b"{"), "its cert.json is broken: Expecting property name"),
        (_write("cert.json", b"[]"), "its cert.json is broken: TypeError: "),
        (_write("cert.json", b"7"), "its cert.json is broken: AttributeError: "),
        (_write("cert.json", b"[" * 100_000), "its cert.json is broken: RecursionError: "),
        (_change(leaf={}), "its cert.json is broken: KeyError: 'names'"),
        (_change(leaf=None), "its cert.json is broken: TypeError: "),
        (_change(names="a"), "its cert.json is broken: TypeError: 'a' is no list"),
        (_change(names=[1]), "its cert.json is broken: TypeError: 1 is no text"),
        (_change(source=None), "its cert.json is broken: TypeError: None is no text"),
        (_change(profile=1), "its cert.json is broken: TypeError: 1 is no text"),
        (_change(issued_at="yesterday"), "its cert.json is broken: Invalid isoformat string: 'yesterday'"),
        (_change(issued_at="2026-11-24"), "its cert.json is broken: '2026-11-24' has no time zone"),
    ],
)
def test_what_is_broken_is_said_and_never_raised(
    change: Callable[[Path], object], problem: str, tmp_path: Path
) -> None:
    _add(tmp_path)
    change(tmp_path / "versions/0001")
    version = _only(tmp_path)
    assert version.problem.startswith(problem)
    assert (version.leaf, version.key_matches, version.number) == (UNREADABLE, False, 1)
    assert version.leaf.not_after < NOW


def test_a_certificate_replaced_by_hand_is_seen_as_it_is(tmp_path: Path) -> None:
    _add(tmp_path)
    (tmp_path / "versions/0001/fullchain.pem").write_bytes(TWO.fullchain_pem)
    version = _only(tmp_path)
    assert (version.leaf, version.key_matches, version.problem) == (TWO.leaf, False, "")
    with pytest.raises(CertificateError, match="the private key does not belong"):
        CertificateStore(tmp_path).bundle(1)
    (tmp_path / "versions/0001/privkey.pem").write_text(TWO.key_pem.reveal())
    version = _only(tmp_path)
    assert (version.leaf, version.key_matches, version.problem) == (TWO.leaf, True, "")
    assert CertificateStore(tmp_path).bundle(1) == TWO


def test_a_key_replaced_by_hand_is_seen_not_to_match(tmp_path: Path) -> None:
    _add(tmp_path)
    (tmp_path / "versions/0001/privkey.pem").write_text(TWO.key_pem.reveal())
    version = _only(tmp_path)
    assert (version.leaf, version.key_matches, version.problem) == (ONE.leaf, False, "")


def test_another_line_ending_changes_nothing(tmp_path: Path) -> None:
    _add(tmp_path)
    path = tmp_path / "versions/0001/fullchain.pem"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert (_only(tmp_path).leaf, _only(tmp_path).problem) == (ONE.leaf, "")


def test_a_bundle_whose_file_is_missing_is_refused(tmp_path: Path) -> None:
    _add(tmp_path)
    (tmp_path / "versions/0001/privkey.pem").unlink()
    with pytest.raises(CertificateError, match=r"privkey\.pem: is missing"):
        CertificateStore(tmp_path).bundle(1)


def test_links_are_told_and_leftovers_are_not(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to("versions/0012")
    (tmp_path / "mine.pem").symlink_to("/elsewhere")
    (tmp_path / ".regdeploy-current.ab").symlink_to("versions/0001")
    (tmp_path / "plain").write_text("")
    assert CertificateStore(tmp_path).read() == StoreFacts(current=12, versions=(), links={"mine.pem": "/elsewhere"})


_PROBE = """
import sys
from pathlib import Path
from regdeploy.tls.store import CertificateStore
facts = CertificateStore(Path(sys.argv[1])).read()
print(len(facts.versions), facts.versions[0].leaf.names, "cryptography" in sys.modules)
"""


def test_reading_what_nobody_changed_does_not_load_cryptography(tmp_path: Path) -> None:
    _add(tmp_path)
    CertificateStore(tmp_path).mark_deployed(1, NOW)
    CertificateStore(tmp_path).install(1, NAME)
    command = [sys.executable, "-c", _PROBE, str(tmp_path)]
    assert subprocess.check_output(command, text=True) == f"1 ('{NAME}',) False\n"
    with (tmp_path / "versions/0001/fullchain.pem").open("ab") as file:
        file.write(b"\n")
    assert subprocess.check_output(command, text=True) == f"1 ('{NAME}',) True\n"


# Pruning


def test_pruning_keeps_the_newest_and_the_current(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    for _ in range(6):
        _add(tmp_path)
    store.install(2, NAME)
    store.prune(3)
    assert [version.number for version in store.read().versions] == [2, 4, 5, 6]
    assert store.bundle(2) == ONE
    store.prune(10)
    assert [version.number for version in store.read().versions] == [2, 4, 5, 6]
    store.prune(0)
    assert [version.number for version in store.read().versions] == [2]
    assert _add(tmp_path) == 3


def test_pruning_clears_what_a_kill_left(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    _add(tmp_path)
    store.install(1, NAME)
    before = _tree(tmp_path)
    (tmp_path / "versions/.regdeploy-0002.ab").mkdir()
    (tmp_path / "versions/.regdeploy-0002.ab/privkey.pem").write_text("x")
    (tmp_path / "versions/.regdeploy-file").write_text("x")
    (tmp_path / ".regdeploy-current.ab").symlink_to("versions")
    store.prune(3)
    assert _tree(tmp_path) == before


def test_pruning_nothing_is_fine(tmp_path: Path) -> None:
    CertificateStore(tmp_path / "certs").prune(3, NAME)
    assert _tree(tmp_path) == {}


# The host says no


def test_a_folder_that_is_a_file_is_a_host_error(tmp_path: Path) -> None:
    (tmp_path / "certs").write_text("")
    with pytest.raises(HostError, match="Not a directory"):
        CertificateStore(tmp_path / "certs").read()


def test_what_the_user_may_not_do_is_a_host_error() -> None:
    with open_folder() as folder:
        store = CertificateStore(folder)
        _add(folder)
        _add(folder)
        store.install(2, NAME)
        (folder / ".regdeploy-left").write_text("")
        (folder / "versions").chmod(0o755)
        acts: list[Callable[[], object]] = [
            lambda: _add(folder),
            lambda: store.switch(1),
            lambda: store.switch(None),
            lambda: store.mark_deployed(1, NOW),
            lambda: store.bundle(1),
            lambda: store.prune(2),
            lambda: store.prune(0),
        ]
        with as_nobody(folder):
            for act in acts:
                with pytest.raises(HostError, match="Permission denied") as caught:
                    act()
                assert caught.value.hint
            assert store.read().versions[0].problem == "its privkey.pem cannot be read: Permission denied"
        folder.chmod(0o711)
        with as_nobody(folder), pytest.raises(HostError, match="Permission denied"):
            store.read()


def test_a_file_that_cannot_be_written_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    _add(tmp_path)
    before = _tree(tmp_path)
    with file_size_limit(100), pytest.raises(HostError, match="File too large") as caught:
        _add(tmp_path, TWO)
    assert caught.value.where == str(tmp_path / "versions/0002")
    assert _tree(tmp_path) == before


_FILL = """
import pickle, sys
from datetime import UTC, datetime
from pathlib import Path
from regdeploy.errors import HostError
from regdeploy.tls.store import CertificateStore
certs, bundle = Path(sys.argv[1]), pickle.load(sys.stdin.buffer)
store = CertificateStore(certs)
def add():
    return store.add(bundle, source="acme", directory="", issued_at=datetime.now(UTC), names=("a",))
store.install(add(), "a")
try:
    while True:
        add()
except HostError as error:
    print(error.code, error.what, error.hint, sep="\\n")
leftovers = [path.name for path in certs.rglob(".regdeploy-*")]
print(leftovers, [version.problem for version in store.read().versions], store.bundle(1) == bundle)
"""


@pytest.mark.parametrize("size", ["16k", "20k", "24k"])
def test_a_full_disk_is_said_and_leaves_whole_versions_only(size: str, tmp_path: Path) -> None:
    code, what, hint, rest = on_tiny_disk(tmp_path, size, _FILL, ONE).splitlines()
    assert (code, what) == ("host.full", "No space left on device")
    assert hint == "free some space on that disk, then run the same command again"
    assert rest in ("[] [''] True", "[] ['', ''] True")


_FULL_SINCE = """
import pickle, sys
from datetime import UTC, datetime
from pathlib import Path
from regdeploy.tls.store import CertificateStore
certs, bundle = Path(sys.argv[1]), pickle.load(sys.stdin.buffer)
store = CertificateStore(certs)
with store.room() as room:
    with (certs / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(512)):
                pass
        except OSError as error:
            print(error.strerror)
    store.add(bundle, source="acme", directory="", issued_at=datetime.now(UTC), names=("a",), room=room)
print([path.name for path in certs.rglob(".regdeploy-*")], store.bundle(1) == bundle)
"""


def test_a_disk_that_fills_once_room_is_taken_still_takes_a_version(tmp_path: Path) -> None:
    assert on_tiny_disk(tmp_path, "400k", _FULL_SINCE, ONE) == "No space left on device\n[] True\n"


def test_room_that_is_not_there_is_said_before_anything_is_kept(tmp_path: Path) -> None:
    with file_size_limit(10_000), pytest.raises(HostError, match="File too large") as caught:
        CertificateStore(tmp_path).room().__enter__()
    assert caught.value.where == str(tmp_path / "versions")
    assert _tree(tmp_path) == {"versions": "0711"}


def test_room_that_was_not_used_is_given_back(tmp_path: Path) -> None:
    with CertificateStore(tmp_path).room() as room:
        assert sum(path.stat().st_size for path in room.folder.iterdir()) == 3 * 32 * 1024
    assert _tree(tmp_path) == {"versions": "0711"}


# Killed


def test_killed_at_any_point_of_adding_a_version_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    def prepared(step: int) -> Path:
        folder = tmp_path / str(step)
        _add(folder)
        CertificateStore(folder).install(1, NAME)
        return folder

    outcomes = set()
    for folder in killed_everywhere(prepared, lambda folder: _add(folder, TWO)):
        store = CertificateStore(folder)
        facts = store.read()
        assert (facts.current, [version.problem for version in facts.versions]) == (1, [""] * len(facts.versions))
        outcomes.add(len(facts.versions))
        if len(facts.versions) == 1:
            assert _add(folder, TWO) == 2
        store.install(2, NAME)
        store.prune(3)
        assert store.bundle(2) == TWO
        assert not list(folder.rglob(".regdeploy-*"))
    assert outcomes == {1, 2}


def test_killed_at_any_point_of_installing_the_pair_belongs_together(tmp_path: Path) -> None:
    def prepared(step: int) -> Path:
        folder = tmp_path / str(step)
        _add(folder)
        CertificateStore(folder).install(1, NAME)
        _add(folder, TWO)
        return folder

    seen = set()
    for folder in killed_everywhere(prepared, lambda folder: CertificateStore(folder).install(2, NAME)):
        pair = ((folder / f"{NAME}.crt").read_bytes(), (folder / f"{NAME}.key").read_text())
        assert pair in [(made.fullchain_pem, made.key_pem.reveal()) for made in (ONE, TWO)]
        seen.add(pair)
        store = CertificateStore(folder)
        store.install(2, NAME)
        store.prune(3)
        assert (store.read().current, list(folder.rglob(".regdeploy-*"))) == (2, [])
    assert len(seen) == 2


def test_killed_at_any_point_of_pruning_every_version_is_whole_and_the_next_prune_ends_it(tmp_path: Path) -> None:
    def prepared(step: int) -> Path:
        folder = tmp_path / str(step)
        for _ in range(3):
            _add(folder)
        CertificateStore(folder).install(3, NAME)
        return folder

    for folder in killed_everywhere(prepared, lambda folder: CertificateStore(folder).prune(1)):
        store = CertificateStore(folder)
        versions = store.read().versions
        assert versions[-1].number == 3
        assert all(not version.problem and version.key_matches for version in versions)
        store.prune(1)
        assert [version.number for version in store.read().versions] == [3]
        assert not list(folder.rglob(".regdeploy-*"))


def test_killed_at_any_point_of_marking_the_record_is_whole(tmp_path: Path) -> None:
    def prepared(step: int) -> Path:
        folder = tmp_path / str(step)
        _add(folder)
        return folder

    seen = set()
    for folder in killed_everywhere(prepared, lambda folder: CertificateStore(folder).mark_deployed(1, NOW)):
        assert not _only(folder).problem
        seen.add(_only(folder).deployed)
    assert seen == {False, True}


def test_no_warning_is_given(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _add(tmp_path)
        (tmp_path / "versions/0001/fullchain.pem").write_bytes(TWO.fullchain_pem)
        assert _only(tmp_path).leaf == TWO.leaf
