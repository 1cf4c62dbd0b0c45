"""The container is replaced while people push, pull and ask."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import inspect
from tests.rig.parts.load import Content, Door, Knocking, Pulling, Push
from tests.rig.parts.processes import eventually
from tests.rig.parts.rig import Rig

DOMAIN = "registry.corp.internal"
HTTPS = Door(443)
CHUNK = 1 << 20


def read(digest: str) -> str:
    """The digest of what a pull brings."""
    connection = HTTPS.connect()
    connection.request("GET", f"/v2/team/pushed/blobs/{digest}")
    hashed = hashlib.sha256(connection.getresponse().read()).hexdigest()
    connection.close()
    return f"sha256:{hashed}"


def test_a_push_a_pull_and_everybody_else_live_through_a_replacement(command: Command, rig: Rig) -> None:
    command("up", "--domain", DOMAIN, "--tls", "internal", "--no-auth")
    pulled = Push(HTTPS, "team/pulled").image("v1", Content(2 * CHUNK, CHUNK, seed=1))
    before = inspect(rig.clients)["Id"]
    under_way, replaced = threading.Event(), threading.Event()

    def pace(offset: int) -> None:
        """Chunk follows upon chunk all the while, and enough of them are left when the new container is there."""
        if offset >= 4 * CHUNK:
            under_way.set()
        replaced.wait(5 if offset >= 60 * CHUNK else 0.03)

    push = Push(HTTPS, "team/pushed", pace)
    pulling = Pulling(HTTPS, f"/v2/team/pulled/blobs/{pulled}", pulled)
    with ThreadPoolExecutor(1) as pool, Knocking(HTTPS) as knocking, pulling:
        pushed = pool.submit(push.image, "v1", Content(64 * CHUNK, CHUNK, seed=2))
        try:
            assert under_way.wait(20)
            command("up", "--localhost-port", "5000", "--yes")
            so_far = pulling.whole
        finally:
            replaced.set()
        digest = pushed.result(60)
        eventually(lambda: pulling.whole > so_far)

    assert inspect(rig.clients)["Id"] != before
    assert read(digest) == digest
    assert push.resumed > 0
    assert push.restarted == 0  # http.secret is the same: the new container knows the upload
    assert so_far > 0
    assert pulling.other == 0  # one may be cut: what the registry has sent, the engine may not have, and drops
    assert set(filter(str.isdecimal, knocking.outcomes)) == {"200"}
