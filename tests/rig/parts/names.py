"""Names and trust that the machine is given for a while, and is freed of byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HOSTS = Path("/etc/hosts")
TRUST = (Path("/etc/docker/certs.d"), Path("/etc/containers/certs.d"))


@dataclass(frozen=True)
class Added:
    """What was added to the machine: text at the end of a file, or a whole file with the folders made for it."""

    file: str
    text: str
    whole: bool = False
    folders: tuple[str, ...] = ()


def add_hosts_entry(name: str, address: str, hosts: Path = HOSTS) -> Added:
    """Let the machine resolve ``name`` to ``address``. The file is written in place: it may be a mount."""
    before = hosts.read_text()
    text = f"{'' if before.endswith(chr(10)) or not before else chr(10)}{address} {name}\n"
    with hosts.open("a") as file:
        file.write(text)
    return Added(str(hosts), text)


def add_trust(host: str, pem: bytes, folder: Path) -> Added:
    """Let Docker (or podman) trust a CA for ``host`` (``NAME`` or ``NAME:PORT``); ``folder`` is its certs.d.

    Raises FileExistsError where somebody has put a CA there.
    """
    file = folder / host / "ca.crt"
    missing = [parent for parent in [file.parent, *file.parent.parents] if not parent.exists()]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("xb") as output:
        output.write(pem)
    return Added(str(file), pem.decode(), whole=True, folders=tuple(str(parent) for parent in missing))


def take_away(added: Added) -> None:
    """Undo an addition; what others changed in the meantime stays, and so does a file that is not ours any more."""
    file = Path(added.file)
    with suppress(FileNotFoundError):
        content = file.read_text()
        if added.whole and content == added.text:
            file.unlink()
        elif not added.whole and added.text in content:
            head, _, rest = content.rpartition(added.text)
            file.write_text(head + rest)
    for folder in added.folders:
        with suppress(OSError):  # not empty: somebody else has moved in
            Path(folder).rmdir()


@contextmanager
def hosts_entry(name: str, address: str, hosts: Path = HOSTS) -> Iterator[None]:
    """``add_hosts_entry`` for a while."""
    added = add_hosts_entry(name, address, hosts)
    try:
        yield
    finally:
        take_away(added)


@contextmanager
def trusted(host: str, pem: bytes, folders: Sequence[Path] = TRUST) -> Iterator[None]:
    """``add_trust`` for docker, podman, skopeo and buildah, for a while."""
    added: list[Added] = []
    try:
        for folder in folders:
            added.append(add_trust(host, pem, folder))  # noqa: PERF401 - those made before a failure must be undone
        yield
    finally:
        for addition in reversed(added):
            take_away(addition)
