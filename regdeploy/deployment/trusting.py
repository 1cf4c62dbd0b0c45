"""Trust in the internal CA: on this host, and in words for others."""

from __future__ import annotations

from pathlib import Path

from regdeploy.deployment.layout import Layout
from regdeploy.deployment.request import Request, resolve_request
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.errors import NotDeployed, UsageError
from regdeploy.frozen import frozen
from regdeploy.host.trust import install_ca, instructions, uninstall_ca
from regdeploy.tls.internal import InternalAuthority


@frozen
class Trusting:
    """What was done: the files that changed, where the certificate lies, and what other machines need."""

    changed: tuple[Path, ...]
    certificate: Path
    instructions: str


def trust(request: Request) -> Trusting:
    """Put the root where Docker, Podman, Skopeo and Buildah on this host look. Run again it changes nothing.

    Raises UsageError when the deployment has no internal CA, NotDeployed before the first ``up``, and HostError,
    with nothing written, where another CA stands in those places.
    """
    spec, authority, pem = _root_of(request)
    changed = [
        path for name in _exact(spec) for path in install_ca(pem, name, spec.port, ours=authority.former_roots())
    ]
    certificate = Layout(spec.root).authority / "root.crt"
    return Trusting(
        changed=tuple(changed),
        certificate=certificate,
        instructions=instructions(spec.domain, spec.port, certificate),
    )


def untrust(request: Request) -> Trusting:
    """Take away what ``trust`` put there. Raises what ``trust`` raises."""
    spec, authority, pem = _root_of(request)
    changed = [
        path
        for name in _exact(spec)
        for root in (pem, *authority.former_roots())
        for path in uninstall_ca(root, name, spec.port)
    ]
    return Trusting(changed=tuple(changed), certificate=Layout(spec.root).authority / "root.crt", instructions="")


def _root_of(request: Request) -> tuple[Spec, InternalAuthority, bytes]:
    spec = resolve_request(request).spec
    if spec.tls is not Tls.INTERNAL:
        raise UsageError("--tls", f"is {str(spec.tls)!r}: only the internal CA needs this", "")
    authority = InternalAuthority(Layout(spec.root).authority)
    pem = authority.root_pem()
    if pem is None:
        raise NotDeployed(spec.name, f"has no CA in {spec.root} yet", "`regdeploy up --tls internal` makes it")
    return spec, authority, pem


def _exact(spec: Spec) -> tuple[str, ...]:
    """The names that can stand in an image reference."""
    return tuple(name for name in spec.domains if not name.startswith("*."))
