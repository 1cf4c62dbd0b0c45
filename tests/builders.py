"""What the spine looks at, built with sane values, so that a test states only what matters to it.

A spec comes from :func:`resolved`, by flags. :func:`bare` is a host on which nothing is yet, :func:`deployed` one where
everything is as that spec wants it; both take any field of Observed to be otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from regdeploy.deployment.authorities import LETS_ENCRYPT
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import HostFacts, Observed
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Resolved, Spec, flag_layer, resolve, to_saved
from regdeploy.deployment.workload import desired_workload
from regdeploy.engine.model import ContainerFacts, EngineFacts, ImageFacts, ObservedWorkload, Publish, Workload
from regdeploy.host.disk import DiskFacts
from regdeploy.host.folders import FolderFacts
from regdeploy.registry.api import EndpointFacts
from regdeploy.registry.environment import certificate_name
from regdeploy.secret import Secret
from regdeploy.tls.certificate import Bundle, Certificate
from regdeploy.tls.store import StoredVersion, StoreFacts

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DOMAIN = "registry.example.com"
CONFIG = "version: 0.1\n"
SECRET = Secret("e7" * 32)

ENGINE = EngineFacts(
    version="28.2.2",
    api_version="1.50",
    os="linux",
    architecture="amd64",
    url="unix:///var/run/docker.sock",
    remote=False,
    rootless=False,
    userns_remap=False,
    selinux=False,
    data_root="/var/lib/docker",
)
IMAGE = ImageFacts(
    id="sha256:" + "a1" * 32,
    repo_digests=("registry@sha256:" + "d1" * 32,),
    entrypoint=("/entrypoint.sh",),
    command=("/etc/distribution/config.yml",),
    architecture="amd64",
    os="linux",
    version="3.1.1",
)


def resolved(**flags: object) -> Resolved:
    """The spec of these flags, written as names of Python: ``acme_directory="letsencrypt"``."""
    return resolve([flag_layer({name.replace("_", "-"): value for name, value in flags.items()})])


def acme(**flags: object) -> Resolved:
    """A registry with a certificate of Let's Encrypt."""
    return resolved(**{"domain": [DOMAIN], **flags})


def internal(**flags: object) -> Resolved:
    """A registry with a certificate of its own CA."""
    return resolved(**{"domain": [DOMAIN], "tls": "internal", **flags})


def files(**flags: object) -> Resolved:
    """A registry with the user's own pair."""
    return resolved(**{"domain": [DOMAIN], "cert": "/etc/ssl/r.crt", "key": "/etc/ssl/r.key", **flags})


def wanted(asked: Resolved, image: ImageFacts = IMAGE, engine: EngineFacts = ENGINE) -> Workload:
    """The container that carries out this spec."""
    return desired_workload(asked.spec, image, engine, SECRET, CONFIG, {})


def container(asked: Resolved, **changes: Any) -> ContainerFacts:
    """The container that regdeploy made for this spec, as the engine describes it; running."""
    workload = wanted(asked)
    facts = ContainerFacts(
        id="c0" * 32,
        name=workload.name,
        state="running",
        started_at=NOW - timedelta(days=3),
        image=workload.image,
        image_id=workload.image_id,
        environment={**workload.environment, "PATH": "/bin"},
        mounts=workload.mounts,
        publishes=workload.publishes,
        labels=workload.labels,
        cap_drop=("ALL",),
        cap_add=workload.cap_add,
        read_only=True,
        no_new_privileges=True,
        pids_limit=workload.pids_limit,
        restart_policy="unless-stopped",
        stop_timeout=workload.stop_timeout,
        log_options={"max-size": workload.log_max_size, "max-file": str(workload.log_max_files)},
        selinux_relabel=workload.selinux_relabel,
    )
    return replace(facts, **changes)


def foreign(**changes: Any) -> ContainerFacts:
    """A container that somebody started by hand under our name."""
    facts = ContainerFacts(
        id="f0" * 32,
        name="registry",
        state="running",
        started_at=NOW - timedelta(days=300),
        image="registry:2.7",
        image_id="sha256:" + "27" * 32,
        publishes=(Publish("", 5000, 5000),),
        restart_policy="always",
    )
    return replace(facts, **changes)


def leaf_der(number: int) -> bytes:
    """What stands for the DER of version ``number``'s leaf: only its hash is ever looked at."""
    return f"leaf of version {number}".encode()


