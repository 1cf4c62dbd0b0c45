"""Docker's containers, one verb at a time: :class:`regdeploy.engine.workloads.Containers` over the engine's API."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regdeploy.engine.client import Client
from regdeploy.engine.ending import open_process, wait_for_end
from regdeploy.engine.facts import container_facts, names_of
from regdeploy.engine.file_reading import only_file
from regdeploy.engine.images import Images
from regdeploy.engine.model import (
    ContainerFacts,
    Mount,
    ObservedWorkload,
    Workload,
    candidate_name,
    previous_name,
)
from regdeploy.errors import EngineError
from regdeploy.threads import in_thread

if TYPE_CHECKING:
    from docker.errors import APIError

_REMOVAL_SECONDS = 10


class DockerContainers:
    """The containers of one engine; each write is one request."""

    def __init__(self, client: Client, images: Images) -> None:
        self._client = client
        self._images = images

    def family(self, name: str) -> ObservedWorkload:
        """Return the containers NAME, NAME-next and NAME-previous, in one request and one more for each."""
        wanted = (name, candidate_name(name), previous_name(name))
        pattern = "|".join(re.escape(each) for each in wanted)
        found = {facts.name: facts for facts in self._listed({"name": [f"^/?({pattern})$"]}, wanted)}
        return ObservedWorkload(*(found.get(each) for each in wanted))

    def all(self) -> tuple[ContainerFacts, ...]:
        """Return every container, running or not."""
        return tuple(self._listed(None, None))

    def _listed(self, filters: dict[str, list[str]] | None, wanted: tuple[str, ...] | None) -> Iterator[ContainerFacts]:
        with self._client.speaking():
            listed: list[dict[str, Any]] = self._client.api.containers(all=True, filters=filters)
            for entry in listed:
                if wanted is None or set(names_of(entry)) & set(wanted):
                    facts = self._inspect(entry["Id"])
                    if facts is not None:
                        yield facts

    def _inspect(self, name: str) -> ContainerFacts | None:
        from docker.errors import NotFound  # noqa: PLC0415 - heavy

        try:
            answer = self._client.api.inspect_container(name)
        except NotFound:
            return None  # removed since it was listed
        names = [entry["Name"] for entry in answer.get("Mounts") or () if entry.get("Type") == "volume"]
        return container_facts(answer, {volume: self._volume(volume) for volume in names})

    def _volume(self, name: str) -> Mapping[str, Any]:
        from docker.errors import APIError  # noqa: PLC0415 - heavy

        try:
            return self._client.api.inspect_volume(name)
        except APIError:
            return {}  # removed meanwhile, or its plugin does not answer

    def find(self, name: str) -> ContainerFacts | None:
        """Return the container of that name or whole id, or None."""
        with self._client.speaking(f"container {name}"):
            found = self._inspect(name)
        # The engine also takes the beginning of an id.
        return found if found is not None and name in (found.name, found.id) else None

    def create(self, name: str, workload: Workload) -> None:
        """Create it. Raises EngineError, ``host.files`` where a folder to mount is missing: Docker would make it."""
        where = f"container {name}"
        remote = self._client.endpoint.remote
        for mount in workload.mounts:
            if mount.kind == "bind" and not remote and not Path(mount.source).exists():
                raise EngineError(where, f"{mount.source} is to be mounted and is not there", code="host.files")
            if ":" in mount.source or ":" in mount.target:
                raise EngineError(where, f"{mount.source}:{mount.target}: Docker cannot mount a path with a colon")
        # By the name that people know, while that is the image meant: `docker ps` shows it.
        named = self._images.find(workload.image)
        image = workload.image if named is not None and named.id == workload.image_id else workload.image_id
        with self._client.speaking(where):
            self._client.api.create_container_from_config(creation(workload, image), name)  # type: ignore[no-untyped-call]

    def start(self, name: str) -> None:
        """Start it; one that runs is fine."""
        with self._client.speaking(f"container {name}"):
            self._client.api.start(name)

    def stop(self, name: str, timeout: int, *, cleared: bool = True) -> None:
        """Stop it; absent or stopped is fine.

        The engine needs some 80 ms to clear up after its end, which is not waited for unless it is to be ``cleared``.
        One that ends by itself at this moment is not running again behind our back: the engine waits for 100 ms or
        more before it restarts it, and a stop ends that.
        """
        process = None if cleared else self._process(name)
        if process is None:
            self._stop(name, timeout)
            return
        stopping = in_thread(partial(self._stop, name, timeout), "stop")
        try:
            wait_for_end(process, stopping.done)
        finally:
            os.close(process)
        self._client.unfinished = stopping

    def _process(self, name: str) -> int | None:
        """A descriptor of its process, where that can be watched and ends with all others of the container."""
        from docker.errors import NotFound  # noqa: PLC0415 - heavy

        with self._client.speaking(f"container {name}"), suppress(NotFound):
            answer = self._client.api.inspect_container(name)
            pid = answer["State"].get("Pid")
            if pid and not answer["HostConfig"].get("PidMode"):
                return open_process(answer["Id"], pid)
        return None

    def _stop(self, name: str, timeout: int) -> None:
        from docker.errors import NotFound  # noqa: PLC0415 - heavy

        with self._client.speaking(f"container {name}"), suppress(NotFound):
            self._client.api.stop(name, timeout=timeout)  # the SDK waits for that long more than usual

    def restart(self, name: str, timeout: int) -> None:
        """Stop and start it."""
        with self._client.speaking(f"container {name}"):
            self._client.api.restart(name, timeout=timeout)

    def rename(self, name: str, new_name: str) -> None:
        """Give it another name."""
        with self._client.speaking(f"container {name}"):
            self._client.api.rename(name, new_name)

    def remove(self, name: str) -> None:
        """Remove it, without its volumes; absent is fine. Where the engine is removing it already, wait for that."""
        from docker.errors import APIError, NotFound  # noqa: PLC0415 - heavy

        with self._client.speaking(f"container {name}"), suppress(NotFound):
            try:
                self._client.api.remove_container(name, v=False, force=True)
            except APIError as error:
                if not _is_conflict(error):
                    raise
                deadline = time.monotonic() + _REMOVAL_SECONDS
                while self._inspect(name) is not None:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)

    def set_restart_policy(self, name: str, policy: str, retries: int = 0) -> None:
        """Change when the engine starts it by itself. Raises EngineError ``engine.unsupported`` where it cannot."""
        from docker.errors import NotFound  # noqa: PLC0415 - heavy

        where, wanted = f"container {name}", {"Name": policy, "MaximumRetryCount": retries}
        with self._client.speaking(where):
            try:
                self._client.api.update_container(name, restart_policy=wanted)  # type: ignore[arg-type]
            except NotFound as error:
                self._client.api.inspect_container(name)  # which raises, where it is the container that is not there
                what = f"this engine cannot change a restart policy (Podman before 5), which should be {policy}"
                raise EngineError(where, what, code="engine.unsupported") from error

    def read_file(self, name: str, path: str) -> bytes | None:
        """Return a file's bytes, from its mounts as well, whether it runs or not; see Engine."""
        from docker.errors import NotFound  # noqa: PLC0415 - heavy

        where = f"container {name}"
        with self._client.speaking(where):
            try:
                stream, about = self._client.api.get_archive(name, path)
                target = (about or {}).get("linkTarget")  # what a link leads to at last, as seen from inside
                if target:
                    stream, _ = self._client.api.get_archive(name, target)
                return only_file(where, path, stream)
            except NotFound:
                self._client.api.inspect_container(name)  # which raises, where it is the container that is not there
                return None

    def logs(self, name: str, tail: int, *, follow: bool) -> Iterator[str]:
        """Yield the last ``tail`` lines of both streams; bytes that are no UTF-8 come as U+FFFD.

        Raises at once where there is no such container.
        """
        with self._client.speaking(f"container {name}"):
            stream = self._client.api.logs(name, stream=True, follow=follow, tail=tail)
        return self._lines(name, stream)

    def _lines(self, name: str, stream: Any) -> Iterator[str]:  # noqa: ANN401 - the SDK's CancellableStream
        rest = b""
        try:
            with self._client.speaking(f"container {name}"):
                for chunk in stream:
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from map(_text, lines)
            if rest:
                yield _text(rest)
        finally:
            with suppress(OSError, AttributeError):  # what is closed already has no socket left to close
                stream.close()


