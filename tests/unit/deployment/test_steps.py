from __future__ import annotations

from regdeploy.deployment.steps import WORDS, SaveSpec, Step, Together, VerifyServing, flat


def test_every_step_but_lanes_has_its_words_and_they_differ() -> None:
    assert set(WORDS) == set(Step.__subclasses__()) - {Together}
    assert len({code for code, _ in WORDS.values()}) == len({words for _, words in WORDS.values()}) == len(WORDS)
    assert max(len(words) for _, words in WORDS.values()) < 29, "a plan's first column is 29 wide"


def test_lanes_are_opened_in_order_however_deep() -> None:
    one, two, three = SaveSpec(why="1"), VerifyServing(why="2"), SaveSpec(why="3")
    inner = Together(why="", lanes=((one,), (two,)))

    assert flat((Together(why="", lanes=((inner,), ())), three)) == (one, two, three)
    assert flat(()) == ()
