"""A Docker engine of our own, apart from any other on the machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.rig.parts.processes import Program, RigError, alive, children, of_folder, run, stop_pid


class DockerEngine:
    """One dockerd with everything it writes below ``folder`` (short: a socket's path has 107 bytes).

    By default it has the bridge docker0 and writes firewall rules, as a user's engine does: for a network namespace
    of its own. With ``bridge`` (a name of at most 15 characters) it makes that bridge, writes no firewall rule and
    publishes ports by its proxy: for a second engine in one namespace, and for the demo. ``flags`` go to dockerd
    (``--userns-remap=default``). With ``tied`` it ends when the process that started it does.
    """

    def __init__(
        self, folder: Path, flags: Sequence[str] = (), bridge: str = "", subnet: str = "172.29.0.1/16", *, tied: bool
    ) -> None:
        self.folder = folder
        self.bridge = bridge
        self._flags = list(flags)
        self._subnet = subnet
        self._tied = tied
        #: Above the cgroups of its containers: one of its own, so that it can be removed. The folder is unique.
        self.cgroup = "regdeploy-" + "-".join(folder.parts[1:])
        self._program: Program | None = None

    @property
    def socket(self) -> Path:
        """The engine's socket."""
        return self.folder / "docker.sock"

    @property
    def docker_host(self) -> str:
        """The value for DOCKER_HOST."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        """The process id in its pid file, or None where it does not run."""
        try:
            pid = int((self.folder / "pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if alive(pid) else None

    def start(self) -> Self:
        """Start it, return when it answers; RigError with its log's end where it does not."""
        self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        command = [
            *("dockerd", "--config-file", str(self.folder / "daemon.json"), "--log-level", "warn"),
            *("--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec")),
            *("-H", self.docker_host, "--pidfile", str(self.folder / "pid")),
            *("--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{self.cgroup}"),
        ]
        (self.folder / "daemon.json").write_text("{}")  # and not the machine's /etc/docker/daemon.json
        if self.bridge:
            self._make_bridge()
            command += ["--bridge", self.bridge, "--iptables=false", "--ip-forward=false"]
        # Go's own resolver keeps what it read in /etc/hosts for 5 seconds, too long for names that come and go.
        environ = {**os.environ, "GODEBUG": "netdns=cgo"}
        self._program = Program([*command, *self._flags], self.folder / "log", environ, tied=self._tied)
        self._program.wait_until(self.answers, 60)
        return self

    def answers(self) -> bool:
        """Whether the engine answers a ping."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
            return b" 200 " in connection.recv(64)
        return False

    def kill(self) -> None:
        """End the engine as a power cut would: at once, its containers' processes left behind. ``stop`` tidies up."""
        if self._program is not None:
            self._program.kill()

    def restart(self) -> Self:
        """End it as systemd would, and start it again: its containers stop, and start if their policy says so."""
        assert self._program is not None, "it was not started here"
        self._program.stop()
        return self.start()

    def power_cut(self) -> None:
        """End the engine and every process of its containers at once; what is on disk stays, for ``start``."""
        doomed: list[int] = []
        if self._program is not None:
            os.kill(self._program.pid, signal.SIGSTOP)  # it starts no proxy any more
            doomed += children(self._program.pid)
        self.kill()
        doomed += of_folder(self.folder)  # the shims, which would see to the containers' ends
        doomed += (pid for group in self._cgroups() for pid in _members(group))
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for mount in reversed(mounts_below(self.folder)):
            run(["umount", "--lazy", mount])
        # The kernel lets go of network namespaces in its own time, and until then their ends answer for addresses.
        for link in _links("master", self.bridge or "docker0"):
            with suppress(RigError):
                run(["ip", "link", "delete", link])
        shutil.rmtree(self.folder / "exec")  # /run is empty after a power cut
        (self.folder / "pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """End it with its containers and take away all that it made: mounts, cgroups, its bridge, its folder.

        Works from the folder alone, so also for an engine that another process started; one that is gone is fine.
        """
        if self.answers():
            with suppress(RigError):  # the engine's own end takes the patience of each container
                ids = run(["docker", "-H", self.docker_host, "ps", "-q"]).split()
                if ids:
                    run(["docker", "-H", self.docker_host, "kill", *ids])
        pid = self.pid
        if self._program is not None:
            self._program.stop()
        elif pid is not None:
            stop_pid(pid)
        for left in of_folder(self.folder):
            stop_pid(left, 2)
        for mount in reversed(mounts_below(self.folder)):
            run(["umount", "--lazy", mount])
        self._remove_cgroups()
        if self.bridge and _has_link(self.bridge):
            run(["ip", "link", "delete", self.bridge])
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_bridge(self) -> None:
        if not _has_link(self.bridge):
            run(["ip", "link", "add", self.bridge, "type", "bridge"])
            run(["ip", "address", "add", self._subnet, "dev", self.bridge])
            run(["ip", "link", "set", self.bridge, "up"])

    def _cgroups(self) -> list[Path]:
        """Those of its containers, the innermost first."""
        hierarchies = Path("/sys/fs/cgroup")
        parents = [*hierarchies.glob(f"*/{self.cgroup}"), *hierarchies.glob(self.cgroup)]
        return [group for parent in parents for group in sorted(parent.glob("**/"), reverse=True)]

    def _remove_cgroups(self) -> None:
        """Remove its cgroups, and first the processes in them: those of containers whose engine was killed."""
        for group in self._cgroups():
            for pid in _members(group):
                stop_pid(pid, 0)
            _remove_when_empty(group)


def _members(group: Path) -> list[int]:
    return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]


def mounts_below(folder: Path) -> list[str]:
    """The mount points strictly below ``folder``, in the order of mounting."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{folder}/")]


def _has_link(name: str) -> bool:
    return name in _links()


def _links(*which: str) -> list[str]:
    # Not by /sys/class/net: that shows the network namespace in which /sys was mounted.
    return [link["ifname"] for link in json.loads(run(["ip", "-json", "link", "show", *which]) or "[]")]


def _remove_when_empty(group: Path, seconds: float = 2) -> None:
    """Remove a cgroup; its last process may take a moment to be gone."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
