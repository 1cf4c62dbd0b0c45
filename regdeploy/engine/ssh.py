"""An engine behind ssh: the user's own ssh runs ``docker system dial-stdio`` there, as Docker's client does it.

The SDK's own way needs paramiko, which reads neither all of ~/.ssh/config nor every agent.
"""

from __future__ import annotations

import socket
import subprocess
from contextlib import suppress
from urllib.parse import urlsplit

from docker.transport.basehttpadapter import BaseHTTPAdapter
from requests import PreparedRequest
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

_PATIENCE = 5


class SshAdapter(BaseHTTPAdapter):
    """Carries requests through ssh to the engine at ``url`` (ssh://[USER@]HOST[:PORT]).

    What ssh itself says goes to standard error.
    """

    def __init__(self, url: str) -> None:
        self._pool = _Pool(url)
        super().__init__()

    def get_connection(self, url: str | bytes, proxies: object = None) -> HTTPConnectionPool:  # noqa: ARG002 - all lead there
        """Return the only pool there is."""
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: object) -> str:  # noqa: ARG002 - there are none
        """Return the path alone: there is no host to name."""
        return request.path_url

    def close(self) -> None:
        """End ssh."""
        self._pool.close()
        super().close()


class _Pool(HTTPConnectionPool):
    def __init__(self, url: str) -> None:
        super().__init__("localhost", maxsize=4)
        self._url = url

    def _new_conn(self) -> HTTPConnection:
        return _Connection(self._url)


class _Connection(HTTPConnection):
    """A connection whose other end is the standard input and output of a program."""

    def __init__(self, url: str) -> None:
        super().__init__("localhost")
        self._url = url
        self._program: subprocess.Popen[bytes] | None = None

    def connect(self) -> None:
        parts = urlsplit(self._url)
        user = ["-l", parts.username] if parts.username else []
        port = ["-p", str(parts.port)] if parts.port else []
        ours, theirs = socket.socketpair()
        with theirs:
            command = ["ssh", *user, *port, "--", parts.hostname or "", "docker system dial-stdio"]
            self._program = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True
            )
        ours.settimeout(self.timeout if isinstance(self.timeout, int | float) else None)
        self.sock = ours

    def close(self) -> None:
        super().close()
        if self._program is not None:
            with suppress(subprocess.TimeoutExpired):
                self._program.wait(_PATIENCE)  # it ends when its input does
            if self._program.poll() is None:
                self._program.kill()
                self._program.wait()
            self._program = None
