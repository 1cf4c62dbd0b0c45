"""The registry's container: what it should be, and how what is there differs from it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import regdeploy
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.engine.model import (
    LABEL_DEPLOYMENT,
    LABEL_FILES,
    LABEL_SPEC,
    LABEL_VERSION,
    ContainerFacts,
    EngineFacts,
    ImageFacts,
    Mount,
    Publish,
    Workload,
)
from regdeploy.registry.environment import environment
from regdeploy.registry.images import Generation, config_folder, generation_of
from regdeploy.registry.variables import is_secret, storage_driver
from regdeploy.secret import Secret

#: The registry drains for 30 s (config.yml); the engine must not kill it before.
STOP_TIMEOUT = 40
PIDS_LIMIT = 1024
#: The ports inside the container.
_PLAIN, _HTTPS = _INSIDE = (5000, 443)
LOOPBACK = "127.0.0.1"
#: Where the container finds the files of :attr:`Layout.carried`.
CARRIED = "/carried"
LOG_MAX_SIZE = "10m"
LOG_MAX_FILES = 5


def desired_workload(
    spec: Spec,
    image: ImageFacts,
    engine: EngineFacts,
    http_secret: Secret,
    config_text: str,
    extra: Mapping[str, str],
) -> Workload:
    """The container that carries out ``spec`` with ``image`` on ``engine`` (DESIGN: the container).

    The certificate is not part of it: the container is created while the order is under way, and whether the right
    leaf is served is asked of the endpoint. ``extra`` are further variables, weaker than those that the spec calls for.
    Raises ImageError when ``image`` is no registry.
    """
    layout = Layout(spec.root)
    generation = generation_of(image.entrypoint, image.command)
    tls_domain = None if spec.tls is Tls.OFF else spec.domain
    inside = _PLAIN if tls_domain is None else _HTTPS
    mounts = []
    if storage_driver(extra) == "filesystem":
        mounts.append(Mount(source=str(layout.data), target="/var/lib/registry"))
    mounts.append(Mount(source=str(layout.config), target=config_folder(generation), read_only=True))
    if tls_domain is not None:
        mounts.append(Mount(source=str(layout.certs), target="/certs", read_only=True))
    if any(value.startswith(f"{CARRIED}/") for value in extra.values()):
        mounts.append(Mount(source=str(layout.carried), target=CARRIED, read_only=True))
    if spec.auth:
        mounts.append(Mount(source=str(layout.auth), target="/auth", read_only=True))
    variables = {name: value for name, value in image.environment.items() if name.startswith("REGISTRY_")}
    variables |= _fitted(extra, generation)
    variables |= environment(
        generation=generation, tls_domain=tls_domain, port=inside, login=spec.auth, http_secret=http_secret
    )
    return Workload(
        name=spec.name,
        image=spec.image,
        image_id=image.id,
        environment=variables,
        mounts=tuple(mounts),
        publishes=_publishes_of(spec, inside),
        command=None,
        labels={
            LABEL_DEPLOYMENT: spec.name,
            LABEL_VERSION: regdeploy.__version__,
            LABEL_SPEC: _spec_hash(spec),
            LABEL_FILES: _hash(config_text),
        },
        tmpfs=("/tmp",),  # noqa: S108 - inside the container, whose root file system is read-only
        cap_add=("NET_BIND_SERVICE",),
        stop_timeout=STOP_TIMEOUT,
        pids_limit=PIDS_LIMIT,
        log_max_size=LOG_MAX_SIZE,
        log_max_files=LOG_MAX_FILES,
        selinux_relabel=spec.selinux_relabel,
        host_userns=engine.userns_remap,
    )


def _fitted(extra: Mapping[str, str], generation: Generation) -> Mapping[str, str]:
    """``extra`` as the image's generation reads them: they may have been written for the one before."""
    if not extra or generation is not Generation.V3:
        return extra
    from regdeploy.registry.fitting import translate  # noqa: PLC0415 - YAML, only where there are such

    return translate(extra, Generation.V2, Generation.V3)[0]


def _publishes_of(spec: Spec, inside: int) -> tuple[Publish, ...]:
    public = Publish(host_ip=spec.bind, host_port=spec.port, container_port=inside)
    local = Publish(host_ip=LOOPBACK, host_port=spec.localhost_port, container_port=inside)
    return (public, local) if spec.localhost_port else (public,)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _spec_hash(spec: Spec) -> str:
    return _hash(repr(spec))


def is_ours(container: ContainerFacts, name: str) -> bool:
    """Whether regdeploy made ``container`` for the deployment ``name``."""
    return container.labels.get(LABEL_DEPLOYMENT) == name


def start_of(container: ContainerFacts) -> str:
    """This very start of it, in words for comparing: what a registry reads, it reads when it starts."""
    return f"{container.id} {container.started_at.isoformat() if container.started_at else 'never'}"


