"""Where a certificate comes from: one function a source. A new source is a case here and a member of ``Tls``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import assert_never

from regdeploy.deployment.layout import Layout
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.world import World
from regdeploy.errors import UsageError
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import AcmeSettings, DirectoryFacts
from regdeploy.tls.certificate import Bundle


def obtain(
    spec: Spec,
    pair: Bundle | None,
    world: World,
    *,
    acme: AcmeSettings | None,
    directory: DirectoryFacts | None,
    report: Callable[[str], None],
    cancel: threading.Event,
) -> tuple[Bundle, str]:
    """A bundle from the spec's source, and in a word how it was had. Raises CertificateError and AcmeError."""
    match spec.tls:
        case Tls.ACME:
            assert acme is not None, "operations read the settings before the work begins"
            issued = world.authority.issue(
                acme, Layout(spec.root).acme, now=world.now, report=report, cancel=cancel, directory=directory
            )
            return issued.bundle, issued.challenge
        case Tls.FILES:
            assert pair is not None, "observe reads the pair, or refuses it"
            return pair, "your own"
        case Tls.INTERNAL:
            from regdeploy.tls.internal import InternalAuthority  # noqa: PLC0415 - cryptography, only where it is used

            return InternalAuthority(Layout(spec.root).authority).issue(spec.domains, world.now()), "internal"
        case Tls.OFF:
            raise AssertionError("a registry without TLS has no certificate")
        case _:
            assert_never(spec.tls)


def acme_settings(spec: Spec) -> AcmeSettings:
    """What an order for ``spec`` is asked with. Raises UsageError when the binding's key file cannot be read."""
    key = None
    if spec.eab_hmac_key_file is not None:
        try:
            key = Secret(spec.eab_hmac_key_file.read_text(encoding="ascii").strip())
        except (OSError, UnicodeError) as error:
            words = error.strerror if isinstance(error, OSError) else "is not text"
            raise UsageError("--eab-hmac-key-file", f"{spec.eab_hmac_key_file}: {words}") from error
    return AcmeSettings(
        directory=spec.acme_directory,
        names=spec.domains,
        ca_bundle=spec.acme_ca_bundle,
        email=spec.email,
        profile=spec.profile,
        eab_kid=spec.eab_kid,
        eab_hmac_key=key,
        challenge=spec.challenge,
        http_01_port=spec.http_01_port,
    )