def certificate(number: int = 1, *, begin: datetime = NOW - timedelta(days=10), days: int = 90) -> Certificate:
    """The leaf of version ``number``: ten days old, of ninety."""
    return Certificate(
        names=(DOMAIN,),
        subject="",
        issuer="CN=R11,O=Let's Encrypt,C=US",
        serial=number,
        not_before=begin,
        not_after=begin + timedelta(days=days),
        fingerprint_sha256=hashlib.sha256(leaf_der(number)).hexdigest(),
        key_type="ECDSA P-256",
    )


def stored(number: int = 1, **changes: Any) -> StoredVersion:
    """A version of :data:`DOMAIN` from Let's Encrypt, installed and seen served; ``leaf`` and all else may differ."""
    version = StoredVersion(
        number=number,
        leaf=certificate(number),
        source="acme",
        names=(DOMAIN,),
        issued_at=NOW - timedelta(days=10),
        directory=LETS_ENCRYPT,
        key_matches=True,
        deployed=True,
        problem="",
    )
    return replace(version, **changes)


def store(*versions: StoredVersion, current: int | None = 1, domain: str = DOMAIN) -> StoreFacts:
    """A store with these versions, whose links lead to the current one."""
    name = certificate_name(domain)
    links = {f"{name}.crt": "current/fullchain.pem", f"{name}.key": "current/privkey.pem"}
    return StoreFacts(current=current, versions=versions, links=links)


def pair(number: int = 1) -> Bundle:
    """The user's own pair; its leaf is that of version ``number``."""
    return Bundle(leaf=certificate(number), chain=(), fullchain_pem=b"", key_pem=Secret("key"))


def serving(number: int | None = 1, **changes: Any) -> EndpointFacts:
    """An endpoint that serves version ``number`` and asks for a login; None for plain HTTP without one."""
    if number is None:
        facts = EndpointFacts(reachable=True, http_status=200, auth_required=False, is_registry=True)
    else:
        leaf = leaf_der(number)
        facts = EndpointFacts(
            reachable=True, http_status=401, auth_required=True, is_registry=True, leaf_der=leaf, tls_version="TLSv1.3"
        )
    return replace(facts, **changes)


def folders(spec: Spec, *, exist: bool, missing: tuple[str, ...] = ()) -> Mapping[Path, FolderFacts]:
    """What is at every path of the layout; ``missing`` are names below the root."""
    gone = {spec.root / name for name in missing}
    return {
        path: FolderFacts(path=path, exists=True, is_folder=True, owner_uid=0, mode=mode)
        if exist and path not in gone
        else FolderFacts(path=path, exists=False)
        for path, mode in Layout(spec.root).folders
    }


def bare(asked: Resolved, **changes: Any) -> Observed:
    """A host on which nothing is yet, with an engine that does not have the image either."""
    facts = Observed(
        engine=ENGINE,
        image=None,
        workload=ObservedWorkload(),
        folders=folders(asked.spec, exist=False),
        http_secret=None,
        users=(),
        users_problem="is not there",
        password_given=False,
        first_password=False,
        config_text="",
        certificates=StoreFacts(),
        pair=pair() if asked.spec.tls is Tls.FILES else None,
        served=None,
        saved=None,
    )
    return replace(facts, **changes)


def deployed(asked: Resolved, **changes: Any) -> Observed:
    """A host where everything is as ``asked`` wants it, so that nothing is to be done."""
    spec = asked.spec
    named = spec.tls is not Tls.OFF
    directory = spec.acme_directory if spec.tls is Tls.ACME else ""
    profile = spec.profile if spec.tls is Tls.ACME else ""
    version = stored(source=spec.tls.value, names=spec.domains, directory=directory, profile=profile)
    facts = Observed(
        engine=ENGINE,
        image=IMAGE,
        workload=ObservedWorkload(current=container(asked)),
        folders=folders(spec, exist=True),
        http_secret=SECRET,
        users=(spec.user,) if spec.auth else (),
        users_problem="" if spec.auth else "is not there",
        password_given=False,
        first_password=False,
        config_text=CONFIG,
        certificates=store(version, domain=spec.domain) if named else StoreFacts(),
        pair=pair() if spec.tls is Tls.FILES else None,
        served=serving(1 if named else None),
        saved=to_saved(spec, asked.sources),
    )
    return replace(facts, **changes)


def host(**changes: Any) -> HostFacts:
    """A host with nothing in the way: root, an empty disk, no SELinux."""
    facts = HostFacts(
        uid=0,
        now=NOW,
        root_writable=True,
        disk=DiskFacts(total_bytes=50 * 10**9, free_bytes=41 * 10**9, free_inodes=10**6),
        selinux_enforcing=False,
        unprivileged_port_start=1024,
    )
    return replace(facts, **changes)
