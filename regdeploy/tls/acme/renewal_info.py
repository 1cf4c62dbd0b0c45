"""When a CA wants a certificate renewed: ACME Renewal Information (ARI, RFC 9773). What comes of it is policy."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from josepy.json_util import encode_b64jose

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.connection import session, unreachable
from regdeploy.tls.acme.directory import retry_after
from regdeploy.tls.acme.patience import Patience, supervised
from regdeploy.tls.acme.settings import DirectoryFacts, RenewalInfo

_TIMEOUT = 10.0


def certificate_id(pem: bytes) -> str:
    """What names a certificate in ARI (RFC 9773 section 4.1); empty for one without an authority key identifier."""
    leaf = x509.load_pem_x509_certificate(pem)
    try:
        extension = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return ""
    identifier = extension.value.key_identifier
    serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1)  # DER: positive, so the top bit is 0
    return f"{encode_b64jose(identifier)}.{encode_b64jose(serial)}" if identifier else ""


def renewal_info(directory: DirectoryFacts, ca_bundle: Path | None, pem: bytes) -> RenewalInfo | None:
    """Ask the CA, once, about the first certificate in ``pem``; None where the CA does not offer that.

    Raises AcmeError, also for an answer that cannot be read. Takes 10 s at most, 15 when the resolver hangs.
    """
    base, identifier = directory.endpoints.get("renewalInfo"), certificate_id(pem)
    if not isinstance(base, str) or not identifier:
        return None
    url = f"{base.rstrip('/')}/{identifier}"
    patience = Patience(_TIMEOUT, threading.Event())
    return supervised(lambda: _ask(session(ca_bundle), url), patience, url)


def _ask(connection: requests.Session, url: str) -> RenewalInfo:
    try:
        response = connection.get(url, timeout=_TIMEOUT)
    except requests.RequestException as error:
        raise unreachable(error, url, _TIMEOUT) from error
    wait = retry_after(response.headers, datetime.now(UTC))
    if not response.ok:
        raise AcmeError(url, f"answered HTTP {response.status_code} {response.reason}", retry_after=wait)
    try:
        content: Any = response.json()
        window = content["suggestedWindow"]
        start, end = _time(window["start"]), _time(window["end"])
    except (ValueError, KeyError, TypeError) as error:
        raise AcmeError(url, "gave no renewal window that can be read") from error
    page = content.get("explanationURL")
    return RenewalInfo(start=start, end=end, explanation=page if isinstance(page, str) else "", retry_after=wait)


def _time(text: str) -> datetime:
    """RFC 3339, with as many decimals as the CA likes."""
    time = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    if time.tzinfo is None:
        raise ValueError(text)
    return time.astimezone(UTC)
