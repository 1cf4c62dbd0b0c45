"""A hand-made registry's settings in ours, asked of the real one: it answers as before, and as none without them."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from regdeploy.registry.carried import Carried, carried, merged
from regdeploy.registry.config import render_config
from regdeploy.registry.images import Generation
from tests.rig.parts.processes import eventually, free_port
from tests.rig.parts.s3 import S3
from tests.rig.registry.conftest import Registry, Start

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = b"{}"
FILES = "version: 0.1\nstorage: {filesystem: {}}\n"


def ask(
    registry: Registry, method: str, path: str, body: bytes = b"", kind: str = ""
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=10)
    headers = {"Content-Type": kind} if kind else {"Accept": MANIFEST}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    found = (answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())
    connection.close()
    return found


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def push_blob(registry: Registry, name: str, data: bytes) -> None:
    where = urlsplit(ask(registry, "POST", f"/v2/{name}/blobs/uploads/")[1]["location"])
    path = f"{where.path}?{where.query}&digest={digest(data)}"
    assert ask(registry, "PUT", path, data, "application/octet-stream")[0] == 201


def push(registry: Registry, name: str, *, kind: str = MANIFEST, layers: list[dict[str, object]] | None = None) -> int:
    """Push NAME:1, and the config with it; returns the status of the manifest."""
    push_blob(registry, name, CONFIG)
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(CONFIG), "size": len(CONFIG)}
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers or []}
    return ask(registry, "PUT", f"/v2/{name}/manifests/1", json.dumps(manifest).encode(), kind)[0]


def pull(registry: Registry, name: str) -> tuple[int, int, bytes]:
    """The status of NAME:1 and of its config, and that config."""
    status, _, body = ask(registry, "GET", f"/v2/{name}/manifests/1")
    if status != 200:
        return status, 0, b""
    return status, *ask(registry, "GET", f"/v2/{name}/blobs/{json.loads(body)['config']['digest']}")[::2]


def log_of(registry: Registry) -> str:
    return (registry.folder / "log").read_text()


def ours(
    start: Start, text: str, environment: dict[str, str] | None = None, *, tls: bool = False
) -> tuple[Registry, Carried]:
    """Our registry with what is carried over from that configuration; it complains of none of it."""
    kept = carried(merged(text, environment or {}, generation=Generation.V2), Generation.V2)
    config = render_config(tls=tls, driver=kept.driver)
    registry = start(tls=tls, config=config, variables=dict(kept.variables))
    assert "Ignoring" not in log_of(registry)
    assert "level=error" not in log_of(registry)
    return registry, kept


def allow_origin(registry: Registry) -> object:
    headers = ask(registry, "GET", "/v2/")[1]
    return headers.get("access-control-allow-origin"), headers.get("x-content-type-options")


def upload_address(registry: Registry) -> object:
    return urlsplit(ask(registry, "POST", "/v2/a/blobs/uploads/")[1]["location"]).netloc == ""


def blob_address(registry: Registry) -> object:
    push_blob(registry, "a", CONFIG)
    status, headers, _ = ask(registry, "GET", f"/v2/a/blobs/{digest(CONFIG)}")
    return status, urlsplit(headers.get("location", "")).netloc


def foreign_layer(registry: Registry) -> object:
    layer = {"mediaType": FOREIGN, "digest": digest(b"x"), "size": 1, "urls": ["https://example.com/x"]}
    return push(registry, "a", kind=DOCKER, layers=[layer])


def most_repositories(registry: Registry) -> object:
    return ask(registry, "GET", "/v2/_catalog?n=100")[0]


def upload(registry: Registry) -> object:
    return ask(registry, "POST", "/v2/a/blobs/uploads/")[0]


def log_form(registry: Registry) -> object:
    ask(registry, "GET", "/v2/")
    first = next(line for line in log_of(registry).splitlines() if "listening on" in line)
    return first.startswith("{"), '"GET /v2/ ' in log_of(registry), '"site":"here"' in first


def purging(registry: Registry) -> object:
    return "Starting upload purge" in log_of(registry)


def cached_where(registry: Registry) -> object:
    return "using redis blob descriptor cache" in log_of(registry), "redis not configured" in log_of(registry)


def reloading(registry: Registry) -> object:
    """Whether it still calls itself healthy, a while later."""
    with suppress(AssertionError):
        eventually(lambda: ask(registry, "GET", "/v2/")[0] == 503, 3)
    return ask(registry, "GET", "/v2/")[0]


SETTINGS: dict[str, tuple[str, Callable[[Registry], object]]] = {
    "headers": (
        "http: {headers: {Access-Control-Allow-Origin: ['*'], X-Content-Type-Options: [nosniff]}}",
        allow_origin,
    ),
    "relativeurls": ("http: {relativeurls: true}", upload_address),
    "redirect": (
        "middleware: {storage: [{name: redirect, options: {baseurl: 'https://cdn.example.com/'}}]}",
        blob_address,
    ),
    "validation": ("validation: {manifests: {urls: {allow: ['^https?://example[.]com/']}}}", foreign_layer),
    "catalog": ("catalog: {maxentries: 50}", most_repositories),
    "log": ("log: {level: debug, formatter: json, fields: {site: here}, accesslog: {disabled: true}}", log_form),
    "health": ("health: {tcp: [{addr: '127.0.0.1:1', interval: 100ms, threshold: 1}]}", reloading),
}
STORAGE: dict[str, tuple[str, Callable[[Registry], object]]] = {
    "readonly": ("maintenance: {readonly: {enabled: true}}", upload),
    "uploadpurging": ("maintenance: {uploadpurging: {enabled: false}}", purging),
    "cache": ("cache: {blobdescriptor: redis}}\nredis: {addr: '127.0.0.1:1', pool: {maxidle: 16}", cached_where),
}
ALL = [
    *((f"{FILES}{text}\n", question) for text, question in SETTINGS.values()),
    *((f"version: 0.1\nstorage: {{filesystem: {{}}, {text}}}\n", question) for text, question in STORAGE.values()),
]


@pytest.mark.parametrize(("text", "question"), ALL, ids=[*SETTINGS, *STORAGE])
def test_ours_answers_as_the_old_one_did(start: Start, text: str, question: Callable[[Registry], object]) -> None:
    answer = question(start(config=text))
    registry, kept = ours(start, text)
    assert kept.left == ()
    assert question(registry) == answer
    assert question(start(config=render_config(tls=False))) != answer


def test_http2_is_off_where_it_was(start: Start) -> None:
    def agreed(registry: Registry) -> str | None:
        context = ssl._create_unverified_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        connection = http.client.HTTPSConnection("127.0.0.1", registry.port, context=context, timeout=10)
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        protocol = connection.sock.selected_alpn_protocol()
        connection.close()
        return protocol

    assert agreed(ours(start, f"{FILES}http: {{http2: {{disabled: true}}}}", tls=True)[0]) == "http/1.1"
    assert agreed(ours(start, FILES, tls=True)[0]) == "h2"


def test_tls_1_3_is_asked_for_where_it_was(start: Start) -> None:
    registry, _ = ours(start, f"{FILES}http: {{tls: {{minimumtls: tls1.3}}}}", tls=True)
    context = ssl._create_unverified_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        http.client.HTTPSConnection("127.0.0.1", registry.port, context=context, timeout=10).connect()


def test_a_mirror_goes_on_fetching(start: Start) -> None:
    upstream = start()
    assert push(upstream, "library/a") == 201
    variables = {"REGISTRY_PROXY_REMOTEURL": f"http://127.0.0.1:{upstream.port}"}
    old = start(config=FILES, variables=variables)
    registry, _ = ours(start, FILES, variables)
    for mirror in (old, registry):
        assert pull(mirror, "library/a") == (200, 200, CONFIG)
        assert upload(mirror) == 405
    assert (registry.folder / "data/docker/registry/v2/repositories/library/a").is_dir()


class Listener(http.server.BaseHTTPRequestHandler):
    """Keeps what it is told: who says so, and of which repositories."""

    heard: list[tuple[str, str]]

    def do_POST(self) -> None:
        events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["events"]
        self.heard += [(self.headers["Authorization"], event["target"]["repository"]) for event in events]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def heard() -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """A listener's port, and what it heard."""
    events: list[tuple[str, str]] = []
    kind = type("Heard", (Listener,), {"heard": events})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, events
        server.shutdown()
        thread.join()


