"""A network and a file system view of our own, so that two runs on one machine never meet.

Ports 80, 443, 5000 and 14000, the names in /etc/hosts, trust in certs.d and the sockets in /run are then this
process's and its children's alone, and vanish with them.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path

from tests.rig.parts.processes import RigError, run

#: An address of the isolated machine that is not loopback (RFC 5737), for names: the engine never verifies HTTPS of
#: what resolves to 127.0.0.0/8, so with such a name a push would prove nothing about trust.
ADDRESS = "192.0.2.7"

_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000


def isolate() -> Path:
    """Move this process into namespaces of its own and return an empty folder that is in memory and its alone.

    There, /etc and /var/lib are overlays whose changes are in memory, /run is empty but for that folder, and ``lo``
    is the only interface: no packet reaches another machine. Nothing is written outside, so nothing is left after a
    SIGKILL. Must come before any thread starts, since the kernel moves the calling thread only (unshare(2)). Raises
    RigError where a thread runs or the user is not root.
    """
    others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if others:
        raise RigError(f"too late to isolate this process, threads run already: {', '.join(others)}")
    if os.geteuid():
        raise RigError("the rig must run as root: it makes namespaces and mounts")
    here = Path.cwd()
    _check(_libc().unshare(_CLONE_NEWNS | _CLONE_NEWNET), "unshare")
    _mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    _mount("regdeploy-rig", "/run", "tmpfs", options="mode=0755")
    _make_folder("/run/lock", 0o1777)
    _make_folder("/run/disk", 0o755)
    _mount("/var/lib", "/run/disk", flags=_MS_BIND)
    for name in ("etc", "var/lib"):  # in the latter for c/image's cache of blobs, which knows no other place
        changes, work = f"/run/changes/{name}", f"/run/work/{name}"
        _make_folder(changes, 0o755)
        _make_folder(work, 0o700)
        _mount("regdeploy-rig", f"/{name}", "overlay", options=f"lowerdir=/{name},upperdir={changes},workdir={work}")
    if here.is_relative_to("/var/lib"):  # what is written into the tree itself (coverage) must stay
        _mount(f"/run/disk/{here.relative_to('/var/lib')}", str(here), flags=_MS_BIND)
    _forget_the_users_names()
    run(["ip", "link", "set", "lo", "up"])
    run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"])
    folder = Path(tempfile.mkdtemp(prefix="rig-", dir="/run"))
    folder.chmod(0o711)  # a remapped engine's containers pass through it
    return folder


def _mount(source: str, target: str, kind: str = "none", *, flags: int = 0, options: str = "") -> None:
    """mount(2); the program mount leaves a folder of its own in the machine's /run."""
    arguments = (source.encode(), target.encode(), kind.encode(), flags, options.encode())
    _check(_libc().mount(*arguments), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result:
        raise RigError(f"{what}: {os.strerror(ctypes.get_errno())}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _make_folder(path: str, mode: int) -> None:
    Path(path).mkdir(parents=True)
    Path(path).chmod(mode)


def _forget_the_users_names() -> None:
    """Names and trust of the machine's own, such as those of a demo that runs there, must not reach in."""
    Path("/etc/hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n::1 localhost\n")
    for certificates in ("/etc/docker/certs.d", "/etc/containers/certs.d"):
        shutil.rmtree(certificates, ignore_errors=True)
