"""A real certificate authority: Pebble, with the DNS that it asks."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.rig.parts.processes import Program, free_ports, listening


@dataclass(frozen=True)
class PebbleOptions:
    """How the CA behaves. Ports of 0 are chosen anew; ``http_port`` and ``tls_port`` are where it calls back."""

    directory_port: int = 0
    http_port: int = 80
    tls_port: int = 443
    nonce_reject: int = 0  # percent of good nonces that it refuses
    # Percent of authorizations that it keeps for an account's next order of that name, and one more: none is not to be
    # had (it asks for a die of 0 to 99 above this). A test in which a name must be proved orders one that never was.
    authz_reuse: int = 0
    chain_length: int = 1  # intermediates
    alternate_roots: int = 0
    validity_seconds: int = 90 * 24 * 3600
    eab: bool = False
    dns_server: str = ""  # that it asks instead of its own
    blocklist: tuple[str, ...] = ()
    believes: bool = False  # every proof, unseen


@dataclass
class Pebble:
    """One CA and its challtestsrv, started and stopped together; every name resolves to 127.0.0.1 until told else.

    ``directory`` is its URL, ``ca_bundle`` proves its HTTPS; with ``eab`` an account needs ``eab_kid`` and
    ``eab_hmac_key`` (base64url).
    """

    folder: Path
    options: PebbleOptions = PebbleOptions()
    tied: bool = True
    eab_kid: str = "kid-rig"
    eab_hmac_key: str = field(default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    _programs: list[Program] = field(default_factory=list)

    def __post_init__(self) -> None:
        free, self.management_port, self.dns_port, self.dns_management_port = free_ports(4)
        self.port = self.options.directory_port or free
        self.directory = f"https://localhost:{self.port}/dir"
        self.ca_bundle = self.folder / "ca.pem"

    @property
    def dns(self) -> str:
        """The address of its DNS server (``host:port``), UDP and TCP."""
        return f"127.0.0.1:{self.dns_port}"

    @property
    def pids(self) -> list[int]:
        """The process ids of both programs."""
        return [program.pid for program in self._programs]

    def start(self) -> Self:
        """Start both and return when both answer; RigError with the log's end otherwise."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_certificate()
        self._write_config()
        for name in ("pebble", "pebble-challtestsrv"):  # so that their command lines say whose they are
            (self.folder / name).unlink(missing_ok=True)
            (self.folder / name).symlink_to(f"/usr/bin/{name}")
        dns = Program(
            [
                *(
                    str(self.folder / "pebble-challtestsrv"),
                    "-defaultIPv4",
                    "127.0.0.1",
                    "-defaultIPv6",
                    "",
                    "-dns01",
                    self.dns,
                ),
                *("-http01", "", "-https01", "", "-tlsalpn01", ""),
                *("-management", f"127.0.0.1:{self.dns_management_port}"),
            ],
            self.folder / "dns.log",
            tied=self.tied,
        )
        self._programs.append(dns)
        pebble = Program(
            [
                *(str(self.folder / "pebble"), "-config", str(self.folder / "config.json")),
                *("-dnsserver", self.options.dns_server or self.dns),
            ],
            self.folder / "pebble.log",
            self._environ(),
            tied=self.tied,
        )
        self._programs.append(pebble)
        dns.wait_until(lambda: listening(self.dns_management_port) and listening(self.dns_port))
        pebble.wait_until(lambda: listening(self.management_port) and listening(self.port))
        return self

    def stop(self) -> None:
        """Stop both; stopped already is fine."""
        while self._programs:
            self._programs.pop().stop()

    def root_pem(self, number: int = 0) -> bytes:
        """The issuing root; its number goes up to ``alternate_roots``."""
        return self._get(f"https://localhost:{self.management_port}/roots/{number}")

    def intermediate_pem(self, number: int = 0) -> bytes:
        """The certificate that signs leaves."""
        return self._get(f"https://localhost:{self.management_port}/intermediates/{number}")

    def status_of(self, serial: int) -> dict[str, Any]:
        """What the CA says of a certificate that it issued: ``Status``, and ``Reason`` where it is revoked."""
        text = f"{serial:x}"
        path = f"cert-status-by-serial/{text.zfill(len(text) + len(text) % 2)}"
        status: dict[str, Any] = json.loads(self._get(f"https://localhost:{self.management_port}/{path}"))
        return status

    def set_address(self, name: str, *addresses: str) -> None:
        """Let ``name`` resolve to these addresses (IPv4 or IPv6), to this alone."""
        self.dns_says("clear-a", host=name)
        self.dns_says("clear-aaaa", host=name)
        self.dns_says("add-a", host=name, addresses=[address for address in addresses if ":" not in address])
        if six := [address for address in addresses if ":" in address]:
            self.dns_says("add-aaaa", host=name, addresses=six)

    def set_txt(self, name: str, value: str) -> None:
        """Let ``name`` have that TXT record."""
        self.dns_says("set-txt", host=f"{name.rstrip('.')}.", value=value)

    def clear_txt(self, name: str) -> None:
        """Take the TXT records of ``name`` away."""
        self.dns_says("clear-txt", host=f"{name.rstrip('.')}.")

    def dns_says(self, what: str, **body: Any) -> None:
        """Ask challtestsrv's management API for anything else (``set-servfail``, ``add-caa``, ``set-cname``...)."""
        url = f"http://127.0.0.1:{self.dns_management_port}/{what}"
        with urllib.request.urlopen(url, data=json.dumps(body).encode(), timeout=5):
            pass

    def _get(self, url: str) -> bytes:
        context = ssl.create_default_context(cafile=str(self.ca_bundle))
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            content: bytes = answer.read()
            return content

    def _environ(self) -> dict[str, str]:
        options = self.options
        return {
            "PATH": "/usr/bin",
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_VA_ALWAYS_VALID": str(int(options.believes)),
            "PEBBLE_WFE_NONCEREJECT": str(options.nonce_reject),
            "PEBBLE_AUTHZREUSE": str(options.authz_reuse),
            "PEBBLE_CHAIN_LENGTH": str(options.chain_length),
            "PEBBLE_ALTERNATE_ROOTS": str(options.alternate_roots),
        }

    def _write_certificate(self) -> None:
        import trustme  # noqa: PLC0415 - it loads cryptography, which a run without the rig need not wait for

        authority = trustme.CA()
        leaf = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(str(self.ca_bundle))
        leaf.private_key_pem.write_to_path(str(self.folder / "key.pem"))
        (self.folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))

    def _write_config(self) -> None:
        options = self.options
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(self.folder / "cert.pem"),
            "privateKey": str(self.folder / "key.pem"),
            "httpPort": options.http_port,
            "tlsPort": options.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": options.eab,
            "externalAccountMACKeys": {self.eab_kid: self.eab_hmac_key.rstrip("=")} if options.eab else {},
            "domainBlocklist": list(options.blocklist),
            "certificateValidityPeriod": options.validity_seconds,
        }
        (self.folder / "config.json").write_text(json.dumps({"pebble": config}))
