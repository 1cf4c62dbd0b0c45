"""A second real certificate authority: acme2certifier, which knows what Pebble does not: renewal windows and profiles.

It wants an e-mail address, and passes over ``replaces``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.certs import Made, make_intermediate, make_root
from tests.rig.parts.processes import Program, free_ports, listening

# The WSGI application over HTTPS, by the server that comes with it.
_SERVE = """
import sys
from werkzeug.serving import run_simple
from acme2certifier.share.acme2certifier_wsgi import application
port, certificate, key = sys.argv[1:]
run_simple("127.0.0.1", int(port), application, ssl_context=(certificate, key), threaded=True)
"""


@dataclass
class Acme2certifier:
    """One CA, and the name server that it asks, on which every name is 127.0.0.1; it calls back on ports 80 and 443.

    ``directory`` is its URL, ``ca_bundle`` proves its HTTPS, ``root`` issues. ``profiles`` are those that it offers;
    ``window`` is the share of a certificate's life, in percent, after which it wants it renewed.
    """

    folder: Path
    profiles: tuple[str, ...] = ()
    window: int = 85
    root: Made = field(default_factory=make_root)
    _programs: list[Program] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port, self._dns_management = free_ports(2)
        self.directory = f"https://localhost:{self.port}/directory"
        self.ca_bundle = self.folder / "ca.pem"
        self._dns = "127.0.0.77"  # its port cannot be named, and the rig's other servers have other addresses

    def start(self) -> Self:
        """Start both and return when both answer; RigError with the log's end otherwise."""
        (self.folder / "issued").mkdir(parents=True)
        self._write_certificates()
        self._write_config()
        named = self.folder / "pebble-challtestsrv"  # so that its command line says whose it is
        named.symlink_to("/usr/bin/pebble-challtestsrv")
        dns = Program(
            [
                *(str(named), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"{self._dns}:53"),
                *("-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{self._dns_management}"),
            ],
            self.folder / "dns.log",
        )
        self._programs.append(dns)
        files = [str(self.folder / name) for name in ("cert.pem", "key.pem")]
        server = Program(
            [sys.executable, "-c", _SERVE, str(self.port), *files],
            self.folder / "server.log",
            {"PATH": "/usr/bin:/bin", "ACME_SRV_CONFIGFILE": str(self.folder / "acme_srv.cfg")},
        )
        self._programs.append(server)
        dns.wait_until(lambda: listening(self._dns_management))
        server.wait_until(lambda: listening(self.port))
        return self

    def stop(self) -> None:
        """Stop both; stopped already is fine."""
        while self._programs:
            self._programs.pop().stop()

    def _write_certificates(self) -> None:
        import trustme  # noqa: PLC0415 - as in Pebble

        authority = trustme.CA()
        leaf = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(str(self.ca_bundle))
        leaf.private_key_pem.write_to_path(str(self.folder / "key.pem"))
        (self.folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        issuer = make_intermediate(self.root)
        (self.folder / "issuer-key.pem").write_bytes(issuer.key_pem)
        (self.folder / "issuer.pem").write_bytes(issuer.pem)
        (self.folder / "root.pem").write_bytes(self.root.pem)

    def _write_config(self) -> None:
        profiles = {name: f"https://ca.example/{name}" for name in self.profiles}
        (self.folder / "acme_srv.cfg").write_text(f"""
[DEFAULT]
dns_server_list: ["{self._dns}"]
[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: {self.folder}/issuer-key.pem
issuing_ca_cert: {self.folder}/issuer.pem
issuing_ca_crl: {self.folder}/crl.pem
cert_save_path: {self.folder}/issued
ca_cert_chain_list: ["{self.folder}/root.pem"]
cert_validity_days: 90
[DBhandler]
dbfile: {self.folder}/acme.db
[Order]
profiles: {json.dumps(profiles)}
[Renewalinfo]
renewalthreshold_pctg: {self.window}
""")
