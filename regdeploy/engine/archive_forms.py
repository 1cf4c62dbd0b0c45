"""What an image archive holds, in either of its forms.

Docker's own: ``manifest.json``, as `docker save` writes it (moby, image/spec). OCI's: ``index.json`` and ``blobs/``
(OCI image-layout.md, image-index.md). An archive that has both is read as Docker's.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from regdeploy.engine.archive_files import Files, read_bytes, read_json, unfit
from regdeploy.frozen import frozen

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_DEEPEST = 3
_MOST_IMAGES = 1000


@frozen
class ArchivedImage:
    """One image of one platform: its files in the archive."""

    names: tuple[str, ...]
    """What it is called, as people write it: ``registry:3``."""
    config: bytes
    layers: tuple[str, ...]
    digests: Mapping[str, str] = field(default_factory=dict)
    """Path of a layer → SHA-256 in hex that its bytes must have, where the archive says."""
    zstd: bool = False
    """Whether a layer is compressed with zstd, which Docker Engine takes from 23.0 on."""

    @property
    def platform(self) -> tuple[str, str, str]:
        """Operating system, architecture and variant; empty where the image does not say."""
        about = json.loads(self.config)
        return about.get("os") or "", about.get("architecture") or "", about.get("variant") or ""

    @property
    def id(self) -> str:
        """What Docker calls the image by."""
        return f"sha256:{hashlib.sha256(self.config).hexdigest()}"


def images_in(files: Files) -> tuple[ArchivedImage, ...]:
    """Every image of the archive. Raises ImageError ``image.archive`` where it is no image archive or lacks a file."""
    try:
        if files.size("manifest.json") is not None:
            images = tuple(_docker(files, read_json(files, "manifest.json")))
        elif files.size("index.json") is not None:
            images = tuple(_oci(files, read_json(files, "index.json"), (), 0))
        else:
            raise unfit(files.path, "is no image archive: it has neither manifest.json nor index.json")
        for image in images:
            _check_layers(files, image)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise unfit(files.path, f"does not describe its images as it should: {error!r}") from error
    if not images:
        raise unfit(files.path, "holds no image")
    return images


def familiar(reference: str) -> str:
    """A reference as people write it, always with a tag or digest: ``docker.io/library/nginx`` → ``nginx:latest``.

    As in distribution/reference, normalize.go.
    """
    first, slash, rest = reference.partition("/")
    if slash and first in ("docker.io", "index.docker.io"):
        reference = rest
    reference = reference.removeprefix("library/") if reference.count("/") == 1 else reference
    return reference if has_tag(reference) else f"{reference}:latest"


def has_tag(reference: str) -> bool:
    """Whether a reference has a tag or a digest."""
    return "@" in reference or ":" in reference.rpartition("/")[2]


def _docker(files: Files, manifest: list[dict[str, Any]]) -> Iterator[ArchivedImage]:
    for entry in manifest[:_MOST_IMAGES]:
        yield ArchivedImage(
            names=tuple(familiar(name) for name in entry.get("RepoTags") or ()),
            config=read_bytes(files, entry["Config"]),
            layers=tuple(entry["Layers"] or ()),
        )


def _oci(files: Files, index: dict[str, Any], names: tuple[str, ...], depth: int) -> Iterator[ArchivedImage]:
    if depth > _DEEPEST or len(index["manifests"]) > _MOST_IMAGES:
        raise unfit(files.path, "its index leads nowhere")
    for descriptor in index["manifests"]:
        own = _names(descriptor.get("annotations") or {}) or names
        if (descriptor.get("platform") or {}).get("os") == "unknown":
            continue  # what BuildKit attests about an image, not an image
        content = json.loads(_blob(files, descriptor))
        if descriptor.get("mediaType") in _INDEXES or "manifests" in content:
            yield from _oci(files, content, own, depth + 1)
        else:
            yield _oci_image(files, content, own)


def _oci_image(files: Files, manifest: dict[str, Any], names: tuple[str, ...]) -> ArchivedImage:
    hexes = [_hex(files, layer["digest"]) for layer in manifest["layers"]]
    return ArchivedImage(
        names=names,
        config=_blob(files, manifest["config"]),
        layers=tuple(map(_blob_path, hexes)),
        digests={_blob_path(value): value for value in hexes},
        zstd=any("zstd" in (layer.get("mediaType") or "") for layer in manifest["layers"]),
    )


def _names(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The reference that a descriptor goes by; many tools write a bare tag, which names no image."""
    name = annotations.get("io.containerd.image.name") or annotations.get("org.opencontainers.image.ref.name") or ""
    return (familiar(name),) if re.search(r"[:/@]", name) else ()


def _hex(files: Files, digest: str) -> str:
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise unfit(files.path, f"names a blob by {digest}, which is no SHA-256 digest")
    return match[1]


def _blob_path(value: str) -> str:
    return f"blobs/sha256/{value}"


def _blob(files: Files, descriptor: dict[str, Any]) -> bytes:
    value = _hex(files, descriptor["digest"])
    content = read_bytes(files, _blob_path(value))
    if hashlib.sha256(content).hexdigest() != value:
        raise unfit(files.path, f"is damaged: {_blob_path(value)} does not have the content that its name promises")
    return content


def _check_layers(files: Files, image: ArchivedImage) -> None:
    """That every layer is there, as many as the configuration counts."""
    missing = [layer for layer in image.layers if files.size(layer) is None]
    if missing:
        raise unfit(files.path, f"lacks a layer: {missing[0]}")
    about = json.loads(image.config)
    if len(about["rootfs"]["diff_ids"]) != len(image.layers):
        raise unfit(files.path, f"has {len(image.layers)} layers, its configuration {len(about['rootfs']['diff_ids'])}")
