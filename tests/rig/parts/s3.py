"""An S3 server of the rig's own: moto's, which keeps everything in memory and takes any key."""

from __future__ import annotations

import re
import sysconfig
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.rig.parts.processes import Program, free_port, listening

#: What moto takes for anybody's.
ACCESS_KEY, SECRET_KEY, REGION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"


@dataclass
class S3:
    """A server on ``address`` with one bucket; ``start`` returns when both are there."""

    folder: Path
    bucket: str = "images"
    address: str = "127.0.0.1"
    _programs: list[Program] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = free_port()

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://{self.address}:{self.port}"

    @property
    def parameters(self) -> dict[str, str]:
        """What Distribution's driver wants to be told, by name."""
        return {
            "accesskey": ACCESS_KEY,
            "secretkey": SECRET_KEY,
            "region": REGION,
            "regionendpoint": self.endpoint,
            "bucket": self.bucket,
        }

    def start(self) -> Self:
        """Start it; RigError with the log's end where it does not come up."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [f"{sysconfig.get_path('scripts')}/moto_server", "-H", self.address, "-p", str(self.port)]
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)}
        program = Program(command, self.folder / "s3.log", environ)
        self._programs.append(program)
        program.wait_until(lambda: listening(self.port, self.address), 60)
        self._ask("PUT", f"/{self.bucket}")
        return self

    def stop(self) -> None:
        """Stop it, and all that it holds is gone; stopped already is fine."""
        while self._programs:
            self._programs.pop().stop()

    def objects(self) -> set[str]:
        """The names of all objects in the bucket, a thousand at most."""
        return set(re.findall("<Key>([^<]+)</Key>", self._ask("GET", f"/{self.bucket}?list-type=2")))

    def _ask(self, method: str, path: str) -> str:
        with urllib.request.urlopen(urllib.request.Request(self.endpoint + path, method=method), timeout=10) as answer:
            return str(answer.read().decode())
