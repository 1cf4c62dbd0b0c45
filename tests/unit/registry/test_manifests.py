"""What is read out of a manifest's bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regdeploy.registry.manifests import ManifestFacts, read_manifest

A, B, C, D = (f"sha256:{letter * 64}" for letter in "abcd")
LONG = f"sha512:{'e' * 128}"


def read(value: dict[str, Any]) -> ManifestFacts:
    return read_manifest(A, json.dumps(value).encode())


def test_an_image_names_its_configuration_and_layers_with_their_sizes() -> None:
    value = {
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"digest": B, "size": 7},
        "layers": [{"digest": C, "size": 8}, {"digest": LONG, "size": 9}, {"digest": C, "size": 8}],
    }
    assert read(value) == ManifestFacts(
        digest=A,
        media_type="application/vnd.docker.distribution.manifest.v2+json",
        size=len(json.dumps(value)),
        blobs=(B, C, LONG),
        sizes=(7, 8, 9),
    )


def test_a_layer_that_is_to_be_had_elsewhere_is_not_asked_for_here() -> None:
    layers = [{"digest": C, "size": 8, "urls": ["https://example.com/layer"]}, {"digest": D, "size": 8, "urls": []}]
    assert read({"config": {"digest": B}, "layers": layers}).blobs == (B, D)


def test_an_index_has_children_and_a_referrer_a_subject() -> None:
    found = read({"manifests": [{"digest": B, "size": 1}, {"digest": C}], "subject": {"digest": D}})
    assert (found.children, found.sizes, found.subject, found.blobs) == ((B, C), (1, None), D, ())


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        ({"manifests": []}, "application/vnd.oci.image.index.v1+json"),
        ({"layers": [], "mediaType": ""}, "application/vnd.oci.image.manifest.v1+json"),
        ({"fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        ({"blobs": [], "mediaType": "a/b"}, "a/b"),
    ],
)
def test_a_manifest_that_says_no_type_has_the_one_the_registry_takes_it_for(
    value: dict[str, Any], media_type: str
) -> None:
    assert read(value).media_type == media_type


def test_images_of_old_name_their_layers_otherwise() -> None:
    assert read({"fsLayers": [{"blobSum": B}, {"blobSum": C}]}).blobs == (B, C)


def test_an_artifact_of_old_names_blobs() -> None:
    assert read({"blobs": [{"digest": B, "size": 3}]}).blobs == (B,)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_said_so(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^is no JSON$"):
        read_manifest(A, content)


@pytest.mark.parametrize("content", [b"[]", b"null", b'{"errors": []}', b"7"])
def test_json_that_is_no_manifest_is_said_so(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^is JSON, but no manifest$"):
        read_manifest(A, content)


@pytest.mark.parametrize(
    "value",
    [
        {"layers": {"digest": B}},
        {"layers": [B, None, 7, {"digest": 7}, {"digest": "../../etc"}, {"digest": B[:-1]}, {"digest": B.upper()}]},
        {"config": None, "manifests": "all"},
        {"fsLayers": [{}], "subject": "it"},
    ],
)
def test_what_is_no_descriptor_names_nothing(value: dict[str, Any]) -> None:
    found = read(value)
    assert (found.children, found.blobs, found.subject) == ((), (), "")