def as_deployed(spec: Spec, container: ContainerFacts) -> Spec:
    """``spec`` with what the container says of how it is reached: its port, address, name, TLS and login.

    A spec that was edited since is what will be; where to look for what is served, the container knows.
    """
    certificate = container.environment.get("REGISTRY_HTTP_TLS_CERTIFICATE", "")
    name = certificate.rpartition("/")[2].removesuffix(".crt")
    published = [publish for publish in container.publishes if publish.container_port in _INSIDE]
    local = [publish for publish in published[1:] if publish.host_ip == LOOPBACK]  # in the order it was asked for
    return replace(
        spec,
        tls=(Tls.INTERNAL if spec.tls is Tls.OFF else spec.tls) if certificate else Tls.OFF,
        domains=spec.domains if spec.domain == name or not certificate else (name,),
        auth="REGISTRY_AUTH" in container.environment,
        port=published[0].host_port if published else spec.port,
        bind=published[0].host_ip if published else spec.bind,
        localhost_port=local[0].host_port if local else 0,
    )


class Difference(NamedTuple):
    """One item in which the container is not what it should be."""

    item: str
    wanted: str
    found: str

    def __str__(self) -> str:
        if not self.found:
            return f"{self.item}: {self.wanted} is missing"
        if not self.wanted:
            return f"{self.item}: {self.found} should not be there"
        return f"{self.item}: {self.found} → {self.wanted}"


def differences(desired: Workload, found: ContainerFacts) -> tuple[Difference, ...]:
    """How ``found`` differs from ``desired``, item by item; secrets are shown as ``***``.

    Two labels are left out: the version of regdeploy, since an upgrade of the tool alone must not stop a registry,
    and the spec's hash, since every setting that matters to the container is compared as such.
    """
    return (
        *_image(desired, found),
        *_environment(desired, found),
        *_attachments(desired, found),
        *_rest(desired, found),
    )


def _image(desired: Workload, found: ContainerFacts) -> Iterator[Difference]:
    if desired.image_id != found.image_id:
        if desired.image != found.image:
            yield Difference("image", desired.image, found.image)
        else:
            yield Difference("image", f"{desired.image} ({short(desired.image_id)})", short(found.image_id))


def short(digest: str) -> str:
    """A digest short enough for a line: ``sha256:1c9f2a0b7d31``."""
    algorithm, _, value = digest.rpartition(":")
    return f"{algorithm}:{value[:12]}" if algorithm else value[:12]


def _environment(desired: Workload, found: ContainerFacts) -> Iterator[Difference]:
    wanted = desired.environment
    for name in sorted({*wanted, *(name for name in found.environment if name.startswith("REGISTRY_"))}):
        want, have = wanted.get(name, ""), found.environment.get(name, "")
        if want != have:
            secret = is_secret(name)
            yield Difference(
                f"environment {name}", "***" if secret and want else want, "***" if secret and have else have
            )


def _attachments(desired: Workload, found: ContainerFacts) -> Iterator[Difference]:
    want_mounts = {mount.target: _mount(mount) for mount in desired.mounts}
    # A volume is there because the image declares one; its name is another one in every container.
    have_mounts = {mount.target: _mount(mount) for mount in found.mounts if mount.kind == "bind"}
    yield from _mapping("mount", want_mounts, have_mounts)
    yield from _mapping("port", _ports(desired.publishes), _ports(found.publishes))


def _ports(publishes: tuple[Publish, ...]) -> dict[str, str]:
    """By the container's port, all that leads there, in one order whatever the engine's."""
    ports: dict[str, list[str]] = {}
    for publish in publishes:
        ports.setdefault(f"{publish.container_port}", []).append(_publish(publish))
    return {inside: ", ".join(sorted(outside)) for inside, outside in ports.items()}


def _mount(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}" + (":ro" if mount.read_only else "")


def _publish(publish: Publish) -> str:
    address = "" if publish.host_ip in ("", "0.0.0.0") else f"{publish.host_ip}:"  # noqa: S104 - compared, not bound
    return f"{address}{publish.host_port}:{publish.container_port}"


def _mapping(item: str, want: Mapping[str, str], have: Mapping[str, str]) -> Iterator[Difference]:
    for key in sorted({*want, *have}):
        if want.get(key, "") != have.get(key, ""):
            yield Difference(item, want.get(key, ""), have.get(key, ""))


def _rest(desired: Workload, found: ContainerFacts) -> Iterator[Difference]:
    pairs = (
        ("config.yml", desired.labels[LABEL_FILES], found.labels.get(LABEL_FILES, "unknown")),
        ("dropped capabilities", "ALL", ",".join(found.cap_drop)),
        ("added capabilities", ",".join(desired.cap_add), ",".join(found.cap_add)),
        ("read-only root file system", "yes", _yes(found.read_only)),
        ("no-new-privileges", "yes", _yes(found.no_new_privileges)),
        ("process limit", str(desired.pids_limit), str(found.pids_limit or "none")),
        ("restart policy", "unless-stopped", found.restart_policy or "no"),
        ("stop timeout", f"{desired.stop_timeout} s", f"{found.stop_timeout or 10} s"),
        ("log size", desired.log_max_size, found.log_options.get("max-size", "unlimited")),
        ("log files", str(desired.log_max_files), found.log_options.get("max-file", "1")),
        ("SELinux label", _label(desired.selinux_relabel), _label(found.selinux_relabel)),
        ("user namespace", "host" if desired.host_userns else "default", found.userns_mode or "default"),
    )
    for item, want, have in pairs:
        if want != have:
            yield Difference(item, want, have or "none")


def _label(shared: bool) -> str:
    return "shared" if shared else "as it was"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
