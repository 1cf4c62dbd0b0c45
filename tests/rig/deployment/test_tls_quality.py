"""The TLS that a registry serves, scanned: protocols, cipher suites, and the chain as it is sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from tests.rig.parts.command import Command
from tests.rig.parts.hello import SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, accepted, hello, hello_ssl_2
from tests.rig.parts.pebble import Pebble

# Ephemeral ECDH with an AEAD cipher: AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305 (RFC 5289, RFC 7905). Whatever else
# there is lacks forward secrecy, or is RC4, 3DES, CBC, NULL, EXPORT or anonymous.
_STRONG = {"ecdsa-p256": {0xC02B, 0xC02C, 0xCCA9}, "rsa-2048": {0xC02F, 0xC030, 0xCCA8}}


@pytest.mark.parametrize("key_type", sorted(_STRONG))
def test_no_old_protocol_no_weak_cipher_and_a_chain_that_is_complete_and_in_order(
    command: Command, domain: str, start_pebble: Callable[..., Pebble], key_type: str
) -> None:
    authority = start_pebble(chain_length=2)
    ca = ("--acme-directory", authority.directory, "--acme-ca-bundle", str(authority.ca_bundle))
    command("up", "--domain", domain, *ca, "--key-type", key_type)

    assert hello_ssl_2(443)[2:3] != b"\4"  # no SERVER-HELLO
    assert [hello(443, domain, version) for version in (SSL_3, TLS_1_0, TLS_1_1)] == [None, None, None]
    assert accepted(443, domain, TLS_1_2) == _STRONG[key_type]

    agreed = hello(443, domain, TLS_1_2)
    assert agreed is not None
    leaf, *chain = [x509.load_der_x509_certificate(der) for der in agreed.certificates]
    root = x509.load_pem_x509_certificate(authority.root_pem())
    for below, above in zip([leaf, *chain], [*chain, root], strict=True):
        below.verify_directly_issued_by(above)
    assert len(chain) == 2
    policy = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName(domain))
    assert policy.verify(leaf, chain) == [leaf, *chain, root]
