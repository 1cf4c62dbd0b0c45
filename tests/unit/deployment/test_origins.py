"""Where the images of a hand-made registry lie on the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from regdeploy.deployment.origins import Origin, host_path, images_origin
from regdeploy.engine.model import ContainerFacts, Mount

ROOT = "/var/lib/registry"
NAMELESS = "0f" * 32
VOLUMES = "/var/lib/docker/volumes"


def container(*mounts: Mount, layer: str = "/overlay/u/diff", working_dir: str = "") -> ContainerFacts:
    lower = ("/overlay/l2/diff", "/overlay/l1/diff")
    return ContainerFacts(
        id="1f", name="old", state="running", mounts=mounts, layer=layer, lower=lower, working_dir=working_dir
    )


def volume(name: str, target: str = ROOT, path: str | None = None, driver: str = "local") -> Mount:
    at = f"{VOLUMES}/{name}/_data" if path is None else path
    return Mount(name, target, kind="volume", volume_path=at, volume_driver=driver)


def origin(*mounts: Mount, root: str = ROOT, **changes: str) -> Origin:
    return images_origin(container(*mounts, **changes), root)


@pytest.mark.parametrize(
    ("mount", "kind", "path", "words"),
    [
        (Mount("/srv/images", ROOT), "bind", "/srv/images", "its images lie in the folder /srv/images"),
        (
            volume("images"),
            "volume",
            f"{VOLUMES}/images/_data",
            f"its images lie in the volume images: {VOLUMES}/images/_data",
        ),
        (
            volume(NAMELESS),
            "anonymous volume",
            f"{VOLUMES}/{NAMELESS}/_data",
            f"its images lie in a volume without a name (0f0f0f0f0f0f…): {VOLUMES}/{NAMELESS}/_data",
        ),
    ],
)
def test_images_lie_where_the_root_folder_is_mounted(mount: Mount, kind: str, path: str, words: str) -> None:
    told = origin(mount)
    assert (told.kind, told.path, told.inside, told.source, told.words) == (kind, Path(path), ROOT, mount.source, words)
    assert told.why == ""


def test_without_a_mount_they_lie_in_the_container_over_what_its_image_brings() -> None:
    told = origin(Mount("/srv/certs", "/certs"))
    assert (told.kind, told.path) == ("layer", Path("/overlay/u/diff/var/lib/registry"))
    assert told.below == (Path("/overlay/l2/diff/var/lib/registry"), Path("/overlay/l1/diff/var/lib/registry"))
    assert told.words == "its images lie in the container itself: /overlay/u/diff/var/lib/registry"


_STAYS = "which is only there while a container uses it"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            origin(layer=""),
            "in the container itself: /var/lib/registry, and the engine does not say where on this host that is",
        ),
        (
            origin(volume("far", path="", driver="convoy")),
            f"in the volume far: /var/lib/registry, a volume of the driver convoy, {_STAYS}",
        ),
        (
            origin(volume("nfs", path="")),
            f"in the volume nfs: /var/lib/registry, a volume of its own file system, {_STAYS}",
        ),
        (
            origin(Mount("", ROOT, kind="tmpfs")),
            "in memory, a tmpfs: /var/lib/registry, lost when the container stops, and out of reach for all others",
        ),
    ],
)
def test_what_has_no_folder_that_stays_is_none_with_the_reason(told: Origin, words: str) -> None:
    assert told.path is None
    assert told.words == f"its images lie {words}"


@pytest.mark.parametrize(
    ("root", "mounts", "path"),
    [
        ("/data", (Mount("/srv/d", "/data"), Mount("/srv/r", ROOT)), "/srv/d"),
        ("/data/images", (Mount("/srv/d", "/data"),), "/srv/d/images"),
        ("/data/images/", (Mount("/srv/d", "/data/"), Mount("/srv/i", "/data/images")), "/srv/i"),
        ("/data/images", (Mount("/srv/i", "/data/images"), Mount("/srv/d", "/data")), "/srv/i"),
        ("/database", (Mount("/srv/d", "/data"), Mount("/", "/")), "/database"),
        ("/data/x/../images/./", (Mount("/srv/d", "/data"),), "/srv/d/images"),
        ("images", (Mount("/srv/d", "/data"),), "/srv/d/images"),
    ],
)
def test_the_nearest_mount_above_holds_the_root_folder(root: str, mounts: tuple[Mount, ...], path: str) -> None:
    assert origin(*mounts, root=root, working_dir="/data").path == Path(path)


def test_what_is_mounted_elsewhere_below_the_root_folder_holds_no_images() -> None:
    told = origin(Mount("/srv/images", ROOT), Mount("/srv/x", f"{ROOT}/backup"), Mount("/srv/y", f"{ROOT}-old"))
    assert told.path == Path("/srv/images")


@pytest.mark.parametrize(
    ("source", "below", "path"),
    [
        ("/srv/images/docker", "docker", "/srv/images"),
        ("/srv/images/docker/registry", "docker/registry", "/srv/images"),
        ("/docker/registry/v2", "docker/registry/v2", "/"),
        ("/srv/images", "docker", None),
        ("/srv/blobs", "docker/registry/v2/blobs", None),
        ("/srv/docker/registry/v2/blobs", "docker/registry/v2/blobs", None),
    ],
)
def test_what_is_mounted_deeper_has_a_root_folder_where_its_own_path_ends_alike(
    source: str, below: str, path: str | None
) -> None:
    told = origin(volume(NAMELESS), Mount(source, f"{ROOT}/{below}"))
    assert told.path == (Path(path) if path else None)
    if path is None:
        assert told.words.endswith(
            f"/var/lib/registry, spread over what is mounted at {ROOT}/{below}: no one folder of this host holds them"
        )


def test_images_that_are_spread_over_two_mounts_are_in_no_folder() -> None:
    tree = f"{ROOT}/docker/registry/v2"
    mounts = (Mount("/a/docker", f"{ROOT}/docker"), Mount("/b/docker/registry/v2/blobs", f"{tree}/blobs"))
    told = origin(*mounts)
    assert told.path is None
    assert f"{ROOT}/docker, {tree}/blobs" in told.words


def test_a_driver_is_named_for_what_it_is() -> None:
    assert Origin(kind="driver", driver="s3").words == "its images lie in the storage driver s3"


@pytest.mark.parametrize(
    ("inside", "path"),
    [
        ("/certs/tls.crt", "/srv/certs/tls.crt"),
        ("/one.key", "/srv/one.key"),
        ("tls.crt", "/srv/certs/tls.crt"),
        ("/certs/../one.key", "/srv/one.key"),
        ("/etc/passwd", None),
        ("/far/x", None),
    ],
)
def test_a_file_of_the_host_is_found_by_the_mount_that_it_is_seen_through(inside: str, path: str | None) -> None:
    mounts = (Mount("/srv/certs", "/certs"), Mount("/srv/one.key", "/one.key"), volume("far", "/far", path=""))
    assert host_path(container(*mounts, working_dir="/certs"), inside) == (Path(path) if path else None)
