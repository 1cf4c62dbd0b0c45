"""A network and a file system view of our own, so that two runs on one machine never meet.

Ports 80, 443, 5000 and 14000, the names in /etc/hosts, trust in certs.d and the sockets in /run are then this
process's and its children's alone, and vanish with them.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
import threading
from pathlib import Path

from tests.rig.parts.processes import RigError, run

#: An address of the isolated machine that is not loopback (RFC 5737), for names: the engine never verifies HTTPS of
#: what resolves to 127.0.0.0/8, so with such a name a push would prove nothing about trust.
ADDRESS = "192.0.2.7"

_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000


def isolate() -> Path:
    """Move this process into namespaces of its own and return an empty folder that is in memory and its alone.

    There, /etc is an overlay whose changes are in memory, /run is empty but for that folder, and ``lo`` is the only
    interface: no packet reaches another machine. Nothing is written outside, so nothing is left after a SIGKILL.
    Must come before any thread starts, since the kernel moves the calling thread only (unshare(2)). Raises RigError
    where a thread runs or the user is not root.
    """
    others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if others:
        raise RigError(f"too late to isolate this process, threads run already: {', '.join(others)}")
    if os.geteuid():
        raise RigError("the rig must run as root: it makes namespaces and mounts")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET):
        raise RigError(f"unshare: {os.strerror(ctypes.get_errno())}")
    run(["mount", "--make-rprivate", "/"])
    run(["mount", "-t", "tmpfs", "-o", "mode=0755", "regdeploy-rig", "/run"])
    for name, mode in (("lock", 0o1777), ("etc", 0o755), ("etc.work", 0o700)):
        Path("/run", name).mkdir()
        Path("/run", name).chmod(mode)
    layers = "lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc.work"
    run(["mount", "-t", "overlay", "-o", layers, "regdeploy-rig", "/etc"])
    run(["ip", "link", "set", "lo", "up"])
    run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"])
    folder = Path(tempfile.mkdtemp(prefix="rig-", dir="/run"))
    folder.chmod(0o711)  # a remapped engine's containers pass through it
    return folder
