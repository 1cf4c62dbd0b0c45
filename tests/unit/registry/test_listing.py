"""What a registry says that it holds, and that it is found again; a real registry is asked in the rig."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

import pytest

from regdeploy.errors import HostError, RegdeployError
from regdeploy.registry.client import RegistryClient
from regdeploy.registry.listing import ListedRepository, Listing, ask_listing, read_listing, write_listing
from regdeploy.registry.progress import Progress
from regdeploy.registry.proof import Difference, Kind, examine, prove
from tests.fakes.bucket import BucketClient
from tests.unit.registry.conftest import Answer, Heard

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")
HOLDS = {"a/b": {"v1": ONE, "v2": TWO, "v10": ONE}, "c": {"latest": TWO}, "emptied": {}}
FILE = Path("listed.json")


def listing(**repositories: Mapping[str, str]) -> Listing:
    return Listing(repositories={name: ListedRepository(tags=tags) for name, tags in repositories.items()})


def holding(holds: Mapping[str, Mapping[str, str]]) -> Callable[[], RegistryClient]:
    return lambda: BucketClient(holds)


def words(found: tuple[Difference, ...]) -> list[str]:
    return [str(difference) for difference in found]


def test_every_tag_is_listed_and_the_digest_of_the_last_of_each_repository_or_of_all() -> None:
    last = listing(**{"a/b": {"v1": "", "v10": "", "v2": TWO}, "c": {"latest": TWO}})
    assert ask_listing(holding(HOLDS)) == last
    assert last.words == "2 repositories, 4 tags"
    assert ask_listing(holding(HOLDS), full=True) == listing(**{"a/b": HOLDS["a/b"], "c": HOLDS["c"]})
    assert ask_listing(holding({})).words == "0 repositories, 0 tags"


def answering(**changed: Answer) -> Callable[[str], Answer]:
    """A registry with the repository ``a`` and two tags; ``changed`` are answers by the last part of the path."""
    good: dict[str, Answer] = {
        "_catalog?n=1000": (200, {}, b'{"repositories": ["a"]}'),
        "list": (200, {}, b'{"name": "a", "tags": ["v1", "v2"]}'),
        "v1": (200, {"Docker-Content-Digest": ONE}, b"{}"),
        "v2": (200, {"Docker-Content-Digest": TWO}, b"{}"),
    }
    return lambda path: (good | changed)[path.rpartition("/")[2]]


def test_each_thing_is_asked_for_once_over_kept_connections(serve: Callable[..., str], heard: Heard) -> None:
    url = serve(answering())
    told: list[Progress] = []
    assert ask_listing(lambda: RegistryClient(url), report=told.append) == listing(a={"v1": "", "v2": TWO})
    asked = ["GET /v2/_catalog?n=1000", "GET /v2/a/tags/list", "HEAD /v2/a/manifests/v2"]
    assert sorted(heard.asked) == asked
    assert heard.connections == 2  # one for the catalog, one for the repository
    assert told[-1] == Progress(words="1 of 1 asked for")
    heard.asked.clear()
    ask_listing(lambda: RegistryClient(url), full=True)
    assert sorted(heard.asked) == [*asked[:2], "HEAD /v2/a/manifests/v1", asked[2]]


@pytest.mark.parametrize(
    "answer",
    [(404, {}, b""), (500, {}, b""), (200, {}, b"{}"), (200, {"Docker-Content-Digest": "md5:no"}, b"{}")],
    ids=["not there", "broken", "without a digest", "with nonsense for one"],
)
def test_a_tag_that_leads_nowhere_is_one_tag_all_the_same(serve: Callable[..., str], answer: Answer) -> None:
    url = serve(answering(v2=answer))
    assert ask_listing(lambda: RegistryClient(url)) == listing(a={"v1": "", "v2": ""})


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"_catalog?n=1000": (401, {"WWW-Authenticate": "Basic realm=x"}, b"")}, "registry.login"),
        ({"list": (401, {"WWW-Authenticate": "Bearer realm=x"}, b"")}, "registry.login"),
        ({"v2": (401, {"WWW-Authenticate": "Basic realm=x"}, b"")}, "registry.login"),
        ({"_catalog?n=1000": (200, {}, b"<html>")}, "registry.answer"),
        ({"_catalog?n=1000": (200, {}, b"[]")}, "registry.answer"),
        ({"_catalog?n=1000": (200, {}, b'{"repositories": 5}')}, "registry.answer"),
        ({"list": (200, {}, b'{"tags": [5]}')}, "registry.answer"),
        ({"list": (500, {}, b"no such bucket")}, "registry.answer"),
    ],
)
def test_one_that_does_not_say_what_it_holds_has_no_listing(
    serve: Callable[..., str], changed: dict[str, Answer], code: str
) -> None:
    url = serve(answering(**changed))
    with pytest.raises(RegdeployError) as caught:
        ask_listing(lambda: RegistryClient(url))
    assert caught.value.code == code


def test_one_that_is_not_there_has_none_and_it_ends_when_it_is_told_to() -> None:
    with pytest.raises(RegdeployError) as caught:
        ask_listing(lambda: RegistryClient("http://127.0.0.1:1"))
    assert caught.value.code == "registry.unreachable"


def test_it_ends_when_it_is_told_to(serve: Callable[..., str]) -> None:
    told = Event()

    def answer(path: str) -> Answer:
        told.wait(5)
        return answering()(path)

    def cancelled() -> bool:
        told.set()
        return True

    url = serve(answer)
    with pytest.raises(HostError) as caught:
        ask_listing(lambda: RegistryClient(url), cancelled=cancelled)
    assert caught.value.code == "host.cancelled"


def test_what_is_there_as_before_lacks_nothing_and_the_catalog_is_not_asked() -> None:
    for full in (False, True):
        expected = ask_listing(holding(HOLDS), full=full)
        assert prove(holding(HOLDS), expected) == ()
    more = {**HOLDS, "new": {"1": ONE}, "c": {"latest": TWO, "next": ONE}}
    proof = examine(holding(more), expected)
    assert (proof.differences, proof.extra) == ((), ("c:next",))


def test_what_lacks_is_named_and_a_repository_that_lacks_once() -> None:
    expected = ask_listing(holding(HOLDS))
    assert words(prove(holding({}), expected)) == [
        "a/b: has no tag, and had 3",
        f"a/b:v2: is not there, and was {TWO}",
        f"c:latest: is not there, and was {TWO}",
        f"a/b@{TWO}: the manifest is not there",
        f"c@{TWO}: the manifest is not there",
    ]
    assert words(prove(holding({**HOLDS, "a/b": {"v2": TWO}}), expected)) == [
        "a/b:v1: is not there",
        "a/b:v10: is not there",
    ]


def test_a_tag_that_was_moved_meanwhile_is_told_from_one_that_leads_elsewhere() -> None:
    expected = ask_listing(holding({"c": {"latest": TWO}}))
    (moved,) = prove(holding({"c": {"latest": ONE, "before": TWO}}), expected)
    assert (moved.kind, moved.found) == (Kind.TAG, ONE)  # a push: what it led to is there
    kinds = [one.kind for one in prove(holding({"c": {"latest": ONE}}), expected)]
    assert kinds == [Kind.TAG, Kind.MANIFEST]


def test_a_file_keeps_it_and_is_that_of_one_container() -> None:
    there = ask_listing(holding(HOLDS))
    text = write_listing(there, "0d").decode()
    assert read_listing(text, FILE, "0d") == there
    assert read_listing(text, FILE, "0e") is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"container": "0d"}', '{"container": "0d", "repositories": {"a": 5}}', "5"]
)
def test_another_text_is_said_and_what_to_do_about_it(text: str) -> None:
    with pytest.raises(HostError, match=r"listed\.json: does not say what the old registry holds") as caught:
        read_listing(text, FILE, "0d")
    assert "not compared" in caught.value.hint


def test_ten_thousand_tags_are_compared_in_one_question_a_repository(serve: Callable[..., str], heard: Heard) -> None:
    tags = [f"v{number}" for number in range(10_000)]
    said: Answer = (200, {"Docker-Content-Digest": ONE}, b"{}")
    page: Answer = (200, {}, json.dumps({"tags": tags}).encode())
    answers: dict[str, Answer] = {"list": page, "_catalog?n=1000": (200, {}, b'{"repositories": ["a"]}')}
    url = serve(lambda path: answers.get(path.rpartition("/")[2], said))
    expected = ask_listing(lambda: RegistryClient(url))
    assert (expected.words, len(heard.asked)) == ("1 repositories, 10000 tags", 3)
