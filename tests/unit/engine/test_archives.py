from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from regdeploy.engine.archive_forms import familiar
from regdeploy.engine.archives import archive_names, archived_image, open_archive
from regdeploy.errors import ImageError

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def config(layers: Sequence[bytes], **about: Any) -> bytes:
    diffs = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    return json.dumps({"architecture": "amd64", "os": "linux", **about, "rootfs": {"diff_ids": diffs}}).encode()


def tar(path: Path, files: Mapping[str, bytes | str], *, zipped: bool = False) -> Path:
    """Write a tar; a string makes a symbolic link there."""
    with tarfile.open(path, "w:gz" if zipped else "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return path


def saved(*tags: str, layers: Sequence[bytes] = (b"one", b"two"), **about: Any) -> dict[str, bytes | str]:
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": list(tags) or None, "Layers": names}]
    return {
        **dict(zip(names, layers, strict=True)),
        "config.json": config(layers, **about),
        "manifest.json": json.dumps(manifest).encode(),
    }


class Layout:
    """The files of an OCI layout under construction."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | str] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def put(self, content: bytes, kind: str = "", **more: Any) -> dict[str, Any]:
        value = hashlib.sha256(content).hexdigest()
        self.files[f"blobs/sha256/{value}"] = content
        return {"mediaType": kind, "digest": f"sha256:{value}", "size": len(content), **more}

    def image(self, layer: bytes = b"one", kind: str = "layer", **about: Any) -> dict[str, Any]:
        described = self.put(config([layer], **about))
        return self.put(json.dumps({"config": described, "layers": [self.put(layer, kind)]}).encode(), MANIFEST)

    def index(self, *manifests: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self.put(json.dumps({"manifests": manifests}).encode(), INDEX, **more)

    def top(self, *manifests: dict[str, Any]) -> dict[str, bytes | str]:
        return {**self.files, "index.json": json.dumps({"manifests": manifests}).encode()}


def named(descriptor: dict[str, Any], reference: str, key: str = "org.opencontainers.image.ref.name") -> dict[str, Any]:
    return {**descriptor, "annotations": {key: reference}}


def test_what_the_engine_would_have_is_told_from_either_form_without_reading_a_layer(tmp_path: Path) -> None:
    about: dict[str, Any] = {
        "config": {"Entrypoint": ["/entrypoint.sh"], "Env": ["A=b"], "Labels": None},
        "created": "2026-01-02",
    }
    layers = (b"one",)
    layout = Layout()
    content = config(layers, **about)
    top = layout.top(named(layout.image(b"one", **about), "registry:3"))
    lost = {f"blobs/sha256/{hashlib.sha256(b'one').hexdigest()}": b"not what its name says"}
    for name, files in (("saved.tar", saved("registry:3", layers=layers, **about)), ("oci.tar", {**top, **lost})):
        facts = archived_image(tar(tmp_path / name, files), "amd64", "registry:3")
        assert facts.id == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert facts.layers == (f"sha256:{hashlib.sha256(b'one').hexdigest()}",)
        assert (facts.entrypoint, facts.environment, facts.created) == (("/entrypoint.sh",), {"A": "b"}, "2026-01-02")
        assert (facts.os, facts.architecture) == ("linux", "amd64")


def sent(path: Path, tag_as: str = "", architecture: str = "amd64") -> dict[str, Any]:
    """What the engine would be sent: its manifest and the layers in order."""
    with open_archive(path, architecture, tag_as) as archive:
        stream = b"".join(archive.chunks())
    with tarfile.open(fileobj=io.BytesIO(stream)) as written:
        (entry,) = json.load(written.extractfile("manifest.json"))  # type: ignore[arg-type]  # it is there
        layers = [written.extractfile(name).read() for name in entry["Layers"]]  # type: ignore[union-attr]  # so are they
        about = json.load(written.extractfile(entry["Config"]))  # type: ignore[arg-type]  # the same
    return {"tags": entry["RepoTags"], "layers": layers, "architecture": about["architecture"]}


def test_a_saved_image_is_sent_under_its_name(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", saved("registry:3", "docker.io/library/registry:latest"))
    assert archive_names(path) == ("registry:3", "registry:latest")
    assert sent(path) == {
        "tags": ["registry:3", "registry:latest"],
        "layers": [b"one", b"two"],
        "architecture": "amd64",
    }


@pytest.mark.parametrize("zipped", [False, True], ids=["tar", "tar.gz"])
def test_a_layout_in_a_tar_is_sent_as_dockers_own_form(tmp_path: Path, zipped: bool) -> None:
    layout = Layout()
    path = tar(tmp_path / "a.tar", layout.top(named(layout.image(), "registry:3")), zipped=zipped)
    assert archive_names(path) == ("registry:3",)
    assert sent(path) == {"tags": ["registry:3"], "layers": [b"one"], "architecture": "amd64"}


def test_a_layout_in_a_folder_is_sent_as_dockers_own_form(tmp_path: Path) -> None:
    layout = Layout()
    for name, content in layout.top(named(layout.image(), "registry:3")).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(content, bytes)
        (tmp_path / name).write_bytes(content)
    assert archive_names(tmp_path) == ("registry:3",)
    assert sent(tmp_path)["layers"] == [b"one"]


@pytest.mark.parametrize(
    ("key", "written", "read"),
    [
        ("org.opencontainers.image.ref.name", "registry:3", ("registry:3",)),
        ("org.opencontainers.image.ref.name", "3", ()),
        ("org.opencontainers.image.ref.name", "latest", ()),
        ("io.containerd.image.name", "docker.io/library/registry:3", ("registry:3",)),
        ("io.containerd.image.name", "ghcr.io/some/thing:1", ("ghcr.io/some/thing:1",)),
        ("something.else", "registry:3", ()),
    ],
)
def test_a_layouts_name_is_read_where_tools_write_it(
    tmp_path: Path, key: str, written: str, read: tuple[str, ...]
) -> None:
    layout = Layout()
    assert archive_names(tar(tmp_path / "a.tar", layout.top(named(layout.image(), written, key)))) == read


@pytest.mark.parametrize(
    ("reference", "short"),
    [
        ("docker.io/library/registry:3", "registry:3"),
        ("index.docker.io/library/registry", "registry:latest"),
        ("library/registry:3", "registry:3"),
        ("docker.io/some/thing", "some/thing:latest"),
        ("localhost:5000/thing", "localhost:5000/thing:latest"),
        ("localhost:5000/library/thing:1", "localhost:5000/library/thing:1"),
        ("registry@sha256:00", "registry@sha256:00"),
    ],
)
def test_a_reference_is_shortened_as_docker_does(reference: str, short: str) -> None:
    assert familiar(reference) == short


def test_the_asked_for_name_is_the_only_one_that_is_sent(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", saved("registry:3"))
    assert sent(path, "mine/own")["tags"] == ["mine/own:latest"]
    assert sent(path, f"mine/own@sha256:{'0' * 64}")["tags"] == ["registry:3"]


def test_an_image_without_a_name_is_sent_without_one(tmp_path: Path) -> None:
    assert sent(tar(tmp_path / "a.tar", saved()))["tags"] is None


def test_a_layer_that_is_there_twice_is_sent_once_and_counted_twice(tmp_path: Path) -> None:
    files = saved("registry:3", layers=(b"same", b"other", b"same"))
    files["2/layer.tar"] = "../0/layer.tar"  # as docker save did it before 25
    path = tar(tmp_path / "a.tar", files)
    assert sent(path)["layers"] == [b"same", b"other", b"same"]


def test_of_several_platforms_the_engines_own_is_sent(tmp_path: Path) -> None:
    layout = Layout()
    images = [layout.image(name.encode(), architecture=name) for name in ("arm64", "amd64", "s390x")]
    path = tar(tmp_path / "a.tar", layout.top(named(layout.index(*images), "registry:3")))
    assert archive_names(path) == ("registry:3",)
    assert sent(path)["layers"] == [b"amd64"]
    assert sent(path, architecture="s390x")["layers"] == [b"s390x"]
    with pytest.raises(ImageError, match=r"no image for linux/riscv64, but for linux/amd64, linux/arm64, linux/s390x"):
        sent(path, architecture="riscv64")


def test_an_image_for_another_machine_is_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", saved("registry:3", architecture="arm64"))
    with pytest.raises(ImageError, match="holds no image for linux/amd64, but for linux/arm64"):
        sent(path)


@pytest.mark.parametrize(("architecture", "best"), [("arm", "v7"), ("amd64", "")])
def test_of_several_variants_the_one_that_runs_everywhere_that_matters_is_sent(
    tmp_path: Path, architecture: str, best: str
) -> None:
    layout = Layout()
    variants = ("v6", "v7") if architecture == "arm" else ("v3", "")
    images = [layout.image(f"x{name}".encode(), architecture=architecture, variant=name) for name in variants]
    path = tar(tmp_path / "a.tar", layout.top(layout.index(*images)))
    assert sent(path, architecture=architecture)["layers"] == [f"x{best}".encode()]


def test_what_is_attested_about_an_image_is_no_image(tmp_path: Path) -> None:
    layout = Layout()
    attested = {**layout.image(b"attested", architecture="unknown"), "platform": {"os": "unknown"}}
    path = tar(tmp_path / "a.tar", layout.top(layout.index(layout.image(), attested)))
    assert sent(path)["layers"] == [b"one"]


def test_of_several_images_one_must_be_named(tmp_path: Path) -> None:
    layout = Layout()
    one, two = layout.image(b"1"), layout.image(b"2")
    path = tar(tmp_path / "a.tar", layout.top(named(one, "a:1"), named(two, "b:1")))
    assert archive_names(path) == ("a:1", "b:1")
    with pytest.raises(ImageError, match="holds a:1, b:1") as raised:
        sent(path)
    assert "--image" in raised.value.hint
    assert sent(path, "docker.io/library/b:1") == {"tags": ["b:1"], "layers": [b"2"], "architecture": "amd64"}


def test_zstd_layers_are_marked(tmp_path: Path) -> None:
    layout = Layout()
    path = tar(tmp_path / "a.tar", layout.top(layout.image(kind="application/vnd.oci.image.layer.v1.tar+zstd")))
    with open_archive(path, "amd64") as archive:
        assert archive.image.zstd


def refused(path: Path, words: str) -> None:
    with pytest.raises(ImageError, match=words) as raised:
        sent(path)
    assert raised.value.code == "image.archive"
    assert raised.value.where == str(path)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    refused(tmp_path / "none.tar", "cannot be read: No such file")
    with pytest.raises(ImageError):
        archive_names(tmp_path / "none.tar")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8bbroken", bytes(5000), b"BZh91AY&SY", b"\xfd7zXZ\x00\x00"])
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    refused(path, "is not a whole tar|is no image archive")


def test_zstd_is_told_with_how_to_unpack_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd rest")
    refused(path, "is compressed with zstd")


@pytest.mark.parametrize("zipped", [False, True], ids=["tar", "tar.gz"])
def test_an_archive_that_is_cut_off_is_told_or_its_image_is_whole(tmp_path: Path, zipped: bool) -> None:
    layers = [hashlib.shake_256(bytes([number])).digest(3000) for number in range(3)]
    content = tar(tmp_path / "a.tar", saved("registry:3", layers=layers)).read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        last = archive.getmembers()[-1]
        end = last.offset_data + last.size
    whole = content[:end]
    content = gzip.compress(content) if zipped else content
    path = tmp_path / "cut.tar"
    told = 0
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        try:
            assert sent(path)["layers"] == layers
        except ImageError as error:
            told += error.code == "image.archive"
        else:
            assert zipped or length >= len(whole)
    assert told >= min(len(content), len(whole)) // 97 - 2


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_a_file_that_would_land_outside_is_refused(tmp_path: Path, name: str) -> None:
    refused(tar(tmp_path / "a.tar", {**saved("registry:3"), name: b"x"}), "would land outside")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "2/layer.tar", "1/layer.tar"])
def test_a_layer_that_leads_out_of_the_archive_or_round_in_circles_is_missing(tmp_path: Path, target: str) -> None:
    refused(tar(tmp_path / "a.tar", {**saved("registry:3"), "1/layer.tar": target}), "lacks a layer: 1/layer.tar")


def change(files: dict[str, bytes | str], **changes: Any) -> dict[str, bytes | str]:
    manifest = json.loads(files["manifest.json"])
    manifest[0].update(changes)
    return {**files, "manifest.json": json.dumps(manifest).encode()}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda files: {**files, "manifest.json": b"{"}, "manifest.json is not JSON"),
        (lambda files: {**files, "manifest.json": b"[" * 100_000}, "manifest.json is not JSON"),
        (lambda files: {**files, "manifest.json": b"\xff\xfe\xff"}, "manifest.json is not JSON"),
        (lambda files: {**files, "manifest.json": b"[]"}, "holds no image"),
        (lambda files: {**files, "manifest.json": b"{}"}, "does not describe its images"),
        (lambda files: {**files, "manifest.json": b"[1]"}, "does not describe its images"),
        (lambda files: {**files, "manifest.json": b" " * (17 << 20)}, "which no description of an image is"),
        (lambda files: change(files, Config="other.json"), "has no other.json"),
        (lambda files: change(files, Config=["config.json"]), "does not describe its images|has no"),
        (lambda files: change(files, Layers=["0/layer.tar", "9/layer.tar"]), "lacks a layer: 9/layer.tar"),
        (lambda files: change(files, Layers=["0/layer.tar"]), "has 1 layers, its configuration 2"),
        (lambda files: change(files, Layers=[7]), "does not describe its images|lacks a layer"),
        (lambda files: change(files, RepoTags=[7]), "does not describe its images"),
        (lambda files: {**files, "config.json": b"{}"}, "does not describe its images"),
        (lambda files: {**files, "config.json": b"[]"}, "does not describe its images"),
        (lambda files: {"hello.txt": b"hello"}, "neither manifest.json nor index.json"),
    ],
)
def test_a_saved_image_with_something_wrong_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, bytes | str]], dict[str, bytes | str]], words: str
) -> None:
    refused(tar(tmp_path / "a.tar", spoil(saved("registry:3"))), words)


def test_a_layout_whose_blobs_are_not_what_their_names_promise_is_refused(tmp_path: Path) -> None:
    for number, name in enumerate(name for name in Layout_with_image().files if name.startswith("blobs/")):
        layout = Layout_with_image()
        content = layout.files[name]
        assert isinstance(content, bytes)
        layout.files[name] = content[:-1] + bytes([content[-1] ^ 1])
        refused(tar(tmp_path / f"{number}.tar", layout.files), "is damaged")


def Layout_with_image() -> Layout:  # noqa: N802 - makes one
    layout = Layout()
    layout.files = layout.top(layout.image())
    return layout


@pytest.mark.parametrize(
    "digest", ["sha256:../../../../etc/passwd", "sha512:00", "sha256:" + "0" * 63, "md5:x", "", "sha256:" + "G" * 64]
)
def test_a_digest_that_is_none_is_refused(tmp_path: Path, digest: str) -> None:
    refused(tar(tmp_path / "a.tar", Layout().top({"digest": digest})), "which is no SHA-256 digest")


def test_an_index_that_goes_on_for_ever_is_refused(tmp_path: Path) -> None:
    layout = Layout()
    inner = layout.image()
    for _ in range(10):
        inner = layout.index(inner)
    refused(tar(tmp_path / "a.tar", layout.top(inner)), "its index leads nowhere")


def test_a_blob_that_is_missing_is_told(tmp_path: Path) -> None:
    layout = Layout()
    files = layout.top(layout.image())
    layer = f"blobs/sha256/{hashlib.sha256(b'one').hexdigest()}"
    refused(tar(tmp_path / "a.tar", {name: files[name] for name in files if name != layer}), "lacks a layer")


def test_a_tar_that_claims_to_be_huge_is_refused_without_being_read(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("huge")
    entry.size = 1 << 50
    path = tmp_path / "a.tar"
    path.write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    refused(path, "more than any image archive|is not a whole tar")


def test_a_folder_that_leads_elsewhere_gives_nothing_away(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not json")
    folder = tmp_path / "layout"
    folder.mkdir()
    (folder / "index.json").symlink_to(tmp_path / "secret")
    refused(folder, "index.json is not JSON")
    (folder / "index.json").unlink()
    (folder / "index.json").symlink_to("/dev/zero")
    refused(folder, "neither manifest.json nor index.json")
