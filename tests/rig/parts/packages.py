"""The Debian packages that the rig is made of, installed where they are missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from tests.rig.parts.processes import RigError, run

#: Package and a file that tells that it is there: asking for 13 files is quicker than asking dpkg.
PACKAGES = {
    "bind9": "/usr/sbin/named",
    "bind9-dnsutils": "/usr/bin/nsupdate",
    "buildah": "/usr/bin/buildah",
    "busybox-static": "/bin/busybox",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
    "docker-registry": "/usr/bin/docker-registry",
    "docker.io": "/usr/sbin/dockerd",
    "iproute2": "/sbin/ip",
    "iptables": "/usr/sbin/iptables",
    "openssl": "/usr/bin/openssl",
    "pebble": "/usr/bin/pebble",
    "podman": "/usr/bin/podman",
    "skopeo": "/usr/bin/skopeo",
    "systemd": "/usr/bin/systemd-analyze",
}
_POLICY = Path("/usr/sbin/policy-rc.d")


def missing(more: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """The packages that are not there yet; ``more`` are others than the rig's, in the same form."""
    return [name for name, file in {**PACKAGES, **more}.items() if not Path(file).exists()]


def install(more: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Install what is missing and return it; nothing is asked of anybody where all is there.

    The packages' services are not started: a registry on port 5000 or an engine is not what was asked for. Raises
    RigError where that takes another user or another system.
    """
    names = missing(more)
    if not names:
        return []
    if not shutil.which("apt-get"):
        raise RigError(f"the rig needs Debian 12 (apt-get) for: {' '.join(names)}")
    if os.geteuid():
        raise RigError(f"the rig must run as root to install: {' '.join(names)}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        run(["apt-get", "-q", "update"], environ)
        run(["apt-get", "-qy", "install", "--no-install-recommends", *names], environ)
    still = missing(more)
    if still:
        raise RigError(f"apt-get installed these, but their files are not where they belong: {' '.join(still)}")
    return names


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep Debian's packages from starting services while they are installed; an administrator's policy stays."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
