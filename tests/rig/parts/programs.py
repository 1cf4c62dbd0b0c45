"""Images that run: the registry as the library images lay it out, and one that is no registry."""

from __future__ import annotations

import platform
import re
from dataclasses import replace
from pathlib import Path

from tests.library import IMAGE_2, IMAGE_3
from tests.rig.parts.images import Content, Image, layer
from tests.rig.parts.processes import RigError, run

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_APPLETS = ("cat", "echo", "httpd", "id", "ls", "sh", "sleep", "stat", "touch", "true", "wget")

_ENTRYPOINT = b"""#!/bin/sh
set -e
case "$1" in
  *.yaml|*.yml) exec registry serve "$@" ;;
  serve|garbage-collect|help|-*) exec registry "$@" ;;
esac
exec "$@"
"""

_CONFIG_2 = IMAGE_2.encode()
# Without the library image's storage.tag, which 2.8 would take for a second storage driver.
_CONFIG_3 = IMAGE_3.replace("  tag:\n    concurrencylimit: 5\n", "").encode()


def library() -> dict[str, Image]:
    """The rig's images by reference; the registry in them is Debian's Distribution 2.8, whatever the tag says."""
    base = Image(
        (
            layer(
                _registry_files(), executable=("entrypoint.sh",), folders=("tmp", "var", "var/lib", "var/lib/registry")
            ),
        ),
        {
            "Entrypoint": ["/entrypoint.sh"],
            "Env": ["PATH=/bin"],
            "ExposedPorts": {"5000/tcp": {}},
            "Volumes": {"/var/lib/registry": {}},
        },
        _architecture(),
    )
    return {
        "registry:2.7": _with_config(base, "etc/docker/registry/config.yml", _CONFIG_2, "2.7"),
        "registry:2.8": _with_config(base, "etc/docker/registry/config.yml", _CONFIG_2, "2.8"),
        "registry:3": _with_config(base, "etc/distribution/config.yml", _CONFIG_3, "3"),
        "notaregistry:1": busybox(),
        "busybox:latest": busybox(),
    }


def _with_config(base: Image, path: str, content: bytes, version: str) -> Image:
    """The base with its default configuration; the label keeps 2.7 and 2.8 from having one id."""
    config = {**base.config, "Cmd": [f"/{path}"], "Labels": {"rig.version": version}}
    return replace(base, layers=(*base.layers, layer({path: content})), config=config)


def busybox() -> Image:
    """A shell and a few programs."""
    return Image((layer(_busybox_files(), folders=("tmp",)),), {"Cmd": ["sh"], "Env": ["PATH=/bin"]}, _architecture())


def _architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def _busybox_files() -> dict[str, Content]:
    return {"bin/busybox": Path("/bin/busybox"), **{f"bin/{name}": "busybox" for name in _APPLETS}}


def _registry_files() -> dict[str, Content]:
    """The packaged binary with what it needs to run alone, from where this machine has it."""
    program = Path("/usr/bin/docker-registry")
    libraries = [Path(name) for name in re.findall(r"(/\S+) \(0x", run(["ldd", str(program)]))]
    libc = next((path for path in libraries if path.name == "libc.so.6"), None)
    if libc is None:
        raise RigError(f"{program} is not linked with the C library that the rig knows")
    libraries += [libc.parent / name for name in ("libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2")]
    return {
        **_busybox_files(),
        "bin/registry": program,
        "entrypoint.sh": _ENTRYPOINT,
        "etc/ssl/certs/ca-certificates.crt": Path("/etc/ssl/certs/ca-certificates.crt").read_bytes(),
        "etc/passwd": b"root:x:0:0:root:/:/bin/sh\n",
        **{str(path).lstrip("/"): path.resolve() for path in libraries},
    }
