"""Renewals that go wrong on real parts: killed, refused by the container, by the disk, and met by a push."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import secrets
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import ask, current_fingerprint, names, served
from tests.rig.parts.flaky import Answer, Flaky
from tests.rig.parts.images import digest, layer
from tests.rig.parts.processes import eventually
from tests.rig.parts.programs import library
from tests.rig.parts.rig import Rig

_FUSSY = b"""#!/bin/sh
if [ -e /var/lib/registry/fussy ] && [ "$(busybox readlink /certs/current)" != versions/0001 ]; then
  echo "panic: not this certificate" >&2
  exit 1
fi
exec registry serve "$@"
"""


def stored(root: Path) -> set[str]:
    """The leaves of all whole versions, SHA-256."""
    folders = [folder for folder in (root / "certs/versions").iterdir() if not folder.name.startswith(".")]
    pems = [(folder / "fullchain.pem").read_text().partition("-----END CERTIFICATE-----") for folder in folders]
    ders = [ssl.PEM_cert_to_DER_cert(f"{leaf}{end}\n") for leaf, end, _ in pems]
    return {hashlib.sha256(der).hexdigest() for der in ders}


def test_killed_at_its_writes_it_serves_and_the_next_renewal_converges(
    rig: Rig, command: Command, deployed: str
) -> None:
    """Every fifth write; tests/unit/spine/test_renewals.py takes them all, without a real engine and CA."""
    for write in itertools.count(3, 5):
        result = command.mortal(write, "renew", "--force")
        assert served() in stored(command.root), f"killed before write {write}"
        command("renew")
        assert served() == current_fingerprint(command.root), f"killed before write {write}"
        if result.code == 0:
            break
        assert result.code == -signal.SIGKILL, result.err
    assert write > 25, "the sweep saw hardly any write: it proves nothing"
    assert served() != deployed
    assert names(rig.clients) == {"registry"}
    assert len(stored(command.root)) <= 3


def test_a_container_that_does_not_come_back_serves_the_certificate_before_and_takes_the_new_one_later(
    rig: Rig, command: Command, domain: str, flaky: Flaky
) -> None:
    good = library()["registry:3"]
    fussy = layer({"entrypoint.sh": _FUSSY}, executable=("entrypoint.sh",))
    rig.images.load({"registry:fussy": replace(good, layers=(*good.layers, fussy))})
    options = ("--acme-directory", flaky.directory, "--acme-ca-bundle", str(flaky.ca_bundle))
    command("up", "--domain", domain, *options, "--no-auth", "--image", "registry:fussy")
    old = served()
    (command.root / "data/fussy").touch()

    failed = command("renew", "--force", code=1)

    assert "panic: not this certificate" in failed.err
    assert "does not answer" in failed.err
    assert served() == old == current_fingerprint(command.root)
    assert len(stored(command.root)) == 2
    said = command("status", code=4).out
    assert "make the certificate current: it was issued and is not in place" in said
    assert "the new certificate was not served: 1 attempt failed" in said
    (command.root / "data/fussy").unlink()
    flaky.asked.clear()
    assert "the new certificate was not served: 1 attempt failed" in command("renew").out
    assert served() == old
    _a_minute_later(command.root / "acme/undeployed.json")
    assert "renewed, and served" in command("renew").out
    assert flaky.count("POST") == 0, "it was ordered again"
    assert served() == current_fingerprint(command.root) != old
    assert stored(command.root) == {old, served()}
    command("down", "--yes")
    rig.images.forget("registry:fussy")


def _a_minute_later(note: Path) -> None:
    """As if what is noted had been a minute before."""
    noted = json.loads(note.read_text())
    for one in noted["failures"]:
        one["at"] = (datetime.fromisoformat(one["at"]) - timedelta(minutes=1)).isoformat()
    note.write_text(json.dumps(noted))


def test_of_two_renewals_at_once_one_renews_and_the_other_says_who_is_at_work(
    command: Command, deployed: str, flaky: Flaky
) -> None:
    flaky.on("POST /order-plz", delay=2)
    first = command.start("renew", "--force")
    eventually(lambda: flaky.count("POST /order-plz") == 1)

    refused = command("renew", "--force", code=1)

    _, err = first.communicate(timeout=60)
    assert (first.returncode, err) == (0, "")
    assert f"`regdeploy renew` by root, pid {first.pid}, is at work here since" in refused.err
    assert flaky.count("POST /finalize-order") == 1
    assert served() == current_fingerprint(command.root) != deployed
    assert len(json.loads((command.root / "acme/runs.json").read_text())) == 1, "who was kept out tried nothing"


def test_an_upload_that_began_before_a_renewal_ends_after_it(command: Command, deployed: str) -> None:
    begin, end = secrets.token_bytes(3_000_000), secrets.token_bytes(500_000)
    blob = digest(begin + end)
    place = _send("PATCH", _send("POST", "/v2/team/image/blobs/uploads/", 202), 202, begin)

    command("renew", "--force")

    assert served() != deployed
    place = _send("PATCH", place, 202, end)
    _send("PUT", f"{place}&digest={blob}", 201)
    assert ask(f"/v2/team/image/blobs/{blob}", port=443)[:2] == (200, begin + end)


def test_a_chunk_on_its_way_when_the_registry_is_restarted_arrives(rig: Rig, command: Command, deployed: str) -> None:
    chunk = secrets.token_bytes(2_000_000)
    blob = digest(chunk)
    under_way = _connection()
    under_way.putrequest("PATCH", _send("POST", "/v2/team/image/blobs/uploads/", 202))
    under_way.putheader("Content-Length", str(len(chunk)))
    under_way.endheaders()
    under_way.send(chunk[:1_000_000])

    renewal = command.start("renew", "--force")
    eventually(lambda: "Draining connections" in _log(rig))
    under_way.send(chunk[1_000_000:])
    place = _went_on(under_way, 202)
    renewal.communicate(timeout=60)

    assert renewal.returncode == 0
    assert served() != deployed
    _send("PUT", f"{place}&digest={blob}", 201)
    assert ask(f"/v2/team/image/blobs/{blob}", port=443)[:2] == (200, chunk)


def _log(rig: Rig) -> str:
    """What the registry wrote, on either stream."""
    command = ["docker", "logs", "registry"]
    return subprocess.run(command, env=rig.environ, capture_output=True, text=True, check=True).stderr


def _connection() -> http.client.HTTPSConnection:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", 443, timeout=30, context=context)


def _send(method: str, path: str, status: int, body: bytes = b"") -> str:
    """Send one request to the registry, over a connection of its own; where it says to go on."""
    connection = _connection()
    connection.request(method, path, body or None, {"Content-Type": "application/octet-stream"})
    return _went_on(connection, status)


def _went_on(connection: http.client.HTTPSConnection, status: int) -> str:
    """Read the answer, which has that status; where it says to go on."""
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    assert answer.status == status, said
    location = answer.getheader("Location", "")
    return location[location.index("/v2/") :]


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder as on a disk that the kernel will not write to any more."""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def tiny_disk(folder: Path) -> Iterator[None]:
    """The folder on a disk of its own, with what was in it and no room for more."""
    with tempfile.TemporaryDirectory() as before:
        shutil.copytree(folder, before, dirs_exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k,mode=0700", "tiny", str(folder)], check=True)
        try:
            shutil.copytree(before, folder, dirs_exist_ok=True)
            with (folder / ".filler").open("wb", buffering=0) as filler, suppress(OSError):
                while filler.write(b"x" * 4096):
                    pass
            yield
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def test_where_no_certificate_can_be_kept_none_is_ordered(command: Command, deployed: str, flaky: Flaky) -> None:
    with read_only(command.root / "certs"):
        refused = command("renew", "--force", code=2)
        assert "or its certs folder, cannot be written by this user" in refused.err
        assert flaky.count("POST") == 0
        assert served() == deployed
    assert "not before" not in command("renew", "--force").out
    assert served() != deployed


def test_where_nothing_can_be_noted_it_is_renewed_all_the_same(command: Command, deployed: str) -> None:
    with read_only(command.root / "acme"):
        command("renew", "--force")
    assert served() == current_fingerprint(command.root) != deployed


def test_on_a_disk_that_is_full_none_is_ordered(command: Command, deployed: str, flaky: Flaky) -> None:
    with tiny_disk(command.root / "certs/versions"):
        refused = command("renew", "--force", code=1)
        assert "No space left on device" in refused.err
        assert flaky.count("POST") == 0
        assert served() == deployed
    command("renew", "--force")
    assert served() == current_fingerprint(command.root) != deployed


def test_a_directory_that_moved_is_followed(command: Command, deployed: str, flaky: Flaky) -> None:
    flaky.on("GET /dir$", Answer(301, {"Location": "/dir?moved"}), last=99)
    command("renew", "--force")
    assert served() != deployed
    assert flaky.count("GET /dir.moved") > 0


@pytest.mark.parametrize("missing", ["newNonce", "newOrder"])
def test_a_directory_that_lacks_what_an_order_needs_costs_nothing(
    command: Command, deployed: str, flaky: Flaky, missing: str
) -> None:
    flaky.on("GET /dir", last=99, rewrite=lambda answer: answer.with_json(**{missing: None}))
    assert "is not an ACME directory" in command("renew", "--force", code=2).err
    assert served() == deployed
    assert flaky.count("POST") == 0


def test_a_challenge_that_is_valid_at_once_beside_kinds_that_nobody_knows(
    command: Command, deployed: str, flaky: Flaky
) -> None:
    def among_others(answer: Answer) -> Answer:
        found = json.loads(answer.body)["challenges"]
        strange = {"type": "moon-01", "url": found[0]["url"], "status": "pending", "phase": 3}
        return answer.with_json(challenges=[strange, *found])

    shutil.rmtree(command.root / "acme/accounts")  # of another account the CA has no authorization to use again
    flaky.on("POST /authZ", rewrite=among_others)
    flaky.on("POST /chalZ", rewrite=lambda answer: answer.with_json(status="valid"))
    command("renew", "--force")
    assert served() != deployed
    assert flaky.count("POST /chalZ") == 1
