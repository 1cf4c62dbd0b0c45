"""The demo: a registry over HTTPS on this very machine, with a certificate from a CA that runs beside it.

``python -m tests.rig.demo up`` uses the Docker engine that answers, where it can have ``registry:3``; else it starts
one of its own. Everything lies below one folder (``REGDEPLOY_DEMO``, by default /var/lib/regdeploy-demo), and what was
added to the machine outside it is written down there first, so that ``down`` takes all of it away, also after an
``up`` that failed or was killed.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from tests.rig.parts.engine import DockerEngine
from tests.rig.parts.names import HOSTS, TRUST, Added, hosts_line, put, take_away, trust
from tests.rig.parts.packages import install, missing
from tests.rig.parts.pebble import Pebble, PebbleOptions
from tests.rig.parts.processes import RigError, listening, of_folder, run, stop_pid
from tests.rig.parts.programs import busybox, library
from tests.rig.parts.rig import FOREIGN
from tests.rig.parts.shelf import load

DOMAIN = "regisry.lagoudocker.io"
IMAGE = "regdeploy-demo:1"
USER = "demo"
_NOTHING_DEPLOYED = 3

#: An engine makes these where the machine has none; they go with ours.
_ENGINE_LEAVES = (
    *("/etc/docker/key.json", "/etc/docker", "/run/docker/plugins", "/run/docker"),
    *("/run/containerd/s", "/run/containerd"),
)


@dataclass
class State:
    """What ``down`` needs to know, in a file that is written before each thing is done."""

    folder: Path
    docker_host: str = ""
    own_engine: bool = False
    added: list[Added] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What an ``up`` has written there, or nothing at all."""
        try:
            content = json.loads((folder / "state.json").read_text())
        except FileNotFoundError:
            return cls(folder)
        added = [Added(**{**entry, "folders": tuple(entry["folders"])}) for entry in content.pop("added")]
        return cls(folder, added=added, **content)

    def save(self) -> None:
        """Write it whole."""
        content = asdict(self)
        del content["folder"]
        temporary = self.folder / "state.json.new"
        temporary.write_text(json.dumps(content, indent=2))
        temporary.rename(self.folder / "state.json")

    @property
    def root(self) -> Path:
        """The deployment's root folder."""
        return self.folder / "registry"

    @property
    def engine(self) -> DockerEngine:
        """The demo's own engine, running or not. No firewall rule of the machine is touched."""
        return DockerEngine(self.folder / "engine", bridge="regdeploy-demo", tied=False)

    @property
    def environ(self) -> dict[str, str]:
        """For every command: the engine chosen, and credentials apart from the user's."""
        kept = {name: value for name, value in os.environ.items() if not self.own_engine or name not in FOREIGN}
        own = {"DOCKER_CONFIG": str(self.folder / "docker")}
        return {**kept, **own, **({"DOCKER_HOST": self.docker_host} if self.docker_host else {})}

    def add(self, added: Added) -> None:
        """Add something to the machine, written down first."""
        if added.whole and Path(added.file).exists():
            raise RigError(f"{added.file} is there already and is not the demo's: move it away first")
        self.added.append(added)
        self.save()
        put(added)


def up(folder: Path) -> None:
    """Bring the demo up; what an earlier one left is taken away first."""
    if os.geteuid():
        raise RigError("the demo must run as root: it listens on 80 and 443 and writes /etc/hosts")
    if folder.exists():
        print("An earlier demo is there: taking it away first.")
        down(folder)
    if missing():
        print(f"Installing Debian packages: {' '.join(missing())}")
        install()
    for port in (80, 443):
        if listening(port):
            raise RigError(f"port {port} is taken on this machine: stop what listens there, then try again")
    folder.mkdir(mode=0o711, parents=True)
    state = State(folder)
    state.save()
    # Before anything asks an engine for a name: it keeps what it read in /etc/hosts for 5 seconds.
    if DOMAIN not in HOSTS.read_text().split():
        state.add(hosts_line(DOMAIN, "127.0.0.1"))
    _choose_engine(state)
    pebble = _start_ca(state)
    password = secrets.token_urlsafe(9)
    _show(state, pebble, password)
    print(f"""
https://{DOMAIN} runs, for the user {USER} with the password {password}. Look at it yourself:
  export DOCKER_HOST={state.docker_host} DOCKER_CONFIG={state.environ["DOCKER_CONFIG"]}
  docker ps; {_tool("regdeploy")} status --root {state.root}
Take it away with: make demo-down""")


def down(folder: Path) -> None:
    """Take away everything that ``up`` has made, however far it came; nothing there is fine."""
    if not folder.exists():
        print("No demo is there.")
        return
    state = State.load(folder)
    if state.root.exists() and (not state.own_engine or state.engine.answers()):
        ended = _regdeploy(state, "down", "--purge", "--yes", "--root", str(state.root))
        if ended not in (0, _NOTHING_DEPLOYED) and not state.own_engine:  # what is in an engine of ours ends with it
            raise RigError(f"regdeploy down ended with {ended}")
    if state.own_engine:
        state.engine.stop()
    elif state.images:
        run(["docker", "rmi", "--force", *state.images], state.environ)
    for pid in of_folder(folder):
        stop_pid(pid)
    _free_machine(state)
    shutil.rmtree(folder)
    print("The demo is gone.")


