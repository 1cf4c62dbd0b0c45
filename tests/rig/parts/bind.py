"""Real name servers: BIND as the primary of two zones and as their secondary, with TSIG keys made at run time."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import dns.message
import dns.query
import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT

from tests.rig.parts.processes import Program, listening, run

#: Port 53, because NS records name no port. Loopback is the rig's own, so that nobody else has these.
PRIMARY, SECONDARY = "127.0.53.1", "127.0.53.2"
#: The second is where names of the first may delegate their challenges to.
ZONE, DELEGATED = "example.test", "acme.test"
_ALIASES = "".join(f"{label}.alias CNAME alias\n" for label in ("_acme-challenge", "_validation-persist"))
_LOOP = "loop CNAME _acme-challenge.loop\n_acme-challenge.loop CNAME loop"
_RECORDS = {
    ZONE: f"{_ALIASES}alias CNAME alias.{DELEGATED}.\n{_LOOP}\n",
    DELEGATED: "",
}


@dataclass
class Bind:
    """Two servers, started and stopped together.

    The key ``regdeploy`` in ``key_file`` may change TXT records of both zones; ``stranger`` in ``stranger_file`` is
    known and may change nothing. Without ``notify`` the secondary learns of changes only by looking every second.
    """

    folder: Path
    notify: bool = True
    _programs: dict[str, Program] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key_file = self.folder / "regdeploy.key"
        self.stranger_file = self.folder / "stranger.key"

    def start(self) -> Self:
        """Start both and return when both have the zones; RigError with the log's end otherwise."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in (self.key_file, self.stranger_file):
            self.write_key(file, file.stem)
        for address in (PRIMARY, SECONDARY):
            # BIND listens only on what an interface has, though all of 127.0.0.0/8 leads to loopback.
            run(["ip", "address", "replace", f"{address}/32", "dev", "lo"])
            self.start_one(address)
        return self

    def start_one(self, address: str) -> None:
        """Start one of them, anew or again, and return when it has the zones."""
        folder = self.folder / address
        folder.mkdir(exist_ok=True)
        config = folder / "named.conf"
        config.write_text(
            self._options(address, folder) + "".join(self._zone(zone, address, folder) for zone in _RECORDS)
        )
        program = Program(["/usr/sbin/named", "-f", "-4", "-n", "1", "-c", str(config)], folder / "named.log")
        self._programs[address] = program
        program.wait_until(lambda: listening(53, address) and self._has_zones(address))

    def stop(self) -> None:
        """Stop both; stopped already is fine."""
        for address in list(self._programs):
            self.stop_one(address)

    def stop_one(self, address: str) -> None:
        """Stop one of them."""
        program = self._programs.pop(address)
        os.kill(program.pid, signal.SIGCONT)
        program.stop()

    def pause(self, address: str) -> None:
        """Let one of them take questions and answer none, until :meth:`resume`."""
        os.kill(self._programs[address].pid, signal.SIGSTOP)

    def resume(self, address: str) -> None:
        """Let it go on."""
        os.kill(self._programs[address].pid, signal.SIGCONT)

    def write_key(self, file: Path, name: str) -> None:
        """Write a new TSIG key of that name, for us alone."""
        file.touch(mode=0o600)
        file.write_text(run(["tsig-keygen", name]))

    def txt(self, name: str, address: str = PRIMARY) -> set[str]:
        """The TXT values of ``name`` at that server."""
        answer = dns.query.udp(dns.message.make_query(name, dns.rdatatype.TXT), address, timeout=5)
        records = [record for found in answer.answer for record in found if isinstance(record, TXT)]
        return {b"".join(record.strings).decode() for record in records}

    def update(self, *lines: str) -> None:
        """Change a zone as somebody else would, by nsupdate."""
        commands = "\n".join([f"server {PRIMARY}", *lines, "send", ""])
        run(["nsupdate", "-k", str(self.key_file)], text=commands)

    def _has_zones(self, address: str) -> bool:
        questions = [dns.message.make_query(zone, dns.rdatatype.SOA) for zone in _RECORDS]
        return all(dns.query.udp(question, address, timeout=5).answer for question in questions)

    def _options(self, address: str, folder: Path) -> str:
        return f"""
include "{self.key_file}";
include "{self.stranger_file}";
controls {{ }};
logging {{ channel here {{ stderr; severity info; }}; category default {{ here; }}; }};
options {{
  directory "{folder}";
  pid-file "{folder}/pid";
  session-keyfile "{folder}/session.key";
  listen-on port 53 {{ {address}; }};
  query-source address {address};
  notify-source {address};
  transfer-source {address};
  recursion yes;
  dnssec-validation no;
  allow-transfer {{ 127.0.0.0/8; }};
  notify-delay 0;
  serial-query-rate 100;
  min-refresh-time 1;
  min-retry-time 1;
}};
"""

    def _zone(self, zone: str, address: str, folder: Path) -> str:
        file = folder / f"{zone}.zone"
        if address == SECONDARY:
            return f'zone "{zone}" {{ type secondary; primaries {{ {PRIMARY}; }}; file "{file}"; notify no; }};\n'
        hosts = f"ns1 A {PRIMARY}\nns2 A {SECONDARY}\n"
        file.write_text(
            f"$TTL 60\n@ SOA ns1.{ZONE}. hostmaster 1 {3600 if self.notify else 1} 1 86400 60\n"
            f"@ NS ns1.{ZONE}.\n@ NS ns2.{ZONE}.\n{hosts if zone == ZONE else ''}{_RECORDS[zone]}"
        )
        told = f"explicit; also-notify {{ {SECONDARY}; }}" if self.notify else "no"
        policy = "update-policy { grant regdeploy zonesub TXT; }"
        return f'zone "{zone}" {{ type primary; file "{file}"; notify {told}; {policy}; }};\n'
