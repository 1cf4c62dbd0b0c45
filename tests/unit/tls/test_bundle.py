from __future__ import annotations

import codecs
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs7,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from regdeploy.errors import CertificateError
from regdeploy.tls.bundle import describe, inspect, load_bundle, make_bundle, split_pem
from regdeploy.tls.certificate import Bundle
from tests.certs import (
    Made,
    key_bytes,
    make_certificate,
    make_intermediate,
    make_key,
    make_leaf,
    make_root,
    openssl,
)

NAME = "registry.example.com"
NOW = datetime.now(UTC)
ROOT = make_root()
INTERMEDIATE = make_intermediate(ROOT)
LEAF = make_leaf(INTERMEDIATE, NAME)
FULLCHAIN = LEAF.pem + INTERMEDIATE.pem


def bundle(cert: bytes, key: bytes, *names: str, now: datetime = NOW, **options: Any) -> Bundle:
    names = names or (NAME,)
    return make_bundle(cert, key, names=names, now=now, cert_name="cert.pem", key_name="key.pem", **options)


def refusal(cert: bytes, key: bytes, *names: str, **options: Any) -> tuple[str, str, str]:
    with pytest.raises(CertificateError) as caught:
        bundle(cert, key, *names, **options)
    return caught.value.where, caught.value.what, caught.value.hint


# What a certificate says


def test_a_certificate_is_described_by_its_names_and_never_by_its_common_name() -> None:
    made = make_leaf(
        INTERMEDIATE, "Registry.Example.com", "*.example.com", "registry.example.com.", "2001:0db8:0::1", "203.0.113.7"
    )
    facts = describe(made.der)
    assert facts.names == ("registry.example.com", "*.example.com", "2001:db8::1", "203.0.113.7")
    assert (facts.subject, facts.issuer) == ("CN=Test Leaf", "CN=Test Intermediate")
    assert facts.serial == made.certificate.serial_number
    assert facts.fingerprint_sha256 == made.fingerprint
    assert facts.not_before == made.certificate.not_valid_before_utc
    assert facts.not_after == made.certificate.not_valid_after_utc
    assert facts.not_after.tzinfo is UTC


def test_an_address_written_as_a_dns_name_is_no_name() -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("203.0.113.7"), x509.RFC822Name("a@example.com")])
    assert describe(make_certificate("a", extensions=(names,)).der).names == ()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("P-256", "ECDSA P-256"),
        ("P-384", "ECDSA P-384"),
        ("P-521", "ECDSA P-521"),
        ("secp256k1", "ECDSA secp256k1"),
        ("RSA 2048", "RSA 2048"),
        ("Ed25519", "Ed25519"),
        ("Ed448", "Ed448"),
        ("DSA 2048", "DSA"),
    ],
)
def test_a_key_is_named_as_people_name_it(kind: str, words: str) -> None:
    signer = ROOT if kind == "DSA 2048" else None
    assert describe(make_certificate("a", signer, key=make_key(kind)).der).key_type == words


def test_what_is_no_certificate_is_not_described() -> None:
    for junk in (b"", b"junk", LEAF.der[:-1], LEAF.der + b"x"):
        with pytest.raises(CertificateError, match="holds a broken certificate"):
            describe(junk)


