"""Where on the host lies what a container sees at some path. Pure: the engine's facts in, paths out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from regdeploy.engine.model import ContainerFacts, Mount
from regdeploy.frozen import frozen

OriginKind = Literal["bind", "volume", "anonymous volume", "tmpfs", "layer", "driver"]

FILESYSTEM = "filesystem"
#: Below a storage's root folder, by the filesystem driver.
_TREE = PurePosixPath("docker/registry/v2")


@frozen
class Origin:
    """Where a registry's images lie.

    ``path`` is the host's folder that holds ``docker/registry/v2``, there whether the container runs or not; None
    where there is none, and ``why`` says why. ``inside`` is the folder as the registry sees it; ``source`` the volume's
    name or the bind's folder. For a layer, ``below`` are the folders of the image that show through where ``path``
    has nothing: images can lie there too, with a registry that was baked with some.
    """

    kind: OriginKind
    path: Path | None = None
    why: str = ""
    inside: str = ""
    source: str = ""
    driver: str = FILESYSTEM
    below: tuple[Path, ...] = ()

    @property
    def words(self) -> str:
        """Where the images lie, as the end of a sentence about the registry."""
        named = {
            "driver": "in the storage driver",
            "bind": "in the folder",
            "volume": f"in the volume {self.source}:",
            "anonymous volume": f"in a volume without a name ({self.source[:12]}…):",
            "tmpfs": "in memory, a tmpfs:",
            "layer": "in the container itself:",
        }[self.kind]
        where = f"its images lie {named} {self.path or self.inside or self.driver}"
        return f"{where}, {self.why}" if self.why else where


def images_origin(container: ContainerFacts, root: str) -> Origin:
    """Where the images of the filesystem driver with that ``rootdirectory`` lie."""
    inside = _absolute(root, container.working_dir)
    deeper = [mount for mount in container.mounts if _touches(mount, inside)]
    if deeper:
        return _deeper(inside, deeper)
    mount = mount_of(container, inside)
    if mount is None:
        return _layer(container, inside)
    path, why = _through(mount, inside), ""
    if path is None and mount.kind == "volume":
        why = f"a volume of {_driver_of(mount)}, which is only there while a container uses it"
    elif path is None:
        why = "lost when the container stops, and out of reach for all others"
    return Origin(kind=_kind(mount), path=path, why=why, inside=str(inside), source=mount.source)


def host_path(container: ContainerFacts, inside: str) -> Path | None:
    """The host's path of a file in the container; None where it is in no mount, or in none of the host's."""
    path = _absolute(inside, container.working_dir)
    mount = mount_of(container, path)
    return None if mount is None else _through(mount, path)


def mount_of(container: ContainerFacts, inside: PurePosixPath | str) -> Mount | None:
    """The mount in which that path lies: of those above it the nearest one."""
    path = PurePosixPath(inside)
    above = [mount for mount in container.mounts if path.is_relative_to(mount.target)]
    return max(above, key=lambda mount: len(PurePosixPath(mount.target).parts), default=None)


def _absolute(path: str, folder: str) -> PurePosixPath:
    """Without ``.`` and ``..``: as the registry joins paths, which knows nothing of links."""
    parts: list[str] = []
    for part in PurePosixPath("/", folder, path).parts[1:]:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return PurePosixPath("/", *parts)


def _through(mount: Mount, inside: PurePosixPath) -> Path | None:
    return Path(mount.path, inside.relative_to(mount.target)) if mount.path else None


def _kind(mount: Mount) -> OriginKind:
    return "anonymous volume" if mount.anonymous else mount.kind


def _driver_of(mount: Mount) -> str:
    return "its own file system" if mount.volume_driver in ("", "local") else f"the driver {mount.volume_driver}"


def _layer(container: ContainerFacts, inside: PurePosixPath) -> Origin:
    relative = inside.relative_to("/")
    path = Path(container.layer, relative) if container.layer else None
    why = "" if path else "and the engine does not say where on this host that is"
    below = tuple(Path(folder, relative) for folder in container.lower)
    return Origin(kind="layer", path=path, why=why, inside=str(inside), below=below)


def _touches(mount: Mount, inside: PurePosixPath) -> bool:
    """Whether it is mounted strictly below the root folder, where images lie or the folders that hold them."""
    target, tree = PurePosixPath(mount.target), inside / _TREE
    return (
        target != inside
        and target.is_relative_to(inside)
        and (tree.is_relative_to(target) or target.is_relative_to(tree))
    )


def _deeper(inside: PurePosixPath, mounts: Sequence[Mount]) -> Origin:
    """One mount that holds them all has a root folder above it where its own path ends like the path inside."""
    mount = mounts[0]
    relative = PurePosixPath(mount.target).relative_to(inside)
    if len(mounts) == 1 and _TREE.is_relative_to(relative):
        path = PurePosixPath(mount.path or "/")
        if path.parts[-len(relative.parts) :] == relative.parts:
            root = Path(*path.parts[: -len(relative.parts)])
            return Origin(kind=_kind(mount), path=root, inside=str(inside), source=mount.source)
    targets = ", ".join(one.target for one in mounts)
    return Origin(
        kind=_kind(mount),
        why=f"spread over what is mounted at {targets}: no one folder of this host holds them",
        inside=str(inside),
        source=mount.source,
    )
