"""A registry on its way to being this deployment, as a value and as a file: a hand-made one, or one in another root.

The file is there from the first write of a migration to its last: whatever is killed in between, the next ``up`` or
``migrate-to-https`` finds the old registry by it and goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from regdeploy.errors import HostError
from regdeploy.frozen import frozen

#: How the names of a certificate and key begin from now on that lay where links of ours belong.
OWN = "own-"
_PAIRS = ("variables", "files")
_HINT = "move that file away, and run `regdeploy migrate-to-https` again"


@frozen
class Migration:
    """What is being taken over.

    ``container`` is its id, ``name`` and ``restart_policy`` (with its retries) what it had; ``source`` is the host's
    folder with its images, None where there is nothing to copy: they lie in ROOT/data already, or outside this host.
    ``address`` is where the old registry is asked what it holds (``127.0.0.1:5000``): set only where its images lie
    outside this host, and it publishes a port.
    ``htpasswd`` is the text of the file with those who could log in, empty where anybody could. ``http_secret`` is its
    secret for uploads, empty for one that nobody knows; ``variables`` are its settings that regdeploy has none for, and
    ``files`` (name, text) the files that they name.
    ``leave_damaged`` goes on without blobs that are damaged, ``full`` hashes every blob at the end, ``move`` removes
    each blob from the source once its copy is safe. ``moved_from`` is the root folder that the deployment had, where it
    is one of regdeploy's own.
    """

    container: str
    name: str
    restart_policy: str
    source: Path | None
    restart_retries: int = 0
    htpasswd: str = field(default="", repr=False)
    http_secret: str = field(default="", repr=False)
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    files: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    leave_damaged: bool = False
    full: bool = False
    move: bool = False
    moved_from: Path | None = None
    address: str = ""

    def to_json(self) -> bytes:
        """The file's content."""
        return (json.dumps(vars(self), indent=1, default=str) + "\n").encode()


def from_json(text: str, where: Path) -> Migration:
    """The value of a file's content. Raises HostError for any other."""
    try:
        values: Mapping[str, Any] = json.loads(text)
        paths = {name: Path(values[name]) if values[name] else None for name in ("source", "moved_from")}
        pairs = {name: tuple((str(key), str(text)) for key, text in values.get(name, ())) for name in _PAIRS}
        return Migration(**{**values, **paths, **pairs})
    except (ValueError, TypeError, KeyError) as error:
        raise HostError(str(where), "does not say which registry is being taken over", _HINT) from error
