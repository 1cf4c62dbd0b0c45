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


def hosts_line(name: str, address: str, hosts: Path = HOSTS) -> Added:
    """What lets the machine resolve ``name`` to ``address``; nothing is done before ``put``."""
    before = hosts.read_text()
    separator = "" if before.endswith("\n") or not before else "\n"
    return Added(str(hosts), f"{separator}{address} {name}\n")


def trust(host: str, pem: bytes, folder: Path) -> Added:
    """What lets Docker (or podman) trust a CA for ``host`` (``NAME`` or ``NAME:PORT``); ``folder`` is its certs.d."""
    file = folder / host / "ca.crt"
    missing = [str(parent) for parent in [file.parent, *file.parent.parents] if not parent.exists()]
    return Added(str(file), pem.decode(), whole=True, folders=tuple(missing))


def put(added: Added) -> None:
    """Add that to the machine; raises FileExistsError rather than replace somebody's file.

    An addition can be written down before it is made, so that whoever is killed in between can still take it away.
    """
    file = Path(added.file)
    if added.whole:
        file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x" if added.whole else "a") as output:  # in place: /etc/hosts may be a mount
        output.write(added.text)


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
    """Let the machine resolve ``name`` to ``address``, for a while."""
    added = hosts_line(name, address, hosts)
    put(added)
    try:
        yield
    finally:
        take_away(added)


@contextmanager
def trusted(host: str, pem: bytes, folders: Sequence[Path] = TRUST) -> Iterator[None]:
    """Let docker, podman, skopeo and buildah trust a CA for ``host``, for a while."""
    added: list[Added] = []
    try:
        for folder in folders:
            addition = trust(host, pem, folder)
            put(addition)
            added.append(addition)
        yield
    finally:
        for addition in reversed(added):
            take_away(addition)
