"""Looks, and changes nothing: from the engine, the files and the endpoint to :class:`Observed`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path

from regdeploy.deployment.challenge import Challenge, challenges
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.migration import OWN, Migration, from_json
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.request import read_text
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.workload import as_deployed, is_ours
from regdeploy.deployment.world import World
from regdeploy.engine.model import EngineFacts, ImageFacts, ObservedWorkload
from regdeploy.errors import CertificateError, UsageError
from regdeploy.frozen import frozen
from regdeploy.host.folders import folder_facts
from regdeploy.host.ports import can_bind
from regdeploy.registry import users
from regdeploy.secret import Secret
from regdeploy.tls.attempts import Attempts, read_attempts
from regdeploy.tls.certificate import Bundle
from regdeploy.tls.store import CertificateStore


@frozen
class EngineView:
    """What the engine has of a deployment."""

    facts: EngineFacts
    image: ImageFacts | None = None
    workload: ObservedWorkload = field(default_factory=ObservedWorkload)


#: What ``doctor`` goes on with where no engine answers.
NO_ENGINE = EngineView(
    facts=EngineFacts(
        version="",
        api_version="",
        os="linux",
        architecture="",
        url="",
        remote=False,
        rootless=False,
        userns_remap=False,
        selinux=False,
        data_root="",
    )
)


def look_at_engine(spec: Spec, world: World) -> EngineView:
    """Ask the engine. Raises EngineError."""
    facts = world.engine.facts()
    return EngineView(facts=facts, workload=world.engine.observe(spec.name), image=world.engine.image(spec.image))


def observe(
    spec: Spec,
    world: World,
    *,
    password: Secret | None = None,
    view: EngineView | None = None,
    migration: Migration | None = None,
) -> Observed:
    """Look at the deployment. ``migration`` is one that is to begin, or to go on otherwise than it is written down.

    Raises EngineError, HostError, and UsageError (the user's own pair too).
    """
    layout = Layout(spec.root)
    view = view or look_at_engine(spec, world)
    noted = read_migration(layout.migration)
    migration = migration or noted
    workload = view.workload if migration is None else _with_old(view.workload, migration, world)
    current = workload.current
    reached = as_deployed(spec, current) if current is not None and is_ours(current, spec.name) else spec
    running = current is not None and current.running
    secret = read_text(layout.http_secret)
    saved = read_text(layout.saved)
    return Observed(
        engine=view.facts,
        image=view.image,
        workload=workload,
        folders={path: folder_facts(path) for path, _ in layout.folders},
        http_secret=Secret(secret.strip()) if secret and secret.strip() else None,
        users=users.read(layout.htpasswd),
        users_problem=users.problems(layout.htpasswd),
        password_given=password is not None and not users.verify(layout.htpasswd, spec.user, password),
        first_password=layout.first_password.exists(),
        config_text=read_text(layout.config_file) or "",
        certificates=CertificateStore(layout.certs).read(),
        pair=read_pair(spec, world) if spec.tls is Tls.FILES else None,
        served=world.endpoint.probe(reached, trust_of(spec)) if running else None,
        saved=None if saved is None else _saved(saved),
        challenges=_challenges(spec, workload) if spec.tls is Tls.ACME else (),
        timer=world.timers.facts(spec.root, spec.name) if wants_timer(spec) else None,
        config_unread_by=(read_text(layout.unread) or "").strip(),
        stopped=(read_text(layout.stopped) or "").strip(),
        attempts=attempts_of(spec) if spec.tls is Tls.ACME else None,
        migration=migration,
        begun=noted == migration,
        listed=migration is not None and bool(migration.address) and layout.listed.exists(),
        aside=_aside(spec),
        extra=extra_of(spec),
    )


def _aside(spec: Spec) -> tuple[tuple[Path, Path], ...]:
    """The files of a hand-made registry's own pair that are not called yet as the spec has it."""
    paths = [path for path in (spec.cert, spec.key) if path is not None and path != _as_it_lies(path)]
    return tuple((_as_it_lies(path), path) for path in paths)


def _as_it_lies(path: Path) -> Path:
    """``path``, or the name that the file has before it is taken over."""
    before = path.with_name(path.name.removeprefix(OWN))
    return before if not path.exists() and before.is_file() and not before.is_symlink() else path


def read_migration(path: Path) -> Migration | None:
    """The migration that is written down, None where there is none. Raises HostError."""
    text = read_text(path)
    return None if text is None else from_json(text, path)


def extra_of(spec: Spec) -> Mapping[str, str]:
    """The registry's further variables, none where there is no file. Raises HostError and UsageError."""
    path = Layout(spec.root).environment
    text = read_text(path)
    if text is None:
        return {}
    from regdeploy.registry.variables import read_extra  # noqa: PLC0415 - only where there are such

    return read_extra(text)


def _with_old(workload: ObservedWorkload, migration: Migration, world: World) -> ObservedWorkload:
    """``workload`` with the container that is taken over as the current one, under whatever name it runs."""
    if workload.current is not None:
        return workload
    old = next((one for one in world.engine.containers() if one.id == migration.container), None)
    return workload if old is None or old == workload.previous else replace(workload, current=old)


def wants_timer(spec: Spec) -> bool:
    """Whether there is something to renew, and it is to happen by itself."""
    return spec.timer and spec.tls in (Tls.ACME, Tls.INTERNAL)


def attempts_of(spec: Spec) -> Attempts:
    """What was tried for the spec's names at its CA."""
    return read_attempts(Layout(spec.root).attempts, spec.domains, spec.acme_directory)


def _challenges(spec: Spec, workload: ObservedWorkload) -> tuple[Challenge, ...]:
    current = workload.current
    ours = {publish.host_port for publish in current.publishes} if current is not None and current.running else set()
    free = {port for port in (spec.http_01_port, spec.tls_alpn_01_port) if not can_bind("", port)}
    return challenges(spec, free, ours)


def _saved(text: str) -> Mapping[str, object]:
    """The values of regdeploy.toml; broken ones were refused when the spec was resolved."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def read_pair(spec: Spec, world: World) -> Bundle:
    """The user's own certificate and key, checked to belong together and to fit. Raises UsageError."""
    from regdeploy.tls.bundle import make_bundle  # noqa: PLC0415 - cryptography, only with --tls files

    contents = []
    assert spec.cert is not None, "resolve() refuses --tls files without both"
    assert spec.key is not None, "as above"
    cert, key = _as_it_lies(spec.cert), _as_it_lies(spec.key)
    for option, path in (("--cert", cert), ("--key", key)):
        try:
            contents.append(path.read_bytes())
        except OSError as error:
            raise UsageError(option, f"{path}: {error.strerror or error}", "give the path of a PEM file") from error
    try:
        return make_bundle(
            contents[0],
            contents[1],
            names=spec.domains,
            now=world.now(),
            cert_name=str(cert),
            key_name=str(key),
        )
    except CertificateError as error:
        raise UsageError(error.where, error.what, error.hint, code=error.code) from error


def trust_of(spec: Spec) -> Mapping[str, bytes]:
    """The roots, beside the system's, that may prove what is served, by the words for them."""
    trust: dict[str, bytes] = {}
    root = Layout(spec.root).authority / "root.crt"
    candidates = [("the internal CA", root)] if spec.tls is Tls.INTERNAL else []
    if spec.acme_ca_bundle is not None and spec.tls is Tls.ACME:
        candidates.append((str(spec.acme_ca_bundle), spec.acme_ca_bundle))
    for words, path in candidates:
        try:
            trust[words] = path.read_bytes()
        except OSError:
            continue  # nothing to prove with; the system's roots still count
    return trust
