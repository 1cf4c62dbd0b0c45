"""The registry's client against answers that the real one does not give on request."""

from __future__ import annotations

import hashlib
import json
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from regdeploy.errors import RegdeployError
from regdeploy.registry.client import RegistryClient, Stored
from regdeploy.secret import Secret
from tests.unit.registry.conftest import Answer, Heard


def page(key: str, *values: str, link: str = "") -> Answer:
    return 200, {"Link": f'<{link}>; rel="next"'} if link else {}, json.dumps({key: values}).encode()


def failure(client: RegistryClient) -> RegdeployError:
    with client, pytest.raises(RegdeployError) as caught:
        client.repositories()
    return caught.value


def test_pages_are_followed_by_relative_and_absolute_links(serve: Callable[..., str]) -> None:
    pages = {
        "/v2/_catalog?n=1000": page("repositories", "a", "b", link="/v2/_catalog?last=b&n=1000"),
        "/v2/_catalog?last=b&n=1000": page("repositories", "c", link="http://elsewhere.invalid/v2/_catalog?last=c"),
        "/v2/_catalog?last=c": (200, {}, b'{"repositories": null}'),
    }
    with RegistryClient(serve(pages.__getitem__)) as client:
        assert client.repositories() == ("a", "b", "c")


def test_a_page_that_follows_itself_is_an_error_and_no_endless_loop(serve: Callable[..., str]) -> None:
    url = serve(lambda path: page("repositories", "a", link=path))
    error = failure(RegistryClient(url))
    assert (error.code, error.what) == ("registry.answer", "gives the page /v2/_catalog?n=1000 as its own next one")


