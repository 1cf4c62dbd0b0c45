"""http-01 by another program's folder: what is put there, and that nothing else is touched."""

from __future__ import annotations

import functools
import os
import stat
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.challenges import Proof
from regdeploy.tls.acme.webroot import Webroot
from tests.rig.acme.conftest import Client
from tests.rig.parts.pebble import Pebble
from tests.rig.parts.processes import free_ports
from tests.unit.tls.ends import as_nobody, open_folder

PROOF = Proof(name="registry.example.com", token="tok-en_1", key_authorization="tok-en_1.thumbprint")
BELOW = ".well-known/acme-challenge"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A folder that another program serves, and its port."""
    folder = tmp_path / "www"
    folder.mkdir()
    port = free_ports(1)[0]
    server = ThreadingHTTPServer(("127.0.0.1", port), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield folder, port
    server.shutdown()
    server.server_close()


def test_a_real_ca_finds_the_proof_and_nothing_is_left(
    served: tuple[Path, int], start_pebble: Callable[..., Pebble], make_client: Callable[..., Client]
) -> None:
    folder, port = served
    client = make_client(start_pebble(http_port=port))
    issued = client.issue("a.example.com", "b.example.com", webroot=folder)
    assert (issued.challenge, issued.bundle.leaf.names) == ("http-01", ("a.example.com", "b.example.com"))
    assert "answering http-01" in client.reports
    assert list(folder.iterdir()) == []


def test_everybody_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    solver = Webroot(tmp_path)
    before = os.umask(0o077)
    try:
        solver.start([PROOF])
    finally:
        os.umask(before)
    path = tmp_path / BELOW / PROOF.token
    assert path.read_text() == PROOF.key_authorization
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)] == [0o755, 0o755]
    solver.stop()
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays(tmp_path: Path) -> None:
    below = tmp_path / BELOW
    below.mkdir(parents=True)
    (below / "another").write_text("somebody's")
    solver = Webroot(tmp_path)
    solver.start([PROOF])
    solver.stop()
    solver.stop()
    assert [path.name for path in below.iterdir()] == ["another"]


def test_what_a_killed_run_left_is_in_nobodys_way(tmp_path: Path) -> None:
    Webroot(tmp_path).start([PROOF])
    solver = Webroot(tmp_path)
    solver.start([PROOF])
    assert (tmp_path / BELOW / PROOF.token).read_text() == PROOF.key_authorization
    solver.stop()
    assert [path.name for path in (tmp_path / BELOW).iterdir()] == []


def test_a_token_that_is_a_path_is_refused_and_what_came_before_is_taken_away(tmp_path: Path) -> None:
    evil = Proof(name="b.example.com", token="../../../etc/evil", key_authorization="x.y")
    with pytest.raises(AcmeError, match=r"b\.example\.com: the CA sent a token that is none"):
        Webroot(tmp_path).start([PROOF, evil])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AcmeError, match="is not a folder"):
        Webroot(tmp_path / "nothing").start([PROOF])


@pytest.mark.parametrize("link", [".well-known", BELOW])
def test_a_link_in_it_is_not_followed(tmp_path: Path, link: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = tmp_path / "www"
    (folder / link).parent.mkdir(parents=True)
    (folder / link).symlink_to(elsewhere)
    with pytest.raises(AcmeError, match="is a link"):
        Webroot(folder).start([PROOF])
    assert list(elsewhere.iterdir()) == []


def test_a_link_of_another_user_on_the_way_is_refused_also_behind_one_of_our_own(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "theirs").symlink_to("www")
    os.lchown(tmp_path / "theirs", 65534, 65534)
    (tmp_path / "ours").symlink_to("theirs")
    for folder in (tmp_path / "theirs", tmp_path / "ours"):
        with pytest.raises(AcmeError, match="theirs is a link of another user") as caught:
            Webroot(folder).start([PROOF])
        assert caught.value.where == str(folder)
    assert list((tmp_path / "www").iterdir()) == []


def test_a_link_of_our_own_on_the_way_is_followed(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "ours").symlink_to(tmp_path / "www")
    solver = Webroot(tmp_path / "ours")
    solver.start([PROOF])
    assert (tmp_path / "www" / BELOW / PROOF.token).is_file()
    solver.stop()


def test_what_another_user_puts_in_its_place_meanwhile_is_not_touched(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "www", tmp_path / "elsewhere"
    folder.mkdir()
    (elsewhere / "acme-challenge").mkdir(parents=True)
    (elsewhere / "acme-challenge" / PROOF.token).write_text("another's")
    solver = Webroot(folder)
    solver.start([PROOF])
    (folder / ".well-known").rename(tmp_path / "moved")
    (folder / ".well-known").symlink_to(elsewhere)
    solver.stop()
    assert (elsewhere / "acme-challenge" / PROOF.token).read_text() == "another's"
    assert list((tmp_path / "moved").iterdir()) == []


def test_a_link_that_comes_while_it_writes_leads_nowhere(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "www", tmp_path / "elsewhere"
    folder.mkdir()
    (elsewhere / "acme-challenge").mkdir(parents=True)

    class Meanwhile(list[Proof]):
        def __iter__(self) -> Iterator[Proof]:
            (folder / ".well-known").rename(tmp_path / "moved")
            (folder / ".well-known").symlink_to(elsewhere)
            return super().__iter__()

    Webroot(folder).start(Meanwhile([PROOF]))
    assert list((elsewhere / "acme-challenge").iterdir()) == []
    assert (tmp_path / "moved" / "acme-challenge" / PROOF.token).is_file()


def test_what_somebody_put_beside_it_meanwhile_stays_with_its_folder(tmp_path: Path) -> None:
    solver = Webroot(tmp_path)
    solver.start([PROOF])
    (tmp_path / BELOW / "another").write_text("somebody's")
    solver.stop()
    assert [path.name for path in (tmp_path / BELOW).iterdir()] == ["another"]


def test_stopped_before_it_starts_it_writes_nothing_and_keeps_nothing_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - to be counted
    solver = Webroot(tmp_path)
    solver.stop()
    solver.start([PROOF])
    assert list(tmp_path.iterdir()) == []
    again = Webroot(tmp_path)
    again.start([PROOF])
    again.stop()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - to be counted


def test_a_folder_that_this_user_may_not_write_is_left_as_it_was() -> None:
    with open_folder() as folder:
        with as_nobody(folder), pytest.raises(AcmeError, match="cannot be written: Permission denied"):
            Webroot(folder).start([PROOF])
        assert list(folder.iterdir()) == []


def test_links_in_a_circle_are_said_in_the_systems_words(tmp_path: Path) -> None:
    (tmp_path / "www").symlink_to("www")
    with pytest.raises(AcmeError, match="cannot be written: Too many levels of symbolic links"):
        Webroot(tmp_path / "www").start([PROOF])


def test_what_the_ca_does_not_find_is_said_with_what_must_lead_there(
    tmp_path: Path, start_pebble: Callable[..., Pebble], make_client: Callable[..., Client]
) -> None:
    folder = tmp_path / "www"
    folder.mkdir()
    client = make_client(start_pebble(http_port=free_ports(1)[0]))
    with pytest.raises(AcmeError) as caught:
        client.issue("a.example.com", webroot=folder)
    assert caught.value.hint.startswith("port 80 of a.example.com must lead the CA to the web server")
    assert list(folder.iterdir()) == []


def test_a_file_in_the_way_is_said_in_the_systems_words(tmp_path: Path) -> None:
    (tmp_path / ".well-known").write_text("")
    with pytest.raises(AcmeError, match="cannot be written: Not a directory"):
        Webroot(tmp_path).start([PROOF])
    assert (tmp_path / ".well-known").is_file()
