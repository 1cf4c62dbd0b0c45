"""Every provider keeps the contract, against a real name server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regdeploy.tls.acme.dns.hook import Hook
from regdeploy.tls.acme.dns.keyfile import read_key
from regdeploy.tls.acme.dns.lexicon import Lexicon
from regdeploy.tls.acme.dns.provider import Provider
from regdeploy.tls.acme.dns.rfc2136 import Rfc2136
from tests.contract.dns_provider_contract import DnsProviderContract
from tests.rig.parts.bind import PRIMARY, Bind
from tests.rig.parts.processes import environment

_NOBODY = "127.0.53.9"


class TestRfc2136(DnsProviderContract):
    @pytest.fixture
    def provider(self, bind: Bind) -> Provider:
        return Rfc2136("", read_key(bind.key_file))

    @pytest.fixture
    def unreachable(self, bind: Bind) -> Provider:
        return Rfc2136(_NOBODY, read_key(bind.key_file))


class TestHook(DnsProviderContract):
    @pytest.fixture
    def provider(self, bind: Bind, hook: Path) -> Iterator[Provider]:
        with environment({"TSIG_KEY_FILE": str(bind.key_file), "DNS_SERVER": PRIMARY}):
            yield Hook(hook)

    @pytest.fixture
    def unreachable(self, bind: Bind, hook: Path) -> Iterator[Provider]:
        with environment({"TSIG_KEY_FILE": str(bind.key_file), "DNS_SERVER": _NOBODY}):
            yield Hook(hook)


class TestLexicon(DnsProviderContract):
    """By lexicon's own provider for dynamic updates, its only one that needs no service."""

    @pytest.fixture
    def provider(self, bind: Bind, tmp_path: Path) -> Iterator[Provider]:
        with environment(_lexicon(bind, tmp_path, PRIMARY)):
            yield Lexicon("ddns", ask_system=False)

    @pytest.fixture
    def unreachable(self, bind: Bind, tmp_path: Path) -> Iterator[Provider]:
        with environment(_lexicon(bind, tmp_path, _NOBODY)):
            yield Lexicon("ddns", ask_system=False)


def _lexicon(bind: Bind, cache: Path, server: str) -> dict[str, str]:
    key = read_key(bind.key_file)
    return {
        "LEXICON_DDNS_AUTH_TOKEN": f"{key.algorithm}:{key.name}:{key.secret.reveal()}",
        "LEXICON_DDNS_DDNS_SERVER": server,
        "TLDEXTRACT_CACHE": str(cache),
        "TLDEXTRACT_CACHE_PATH": str(cache),
    }
