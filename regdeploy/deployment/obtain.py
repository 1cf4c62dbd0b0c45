"""Where a certificate comes from: one function a source. A new source is a case here and a member of ``Tls``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, assert_never

from regdeploy.deployment.challenge import Challenge
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.world import World
from regdeploy.errors import AcmeError, UsageError
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import AcmeSettings, DirectoryFacts, DnsSettings
from regdeploy.tls.certificate import Bundle


class Obtained(NamedTuple):
    """A bundle, in a word how it was had, and the directory URL of the CA that gave it, empty where none was asked."""

    bundle: Bundle
    how: str
    directory: str = ""


_TIMEOUT = 180.0  # seconds for an order, beside what its DNS records may take to spread

#: What a CA says when it did not find the proof: another kind may be found.
_NOT_FOUND = ("connection", "dns", "incorrectResponse", "tls", "unauthorized")


def obtain(
    spec: Spec,
    observed: Observed,
    world: World,
    *,
    acme: AcmeSettings | None,
    directory: DirectoryFacts | None,
    report: Callable[[str], None],
    cancel: threading.Event,
) -> Obtained:
    """A bundle from the spec's source. Raises CertificateError and AcmeError."""
    match spec.tls:
        case Tls.ACME:
            assert acme is not None, "operations read the settings before the work begins"
            return _from_authorities(spec, acme, observed.challenges, world, directory, report, cancel)
        case Tls.FILES:
            assert observed.pair is not None, "observe reads the pair, or refuses it"
            return Obtained(observed.pair, "your own")
        case Tls.INTERNAL:
            from regdeploy.tls.internal import InternalAuthority  # noqa: PLC0415 - cryptography, only where it is used

            authority = InternalAuthority(Layout(spec.root).authority)
            return Obtained(authority.issue(spec.domains, world.now()), "internal")
        case Tls.OFF:
            raise AssertionError("a registry without TLS has no certificate")
        case _:
            assert_never(spec.tls)


def _from_authorities(
    spec: Spec,
    acme: AcmeSettings,
    kinds: Sequence[Challenge],
    world: World,
    directory: DirectoryFacts | None,
    report: Callable[[str], None],
    cancel: threading.Event,
) -> Obtained:
    """Ask the CAs in turn, the next where one gives no certificate. Raises the first one's AcmeError where none does.

    What is the first one's own, a profile, a binding, and what it is to replace, no other is told.
    """
    first: AcmeError | None = None
    urls = (spec.acme_directory, *spec.acme_fallback)
    for url, following in zip_longest(urls, urls[1:]):
        settings = acme
        if first is not None:
            settings = replace(acme, directory=url, replaces=b"", profile="", eab_kid="", eab_hmac_key=None)
        try:
            bundle, how = order(
                settings,
                kinds,
                Layout(spec.root).acme,
                world,
                directory=directory if first is None else None,
                report=report,
                cancel=cancel,
            )
        except AcmeError as error:
            if error.problem == "cancelled":
                raise
            first = first or error
            if following is not None:
                report(f"{url} gave none ({error}): asking {following}")
        else:
            return Obtained(bundle, how, url)
    assert first is not None, "there is at least one CA"
    raise first


def order(
    acme: AcmeSettings,
    kinds: Sequence[Challenge],
    state: Path,
    world: World,
    *,
    directory: DirectoryFacts | None,
    report: Callable[[str], None],
    cancel: threading.Event,
) -> tuple[Bundle, str]:
    """Order with the kinds of challenge in turn, the next where the CA did not find the proof. Raises AcmeError."""
    for kind, following in zip_longest(kinds, kinds[1:]):
        try:
            issued = world.authority.issue(
                replace(acme, challenge=kind.kind),
                state,
                now=world.now,
                report=report,
                cancel=cancel,
                directory=directory,
            )
        except AcmeError as error:
            if following is None or error.problem not in _NOT_FOUND:
                raise
            report(f"{kind.kind} failed ({error}): trying {following.kind}")
        else:
            return issued.bundle, issued.challenge
    raise AssertionError("there is at least one kind")


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
        http_01_port=spec.http_01_port,
        webroot=spec.http_01_webroot,
        tls_alpn_01_port=spec.tls_alpn_01_port,
        dns=_dns_settings(spec),
        key_type=spec.key_type,
        preferred_chain=spec.preferred_chain,
        timeout=_TIMEOUT + (spec.dns_timeout if spec.dns_provider else 0.0),
    )


def _dns_settings(spec: Spec) -> DnsSettings | None:
    provider = spec.dns_provider
    if not provider:
        return None
    return DnsSettings(
        provider=provider if provider in ("rfc2136", "hook") else f"lexicon:{provider}",
        server=spec.dns_server,
        tsig_key_file=spec.dns_key_file,
        hook=spec.dns_hook,
        timeout=float(spec.dns_timeout),
    )