def test_listeners_go_on_being_told_with_their_secret(start: Start, heard: tuple[int, list[tuple[str, str]]]) -> None:
    port, events = heard
    text = f"""{FILES}
notifications:
  endpoints:
    - name: ours
      url: http://127.0.0.1:{port}/event
      headers: {{Authorization: [Bearer hunter2]}}
      timeout: 500ms
      threshold: 5
      backoff: 1s
      ignore: {{actions: [pull]}}
"""
    for number, registry in enumerate((start(config=text), ours(start, text)[0])):
        assert push(registry, f"told/{number}") == 201
        eventually(lambda told=f"told/{number}": ("Bearer hunter2", told) in events)  # type: ignore[misc]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server with an empty bucket."""
    server = S3(tmp_path_factory.mktemp("s3"))
    try:
        yield server.start()
    finally:
        server.stop()


def s3_config(s3: S3, **more: str) -> str:
    parameters = json.dumps(s3.parameters | more)
    return f"version: 0.1\nstorage: {{s3: {parameters}, redirect: {{disable: true}}, delete: {{enabled: true}}}}\n"


def test_images_in_s3_are_there_for_ours_and_new_ones_get_there(start: Start, s3: S3) -> None:
    text = s3_config(s3, rootdirectory="/one")
    assert push(start(config=text), "old") == 201
    registry, kept = ours(start, text)
    assert (kept.driver, kept.left) == ("s3", ())
    assert pull(registry, "old") == (200, 200, CONFIG)
    assert push(registry, "new") == 201
    assert pull(registry, "new") == (200, 200, CONFIG)
    assert ask(registry, "GET", "/v2/_catalog")[2] == b'{"repositories":["new","old"]}\n'
    assert "one/docker/registry/v2/repositories/new/_manifests/tags/1/current/link" in s3.objects()
    assert list((registry.folder / "data").iterdir()) == []


