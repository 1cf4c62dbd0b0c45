"""``rollback`` on real parts: what served before serves again, and what is pushed is never lost."""

from __future__ import annotations

import itertools
import signal

from tests.rig.parts.command import Command
from tests.rig.parts.deployed import answers, ask, inspect, names, served
from tests.rig.parts.processes import eventually
from tests.rig.parts.rig import Rig


def test_settings_go_back_and_forth_and_up_does_not_undo_it(command: Command, rig: Rig) -> None:
    command("up", "--port", "5001", "--image", "registry:2.8")
    rig.images.random("localhost:5001/precious:1")
    rig.clients.docker("push", "localhost:5001/precious:1")
    rig.images.forget("localhost:5001/precious:1")
    command("up", "--port", "5002", "--image", "registry:3", "--yes")

    dry = command("rollback", "--dry-run")
    assert "entry 1: up by " in dry.out
    assert "port: 127.0.0.1:5002:5000 → 127.0.0.1:5001:5000" in dry.out
    assert answers(5002)
    assert "There is no terminal to ask" in command("rollback", code=2).err
    done = command("rollback", "--yes", "--json").document

    assert (done["changed"], done["entry"], answers(5001), answers(5002)) == (True, 1, True, False)
    assert inspect(rig.clients)["Config"]["Image"] == "registry:2.8"
    assert "nothing to do" in command("up").out
    rig.clients.docker("pull", "localhost:5001/precious:1")
    rig.images.forget("localhost:5001/precious:1")
    command("rollback", "--yes")
    assert (answers(5001), answers(5002)) == (False, True)
    assert "is in that state: nothing to do" in command("rollback", "--to", "2").out
    assert "entry 9: is not in history; there are 1 to 4" in command("rollback", "--to", "9", code=2).err


def test_the_certificate_goes_back_too(command: Command, domain: str, acme: tuple[str, ...]) -> None:
    command("up", "--domain", domain, *acme, "--no-auth")
    first = served()
    command("renew", "--force")
    second = served()

    command("rollback", "--yes")

    assert served() == first
    command("renew")
    assert "nothing to do" in command("up").out
    assert served() == first
    command("rollback", "--yes")
    assert served() == second
    command("cert", "revoke", "1", "--yes")
    assert "the certificate is not version 0001 again: it was revoked on" in command("rollback", "--to", "1").out
    assert served() == second


def test_from_https_back_to_plain_http_and_its_login(
    command: Command, domain: str, acme: tuple[str, ...], password: str
) -> None:
    command("up", "--port", "5001")
    options = ("--tls", "acme", "--domain", domain, "--port", "443", *acme)
    command("up", *options, "--user", "ops", "--password-stdin", "--yes", text=f"{password}\n")

    command("rollback", "--yes")

    assert answers(5001)
    command("rollback", "--yes")
    assert ask("/v2/", port=443, login=("ops", password))[0] == 200
    assert "nothing to do" in command("up").out


def test_killed_during_it_up_converges_and_the_same_call_ends_it(command: Command, rig: Rig) -> None:
    command("up", "--port", "5001", "--image", "registry:2.8")
    rig.images.random("localhost:5001/precious:1")
    rig.clients.docker("push", "localhost:5001/precious:1")
    rig.images.forget("localhost:5001/precious:1")
    command("up", "--port", "5002", "--image", "registry:3", "--yes")
    goals = itertools.cycle(((1, 5001), (2, 5002)))
    for write in itertools.count(1, 2):  # before every one: in memory
        number, port = next(goals)
        result = command.mortal(write, "rollback", "--to", str(number), "--yes")
        command("up", "--yes")
        assert names(rig.clients) == {"registry"}
        assert answers(5001) or answers(5002)
        command("rollback", "--to", str(number), "--yes")
        assert names(rig.clients) == {"registry"}
        rig.clients.docker("pull", f"localhost:{port}/precious:1")
        rig.images.forget(f"localhost:{port}/precious:1")
        assert "nothing to do" in command("up").out
        if result.code == 0:
            break
        assert result.code == -signal.SIGKILL, result.err
    assert write > 8, "the sweep saw hardly any write: it proves nothing"


def test_a_registry_that_was_there_before_regdeploy_serves_again(command: Command, rig: Rig) -> None:
    run = ("run", "--detach", "--name", "registry", "--restart", "always", "--publish", "5000:5000", "registry:2.7")
    rig.clients.docker(*run)
    eventually(lambda: answers(5000))
    identity = inspect(rig.clients)["Id"]
    command("up", "--port", "5001", "--yes")
    assert (answers(5000), answers(5001)) == (False, True)
    kept = next(name for name in names(rig.clients) if name.startswith("registry-replaced-"))
    entry = command("history", "--json").document["entries"][0]
    assert entry["replaced"] == {
        "id": identity,
        "name": kept,
        "name_before": "registry",
        "restart_policy": "always",
        "restart_retries": 0,
    }

    assert kept in command("rollback", "--dry-run").out
    assert "There is no terminal to ask" in command("rollback", code=2).err
    command("rollback", "--yes")

    found = inspect(rig.clients)
    assert (found["Id"], found["HostConfig"]["RestartPolicy"]["Name"]) == (identity, "always")
    assert (names(rig.clients), answers(5000), answers(5001)) == ({"registry"}, True, False)
    assert "nothing is deployed" in command("rollback", code=3).err
    assert [line.split()[4] for line in command("history").out.splitlines()] == ["up", "rollback"]
