"""What is begun before anything else is loaded. Imports nothing heavy, so that there is something to gain."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from regdeploy.deployment.request import Request, is_saved, resolve_request
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.world import World


def authority_ready(request: Request, world: World) -> AbstractContextManager[None]:
    """Have the CA's part load beside all the rest while the block runs, where a first certificate is to be ordered.

    Changes nothing. Raises UsageError and HostError for a request that cannot be resolved.
    """
    spec = resolve_request(request).spec
    if spec.tls is not Tls.ACME or is_saved(spec.root):
        return nullcontext()
    return world.authority.ready(spec.acme_directory, spec.acme_ca_bundle)
