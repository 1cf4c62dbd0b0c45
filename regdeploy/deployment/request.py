"""From what was asked to a valid spec: finds the layers (flags, environment, files, what was saved) and merges them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from regdeploy.deployment.layout import Layout
from regdeploy.deployment.settings import BY_NAME
from regdeploy.deployment.spec import (
    DEFAULT_NAME,
    Raw,
    Resolved,
    Spec,
    environment_layer,
    flag_layer,
    resolve,
    toml_layer,
)
from regdeploy.deployment.values import DEFAULT_ROOT
from regdeploy.engine.model import ContainerFacts
from regdeploy.errors import NotDeployed, UsageError
from regdeploy.files import refusal
from regdeploy.frozen import frozen
from regdeploy.registry.images import Generation, config_folder

FILE_NAME = "regdeploy.toml"
_CONFIGS = frozenset(map(config_folder, Generation))


@frozen
class Request:
    """What the user gave: ``flags`` by setting name, the environment, ``--config``, and the current folder."""

    flags: Mapping[str, object]
    environ: Mapping[str, str]
    config: Path | None
    folder: Path


def read_text(path: Path) -> str | None:
    """The text of a file, None where there is none. Raises HostError when it cannot be read, UsageError for bytes."""
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise UsageError(str(path), f"is not text: {error.reason}", "move that file away") from error
    except OSError as error:
        raise refusal(path, error) from error


def resolve_request(request: Request, found: Mapping[str, object] | None = None) -> Resolved:
    """The spec that ``request`` and the files ask for. Reads, and changes nothing. Raises UsageError and HostError.

    ``found`` are settings that a hand-made registry has, by name: weaker than all that is given now.
    """
    given = [flag_layer(request.flags), environment_layer(request.environ)]
    config = _config_file(request)
    root = _root(given)
    if config is not None and config != Layout(root).saved:
        given.append(_file_layer(config))
        root = _root(given)
    saved = _saved_layer(root)
    handmade = {name: Raw(value, "found", f"--{name}") for name, value in (found or {}).items()}
    resolved = resolve(_with_archive_name([*given, handmade, _former_layer(given, saved), saved]))
    held = BY_NAME["name"].parse(saved["name"].value, saved["name"].where) if "name" in saved else DEFAULT_NAME
    if is_saved(root) and resolved.spec.name != held:
        raise UsageError(
            "--name",
            f"{root} holds the deployment {held!r}, not {resolved.spec.name!r}",
            "give the other deployment a folder of its own with --root",
        )
    return resolved


def _former_layer(given: list[dict[str, Raw]], saved: Mapping[str, Raw]) -> dict[str, Raw]:
    """Where the registry is given another name, the one that it had, which stays in its certificate."""
    asked = next((layer["domain"] for layer in given if "domain" in layer), None)
    if asked is None or "domain" not in saved:
        return {}
    domain, former = BY_NAME["domain"], BY_NAME["former-domain"]
    before = domain.parse(saved["domain"].value, saved["domain"].where)
    now = domain.parse(asked.value, asked.where)
    if not now or not before or before[0] in now:
        return {}
    earlier = former.parse(saved["former-domain"].value, "former-domain") if "former-domain" in saved else ()
    return {"former-domain": Raw([before[0], *earlier], "saved", saved["domain"].where)}


def is_saved(root: Path) -> bool:
    """Whether a deployment was saved in ``root``."""
    return Layout(root).saved.exists()


def root_of(container: ContainerFacts) -> Path | None:
    """The root folder of a container of ours, by what is mounted in it; None where that is not to be seen."""
    configs = (Path(mount.source) for mount in container.mounts if mount.target in _CONFIGS)
    return next((path.parent for path in configs if (path.parent / "regdeploy.toml").exists()), None)


def not_deployed(spec: Spec, found: ContainerFacts | None = None) -> NotDeployed:
    """That nothing of a deployment is in the root folder; where ``found``, one of ours, says so, which folder it is."""
    root = None if found is None else root_of(found)
    if root is None:
        return NotDeployed(spec.name, f"nothing is deployed in {spec.root}", "`regdeploy up` deploys a registry")
    return NotDeployed(spec.name, f"lies in {root}, and nothing is deployed in {spec.root}", f"name it: --root {root}")


def deployed_spec(request: Request) -> Spec:
    """The spec of a deployment that is there. Raises NotDeployed where none was saved, and UsageError."""
    spec = resolve_request(request).spec
    if not is_saved(spec.root):
        raise not_deployed(spec)
    return spec


def _root(layers: list[dict[str, Raw]]) -> Path:
    for layer in layers:
        if "root" in layer:
            root: Path = BY_NAME["root"].parse(layer["root"].value, layer["root"].where)
            return root
    return DEFAULT_ROOT


def _config_file(request: Request) -> Path | None:
    """``--config``, or a regdeploy.toml in the current folder that nobody else can have put there."""
    if request.config is not None:
        if not request.config.is_file():
            raise UsageError("--config", f"{request.config} is not a file", "`regdeploy init` writes one")
        return request.config.absolute()
    path = request.folder / FILE_NAME
    try:
        found = path.stat()
    except OSError:
        return None
    if found.st_uid not in (0, os.getuid()) or found.st_mode & stat.S_IWOTH:
        raise UsageError(str(path), "could have been written by another user", "name it with --config if you trust it")
    return path.absolute()


def _file_layer(path: Path) -> dict[str, Raw]:
    return toml_layer(read_text(path) or "", "file", str(path))


def _saved_layer(root: Path) -> dict[str, Raw]:
    path = Layout(root).saved
    text = read_text(path)
    layer = {} if text is None else toml_layer(text, "saved", str(path))
    if "root" in layer:
        raise UsageError(f"{path}: root", "a saved spec cannot name its own folder", "remove that line")
    return layer


def saved_values(root: Path) -> Mapping[str, object]:
    """What regdeploy.toml in ``root`` holds, by setting; nothing where there is none. Raises UsageError."""
    return {name: raw.value for name, raw in _saved_layer(root).items()}


def _with_archive_name(layers: list[dict[str, Raw]]) -> list[dict[str, Raw]]:
    """Where an archive was given and no image beside it or above it, the archive's own name is the image."""
    at = next((at for at, layer in enumerate(layers) if "image-archive" in layer), None)
    if at is None or any("image" in layer for layer in layers[: at + 1]):
        return layers
    archive = layers[at]["image-archive"]
    path = BY_NAME["image-archive"].parse(archive.value, archive.where)
    if path is None:
        return layers
    from regdeploy.engine.archives import archive_names  # noqa: PLC0415 - tarfile, only where an archive was given

    names = archive_names(path)
    if len(names) > 1:
        raise UsageError(archive.where, f"{path} holds {', '.join(names)}", "say which with --image")
    if not names:
        return layers
    return [*layers[:at], {**layers[at], "image": Raw(names[0], archive.source, archive.where)}, *layers[at + 1 :]]
