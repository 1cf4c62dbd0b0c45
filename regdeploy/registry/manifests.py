"""What a manifest says of other content: pure, from its bytes.

Sources: OCI image specification (manifest.md, image-index.md), distribution's ``docs/spec/manifest-v2-2.md`` and
``deprecated-schema-v1.md``, and the artifact manifest that ORAS once pushed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from regdeploy.frozen import frozen
from regdeploy.registry.layout import is_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
#: Images of Docker before 1.10: what 3.x serves no more.
SCHEMA1 = ("application/vnd.docker.distribution.manifest.v1+prettyjws",)

#: The most that a registry takes (distribution, ``maxManifestBodySize``).
LIMIT = 4 * 1024 * 1024


@frozen
class ManifestFacts:
    """One manifest: ``children`` are manifests (of an index), ``blobs`` the configuration and layers.

    Layers that are to be had elsewhere only (with ``urls``) are left out. ``subject`` is what a referrer is about, or
    "": it need not be there. ``sizes`` are the sizes that the manifest gives, in the order of ``children + blobs``,
    None where it gives none. All but ``size``, in bytes, is as the manifest has it.
    """

    digest: str
    media_type: str
    size: int
    children: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    subject: str = ""
    sizes: tuple[int | None, ...] = ()


def read_manifest(digest: str, content: bytes) -> ManifestFacts:
    """Read a manifest. Raises ValueError, in words that follow "it", where it is none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    if not isinstance(value, dict) or not ({"manifests", "layers", "config", "fsLayers", "blobs"} & value.keys()):
        raise ValueError("is JSON, but no manifest")
    children = dict(_descriptors(value.get("manifests")))
    blobs = dict(_descriptors([value.get("config")]))
    for key in ("layers", "blobs", "fsLayers"):
        blobs |= dict(_descriptors(value.get(key)))
    return ManifestFacts(
        digest=digest,
        media_type=_media_type(value),
        size=len(content),
        children=tuple(children),
        blobs=tuple(blobs),
        subject=next((one for one, _ in _descriptors([value.get("subject")])), ""),
        sizes=(*children.values(), *blobs.values()),
    )


def _media_type(value: dict[str, Any]) -> str:
    """What the manifest calls itself, or what the registry takes it for where it does not say."""
    said = value.get("mediaType")
    if isinstance(said, str) and said:
        return said
    if "fsLayers" in value:
        return SCHEMA1[0]
    return OCI_INDEX if "manifests" in value else OCI_MANIFEST


def _descriptors(found: object) -> Iterator[tuple[str, int | None]]:
    """Yield digest and size of each descriptor; what has another form is passed over, as one that names nothing."""
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict) and not one.get("urls"):
            digest, size = one.get("digest") or one.get("blobSum"), one.get("size")
            if isinstance(digest, str) and is_digest(digest):
                yield digest, size if isinstance(size, int) else None
