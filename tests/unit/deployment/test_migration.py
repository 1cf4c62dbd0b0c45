"""What is written down of a migration, and where a registry is asked whose images lie outside this host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from regdeploy.deployment.adopting import to_migration
from regdeploy.deployment.handmade import Handmade
from regdeploy.deployment.migration import Migration, from_json
from regdeploy.deployment.origins import Origin
from regdeploy.engine.model import Publish
from tests.builders import acme, foreign
from tests.fakes.engine import FakeEngine
from tests.fakes.world import FakeClock, fake_world

OLD = foreign()
OUTSIDE = Handmade(container=OLD, origin=Origin(kind="driver", driver="s3"))
FILE = Path("migration.json")


def noted(handmade: Handmade, root: Path) -> Migration:
    return to_migration(acme(root=str(root)).spec, handmade, fake_world(FakeEngine(), FakeClock()))


@pytest.mark.parametrize(
    ("published", "address"),
    [
        ((Publish("", 5000, 5000),), "127.0.0.1:5000"),
        ((Publish("0.0.0.0", 5001, 5000), Publish("::", 5001, 5000)), "127.0.0.1:5001"),
        ((Publish("::", 5000, 5000),), "[::1]:5000"),
        ((Publish("10.0.0.7", 5000, 5000),), "10.0.0.7:5000"),
        ((Publish("", 0, 5000),), ""),
        ((), ""),
    ],
)
def test_it_is_asked_at_the_port_that_leads_to_it(published: tuple[Publish, ...], address: str, tmp_path: Path) -> None:
    found = noted(replace(OUTSIDE, published=published), tmp_path)
    assert (found.source, found.address) == (None, address)


def test_one_whose_images_lie_on_this_host_is_not_asked(tmp_path: Path) -> None:
    published = (Publish("", 5000, 5000),)
    for path in (tmp_path / "data", tmp_path / "elsewhere"):
        inside = replace(OUTSIDE, origin=Origin(kind="bind", path=path), published=published)
        assert noted(inside, tmp_path).address == ""


def test_it_is_read_as_it_was_written_and_without_an_address_too() -> None:
    there = Migration(container=OLD.id, name="old", restart_policy="no", source=None, address="127.0.0.1:5000")
    text = there.to_json().decode()
    assert from_json(text, FILE) == there
    before = text.replace(',\n "address": "127.0.0.1:5000"', "")
    assert "address" not in before
    assert from_json(before, FILE) == replace(there, address="")
