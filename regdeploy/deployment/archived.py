"""The image in an archive that was given now: what tells an offline upgrade under one tag from nothing to do."""

from __future__ import annotations

from dataclasses import replace

from regdeploy.deployment.observed import Observed
from regdeploy.deployment.spec import Resolved


def with_archive(resolved: Resolved, observed: Observed) -> Observed:
    """``observed`` with the image of the archive that was given with this command, where that can change anything.

    An archive that was saved is not looked at, and may be gone: its image was loaded. An image that is named by digest
    is what the engine has. Reads no layer, and asks nobody. Raises ImageError ``image.archive``.
    """
    spec, source = resolved.spec, resolved.sources["image-archive"]
    if spec.image_archive is None or observed.image is None or "@" in spec.image or source in ("saved", "default"):
        return observed
    if source == "file" and not spec.image_archive.exists():
        return observed  # a file is given for good, as what was saved is
    from regdeploy.engine.archives import archived_image  # noqa: PLC0415 - tarfile, only where an archive was given

    return replace(observed, archived=archived_image(spec.image_archive, observed.engine.architecture, spec.image))
