"""``history`` after real operations: each has its line, and no secret is in any."""

from __future__ import annotations

from tests.rig.parts.command import Command
from tests.rig.parts.rig import Rig


def test_every_operation_has_a_line_with_what_it_came_to_and_no_secret(
    command: Command, rig: Rig, domain: str, acme: tuple[str, ...], password: str
) -> None:
    assert "nothing is deployed" in command("history", code=3).err
    options = ("--user", "ops", "--password-stdin", "--notify-webhook", "https://hooks.example.com/services/s3cret")
    command("up", "--domain", domain, *acme, *options, text=f"{password}\n")
    command("renew", "--force")
    command("up", "--image", "notaregistry:1", "--yes", code=1)
    command("upgrade", "--image", "registry:2.8", "--yes")
    command("cert", "use", "1", "--yes")
    command("rollback", "--to", "1", "--yes")
    command("down", "--yes")

    found = command("history", "--json").document["entries"]
    assert [entry["number"] for entry in found] == [*range(1, len(found) + 1)]
    assert [(entry["operation"], entry["outcome"], entry.get("certificate")) for entry in found] == [
        ("up", "done", 1),
        ("renew", "done", 2),
        ("upgrade", "done", 2),
        ("cert use", "done", 1),
        ("rollback --to 1", "done", 1),
        ("down", "done", None),
    ]
    inspected = [
        rig.clients.docker("images", "--no-trunc", "--quiet", name).strip() for name in ("registry:3", "registry:2.8")
    ]
    three, two = inspected
    assert [entry.get("image_id") for entry in found] == [three, three, two, two, three, None]
    assert found[0]["spec"]["domain"] == [domain]
    assert found[2]["spec"]["image"] == "registry:2.8"
    lines = command("history").out
    assert [line.split()[0] for line in lines.splitlines()] == [str(entry["number"]) for entry in found]
    shown = lines + command("history", "--verbose").out + command("history", "--json").out
    kept = (command.root / "history.jsonl").read_text()
    secret = (command.root / "secrets/http.secret").read_text().strip()
    assert [word for word in (password, secret, "s3cret") if word in shown] == []
    assert [word for word in (password, secret) if word in kept] == []
    assert (command.root / "history.jsonl").stat().st_mode & 0o777 == 0o600