def _free_machine(state: State) -> None:
    """Take away what lies outside the demo's folder."""
    for added in reversed(state.added):
        take_away(added)
    for path in map(Path, state.made):
        if path.is_file():
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _choose_engine(state: State) -> None:
    """The user's engine where it has, or can have, the registry image; else one of our own with images made here."""
    (state.folder / "docker").mkdir(mode=0o700)
    if _has_users_engine(state) and _has_registry_image(state):
        print("Using the Docker engine of this machine.")
        state.images.append(IMAGE)
        state.save()
        load({IMAGE: busybox()}, state.environ, state.folder)
        return
    print("No Docker engine with a way to Docker Hub here: starting one of the demo's own.")
    state.own_engine = True
    state.docker_host = state.engine.docker_host
    state.made += [path for path in _ENGINE_LEAVES if not Path(path).exists()]
    state.save()
    state.engine.start()
    load({"registry:3": library()["registry:3"], IMAGE: busybox()}, state.environ, state.folder)


def _has_users_engine(state: State) -> bool:
    """Whether the engine of DOCKER_HOST, or of the user's Docker context, is on this machine and answers."""
    context = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    done = subprocess.run(context, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.startswith("unix://"):
        return False
    state.docker_host = done.stdout.strip()
    return _succeeds(state, "info")


def _has_registry_image(state: State) -> bool:
    if _succeeds(state, "image", "inspect", "registry:3"):
        return True
    if not _succeeds(state, "pull", "--quiet", "registry:3"):
        return False
    state.images.append("registry:3")  # fetched for the demo, so it goes with it
    return True


def _succeeds(state: State, *arguments: str) -> bool:
    """Whether that docker command ends well within two minutes."""
    try:
        done = subprocess.run(["docker", *arguments], env=state.environ, capture_output=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _start_ca(state: State) -> Pebble:
    """Start Pebble, and let this machine trust what it issues for the name."""
    port = 0 if listening(14000) else 14000
    pebble = Pebble(state.folder / "pebble", PebbleOptions(directory_port=port), tied=False).start()
    for certs in TRUST:
        state.add(trust(DOMAIN, pebble.root_pem(), certs))
    print(f"A certificate authority for tests answers at {pebble.directory}\n")
    return pebble


def _show(state: State, pebble: Pebble, password: str) -> None:
    """What a user would type, one after the other."""
    name = f"{DOMAIN}/{IMAGE}"
    ended = _regdeploy(
        state,
        *("up", "--domain", DOMAIN, "--root", str(state.root)),
        *("--acme-directory", pebble.directory, "--acme-ca-bundle", str(pebble.ca_bundle)),
        *("--user", USER, "--password-stdin"),
        text=f"{password}\n",
    )
    if ended:
        raise RigError(f"regdeploy up ended with {ended}")
    _docker(state, "login", DOMAIN, "--username", USER, "--password-stdin", text=password)
    _docker(state, "tag", IMAGE, name)
    if not state.own_engine:
        state.images.append(name)
        state.save()
    _docker(state, "push", "--quiet", name)
    _docker(state, "rmi", name)
    _docker(state, "pull", "--quiet", name)
    _docker(state, "run", "--rm", name, "echo", "Hello from an image in your own registry")
    ended = _regdeploy(state, "status", "--root", str(state.root))
    if ended:
        raise RigError(f"regdeploy status ended with {ended}")


def _regdeploy(state: State, *arguments: str, text: str = "") -> int:
    """Show a regdeploy command and run it: it speaks for itself. Returns its exit status."""
    print(f"$ {shlex.join(['regdeploy', *arguments])}", flush=True)
    command = [_tool("regdeploy"), *arguments]
    return subprocess.run(command, env=state.environ, input=text, text=True, check=False).returncode


def _docker(state: State, *arguments: str, text: str = "") -> None:
    """Show a docker command and run it; of what it says only stdout is shown, its warnings are not the user's."""
    print(f"$ {shlex.join(['docker', *arguments])}", flush=True)
    print(run(["docker", *arguments], state.environ, text), end="", flush=True)


def _tool(name: str) -> str:
    """A program of this very environment."""
    return str(Path(sys.executable).with_name(name))


def main() -> int:
    """``up`` or ``down``."""
    commands = {"up": up, "down": down}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print("python -m tests.rig.demo up|down", file=sys.stderr)
        return 2
    try:
        commands[sys.argv[1]](Path(os.environ.get("REGDEPLOY_DEMO", "/var/lib/regdeploy-demo")).resolve())
    except RigError as error:
        print(f"{error}\nTake away what is there with: make demo-down", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nTake away what is there with: make demo-down", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
