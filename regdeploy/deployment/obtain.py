"""Where a certificate comes from: one function a source. A new source is a case here and a member of ``Tls``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, assert_never

from regdeploy.deployment.challenge import Challenge
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.permission import Permission
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.world import World
from regdeploy.errors import AcmeError, UsageError
from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import AcmeSettings, DirectoryFacts, DnsSettings, Errand
from regdeploy.tls.attempts import Attempt
from regdeploy.tls.certificate import Bundle
from regdeploy.tls.renewal import wait_for_fallback


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
    note: Callable[[Attempt], None],
) -> Obtained:
    """A bundle from the spec's source. Raises CertificateError and AcmeError.

    ``note`` is told of each attempt that failed, by each kind of challenge at each CA; not of the one that succeeds,
    which does so only once the bundle is kept.
    """
    match spec.tls:
        case Tls.ACME:
            assert acme is not None, "operations read the settings before the work begins"
            asking = _Asking(spec, observed, world, directory, report, cancel, note)
            return asking.in_turn(acme)
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


class _Asking:
    """The CAs being asked, for one certificate."""

    def __init__(
        self,
        spec: Spec,
        observed: Observed,
        world: World,
        directory: DirectoryFacts | None,
        report: Callable[[str], None],
        cancel: threading.Event,
        note: Callable[[Attempt], None],
    ) -> None:
        self._spec = spec
        self._observed = observed
        self._world = world
        self._directory = directory
        self._report = report
        self._cancel = cancel
        self._note = note
        self._permission = Permission(spec, world)

    def in_turn(self, acme: AcmeSettings) -> Obtained:
        """Ask them in turn, the next where one gives no certificate. Raises the first one's AcmeError where none does.

        What is the first one's own, a profile, a binding, and what it is to replace, no other is told.
        """
        first: AcmeError | None = None
        urls = (self._spec.acme_directory, *self._spec.acme_fallback)
        for url, following in zip_longest(urls, urls[1:]):
            settings = acme
            if first is not None:
                settings = replace(acme, directory=url, replaces=b"", profile="", eab_kid="", eab_hmac_key=None)
            try:
                return self._ask(url, settings)
            except AcmeError as error:
                if error.problem == "cancelled":
                    raise
                first = first or error
                if following is not None:
                    self._report(f"{url} gave none ({error}): asking {following}")
        assert first is not None, "there is at least one CA"
        raise first

    def _ask(self, url: str, settings: AcmeSettings) -> Obtained:
        """Ask one, where there are others too only for what the owners of the names allow it."""
        own = url == self._spec.acme_directory
        note = self._note if own else lambda attempt: self._note(replace(attempt, directory=url))
        kinds, facts = self._observed.challenges, self._directory if own else None
        if not own:
            self._refuse_early(url)
        if self._spec.acme_fallback:
            try:
                facts = facts or self._world.authority.directory(url, self._spec.acme_ca_bundle)
                kinds = self._permission.kinds(url, facts, kinds)
            except AcmeError as error:
                note(attempt_of(error, self._world.now()))
                raise
        bundle, how = order(
            settings,
            kinds,
            Layout(self._spec.root).acme,
            self._world,
            directory=facts,
            report=self._report,
            cancel=self._cancel,
            note=note,
        )
        return Obtained(bundle, how, url)

    def _refuse_early(self, url: str) -> None:
        """Raise AcmeError where this CA asked not to be asked yet: that is no attempt."""
        record = self._observed.attempts
        wait = wait_for_fallback(record, url, self._world.now()) if record is not None else None
        if wait is not None:
            raise AcmeError(url, f"{wait.why}: not before {wait.until:%Y-%m-%d %H:%M} UTC")


def attempt_of(error: AcmeError, at: datetime, challenge: str = "") -> Attempt:
    """The note of an attempt by ``challenge`` that ended with ``error``."""
    return Attempt(
        at=at,
        problem=error.problem or "failed",
        words=str(error),
        retry_after=error.retry_after or 0.0,
        challenge=challenge,
    )


def _unnoted(_attempt: Attempt) -> None:
    """What is asked only to be thrown away is no attempt."""


def order(
    acme: AcmeSettings,
    kinds: Sequence[Challenge],
    state: Path,
    world: World,
    *,
    directory: DirectoryFacts | None,
    report: Callable[[str], None],
    cancel: threading.Event,
    note: Callable[[Attempt], None] = _unnoted,
) -> tuple[Bundle, str]:
    """Order with the kinds of challenge in turn, the next where the CA did not find the proof. Raises AcmeError.

    ``note`` is told of each kind that failed.
    """
    for kind, following in zip_longest(kinds, kinds[1:]):
        try:
            settings = replace(acme, challenge=kind.kind)
            errand = Errand(settings=settings, state=state, now=world.now, report=report, cancel=cancel)
            issued = world.authority.issue(errand, directory)
        except AcmeError as error:
            if error.problem != "cancelled":
                note(attempt_of(error, world.now(), kind.kind))
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
