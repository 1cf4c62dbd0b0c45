"""A third real certificate authority: Caddy's ACME server, whose certificates last for hours and whose key is new."""

from __future__ import annotations

import socket
import ssl
import sysconfig
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.rig.parts.processes import Program, free_port

# Nothing of the machine: no admin port, no trust store, no listener on port 80.
_CADDYFILE = """{{
  admin off
  skip_install_trust
  auto_https disable_redirects
  storage file_system {folder}/data
}}
https://localhost:{port} {{
  bind 127.0.0.1
  tls internal
  acme_server
}}
"""


@dataclass
class Caddy:
    """One CA that calls back on port 80 of the name; names resolve as this machine resolves them.

    ``directory`` is its URL, ``ca_bundle`` is its root: it proves its HTTPS, and issues.
    """

    folder: Path
    _programs: list[Program] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.directory = f"https://localhost:{self.port}/acme/local/directory"
        self.ca_bundle = self.folder / "data/pki/authorities/local/root.crt"

    def start(self) -> Self:
        """Start it and return when it serves the certificate of its own; RigError with the log's end otherwise."""
        self.folder.mkdir(parents=True)
        settings = self.folder / "Caddyfile"
        settings.write_text(_CADDYFILE.format(folder=self.folder, port=self.port))
        program = Program(
            [f"{sysconfig.get_path('scripts')}/caddy", "run", "--config", str(settings), "--adapter", "caddyfile"],
            self.folder / "log",
            {"HOME": str(self.folder), "PATH": "/usr/bin:/bin"},
        )
        self._programs.append(program)
        program.wait_until(self._serves)
        return self

    def stop(self) -> None:
        """Stop it; stopped already is fine."""
        while self._programs:
            self._programs.pop().stop()

    def _serves(self) -> bool:
        with suppress(OSError):  # it listens before it has a root, and then a certificate
            context = ssl.create_default_context(cafile=str(self.ca_bundle))
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain,
                context.wrap_socket(plain, server_hostname="localhost"),
            ):
                return True
        return False
