"""A hand-made container as the deployment that it amounts to: read how it was started, and carry over what it has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from regdeploy.deployment.handmade import Handmade, read_handmade
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.migration import OWN, Migration
from regdeploy.deployment.origins import FILESYSTEM
from regdeploy.deployment.request import read_text
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.workload import CARRIED
from regdeploy.deployment.world import World
from regdeploy.engine.model import ContainerFacts
from regdeploy.errors import ImageError, UsageError
from regdeploy.registry.environment import certificate_name
from regdeploy.registry.images import config_folder, generation_of
from regdeploy.registry.storage import repository_names

HTTPS = 443
#: Where one that listens on every address is asked.
_LOOPBACKS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def read(container: ContainerFacts, world: World) -> Handmade:
    """How it was started, its config.yml included. Raises EngineError, and ImageError where it is no registry."""
    image = world.engine.image(container.image_id)
    words = (image.entrypoint, image.command) if image is not None else (container.entrypoint, container.command)
    generation = generation_of(*words)
    path = next((word for word in reversed(container.command) if word.endswith((".yml", ".yaml"))), "")
    config = world.engine.read_file(container.name, path or f"{config_folder(generation)}/config.yml")
    return read_handmade(container, image, (config or b"").decode("utf-8", "replace"), generation)


def _access_of(handmade: Handmade, world: World) -> str:
    """The text of its htpasswd, wherever that lies; empty where anybody may do anything. Raises EngineError."""
    if not handmade.htpasswd_inside:
        return ""
    text = world.engine.read_file(handmade.container.name, handmade.htpasswd_inside)
    return (text or b"").decode("utf-8", "replace")


def _files_of(handmade: Handmade, world: World) -> Mapping[str, str]:
    """The text of each file that its variables name, by variable. Raises EngineError; UsageError where one lacks."""
    texts: dict[str, str] = {}
    for variable, path in handmade.files.items():
        content = world.engine.read_file(handmade.container.name, path)
        if content is None:
            what = f"{variable} is {path}, which is no file there: it would not get at its images"
            raise UsageError(f"container {handmade.container.name}", what, "mount that file, and try again")
        texts[variable] = content.decode("utf-8", "replace")
    return texts


def adoptable(container: ContainerFacts, world: World, spec: Spec) -> Handmade | None:
    """A hand-made registry over HTTPS whose images lie where those of ``spec`` do: ``up`` has nothing to copy."""
    try:
        handmade = read(container, world)
    except ImageError:  # no registry: what it is, the plan says
        return None
    shares = handmade.origin.path == Layout(spec.root).data
    return handmade if shares and handmade.tls is not None else None


def adopted_settings(handmade: Handmade, spec: Spec) -> Mapping[str, object]:
    """The settings that a hand-made HTTPS registry amounts to: its image, port and own certificate."""
    assert handmade.tls is not None, "adoptable() asks for one"
    cert, key = (_kept(path, spec) for path in handmade.tls)
    ports = {"port": handmade.published[0].host_port} if handmade.published else {}
    return {**_image(handmade), "tls": Tls.FILES.value, "cert": cert, "key": key, **ports}


def migrated_settings(handmade: Handmade, *, keep_localhost: bool) -> Mapping[str, object]:
    """The settings that a hand-made plain registry amounts to: its image, and its port for this host."""
    plain = [publish.host_port for publish in handmade.published if publish.host_port != HTTPS]
    return {**_image(handmade), **({"localhost-port": plain[0]} if keep_localhost and plain else {})}


def _image(handmade: Handmade) -> Mapping[str, object]:
    return {"image": handmade.container.image or handmade.container.image_id}


def to_migration(
    spec: Spec,
    handmade: Handmade,
    world: World,
    *,
    leave_damaged: bool = False,
    full: bool = False,
    move: bool = False,
) -> Migration:
    """What there is to take over.

    Raises UsageError where its images cannot be had, or would be mixed with others, and EngineError.
    """
    data, origin = Layout(spec.root).data, handmade.origin
    source = origin.path
    where = f"container {handmade.container.name}"
    hidden = [folder for folder in origin.below if repository_names(folder)]
    if hidden or (source is None and origin.driver in (FILESYSTEM, "inmemory")):
        words = f"some of its images came with its image ({hidden[0]})" if hidden else origin.words
        raise UsageError(where, words, "start a new registry with `regdeploy up`, and copy the images with a client")
    if handmade.vanishes and origin.kind in ("layer", "anonymous volume"):
        what = "was started with --rm: the engine deletes it with its images as soon as it stops"
        raise UsageError(where, what, f"keep them first: docker create --volumes-from {handmade.container.name} IMAGE")
    if source == data:
        source = None
    elif source is not None and not _copied_before(spec, handmade) and (there := repository_names(data)):
        what = f"holds {len(there)} repositories already"
        raise UsageError(str(data), what, "choose another folder with --root, so that nothing is mixed")
    files = _files_of(handmade, world)
    return Migration(
        container=handmade.container.id,
        name=handmade.container.name,
        restart_policy=handmade.container.restart_policy,
        source=source,
        restart_retries=handmade.container.restart_retries,
        htpasswd=_access_of(handmade, world),
        http_secret=handmade.http_secret.reveal() if handmade.http_secret else "",
        variables=tuple(sorted({**handmade.variables, **{name: f"{CARRIED}/{name}" for name in files}}.items())),
        files=tuple(sorted(files.items())),
        leave_damaged=leave_damaged,
        full=full,
        move=move and source is not None,
        address=_address_of(handmade) if origin.kind == "driver" else "",
    )


def _address_of(handmade: Handmade) -> str:
    """Where it is to be asked on this host; empty where no port leads to it."""
    publish = next((one for one in handmade.published if one.host_port), None)
    if publish is None:
        return ""
    host = _LOOPBACKS.get(publish.host_ip, publish.host_ip)
    return f"[{host}]:{publish.host_port}" if ":" in host else f"{host}:{publish.host_port}"


def _copied_before(spec: Spec, handmade: Handmade) -> bool:
    """Whether what lies in the data folder was copied from this very registry, before it was gone back to."""
    return (read_text(Layout(spec.root).copied_from) or "").strip() == handmade.container.id


def _kept(path: Path, spec: Spec) -> Path:
    """Where the file is to be found once it is taken over: a link of ours may take its name."""
    in_the_way = path.parent == Layout(spec.root).certs and path.stem == certificate_name(spec.domain)
    return path.with_name(f"{OWN}{path.name}") if in_the_way else path