def test_tags_of_what_is_not_there_are_none_and_names_are_quoted(serve: Callable[..., str]) -> None:
    asked: list[str] = []

    def answer(path: str) -> Answer:
        asked.append(path)
        return (404, {}, b"{}") if "gone" in path else page("tags", "1", "2")

    with RegistryClient(serve(answer)) as client:
        assert client.tags("gone") == ()
        assert client.tags("a/b") == ("1", "2")
        assert client.tags("what?") == ("1", "2")
    assert asked == ["/v2/gone/tags/list", "/v2/a/b/tags/list", "/v2/what%3F/tags/list"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff"])
def test_an_answer_that_is_no_page_is_shown(serve: Callable[..., str], body: bytes) -> None:
    error = failure(RegistryClient(serve(lambda _: (200, {}, body))))
    assert error.code == "registry.answer"
    assert error.what == f"answers 200: {body.decode('utf-8', 'replace')}"


def test_another_status_is_shown_with_the_servers_words(serve: Callable[..., str]) -> None:
    error = failure(RegistryClient(serve(lambda _: (503, {}, b"out of order\n"))))
    assert (error.code, error.what) == ("registry.answer", "answers 503: out of order")
    assert failure(RegistryClient(serve(lambda _: (404, {}, b"")))).what == "answers 404: nothing"


def test_a_registry_with_tokens_is_told_from_one_with_passwords(serve: Callable[..., str]) -> None:
    def answer(_: str) -> Answer:
        return 401, {"WWW-Authenticate": 'Bearer realm="https://auth.example.com/token"'}, b""

    error = failure(RegistryClient(serve(answer), user="admin", password=Secret("x")))
    assert (error.code, error.what) == ("registry.login", "wants a token, not a name and password")


def test_a_kept_connection_that_the_server_closed_is_opened_anew(serve: Callable[..., str]) -> None:
    with RegistryClient(serve(lambda _: page("tags", "1"), hang_up=True)) as client:
        assert [client.tags("a") for _ in range(3)] == [("1",)] * 3


def test_a_server_that_is_not_there_is_an_error_with_its_address() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        url = f"http://registry.example.com:{port}"
        error = failure(RegistryClient(url, address="127.0.0.1"))
        assert str(error) == f"{url}: 127.0.0.1:{port} refuses connections"
        assert error.code == "registry.unreachable"
        missing = RegistryClient(f"https://registry.example.com:{port}", address="127.0.0.1", timeout=0.1)
        assert failure(missing).what == f"127.0.0.1:{port} refuses connections"


@pytest.mark.parametrize("content", [None, b"no certificate", b"\xff"])
def test_a_ca_file_that_is_none_is_named_and_nobody_is_asked(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)
    error = failure(RegistryClient("https://registry.example.com", address="127.0.0.1", cafile=path))
    assert (error.where, error.code) == (str(path), "registry.unreachable")
    assert error.what.startswith("holds no CA certificates: ")


def test_the_ports_are_those_of_the_scheme_unless_the_url_names_one() -> None:
    ports = [RegistryClient(url)._target.port for url in ("http://a", "https://a", "https://a:5443")]
    assert ports == [80, 443, 5443]


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_head_tells_what_the_registry_says_and_nothing_is_read(serve: Callable[..., str], heard: Heard) -> None:
    said = {"Docker-Content-Digest": "sha256:said"}
    with RegistryClient(serve(lambda path: (404 if "gone" in path else 200, said, b"12345"))) as client:
        assert client.manifest("a/b", "v1") == Stored(digest="sha256:said", size=5)
        assert client.manifest("a/b", "gone") is None
        assert client.blob("a/b", "sha256:said") == Stored(digest="sha256:said", size=5)
        assert client.blob("a/b", "sha256:gone") is None
    assert heard.asked == [
        "HEAD /v2/a/b/manifests/v1",
        "HEAD /v2/a/b/manifests/gone",
        "HEAD /v2/a/b/blobs/sha256:said",
        "HEAD /v2/a/b/blobs/sha256:gone",
    ]
    assert heard.connections == 1


def test_every_kind_of_manifest_is_accepted_or_the_registry_would_make_another_one_of_it(
    serve: Callable[..., str], heard: Heard
) -> None:
    with RegistryClient(serve(lambda _: (200, {}, b"{}"))) as client:
        client.read_manifest("a", "v1")
    assert heard.headers[0]["Accept"].split(", ") == [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.artifact.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json",
        "*/*",
    ]


def test_what_is_read_is_hashed_whatever_the_registry_says(serve: Callable[..., str]) -> None:
    lie = {"Docker-Content-Digest": "sha256:lie", "Content-Type": "application/vnd.oci.image.index.v1+json"}
    with RegistryClient(serve(lambda path: (404 if "gone" in path else 200, lie, b"content"))) as client:
        assert client.read_manifest("a", "v1") == Stored(digest=sha256(b"content"), size=7)
        longer = client.read_manifest("a", "v1", "sha512")
        assert longer == Stored(digest=f"sha512:{hashlib.sha512(b'content').hexdigest()}", size=7)
        assert client.read_blob("a", "sha256:lie") == Stored(digest=sha256(b"content"), size=7)
        assert client.read_manifest("a", "gone") is None
        assert client.read_blob("a", "sha256:gone") is None


def test_a_signed_manifest_goes_by_what_the_registry_says(serve: Callable[..., str]) -> None:
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws; charset=utf-8"
    headers = {"Docker-Content-Digest": "sha256:unsigned", "Content-Type": kind}
    with RegistryClient(serve(lambda _: (200, headers, b"signed"))) as client:
        assert client.read_manifest("a", "v1") == Stored(digest="sha256:unsigned", size=6)


def test_an_answer_without_a_digest_or_with_another_status_is_an_error(serve: Callable[..., str]) -> None:
    with RegistryClient(serve(lambda _: (200, {}, b""))) as client, pytest.raises(RegdeployError) as caught:
        client.manifest("a", "v1")
    assert (caught.value.code, caught.value.what) == ("registry.answer", "answers 200 without a digest")
    with RegistryClient(serve(lambda _: (500, {}, b"unknown\n"))) as client, pytest.raises(RegdeployError) as caught:
        client.read_blob("a", "sha256:x")
    assert (caught.value.code, caught.value.what) == ("registry.answer", "answers 500: unknown")
    with RegistryClient(serve(lambda _: (401, {}, b""))) as client, pytest.raises(RegdeployError) as caught:
        client.blob("a", "sha256:x")
    assert caught.value.code == "registry.login"


def test_a_blob_that_lies_elsewhere_is_read_there_without_the_credentials(
    serve: Callable[..., str], heard: Heard
) -> None:
    there = serve(lambda path: (200, {}, path.encode()))
    here = serve(lambda _: (307, {"Location": f"{there}/bucket/x?signature=y"}, b"moved"))
    with RegistryClient(here, user="admin", password=Secret("x")) as client:
        assert client.blob("a", "sha256:x") == Stored(digest="sha256:x")
        assert client.read_blob("a", "sha256:x") == Stored(digest=sha256(b"/bucket/x?signature=y"), size=21)
    assert heard.asked == ["HEAD /v2/a/blobs/sha256:x", "GET /v2/a/blobs/sha256:x", "GET /bucket/x?signature=y"]
    assert ["Authorization" in headers for headers in heard.headers] == [True, True, False]


def test_a_blob_that_ends_before_its_end_is_an_error_and_not_another_blob(serve: Callable[..., str]) -> None:
    with RegistryClient(serve(lambda _: (200, {}, b"x" * 1000), cut=1)) as client:
        with pytest.raises(RegdeployError) as caught:
            client.read_blob("a", "sha256:x")
        assert caught.value.code == "registry.unreachable"
        assert caught.value.what.endswith("closes the connection before it answers")


def test_a_blob_is_never_whole_in_memory(serve: Callable[..., str]) -> None:
    content = bytes(64 << 20)
    pieces: list[int] = []
    with RegistryClient(serve(lambda _: (200, {}, content))) as client:
        tracemalloc.start()
        try:
            found = client.read_blob("a", "sha256:x", pieces.append)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert found == Stored(digest=sha256(content), size=len(content))
    assert sum(pieces) == len(content)
    assert peak < 4 << 20


def test_who_stops_reading_can_ask_something_else(serve: Callable[..., str], heard: Heard) -> None:
    class EnoughError(Exception):
        pass

    def enough(_: int) -> None:
        raise EnoughError

    with RegistryClient(serve(lambda path: (200, {}, b"{}" if "tags" in path else bytes(1 << 20)))) as client:
        with pytest.raises(EnoughError):
            client.read_blob("a", "sha256:x", enough)
        assert client._connection is None  # or the server would go on sending
        assert client.tags("a") == ()
    assert heard.connections == 2
