"""A host's containers in memory: what the engine's verbs do to them, without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from regdeploy.engine.archive_forms import familiar
from regdeploy.engine.file_reading import MOST_BYTES
from regdeploy.engine.model import (
    Attachment,
    ContainerFacts,
    ImageFacts,
    Mount,
    ObservedWorkload,
    Publish,
    Workload,
    candidate_name,
    previous_name,
)
from regdeploy.errors import EngineError, ImageError

EPOCH = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class FakeHost:
    """What outlives the process that speaks to the engine."""

    images: dict[str, ImageFacts] = field(default_factory=dict)
    """What the engine has, by reference."""
    available: dict[str, ImageFacts] = field(default_factory=dict)
    """What a pull can fetch, by reference."""
    refused: dict[str, str] = field(default_factory=dict)
    """What a pull cannot fetch, by reference: the engine's words."""
    containers: dict[str, ContainerFacts] = field(default_factory=dict)
    """By name."""
    log: dict[str, list[str]] = field(default_factory=dict)
    """What each container has written, by id."""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """What can be read in each container, by id and path."""
    taken_ports: set[int] = field(default_factory=set)
    """What other programs listen on."""
    broken: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Images, by id, whose containers end at once, with the lines that they write before."""
    fixed_policies: bool = False
    """Whether restart policies cannot be changed, as with Podman before 5."""
    ticks: int = 0

    def tick(self) -> datetime:
        """The next moment: a second after the last one."""
        self.ticks += 1
        return EPOCH + timedelta(seconds=self.ticks)

    def images_by_any_name(self, reference: str) -> ImageFacts | None:
        """The image of that reference, digest or id."""
        by_id = {name: image for image in self.images.values() for name in (image.id, *image.repo_digests)}
        return self.images.get(reference) or self.images.get(familiar(reference)) or by_id.get(reference)


class FakeContainers:
    """:class:`regdeploy.engine.workloads.Containers` on a :class:`FakeHost`."""

    def __init__(self, host: FakeHost) -> None:
        self._host = host

    def family(self, name: str) -> ObservedWorkload:
        names = (name, candidate_name(name), previous_name(name))
        return ObservedWorkload(*(self._host.containers.get(each) for each in names))

    def find(self, name: str) -> ContainerFacts | None:
        by_id = {container.id: container for container in self._host.containers.values()}
        return self._host.containers.get(name) or by_id.get(name)

    def create(self, name: str, workload: Workload) -> None:
        self._must_be_free(name)
        image = self._host.images_by_any_name(workload.image_id)
        if image is None:
            what = f"No such image: {workload.image_id}"
            raise ImageError(f"container {name}", what, "`regdeploy up` fetches it", code="image.not-found")
        self._host.tick()
        self._host.containers[name] = as_created(f"{self._host.ticks:064x}", name, workload, image)

    def start(self, name: str) -> None:
        host, container = self._host, self._there(name)
        if container.running:
            return
        for publish in container.publishes:
            if self._is_taken(publish):
                words = f"Bind for {publish.host_ip or '0.0.0.0'}:{publish.host_port} failed: port is already allocated"
                host.containers[name] = replace(container, error=words)
                raise EngineError(f"container {name}", words, code="engine.port")
        now = host.tick()
        broken = host.broken.get(container.image_id)
        host.log.setdefault(container.id, []).extend(broken or (f"listening at {now:%H:%M:%S}",))
        if broken is None:
            host.containers[name] = replace(container, state="running", started_at=now, exit_code=None, error="")
        else:
            host.containers[name] = replace(
                container, state="restarting", started_at=now, finished_at=now, exit_code=1, error=""
            )

    def stop(self, name: str, timeout: int, *, cleared: bool = True) -> None:
        container = self._host.containers.get(name)
        if container is not None and container.running and container.auto_remove:
            self.remove(name)
        elif container is not None and container.running:
            code = container.exit_code or 0
            self._host.containers[name] = replace(
                container, state="exited", finished_at=self._host.tick(), exit_code=code
            )

    def restart(self, name: str, timeout: int) -> None:
        self._there(name)
        self.stop(name, timeout)
        self.start(name)

    def rename(self, name: str, new_name: str) -> None:
        container = self._there(name)
        self._must_be_free(new_name)
        del self._host.containers[container.name]
        self._host.containers[new_name] = replace(container, name=new_name)

    def remove(self, name: str) -> None:
        self._host.containers.pop(name, None)

    def set_restart_policy(self, name: str, policy: str, retries: int = 0) -> None:
        container = self._there(name)
        if self._host.fixed_policies:
            raise EngineError(f"container {name}", "cannot change a restart policy", code="engine.unsupported")
        if container.auto_remove and policy != "no":
            words = "Restart policy cannot be updated because AutoRemove is enabled for the container"
            raise EngineError(f"container {name}", words)
        changed = replace(container, restart_policy=policy, restart_retries=retries)
        self._host.containers[container.name] = changed

    def read_file(self, name: str, path: str) -> bytes | None:
        content = self._host.files.get(self._there(name).id, {}).get(path)
        if content is not None and len(content) > MOST_BYTES:
            raise EngineError(f"container {name}", f"its {path} is {len(content)} bytes long")
        return content

    def logs(self, name: str, tail: int, *, follow: bool) -> Iterator[str]:
        lines = self._host.log.get(self._there(name).id, [])
        return iter(lines[-tail:] if tail else [])

    def _there(self, name: str) -> ContainerFacts:
        container = self.find(name)
        if container is None:
            raise EngineError(f"container {name}", f"No such container: {name}", code="engine.not-found")
        return container

    def _must_be_free(self, name: str) -> None:
        if name in self._host.containers:
            raise EngineError(f"container {name}", f'The container name "/{name}" is already in use')

    def _is_taken(self, wanted: Publish) -> bool:
        if wanted.host_port in self._host.taken_ports:
            return True
        held = [each for other in self._host.containers.values() if other.running for each in other.publishes]
        return any(
            each.host_port == wanted.host_port
            and (each.host_ip == wanted.host_ip or "" in (each.host_ip, wanted.host_ip))
            for each in held
        )


def as_created(identity: str, name: str, workload: Workload, image: ImageFacts) -> ContainerFacts:
    """What an engine says of a container that was just created for ``workload``."""
    in_memory = tuple(Mount("", target, kind="tmpfs") for target in workload.tmpfs)
    return ContainerFacts(
        id=identity,
        name=name,
        state="created",
        image=workload.image,
        image_id=workload.image_id,
        environment={**image.environment, **workload.environment},
        mounts=tuple(sorted((*workload.mounts, *in_memory), key=lambda mount: mount.target)),
        publishes=workload.publishes,
        command=workload.command if workload.command is not None else image.command,
        entrypoint=image.entrypoint,
        labels=dict(workload.labels),
        cap_drop=("ALL",),
        cap_add=workload.cap_add,
        read_only=True,
        no_new_privileges=True,
        pids_limit=workload.pids_limit,
        restart_policy="unless-stopped",
        stop_timeout=workload.stop_timeout,
        log_options={"max-size": workload.log_max_size, "max-file": str(workload.log_max_files)},
        log_driver="json-file",
        log_driver_options={"max-size": workload.log_max_size, "max-file": str(workload.log_max_files)},
        network_mode="default",
        networks=(Attachment(network="bridge"),),
        userns_mode="host" if workload.host_userns else "",
        selinux_relabel=workload.selinux_relabel and any(mount.kind == "bind" for mount in workload.mounts),
    )
