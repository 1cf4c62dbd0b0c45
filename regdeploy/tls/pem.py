"""PEM as people have it: blocks in any order with text between; and what a file is that turns out to be something else.

https://www.rfc-editor.org/rfc/rfc7468 (blocks), https://www.rfc-editor.org/rfc/rfc1421 (headers of old encrypted keys)
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from regdeploy.errors import CertificateError

CERTIFICATE_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
KEY_LABELS = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"})
_ENCRYPTED_KEY = "ENCRYPTED PRIVATE KEY"
_BOUNDARY = re.compile(r"-----(BEGIN|END) ([^-\r\n]+)-----")
_PKCS12 = re.compile(rb"\x30(?:\x82..|\x83...|\x81.|[\x00-\x80])\x02\x01\x03", re.DOTALL)
_DER_SEQUENCE = b"\x30"


@dataclass(frozen=True)
class Block:
    """One PEM block: its label, the DER within, and where it stands. ``encrypted`` is about private keys."""

    label: str
    der: bytes
    where: str
    encrypted: bool = False


def read_blocks(data: bytes, where: str) -> tuple[Block, ...]:
    """Every PEM block of ``data``, a file named ``where``.

    Text between blocks, CRLF, a byte order mark and blocks without a line break between them are fine. Raises
    CertificateError that says what the file is instead.
    """
    if not data.strip():
        raise CertificateError(where, "is empty", "give a PEM file; it has lines such as -----BEGIN CERTIFICATE-----")
    if data.startswith(_DER_SEQUENCE):
        raise _binary(data, where)
    text = _text(data)
    blocks, begun = [], None
    for boundary in _BOUNDARY.finditer(text):
        line = text.count("\n", 0, boundary.start()) + 1
        kind, label = boundary.groups()
        if kind == "BEGIN" and begun is None:
            begun = (label, boundary.end(), line)
        elif kind == "END" and begun is not None and begun[0] == label:
            blocks.append(_block(label, text[begun[1] : boundary.start()], where, begun[2]))
            begun = None
        elif begun is not None:
            raise _torn(where, *begun)
        else:
            raise CertificateError(
                where, f"line {line} ends a block ({label}) that never began", "copy it again, whole"
            )
    if begun is not None:
        raise _torn(where, *begun)
    if not blocks:
        raise CertificateError(where, "is not PEM: it has no -----BEGIN …----- line", "give the file in PEM format")
    return tuple(blocks)


def certificates_in(data: bytes, where: str) -> list[bytes]:
    """The DER of every certificate in ``data``, in its order; what else it holds is passed over."""
    return [block.der for block in read_blocks(data, where) if block.label in CERTIFICATE_LABELS]


def labels(blocks: Iterable[Block]) -> str:
    """What the blocks are, for a person."""
    return ", ".join(dict.fromkeys(block.label for block in blocks))


def _text(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # PowerShell's `>` writes this
        return data.decode("utf-16", errors="replace")
    return data.removeprefix(codecs.BOM_UTF8).decode("latin-1")


def _torn(where: str, label: str, _: int, line: int) -> CertificateError:
    return CertificateError(where, f"the {label} that begins in line {line} has no end", "copy the file again, whole")


def _block(label: str, body: str, where: str, line: int) -> Block:
    lines = body.split("\n")
    headers = [text for text in lines if ":" in text]
    try:
        der = base64.b64decode("".join("".join(text.split()) for text in lines if ":" not in text), validate=True)
    except binascii.Error as error:
        what = f"the {label} that begins in line {line} is damaged: {error}"
        raise CertificateError(where, what, "copy the file again, whole") from error
    encrypted = label == _ENCRYPTED_KEY or any("ENCRYPTED" in header for header in headers)
    return Block(label, der, where, encrypted)


def _binary(data: bytes, where: str) -> CertificateError:
    """Say what a binary file is, and which command makes PEM of it.

    Never into the same file: openssl empties that before it reads it (seen with ``openssl pkey`` and 3.0).
    """
    from cryptography import x509  # noqa: PLC0415 - only for what is not PEM
    from cryptography.hazmat.primitives.serialization import load_der_private_key, pkcs7  # noqa: PLC0415 - as above

    file, made = shlex.quote(where), shlex.quote(f"{where}.pem")
    if _PKCS12.match(data):
        what, command = "PKCS#12 (.p12, .pfx)", f"openssl pkcs12 -in {file} -nodes -out {made}"
    elif _parses(x509.load_der_x509_certificate, data):
        what, command = "a certificate in DER form", f"openssl x509 -inform DER -in {file} -out {made}"
    elif _parses(lambda der: load_der_private_key(der, None), data):
        what, command = "a private key in DER form", f"openssl pkey -inform DER -in {file} -out {made}"
    elif _parses(pkcs7.load_der_pkcs7_certificates, data):
        what, command = "PKCS#7 (.p7b) in DER form", f"openssl pkcs7 -inform DER -in {file} -print_certs -out {made}"
    else:
        return CertificateError(where, "is binary, and neither a certificate nor a key", "give the file in PEM format")
    return CertificateError(where, f"is {what}, not PEM", f"`{command}` makes {where}.pem; give that")


def _parses(load: Callable[[bytes], object], data: bytes) -> bool:
    try:
        load(data)
    except TypeError:  # a private key that wants a password
        return True
    except ValueError:
        return False
    return True
