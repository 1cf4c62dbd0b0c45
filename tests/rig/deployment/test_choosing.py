"""Which of several registries is meant: whoever sits at a terminal is asked."""

from __future__ import annotations

import pytest

from tests.rig.parts.command import Command
from tests.rig.parts.rig import Rig

from .test_migrate import answers, start

CHOICES = "  1  one  registry:2.7\n  2  two  registry:2.7\nWhich registry? "


@pytest.mark.parametrize("answer", ["2", "two"])
def test_the_one_that_is_chosen_is_planned_for(rig: Rig, command: Command, domain: str, answer: str) -> None:
    start(rig, name="one", port=5000)
    start(rig, name="two", port=5001)
    options = ("migrate-to-https", "--domain", domain, "--tls", "internal", "--no-auth", "--dry-run")
    asked = command.typed(f"{answer}\n", *options)
    assert asked.err.startswith(CHOICES)
    assert "two gives its place to registry" in asked.out


@pytest.mark.parametrize(
    ("answer", "words"), [("", "several registries: one, two"), ("3", "there is no container '3'"), ("\x04", "several")]
)
def test_an_answer_that_is_none_touches_nothing(
    rig: Rig, command: Command, domain: str, answer: str, words: str
) -> None:
    start(rig, name="one", port=5000)
    start(rig, name="two", port=5001)
    refused = command.typed(f"{answer}\n", "migrate-to-https", "--domain", domain, "--tls", "internal", code=2)
    assert words in refused.err
    assert answers(5000)
    assert not command.root.exists()