def test_a_driver_that_variables_chose_over_the_images_own_config(start: Start, s3: S3) -> None:
    given = {f"REGISTRY_STORAGE_S3_{name.upper()}": value for name, value in s3.parameters.items()}
    given |= {"REGISTRY_STORAGE": "s3", "REGISTRY_STORAGE_S3_ROOTDIRECTORY": "/two"}
    assert push(start(config=FILES, variables=given), "old") == 201
    registry, kept = ours(start, FILES, given)
    assert kept.driver == "s3"
    push_blob(registry, "new", CONFIG)
    status, headers, _ = ask(registry, "GET", f"/v2/old/blobs/{digest(CONFIG)}")
    assert (status, urlsplit(headers["location"]).port) == (307, s3.port)  # it sends clients there, as the old one did


def test_an_upload_to_s3_goes_on_where_the_old_registry_left_it(start: Start, s3: S3) -> None:
    text = s3_config(s3, rootdirectory="/three")
    data = b"x" * 6_000_000
    old = start(config=text)  # of one secret with the other
    where = urlsplit(ask(old, "POST", "/v2/a/blobs/uploads/")[1]["location"])
    half = ask(old, "PATCH", f"{where.path}?{where.query}", data[:5_500_000], "application/octet-stream")
    assert half[0] == 202
    old.program.stop()
    registry, _ = ours(start, text)
    where = urlsplit(half[1]["location"])
    path = f"{where.path}?{where.query}&digest={digest(data)}"
    assert ask(registry, "PUT", path, data[5_500_000:], "application/octet-stream")[0] == 201
    assert digest(ask(registry, "GET", f"/v2/a/blobs/{digest(data)}")[2]) == digest(data)


def test_two_drivers_in_one_configuration_would_not_start(start: Start, s3: S3) -> None:
    with pytest.raises(AssertionError, match="multiple storage drivers"):
        start(config=render_config(tls=False), variables={"REGISTRY_STORAGE_S3_BUCKET": s3.bucket})


def test_all_of_it_together_is_accepted(start: Start, tmp_path: Path) -> None:
    parts = [text for text, _ in SETTINGS.values() if not text.startswith(("http", "log", "health"))]
    more = [
        "policy: {repository: {classes: [image, plugin]}}",
        "compatibility: {schema1: {enabled: true}}",
        "reporting: {newrelic: {name: x}}",
        f"notifications: {{events: {{includereferences: true}}, endpoints: [{{name: a, url: 'http://127.0.0.1:{free_port()}/'}}]}}",
        "health: {http: [{uri: 'http://127.0.0.1:1/', statuscode: 200, interval: 9h, headers: {A: [b]}}]}",
        "log: {hooks: [{type: mail, levels: [panic], options: {smtp: {addr: 'mail:25'}, from: a@b, to: [c@d]}}]}",
        "http: {headers: {Strict-Transport-Security: ['max-age=1']}, relativeurls: y}",
    ]
    text = FILES.replace("{}", "{maxthreads: 50}") + "\n".join([*parts, *more]) + "\n"
    old = start(config=text)
    registry, kept = ours(start, text)
    assert kept.left == ()
    assert ask(registry, "GET", "/v2/")[0] == ask(old, "GET", "/v2/")[0] == 200
    assert push(registry, "a") == 201
