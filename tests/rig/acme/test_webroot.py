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


def test_a_file_in_the_way_is_said_in_the_systems_words(tmp_path: Path) -> None:
    (tmp_path / ".well-known").write_text("")
    with pytest.raises(AcmeError, match="cannot be written: Not a directory"):
        Webroot(tmp_path).start([PROOF])
    assert (tmp_path / ".well-known").is_file()