def creation(workload: Workload, image: str) -> dict[str, Any]:
    """The body of ``POST /containers/create``: what a careful administrator would have typed after ``docker run``."""
    ports: dict[str, list[dict[str, str]]] = {}
    for publish in workload.publishes:
        binding = {"HostIp": publish.host_ip, "HostPort": str(publish.host_port)}
        ports.setdefault(f"{publish.container_port}/tcp", []).append(binding)
    in_memory = dict.fromkeys(workload.tmpfs, "")
    in_memory |= {mount.target: "" for mount in workload.mounts if mount.kind == "tmpfs"}
    host: dict[str, Any] = {
        "Binds": [_bind(mount, workload) for mount in workload.mounts if mount.kind != "tmpfs"],
        "Tmpfs": in_memory,
        "PortBindings": ports,
        "NetworkMode": "default",
        "CapDrop": ["ALL"],
        "CapAdd": list(workload.cap_add),
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": workload.pids_limit,
        "RestartPolicy": {"Name": "unless-stopped"},
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": workload.log_max_size, "max-file": str(workload.log_max_files)},
        },
    }
    if workload.host_userns:
        host["UsernsMode"] = "host"
    body: dict[str, Any] = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in workload.environment.items()],
        "Labels": dict(workload.labels),
        "ExposedPorts": {port: {} for port in ports},
        "StopTimeout": workload.stop_timeout,
        "HostConfig": host,
    }
    if workload.command is not None:
        body["Cmd"] = list(workload.command)
    return body


def _bind(mount: Mount, workload: Workload) -> str:
    """As after ``-v``. ``Mounts`` would be stricter, but knows nothing of SELinux labels."""
    options = ["ro"] * mount.read_only + ["z"] * (workload.selinux_relabel and mount.kind == "bind")
    return ":".join(filter(None, (mount.source, mount.target, ",".join(options))))


def _is_conflict(error: APIError) -> bool:
    return error.status_code == HTTPStatus.CONFLICT


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