def test_a_certificate_with_a_broken_extension_is_refused() -> None:
    broken = make_certificate(
        "a", extensions=(x509.UnrecognizedExtension(x509.oid.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x05junk!"),)
    )
    with pytest.raises(CertificateError, match="certificate: holds a broken certificate: "):
        describe(broken.der)


def test_a_certificate_for_a_key_of_an_unknown_kind_is_described_and_belongs_to_nobody() -> None:
    made = make_certificate("a", ROOT, key=make_key("Ed25519"))
    unknown = made.der.replace(bytes.fromhex("300506032b6570032100"), bytes.fromhex("300506032b657f032100"))
    assert unknown != made.der
    assert describe(unknown).key_type == "unknown"
    assert inspect(_pem(unknown), LEAF.key_pem, cert_name="c", key_name="k")[1] is False


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def test_certificates_are_split_in_their_order() -> None:
    assert split_pem(LEAF.key_pem + FULLCHAIN, "f.pem") == [LEAF.der, INTERMEDIATE.der]
    with pytest.raises(CertificateError, match=r"f\.pem: holds no certificate"):
        split_pem(LEAF.key_pem, "f.pem")


# What is taken


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521", "RSA 2048", "RSA 3072", "Ed25519"])
def test_keys_that_clients_accept_are_taken(kind: str) -> None:
    leaf = make_leaf(INTERMEDIATE, NAME, key=make_key(kind))
    made = bundle(leaf.pem + INTERMEDIATE.pem, leaf.key_pem)
    assert load_pem_private_key(made.key_pem.reveal().encode(), None).public_key() == leaf.key.public_key()
    assert made.key_pem.reveal().startswith("-----BEGIN PRIVATE KEY-----\n")


@pytest.mark.parametrize("kind", ["P-256", "RSA 2048"])
def test_a_key_of_the_old_form_becomes_pkcs8(kind: str) -> None:
    leaf = make_leaf(None, NAME, key=make_key(kind))
    old = key_bytes(leaf.key, form=PrivateFormat.TraditionalOpenSSL)
    assert b"EC PRIVATE KEY" in old or b"RSA PRIVATE KEY" in old
    assert bundle(leaf.pem, old).key_pem.reveal().encode() == leaf.key_pem


def test_a_bundle_is_leaf_first_and_leaves_out_the_root_and_strangers() -> None:
    lower = make_intermediate(INTERMEDIATE, "Lower")
    leaf = make_leaf(lower, NAME)
    stranger = make_leaf(make_root("Another"), NAME)
    mixed = ROOT.pem + stranger.pem + INTERMEDIATE.pem + lower.pem + leaf.pem + INTERMEDIATE.pem
    made = bundle(mixed, leaf.key_pem)
    assert made.fullchain_pem == leaf.pem + lower.pem + INTERMEDIATE.pem
    assert made.leaf == describe(leaf.der)
    assert made.chain == (describe(lower.der), describe(INTERMEDIATE.der))


@given(st.permutations([LEAF.pem, INTERMEDIATE.pem, ROOT.pem, LEAF.key_pem]), st.integers(1, 3))
def test_the_order_of_blocks_and_the_file_that_they_lie_in_make_no_difference(blocks: list[bytes], cut: int) -> None:
    made = bundle(b"".join(blocks[:cut]), b"".join(blocks[cut:]))
    assert (made.fullchain_pem, made.key_pem.reveal().encode()) == (FULLCHAIN, LEAF.key_pem)


def test_one_file_may_be_given_as_both() -> None:
    both = FULLCHAIN + LEAF.key_pem
    assert bundle(both, both).fullchain_pem == FULLCHAIN


@pytest.mark.parametrize(
    "written",
    [
        FULLCHAIN.replace(b"\n", b"\r\n"),
        codecs.BOM_UTF8 + FULLCHAIN,
        FULLCHAIN.decode().encode("utf-16"),
        codecs.BOM_UTF16_BE + FULLCHAIN.decode().encode("utf-16-be"),
        b"subject=CN = \xe4\xb8\xad\nissuer=x\n"
        + LEAF.pem
        + b"\nBag Attributes\n    localKeyID: 01\n"
        + INTERMEDIATE.pem,
        FULLCHAIN.replace(b"-----\n-----", b"----------"),
        b"\n \t" + FULLCHAIN + b"\x00\n",
        FULLCHAIN.replace(b"BEGIN CERT", b"BEGIN X509 CERT").replace(b"END CERT", b"END X509 CERT"),
        FULLCHAIN.replace(b"\n", b" \n  "),
    ],
    ids=["crlf", "bom", "utf-16", "utf-16-be", "text", "no-line-break", "blanks", "old-label", "indented"],
)
def test_pem_is_read_as_people_have_it(written: bytes) -> None:
    assert bundle(written, LEAF.key_pem).fullchain_pem == FULLCHAIN


def test_parameters_beside_an_elliptic_key_are_passed_over(tmp_path: Path) -> None:
    key = openssl(tmp_path, "ecparam", "-name", "prime256v1", "-genkey")
    assert b"BEGIN EC PARAMETERS" in key
    leaf = make_leaf(None, NAME, key=load_pem_private_key(key, None))
    assert bundle(leaf.pem, key).leaf.fingerprint_sha256 == leaf.fingerprint


def test_a_self_signed_certificate_is_its_own_chain() -> None:
    leaf = make_leaf(None, NAME)
    made = bundle(leaf.pem, leaf.key_pem)
    assert (made.chain, made.fullchain_pem) == ((), leaf.pem)


def test_a_leaf_right_below_a_root_needs_no_intermediate_when_the_root_is_there() -> None:
    leaf = make_leaf(ROOT, NAME)
    assert bundle(leaf.pem + ROOT.pem, leaf.key_pem).fullchain_pem == leaf.pem


def test_a_leaf_right_below_a_root_of_the_system_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leaf = make_leaf(ROOT, NAME)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(make_root("Other").pem + make_root().pem + ROOT.pem)  # one of them has only the right name
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert bundle(leaf.pem, leaf.key_pem).fullchain_pem == leaf.pem
    assert refusal(LEAF.pem, LEAF.key_pem)[1] == 'the intermediate "Test Intermediate" is missing'


def test_roots_in_the_system_s_folder_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leaf = make_leaf(ROOT, NAME)
    (tmp_path / "0a.0").write_bytes(b"junk")
    (tmp_path / "0b.0").symlink_to("gone")
    (tmp_path / "0c.0").write_bytes(b"-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n")
    (tmp_path / "0d.0").write_bytes(ROOT.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert bundle(leaf.pem, leaf.key_pem).fullchain_pem == leaf.pem
    (tmp_path / "0d.0").unlink()
    assert refusal(leaf.pem, leaf.key_pem)[1] == 'the intermediate "Test Root" is missing'


def test_a_host_without_a_folder_of_roots_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert refusal(LEAF.pem, LEAF.key_pem)[1] == 'the intermediate "Test Intermediate" is missing'


def test_a_sender_that_leaves_out_only_the_root_is_believed() -> None:
    leaf = make_leaf(ROOT, NAME)
    assert bundle(leaf.pem, leaf.key_pem, complete=True).fullchain_pem == leaf.pem


def test_a_sender_that_sends_strangers_in_the_issuers_place_is_not_believed() -> None:
    stranger = make_intermediate(make_root("Other Root"), "Other Intermediate")
    what = refusal(LEAF.pem + stranger.pem, LEAF.key_pem, complete=True)[1]
    assert what == 'the intermediate "Test Intermediate" is missing'


def test_a_certificate_signed_across_is_kept_before_the_root_of_the_same_key() -> None:
    older = make_root("Older Root")
    across = make_certificate(ROOT.certificate.subject, older, key=ROOT.key, ca=True)
    for order in (ROOT.pem + across.pem, across.pem + ROOT.pem):
        assert bundle(FULLCHAIN + order, LEAF.key_pem).fullchain_pem == FULLCHAIN + across.pem


def test_an_expired_certificate_signed_across_gives_way_to_the_root() -> None:
    across = make_certificate(
        ROOT.certificate.subject,
        make_root("Older Root"),
        key=ROOT.key,
        ca=True,
        begin=NOW - timedelta(days=30),
        lifetime=timedelta(days=29),
    )
    assert bundle(FULLCHAIN + across.pem + ROOT.pem, LEAF.key_pem).fullchain_pem == FULLCHAIN


def test_two_authorities_that_signed_each_other_end_the_chain() -> None:
    one, other = make_key(), make_key()
    first = make_certificate("One", Made(make_root("Other", key=other).certificate, other), key=one, ca=True)
    second = make_certificate("Other", first, key=other, ca=True)
    leaf = make_leaf(first, NAME)
    made = bundle(leaf.pem + second.pem + first.pem, leaf.key_pem)
    assert made.fullchain_pem == leaf.pem + first.pem + second.pem


def test_of_two_certificates_for_one_key_the_one_that_lasts_longest_is_the_leaf() -> None:
    earlier = make_leaf(INTERMEDIATE, NAME, key=LEAF.key, lifetime=timedelta(days=30))
    later = make_leaf(INTERMEDIATE, NAME, key=LEAF.key, begin=NOW + timedelta(days=1), lifetime=timedelta(days=300))
    assert bundle(earlier.pem + later.pem + FULLCHAIN, LEAF.key_pem).fullchain_pem == FULLCHAIN


def test_of_two_keys_the_certificate_s_own_is_taken() -> None:
    other = make_key()
    assert bundle(FULLCHAIN, key_bytes(other) + LEAF.key_pem).key_pem.reveal().encode() == LEAF.key_pem


def test_every_name_has_to_be_covered_and_wildcards_and_addresses_are() -> None:
    leaf = make_leaf(INTERMEDIATE, "*.example.com", "203.0.113.7", "2001:db8::1")
    pem = leaf.pem + INTERMEDIATE.pem
    assert bundle(pem, leaf.key_pem, NAME, "*.example.com", "203.0.113.7", "2001:db8::1")
    where, what, hint = refusal(pem, leaf.key_pem, "a.b.example.com", NAME, "203.0.113.8")
    assert where == "cert.pem"
    assert what == (
        "the certificate is for *.example.com, 203.0.113.7, 2001:db8::1, not for a.b.example.com, 203.0.113.8"
    )
    assert hint == "get one that names every --domain, or give --domain as the certificate has it"


def test_no_warning_is_given() -> None:
    with pytest.warns(UserWarning, match="length must be"):
        name = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "TOO LONG", _validate=False)])
    leaf = make_certificate(name, names=(NAME,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bundle(leaf.pem, leaf.key_pem)
        bundle(FULLCHAIN, LEAF.key_pem)


# What is refused, with the file's name, one sentence and what to do


def test_a_key_of_another_certificate_is_refused() -> None:
    assert refusal(FULLCHAIN, make_leaf(None, NAME).key_pem) == (
        "key.pem",
        "the private key does not belong to the certificate in cert.pem",
        "`openssl pkey -in key.pem -pubout` and `openssl x509 -in cert.pem -noout -pubkey` must print the same",
    )


def test_an_expired_certificate_is_refused() -> None:
    leaf = make_leaf(INTERMEDIATE, NAME, begin=NOW - timedelta(days=91))
    end = leaf.certificate.not_valid_after_utc
    assert refusal(leaf.pem + INTERMEDIATE.pem, leaf.key_pem) == (
        "cert.pem",
        f"the certificate expired on {end:%Y-%m-%d}",
        "get a new one from the CA",
    )
    assert bundle(leaf.pem + INTERMEDIATE.pem, leaf.key_pem, now=end - timedelta(hours=2))


def test_a_certificate_of_the_future_is_refused_and_the_clock_is_named() -> None:
    leaf = make_leaf(INTERMEDIATE, NAME, begin=NOW + timedelta(days=2))
    begin = leaf.certificate.not_valid_before_utc
    assert refusal(leaf.pem + INTERMEDIATE.pem, leaf.key_pem) == (
        "cert.pem",
        f"the certificate is not valid before {begin:%Y-%m-%d %H:%M} UTC",
        f"if that is past, set this host's clock: it says {NOW:%Y-%m-%d %H:%M} UTC",
    )


def test_a_common_name_alone_is_refused() -> None:
    leaf = make_certificate(NAME)
    assert refusal(leaf.pem, leaf.key_pem) == (
        "cert.pem",
        f"the certificate names no host (clients ignore its subject CN={NAME})",
        f"get one with the subject alternative name {NAME}",
    )


def test_a_missing_intermediate_is_refused_with_a_command_that_appends_it() -> None:
    assert refusal(LEAF.pem, LEAF.key_pem) == (
        "cert.pem",
        'the intermediate "Test Intermediate" is missing',
        "append the CA's certificate to cert.pem: `cat INTERMEDIATE.pem >> cert.pem`",
    )
    leaf = make_leaf(INTERMEDIATE, NAME, issuer_url="http://ca.example.com/i.der")
    assert refusal(leaf.pem + ROOT.pem, leaf.key_pem)[2] == (
        "`curl -s http://ca.example.com/i.der | openssl x509 -inform DER >> cert.pem` appends it"
    )


def test_the_command_that_appends_an_intermediate_does(tmp_path: Path) -> None:
    (tmp_path / "i.der").write_bytes(INTERMEDIATE.der)
    leaf = make_leaf(INTERMEDIATE, NAME, issuer_url=f"file://{tmp_path}/i.der")
    (tmp_path / "cert.pem").write_bytes(leaf.pem)
    command = refusal(leaf.pem, leaf.key_pem)[2].split("`")[1].replace("curl -s file://", "cat ")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert bundle((tmp_path / "cert.pem").read_bytes(), leaf.key_pem).fullchain_pem == leaf.pem + INTERMEDIATE.pem


def test_an_issuer_without_a_common_name_is_named_in_full() -> None:
    nameless = make_root(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Some CA")]))
    entry = x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.OCSP, x509.DNSName("ocsp.example.com"))
    leaf = make_leaf(nameless, NAME, extensions=(x509.AuthorityInformationAccess([entry]),))
    assert refusal(leaf.pem, leaf.key_pem)[1:] == (
        'the intermediate "O=Some CA" is missing',
        "append the CA's certificate to cert.pem: `cat INTERMEDIATE.pem >> cert.pem`",
    )


def test_an_issuer_that_only_has_the_right_name_is_not_the_issuer() -> None:
    impostor = make_intermediate(ROOT)
    assert refusal(LEAF.pem + impostor.pem, LEAF.key_pem)[1] == 'the intermediate "Test Intermediate" is missing'


def test_an_expired_intermediate_is_refused() -> None:
    expired = make_intermediate(ROOT, key=INTERMEDIATE.key, begin=NOW - timedelta(days=1001))
    _, what, hint = refusal(LEAF.pem + expired.pem, LEAF.key_pem)
    day = expired.certificate.not_valid_after_utc
    assert what == f'the intermediate "Test Intermediate" expired on {day:%Y-%m-%d}'
    assert hint == "get a new one from the CA"
    assert bundle(LEAF.pem + expired.pem + INTERMEDIATE.pem, LEAF.key_pem).fullchain_pem == FULLCHAIN


@pytest.mark.parametrize("ca", [False, None])
def test_a_signer_that_is_no_authority_is_refused(*, ca: bool | None) -> None:
    signer = make_certificate("No CA", ROOT, ca=ca)
    leaf = make_leaf(signer, NAME)
    assert refusal(leaf.pem + signer.pem, leaf.key_pem) == (
        "cert.pem",
        '"No CA" signed the certificate below it, but is no CA',
        "get a certificate from a CA: clients refuse this one",
    )


def test_a_certificate_for_clients_is_refused() -> None:
    leaf = make_leaf(INTERMEDIATE, NAME, usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    assert refusal(leaf.pem + INTERMEDIATE.pem, leaf.key_pem)[1:] == (
        "the certificate is not for servers (its extended key usage lacks serverAuth)",
        "ask the CA for a TLS server certificate",
    )


@pytest.mark.parametrize("usages", [(), (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)])
def test_a_certificate_for_any_use_is_taken(usages: tuple[x509.ObjectIdentifier, ...]) -> None:
    leaf = make_leaf(INTERMEDIATE, NAME, usages=usages)
    assert bundle(leaf.pem + INTERMEDIATE.pem, leaf.key_pem)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("RSA 1024", "RSA 1024"),
        ("P-224", "ECDSA secp224r1"),
        ("secp256k1", "ECDSA secp256k1"),
        ("Ed448", "Ed448"),
        ("DSA 2048", "DSA"),
    ],
)
def test_keys_that_clients_refuse_are_refused(kind: str, words: str, tmp_path: Path) -> None:
    if kind == "RSA 1024":  # cryptography makes none
        key_pem = openssl(tmp_path, "genrsa", "1024")
        key = load_pem_private_key(key_pem, None)
    else:
        key = make_key(kind)
        key_pem = key_bytes(key)
    leaf = make_leaf(INTERMEDIATE, NAME, key=key)
    assert refusal(leaf.pem + INTERMEDIATE.pem, key_pem) == (
        "key.pem",
        f"clients do not accept its key ({words})",
        "get a certificate for a key that is RSA of 2048 bits or more, ECDSA P-256, P-384 or P-521, or Ed25519",
    )


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_a_certificate_with_a_weak_signature_is_refused(digest: str, tmp_path: Path) -> None:
    key = key_bytes(make_key("RSA 2048"))
    (tmp_path / "key.pem").write_bytes(key)
    arguments = ("req", "-x509", "-key", "key.pem", "-subj", "/CN=a", "-addext", f"subjectAltName=DNS:{NAME}")
    weak = openssl(tmp_path, *arguments, f"-{digest}")
    assert refusal(weak, key) == (
        "cert.pem",
        f"the certificate is signed with {digest.upper()}, which clients refuse",
        "get one signed with SHA-256",
    )


def test_a_signature_of_an_unknown_kind_is_refused() -> None:
    leaf = make_leaf(INTERMEDIATE, NAME)
    ecdsa_with_sha256, unknown = bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d04037f")
    changed = leaf.der.replace(ecdsa_with_sha256, unknown)
    assert refusal(_pem(changed) + INTERMEDIATE.pem, leaf.key_pem)[1] == (
        "the certificate is signed with 1.2.840.10045.4.3.127, which clients refuse"
    )


def test_an_intermediate_with_a_weak_signature_is_refused_and_a_root_with_one_is_a_root(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(ROOT.key_pem)
    weak_root = openssl(tmp_path, "req", "-x509", "-sha1", "-key", "key.pem", "-subj", "/CN=Test Root")
    leaf = make_leaf(ROOT, NAME)
    assert bundle(leaf.pem + weak_root, leaf.key_pem).fullchain_pem == leaf.pem

    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    (tmp_path / "i.key").write_bytes(INTERMEDIATE.key_pem)
    (tmp_path / "i.ext").write_text("basicConstraints=critical,CA:TRUE\n")
    request = openssl(tmp_path, "req", "-new", "-key", "i.key", "-subj", "/CN=Test Intermediate")
    signing = ("-CA", "root.pem", "-CAkey", "key.pem", "-CAcreateserial", "-extfile", "i.ext")
    weak = openssl(tmp_path, "x509", "-req", "-sha1", *signing, data=request)
    assert refusal(LEAF.pem + weak, LEAF.key_pem)[1] == (
        'the intermediate "Test Intermediate" is signed with SHA1, which clients refuse'
    )


# What is no PEM, or not all of it


@pytest.mark.parametrize("nothing", [b"", b" \r\n"])
def test_an_empty_file_is_named(nothing: bytes) -> None:
    hint = "give a PEM file; it has lines such as -----BEGIN CERTIFICATE-----"
    assert refusal(nothing, LEAF.key_pem) == ("cert.pem", "is empty", hint)
    assert refusal(FULLCHAIN, nothing) == ("key.pem", "is empty", hint)


def test_junk_is_named() -> None:
    expected = ("cert.pem", "is not PEM: it has no -----BEGIN …----- line", "give the file in PEM format")
    assert refusal(b"<html>404</html>", LEAF.key_pem) == expected
    assert refusal(b"\x89PNG\r\n\x1a\n\x00", LEAF.key_pem) == expected
    assert refusal(b"0 is where every DER file begins", LEAF.key_pem)[1] == (
        "is binary, and neither a certificate nor a key"
    )


def test_files_that_hold_something_else_say_what() -> None:
    assert refusal(LEAF.key_pem, LEAF.key_pem) == (
        "cert.pem",
        "holds no certificate, only PRIVATE KEY",
        "give the certificate's PEM file",
    )
    assert refusal(FULLCHAIN, FULLCHAIN) == (
        "key.pem",
        "holds no private key, only CERTIFICATE",
        "give the private key's PEM file",
    )
    public = LEAF.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert refusal(FULLCHAIN, public)[1] == "holds no private key, only PUBLIC KEY"
    ssh = key_bytes(LEAF.key, form=PrivateFormat.OpenSSH)
    assert refusal(FULLCHAIN, ssh)[1] == "holds no private key, only OPENSSH PRIVATE KEY"


def test_torn_files_say_in_which_line() -> None:
    lines = FULLCHAIN.splitlines(keepends=True)
    begin = lines.index(b"-----BEGIN CERTIFICATE-----\n", 1) + 1
    whole = "copy the file again, whole"
    torn = f"the CERTIFICATE that begins in line {begin} has no end"
    assert refusal(b"".join(lines[:-1]), LEAF.key_pem) == ("cert.pem", torn, whole)
    assert refusal(b"".join(lines[: begin - 2] + lines[begin - 1 :]), LEAF.key_pem)[1] == (
        "the CERTIFICATE that begins in line 1 has no end"
    )
    assert refusal(b"".join(lines[1:]), LEAF.key_pem) == (
        "cert.pem",
        f"line {begin - 2} ends a block (CERTIFICATE) that never began",
        "copy it again, whole",
    )
    assert refusal(FULLCHAIN.replace(b"\nMII", b"\n?II", 1), LEAF.key_pem)[1].startswith(
        "the CERTIFICATE that begins in line 1 is damaged: "
    )
    assert refusal(FULLCHAIN.replace(lines[1], b"", 1), LEAF.key_pem)[1].startswith("holds a broken certificate: ")
    key = LEAF.key_pem.splitlines(keepends=True)
    assert refusal(FULLCHAIN, b"".join([key[0], *key[2:]]))[1].startswith("the private key is broken: ")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused_with_a_command_that_decrypts_it_and_spoils_nothing(
    form: PrivateFormat, tmp_path: Path
) -> None:
    encrypted = key_bytes(LEAF.key, form=form, password=b"secret")
    where, what, hint = refusal(FULLCHAIN, encrypted)
    assert where == "key.pem"
    assert what == "the private key is encrypted, and nobody is there to type its password when the registry starts"
    assert hint == ("`openssl pkey -in key.pem -out key.pem.plain` makes key.pem.plain without a password; give that")
    (tmp_path / "key.pem").write_bytes(encrypted)
    openssl(tmp_path, *hint.split("`")[1].split()[1:], "-passin", "pass:secret")
    assert (tmp_path / "key.pem").read_bytes() == encrypted
    assert bundle(FULLCHAIN, (tmp_path / "key.pem.plain").read_bytes()).fullchain_pem == FULLCHAIN


def _p12(password: bytes | None) -> bytes:
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return serialize_key_and_certificates(b"x", LEAF.key, LEAF.certificate, [INTERMEDIATE.certificate], protection)


@pytest.mark.parametrize(
    ("data", "what", "command", "password"),
    [
        (LEAF.der, "a certificate in DER form", "openssl x509 -inform DER -in cert.pem -out cert.pem.pem", ""),
        (
            key_bytes(LEAF.key, Encoding.DER),
            "a private key in DER form",
            "openssl pkey -inform DER -in cert.pem -out cert.pem.pem",
            "",
        ),
        (
            key_bytes(LEAF.key, Encoding.DER, password=b"secret"),
            "a private key in DER form",
            "openssl pkey -inform DER -in cert.pem -out cert.pem.pem",
            "secret",
        ),
        (_p12(b"secret"), "PKCS#12 (.p12, .pfx)", "openssl pkcs12 -in cert.pem -nodes -out cert.pem.pem", "secret"),
        (
            pkcs7.serialize_certificates([LEAF.certificate, INTERMEDIATE.certificate], Encoding.DER),
            "PKCS#7 (.p7b) in DER form",
            "openssl pkcs7 -inform DER -in cert.pem -print_certs -out cert.pem.pem",
            "",
        ),
    ],
    ids=["certificate", "key", "encrypted-key", "pkcs12", "pkcs7"],
)
def test_a_file_in_another_form_is_refused_with_a_command_that_makes_pem_of_it(
    data: bytes, what: str, command: str, password: str, tmp_path: Path
) -> None:
    assert refusal(data, LEAF.key_pem) == (
        "cert.pem",
        f"is {what}, not PEM",
        f"`{command}` makes cert.pem.pem; give that",
    )
    (tmp_path / "cert.pem").write_bytes(data)
    openssl(tmp_path, *command.split()[1:], *(("-passin", f"pass:{password}") if password else ()))
    assert (tmp_path / "cert.pem").read_bytes() == data
    made = (tmp_path / "cert.pem.pem").read_bytes()
    if "key" in what:
        assert bundle(FULLCHAIN, made).fullchain_pem == FULLCHAIN
    else:
        assert bundle(made + INTERMEDIATE.pem, LEAF.key_pem).fullchain_pem == FULLCHAIN


def test_a_file_name_with_blanks_is_quoted_in_commands() -> None:
    with pytest.raises(CertificateError) as caught:
        make_bundle(LEAF.der, LEAF.key_pem, names=(NAME,), now=NOW, cert_name="my cert", key_name="key.pem")
    assert "-in 'my cert' -out 'my cert.pem'" in caught.value.hint


def test_a_secret_key_is_in_no_message() -> None:
    body = LEAF.key_pem.splitlines()[1]
    spoiled = LEAF.key_pem.replace(body, body[:-4] + b"????")
    assert body[:20].decode() not in "".join(refusal(FULLCHAIN, spoiled))


# What was checked before


def test_a_stored_bundle_is_loaded_whatever_the_date() -> None:
    leaf = make_leaf(INTERMEDIATE, NAME, begin=NOW - timedelta(days=500))
    made = load_bundle(leaf.pem + INTERMEDIATE.pem + ROOT.pem, leaf.key_pem, cert_name="c", key_name="k")
    assert made.fullchain_pem == leaf.pem + INTERMEDIATE.pem
    assert made.leaf == describe(leaf.der)


def test_a_stored_bundle_that_is_out_of_order_or_has_another_key_is_refused() -> None:
    for pem in (INTERMEDIATE.pem + LEAF.pem, LEAF.pem + ROOT.pem):
        with pytest.raises(CertificateError, match=r"c: CN=Test .* is not followed by its issuer"):
            load_bundle(pem, LEAF.key_pem, cert_name="c", key_name="k")
    with pytest.raises(CertificateError, match="k: the private key does not belong to the certificate in c"):
        load_bundle(FULLCHAIN, make_leaf(None).key_pem, cert_name="c", key_name="k")


def test_a_stored_bundle_is_inspected() -> None:
    assert inspect(FULLCHAIN, LEAF.key_pem, cert_name="c", key_name="k") == (describe(LEAF.der), True)
    assert inspect(FULLCHAIN, ROOT.key_pem, cert_name="c", key_name="k") == (describe(LEAF.der), False)


def test_importing_the_module_does_not_load_cryptography() -> None:
    code = "import sys, regdeploy.tls.bundle; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
