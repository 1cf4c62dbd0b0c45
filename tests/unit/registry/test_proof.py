"""The proof against answers that the real registry does not give on request; the rest is in the rig."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from regdeploy.errors import HostError, RegdeployError
from regdeploy.registry.client import RegistryClient
from regdeploy.registry.progress import Progress
from regdeploy.registry.proof import Difference, Kind, examine, prove
from tests.unit.registry.conftest import ENDLESS, Answer, Heard


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Repository:
    tags: Mapping[str, str] = field(default_factory=dict)
    manifests: Mapping[str, object] = field(default_factory=dict)
    layers: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    repositories: Mapping[str, Repository] = field(default_factory=dict)
    blobs: Mapping[str, int] = field(default_factory=dict)


MANIFEST, BLOB = b'{"schemaVersion": 2}', b"a blob"
ONE = Expected(
    {
        "a": Repository(
            {"v1": sha256(MANIFEST), "v2": sha256(MANIFEST)}, {sha256(MANIFEST): None}, frozenset({"sha256:b"})
        )
    },
    {"sha256:b": len(BLOB)},
)


def answering(**changed: Answer) -> Callable[[str], Answer]:
    """What a registry that holds ``ONE`` answers, but for the last part of a path in ``changed``."""
    good: dict[str, Answer] = {
        "_catalog?n=1000": (200, {}, b'{"repositories": ["a"]}'),
        "list": (200, {}, b'{"tags": ["v1", "v2"]}'),
        "v1": (200, {"Docker-Content-Digest": sha256(MANIFEST)}, MANIFEST),
        "v2": (200, {"Docker-Content-Digest": sha256(MANIFEST)}, MANIFEST),
        sha256(MANIFEST): (200, {"Docker-Content-Digest": sha256(MANIFEST)}, MANIFEST),
        "sha256:b": (200, {"Docker-Content-Digest": "sha256:b"}, BLOB),
    }
    return lambda path: (good | changed)[path.rpartition("/")[2]]


def test_each_thing_is_asked_for_once_over_kept_connections(serve: Callable[..., str], heard: Heard) -> None:
    url = serve(answering())
    proof = examine(lambda: RegistryClient(url), ONE, workers=2)
    assert (proof.differences, proof.extra, proof.asked, proof.read_bytes) == ((), (), 5, 0)
    assert sorted(heard.asked) == [
        "GET /v2/_catalog?n=1000",
        "GET /v2/a/manifests/v1",  # read and hashed: the manifest that it leads to needs no question of its own
        "GET /v2/a/tags/list",
        "HEAD /v2/a/blobs/sha256:b",
        "HEAD /v2/a/manifests/v2",
    ]
    assert heard.connections <= 2


def test_a_registry_that_says_the_right_digest_of_the_wrong_bytes_is_found_out(serve: Callable[..., str]) -> None:
    said = {"Docker-Content-Digest": sha256(MANIFEST)}
    url = serve(answering(**{"v1": (200, said, b"rotten"), sha256(MANIFEST): (200, said, b"rotten")}))
    assert prove(lambda: RegistryClient(url), ONE) == (
        Difference(
            kind=Kind.TAG,
            where="a:v1",
            words=f"is {sha256(b'rotten')}, and was {sha256(MANIFEST)}",
            wanted=sha256(MANIFEST),
            found=sha256(b"rotten"),
        ),
        Difference(
            kind=Kind.MANIFEST,
            where=f"a@{sha256(MANIFEST)}",
            words=f"is another manifest: {sha256(b'rotten')}",
            wanted=sha256(MANIFEST),
            found=sha256(b"rotten"),
        ),
    )


def test_an_answer_that_makes_no_sense_is_a_difference_with_the_registrys_words(serve: Callable[..., str]) -> None:
    broken: Answer = (500, {}, b"unexpected end of JSON input\n")
    url = serve(answering(v1=broken, list=broken, **{"sha256:b": broken, "_catalog?n=1000": broken}))
    assert [str(one) for one in prove(lambda: RegistryClient(url), ONE)] == [
        "a: answers 500: unexpected end of JSON input",
        "the catalog: answers 500: unexpected end of JSON input",
        "a:v1: answers 500: unexpected end of JSON input",
        "a@sha256:b: answers 500: nothing",  # HEAD has no words
    ]


def test_a_blob_elsewhere_is_there_and_its_content_is_asked_for_only_by_a_full_proof(serve: Callable[..., str]) -> None:
    there = serve(lambda _: (200, {}, b"others"))
    url = serve(answering(**{"sha256:b": (307, {"Location": f"{there}/x"}, b"")}))
    assert prove(lambda: RegistryClient(url), ONE) == ()
    (difference,) = prove(lambda: RegistryClient(url), ONE, full=True)
    assert str(difference) == f"a@sha256:b: is another blob: {sha256(b'others')}"


def test_a_registry_that_is_not_there_or_wants_a_login_ends_it(serve: Callable[..., str]) -> None:
    url = serve(lambda _: (401, {"WWW-Authenticate": "Basic realm=x"}, b""))
    with pytest.raises(RegdeployError) as caught:
        prove(lambda: RegistryClient(url), ONE)
    assert caught.value.code == "registry.login"
    with pytest.raises(RegdeployError) as caught:
        prove(lambda: RegistryClient("http://127.0.0.1:1"), ONE)
    assert caught.value.code == "registry.unreachable"


def test_one_that_fails_half_way_ends_every_worker(serve: Callable[..., str], heard: Heard) -> None:
    many = Expected({"a": Repository({f"v{number}": "sha256:m" for number in range(5000)}, {"sha256:m": None})})
    said = {"Docker-Content-Digest": "sha256:m"}
    url = serve(lambda path: (401, {}, b"") if path.endswith("v50") else (200, said, b"{}"))
    with pytest.raises(RegdeployError) as caught:
        prove(lambda: RegistryClient(url), many, workers=4)
    assert caught.value.code == "registry.login"
    assert len(heard.asked) < 2500


def test_it_ends_when_it_is_told_to_in_the_middle_of_a_blob(serve: Callable[..., str], heard: Heard) -> None:
    url = serve(answering(**{"sha256:b": (200, {}, ENDLESS)}))
    with pytest.raises(HostError) as caught:
        prove(lambda: RegistryClient(url), ONE, full=True, cancelled=lambda: "GET /v2/a/blobs/sha256:b" in heard.asked)
    assert caught.value.code == "host.cancelled"
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("asking-")]


def test_progress_goes_from_nothing_to_all_in_questions_and_with_full_in_bytes(serve: Callable[..., str]) -> None:
    told: list[Progress] = []
    url = serve(answering())
    prove(lambda: RegistryClient(url), ONE, report=told.append)
    assert told[-1] == Progress(words="5 of 5 asked for")
    prove(lambda: RegistryClient(url), ONE, full=True, report=told.append)
    assert told[-1] == Progress(words="5 of 5 asked for", done_bytes=len(BLOB), total_bytes=len(BLOB))


def test_what_could_not_be_had_before_is_not_asked_for(serve: Callable[..., str], heard: Heard) -> None:
    broken = Expected({"a": Repository({"v1": "sha256:gone"}, {}, frozenset({"sha256:unlinked"}))}, {"sha256:loose": 5})
    url = serve(answering(list=(404, {}, b""), **{"_catalog?n=1000": (200, {}, b'{"repositories": []}')}))
    assert prove(lambda: RegistryClient(url), broken) == ()
    assert sorted(heard.asked) == ["GET /v2/_catalog?n=1000", "GET /v2/a/tags/list"]
    assert prove(lambda: RegistryClient(url), Expected()) == ()
