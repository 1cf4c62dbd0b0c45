"""Images made here, since nothing can be pulled: as values, written as a docker-save archive or an OCI layout."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import secrets
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

#: A file's bytes, a file of this machine, or the target of a symbolic link.
Content = bytes | Path | str


@dataclass(frozen=True)
class Image:
    """An image: layers as uncompressed tars, and the ``config`` part of its configuration (``Cmd``, ``Env``...)."""

    layers: tuple[bytes, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = "amd64"
    variant: str = ""

    def configuration(self) -> bytes:
        """The configuration blob; its SHA-256 is the image's id."""
        platform = {"architecture": self.architecture, "os": "linux"}
        if self.variant:
            platform["variant"] = self.variant
        diffs = [digest(layer) for layer in self.layers]
        return _json({**platform, "config": self.config, "rootfs": {"type": "layers", "diff_ids": diffs}})


def random_image(layers: int = 3, size: int = 4096, architecture: str = "amd64", variant: str = "") -> Image:
    """An image that nobody else has: ``layers`` layers, each a file of ``size`` random bytes."""
    content = tuple(layer({f"layer-{number}": secrets.token_bytes(size)}) for number in range(layers))
    return Image(content, {"Cmd": ["/layer-0"]}, architecture, variant)


def random_platforms(layers: int = 2, size: int = 4096) -> tuple[Image, ...]:
    """Images of one program for three platforms, to be written as one index."""
    platforms = (("amd64", ""), ("arm64", ""), ("arm", "v7"))
    return tuple(random_image(layers, size, architecture, variant) for architecture, variant in platforms)


def layer(
    files: Mapping[str, bytes | str | Path], executable: Sequence[str] = (), folders: Sequence[str] = ()
) -> bytes:
    """A layer with these files, owned by root; files of the machine are executable."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
                continue
            data = content.read_bytes() if isinstance(content, Path) else content
            entry.size = len(data)
            entry.mode = 0o755 if isinstance(content, Path) or name in executable else 0o644
            tar.addfile(entry, io.BytesIO(data))
    return output.getvalue()


def docker_archive(images: Mapping[str, Image]) -> bytes:
    """What ``docker save`` writes, for these references; ``docker load`` takes it."""
    blobs: dict[str, bytes] = {}
    entries = []
    for reference, image in images.items():
        configuration = image.configuration()
        names = [f"{_hex(layer)}/layer.tar" for layer in image.layers]
        blobs |= dict(zip(names, image.layers, strict=True)) | {f"{_hex(configuration)}.json": configuration}
        entries.append({"Config": f"{_hex(configuration)}.json", "RepoTags": [reference], "Layers": names})
    return layer({**blobs, "manifest.json": _json(entries)})


def oci_layout(folder: Path, images: Sequence[Image], tag: str = "latest") -> str:
    """Write an OCI layout; several images become one index of platforms. Returns the digest that ``tag`` stands for."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(kind: str, data: bytes) -> dict[str, Any]:
        (blobs / _hex(data)).write_bytes(data)
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    manifests = []
    for image in images:
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": put(_CONFIG, image.configuration()),
            "layers": [put(_LAYER, gzip.compress(layer, 1, mtime=0)) for layer in image.layers],
        }
        platform = {"architecture": image.architecture, "os": "linux"}
        if image.variant:
            platform["variant"] = image.variant
        manifests.append({**put(_MANIFEST, _json(manifest)), "platform": platform})
    top = manifests[0]
    if len(manifests) > 1:
        top = put(_INDEX, _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}))
    named = {**top, "annotations": {"org.opencontainers.image.ref.name": tag}}
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [named]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(top["digest"])


def digest(data: bytes) -> str:
    """A blob's digest."""
    return f"sha256:{_hex(data)}"


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
