from __future__ import annotations

import ipaddress
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from regdeploy.errors import CertificateError, HostError
from regdeploy.secret import Secret
from regdeploy.tls.bundle import describe
from regdeploy.tls.certificate import Bundle
from regdeploy.tls.internal import InternalAuthority
from tests.certs import Made, general, make_intermediate, make_leaf, make_root, openssl
from tests.unit.tls.ends import as_nobody, file_size_limit, killed_everywhere, on_tiny_disk, open_folder

NAME = "registry.internal"
NOW = datetime.now(UTC)
YEAR = timedelta(days=365)


def _handshake(bundle: Bundle, root: bytes, name: str, folder: Path) -> None:
    """A TLS handshake between the standard library's server and client. Raises SSLCertVerificationError."""
    pair = (folder / "handshake.crt", folder / "handshake.key")
    pair[0].write_bytes(bundle.fullchain_pem)
    pair[1].write_text(bundle.key_pem.reveal())
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*pair)
    asking = ssl.create_default_context(cadata=root.decode())
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(down, up, server_hostname=name)
    server = serving.wrap_bio(up, down, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in {client, server} - done:
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    assert done == {client, server}


def _verified(leaf: x509.Certificate, root: bytes, name: str, above: tuple[x509.Certificate, ...] = ()) -> None:
    """What cryptography's verifier says, the strictest that is at hand. Raises VerificationError."""
    subject = general(name)
    assert isinstance(subject, x509.DNSName | x509.IPAddress)
    store = verification.Store([x509.load_pem_x509_certificate(root)])
    verifier = verification.PolicyBuilder().store(store).time(datetime.now(UTC)).build_server_verifier(subject)
    verifier.verify(leaf, list(above))


def _stolen(folder: Path) -> Made:
    """The root with its key, in wrong hands."""
    certificate = x509.load_pem_x509_certificate((folder / "root.crt").read_bytes())
    return Made(certificate, load_pem_private_key((folder / "root.key").read_bytes(), None))


def _leaf(bundle: Bundle) -> x509.Certificate:
    return x509.load_pem_x509_certificate(bundle.fullchain_pem)


def _as_bundle(made: Made, *others: Made) -> Bundle:
    """Served without regdeploy's checks: it is the clients' that count."""
    pem = b"".join(item.pem for item in (made, *others))
    return Bundle(leaf=describe(made.der), chain=(), fullchain_pem=pem, key_pem=Secret(made.key_pem.decode()))


def test_there_is_no_root_before_the_first_was_made(tmp_path: Path) -> None:
    authority = InternalAuthority(tmp_path / "ca")
    assert (authority.root_pem(), authority.former_roots()) == (None, ())
    assert not (tmp_path / "ca").exists()


def test_the_root_is_made_once_and_its_key_is_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    authority = InternalAuthority(folder)
    root = authority.ensure((NAME,), NOW)
    assert authority.root_pem() == root == InternalAuthority(folder).ensure((NAME,), NOW + YEAR)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes == {"ca": 0o700, "root.crt": 0o644, "root.key": 0o600}
    assert authority.former_roots() == ()


def test_the_root_is_a_ca_for_its_domains_and_for_nothing_below_it(tmp_path: Path) -> None:
    names = (NAME, "*.apps.internal", "203.0.113.7", "2001:db8::1", "*.apps.internal")
    root = x509.load_pem_x509_certificate(InternalAuthority(tmp_path).ensure(names, NOW))
    found = {type(extension.value): extension for extension in root.extensions}
    assert found[x509.BasicConstraints].value == x509.BasicConstraints(ca=True, path_length=0)
    usage = found[x509.KeyUsage].value
    assert isinstance(usage, x509.KeyUsage)
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    assert found[x509.NameConstraints].value == x509.NameConstraints(
        [
            x509.DNSName(NAME),
            x509.DNSName("apps.internal"),
            x509.IPAddress(ipaddress.ip_network("203.0.113.7/32")),
            x509.IPAddress(ipaddress.ip_network("2001:db8::1/128")),
        ],
        None,
    )
    assert {kind for kind, extension in found.items() if extension.critical} == {
        x509.BasicConstraints,
        x509.KeyUsage,
        x509.NameConstraints,
    }
    assert x509.SubjectKeyIdentifier in found
    begin = NOW.replace(microsecond=0) - timedelta(hours=1)
    assert root.not_valid_before_utc == begin
    assert timedelta(days=3650) <= root.not_valid_after_utc - begin <= timedelta(days=3653)


def test_a_leaf_is_for_servers_for_90_days_and_begins_an_hour_ago(tmp_path: Path) -> None:
    bundle = InternalAuthority(tmp_path).issue((NAME, "203.0.113.7"), NOW)
    moment = NOW.replace(microsecond=0)
    assert bundle.leaf.names == (NAME, "203.0.113.7")
    assert (bundle.leaf.not_before, bundle.leaf.not_after) == (moment - timedelta(hours=1), moment + timedelta(days=90))
    assert bundle.leaf.subject == f"CN={NAME},O=regdeploy"
    assert bundle.leaf.issuer_name.startswith("regdeploy internal CA ")
    assert bundle.chain == ()
    leaf = _leaf(bundle)
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_every_leaf_has_a_key_and_a_serial_of_its_own(tmp_path: Path) -> None:
    authority = InternalAuthority(tmp_path)
    one, two = authority.issue((NAME,), NOW), authority.issue((NAME,), NOW)
    assert one.key_pem != two.key_pem
    assert one.leaf.serial != two.leaf.serial
    assert one.leaf.issuer == two.leaf.issuer


@pytest.mark.parametrize(
    ("names", "subject"),
    [
        (("a" * 60 + ".internal",), "O=regdeploy"),
        (("a" * 60 + ".internal", NAME), f"CN={NAME},O=regdeploy"),
        (("203.0.113.7",), "O=regdeploy"),
        (("*.internal",), "CN=*.internal,O=regdeploy"),
    ],
)
def test_a_common_name_is_a_host_name_that_is_not_too_long(
    names: tuple[str, ...], subject: str, tmp_path: Path
) -> None:
    assert InternalAuthority(tmp_path).issue(names, NOW).leaf.subject == subject


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        ((NAME,), NAME),
        ((NAME, "127.0.0.1"), "127.0.0.1"),
        (("127.0.0.1",), "127.0.0.1"),
        (("2001:db8::1",), "2001:db8::1"),
        (("*.apps.internal",), "one.apps.internal"),
        (("localhost",), "localhost"),
        (("xn--bcher-kva.example",), "xn--bcher-kva.example"),
        (("a" * 60 + ".internal",), "a" * 60 + ".internal"),
    ],
)
def test_clients_that_trust_the_root_accept_a_leaf(names: tuple[str, ...], asked: str, tmp_path: Path) -> None:
    authority = InternalAuthority(tmp_path / "ca")
    bundle = authority.issue(names, NOW)
    root = authority.root_pem()
    assert root is not None
    _handshake(bundle, root, asked, tmp_path)
    _verified(_leaf(bundle), root, asked)
    (tmp_path / "leaf.pem").write_bytes(bundle.fullchain_pem)
    kind = "-verify_ip" if isinstance(general(asked), x509.IPAddress) else "-verify_hostname"
    arguments = ("verify", "-x509_strict", "-CAfile", "ca/root.crt", "-purpose", "sslserver", kind, asked, "leaf.pem")
    assert openssl(tmp_path, *arguments) == b"leaf.pem: OK\n"


@pytest.mark.parametrize(
    ("names", "other"),
    [
        ((NAME,), "www.example.com"),
        ((NAME,), "notregistry.internal"),
        ((NAME,), "internal"),
        ((NAME,), "203.0.113.7"),
        ((NAME,), "2001:db8::1"),
        (("203.0.113.7",), "203.0.113.8"),
        (("203.0.113.7",), "2001:db8::1"),
        (("203.0.113.7",), "www.example.com"),
        (("*.apps.internal",), "one.apps.example"),
    ],
)
def test_clients_that_trust_the_root_refuse_what_its_key_signs_for_others(
    names: tuple[str, ...], other: str, tmp_path: Path
) -> None:
    root = InternalAuthority(tmp_path).ensure(names, NOW)
    stolen = _stolen(tmp_path)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(stolen.key.public_key())
    leaf = make_leaf(stolen, other, begin=NOW, extensions=(identifier,))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        _handshake(_as_bundle(leaf), root, other, tmp_path)
    with pytest.raises(verification.VerificationError, match="no permitted name constraints"):
        _verified(leaf.certificate, root, other)


def test_clients_that_trust_the_root_refuse_a_ca_below_it(tmp_path: Path) -> None:
    root = InternalAuthority(tmp_path).ensure((NAME,), NOW)
    below = make_intermediate(_stolen(tmp_path), begin=NOW)
    leaf = make_leaf(below, NAME)
    with pytest.raises(ssl.SSLCertVerificationError, match="path length constraint exceeded"):
        _handshake(_as_bundle(leaf, below), root, NAME, tmp_path)


def test_a_root_that_may_not_sign_for_a_new_domain_is_replaced_and_remembered(tmp_path: Path) -> None:
    authority = InternalAuthority(tmp_path)
    first = authority.ensure((NAME, "203.0.113.7"), NOW)
    for names in ((NAME,), ("203.0.113.7",), (f"a.{NAME}",), (f"*.{NAME}", NAME)):
        assert authority.ensure(names, NOW) == first
    second = authority.ensure((NAME, "other.internal"), NOW)
    assert second != first
    assert authority.former_roots() == (first,)
    third = authority.ensure((NAME, "203.0.113.8"), NOW)
    assert authority.root_pem() == third
    assert set(authority.former_roots()) == {first, second}
    kept = next(path for path in tmp_path.glob("root-*.crt") if path.read_bytes() == first)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o644
    fingerprint = openssl(tmp_path, "x509", "-noout", "-fingerprint", "-sha256", "-in", kept.name).decode()
    assert kept.name == f"root-{fingerprint.partition('=')[2].replace(':', '')[:8].lower()}.crt"
    assert not list(tmp_path.glob("root-*.key"))


@pytest.mark.parametrize("names", [("fooregistry.internal",), ("203.0.113.0",), ("internal",), ("2001:db8::1",)])
def test_a_similar_name_is_another_name(names: tuple[str, ...], tmp_path: Path) -> None:
    authority = InternalAuthority(tmp_path)
    first = authority.ensure((NAME, "203.0.113.7"), NOW)
    assert authority.ensure(names, NOW) != first


def test_a_root_with_less_than_a_year_left_is_replaced_and_a_leaf_never_outlives_it(tmp_path: Path) -> None:
    authority = InternalAuthority(tmp_path, lifetime=timedelta(days=800))
    first = authority.ensure((NAME,), NOW)
    end = x509.load_pem_x509_certificate(first).not_valid_after_utc
    assert authority.issue((NAME,), end - YEAR).leaf.not_after == end
    assert authority.root_pem() == first
    leaf = authority.issue((NAME,), end - YEAR + timedelta(seconds=1)).leaf
    assert authority.root_pem() != first
    assert authority.former_roots() == (first,)
    assert leaf.not_after > end


def test_a_leaf_does_not_begin_before_its_root(tmp_path: Path) -> None:
    authority = InternalAuthority(tmp_path)
    begin = x509.load_pem_x509_certificate(authority.ensure((NAME,), NOW)).not_valid_before_utc
    assert authority.issue((NAME,), NOW - timedelta(minutes=30)).leaf.not_before == begin


def test_a_clock_that_went_back_is_said_and_costs_no_root(tmp_path: Path) -> None:
    authority = InternalAuthority(tmp_path)
    root = authority.ensure((NAME,), NOW)
    with pytest.raises(CertificateError, match="the certificate is not valid before") as caught:
        authority.issue((NAME,), NOW - timedelta(days=2))
    assert "set this host's clock" in caught.value.hint
    assert authority.root_pem() == root


def _spoiled_certificate(folder: Path) -> None:
    (folder / "root.crt").write_bytes(b"junk")


def _torn_certificate(folder: Path) -> None:
    path = folder / "root.crt"
    path.write_bytes(path.read_bytes()[:-40])


def _key_of_another(folder: Path) -> None:
    (folder / "root.key").write_bytes(make_root().key_pem)


def _no_key(folder: Path) -> None:
    (folder / "root.key").unlink()


def _no_certificate(folder: Path) -> None:
    (folder / "root.crt").unlink()


def _two_certificates(folder: Path) -> None:
    path = folder / "root.crt"
    path.write_bytes(path.read_bytes() * 2)


def _without_constraints(folder: Path) -> None:
    made = make_root()
    (folder / "root.crt").write_bytes(made.pem)
    (folder / "root.key").write_bytes(made.key_pem)


def _without_subtrees(folder: Path) -> None:
    made = make_root(extensions=(x509.NameConstraints(None, [x509.DNSName("example.com")]),))
    (folder / "root.crt").write_bytes(made.pem)
    (folder / "root.key").write_bytes(made.key_pem)


@pytest.mark.parametrize(
    "spoil",
    [
        _spoiled_certificate,
        _torn_certificate,
        _key_of_another,
        _no_key,
        _no_certificate,
        _two_certificates,
        _without_constraints,
        _without_subtrees,
    ],
)
def test_a_root_that_cannot_sign_is_replaced(spoil: object, tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    authority = InternalAuthority(folder)
    first = authority.ensure((NAME,), NOW)
    assert callable(spoil)
    spoil(folder)
    bundle = authority.issue((NAME,), NOW)
    root = authority.root_pem()
    assert root is not None
    assert root != first
    _handshake(bundle, root, NAME, tmp_path)
    assert authority.ensure((NAME,), NOW) == root


def test_a_root_of_which_only_the_key_is_gone_is_remembered(tmp_path: Path) -> None:
    authority = InternalAuthority(tmp_path)
    first = authority.ensure((NAME,), NOW)
    _no_key(tmp_path)
    authority.ensure((NAME,), NOW)
    assert authority.former_roots() == (first,)


def test_killed_at_any_point_of_making_the_first_root_the_next_call_ends_it(tmp_path: Path) -> None:
    def folder(step: int) -> Path:
        return tmp_path / str(step) / "ca"

    for place in killed_everywhere(folder, lambda place: InternalAuthority(place).ensure((NAME,), NOW)):
        bundle = InternalAuthority(place).issue((NAME,), NOW)
        root = InternalAuthority(place).root_pem()
        assert root is not None
        _handshake(bundle, root, NAME, tmp_path)
        assert not list(place.glob(".regdeploy-*"))


def test_killed_at_any_point_of_replacing_a_root_what_clients_trust_is_never_forgotten(tmp_path: Path) -> None:
    def prepared(step: int) -> Path:
        place = tmp_path / str(step) / "ca"
        InternalAuthority(place).ensure((NAME,), NOW)
        return place

    wanted = (NAME, "other.internal")
    for place in killed_everywhere(prepared, lambda place: InternalAuthority(place).ensure(wanted, NOW)):
        authority = InternalAuthority(place)
        known = {authority.root_pem(), *authority.former_roots()}
        bundle = authority.issue(wanted, NOW)
        root = authority.root_pem()
        assert root is not None
        _handshake(bundle, root, "other.internal", tmp_path)
        assert known <= {root, *authority.former_roots()}
        assert len({root, *authority.former_roots()}) == 2
        assert not list(place.glob(".regdeploy-*"))


def test_what_the_user_may_not_do_is_a_host_error() -> None:
    with open_folder() as above:
        folder = above / "ca"
        authority = InternalAuthority(folder)
        authority.ensure((NAME,), NOW)
        with as_nobody(above), pytest.raises(HostError, match="Permission denied"):
            authority.root_pem()
        with as_nobody(above), pytest.raises(HostError, match="Permission denied"):
            authority.former_roots()
        folder.chmod(0o755)
        (folder / ".regdeploy-left").write_text("")
        (folder / "root.key").chmod(0o644)
        with as_nobody(above), pytest.raises(HostError, match="Permission denied"):
            authority.ensure(("other.internal",), NOW)


def test_a_root_that_cannot_be_written_whole_leaves_the_one_before(tmp_path: Path) -> None:
    authority = InternalAuthority(tmp_path)
    first = authority.ensure((NAME,), NOW)
    with file_size_limit(100), pytest.raises(HostError, match="File too large"):
        authority.ensure(("other.internal",), NOW)
    assert authority.root_pem() == first
    assert authority.ensure((NAME,), NOW) == first


_FILL = """
import pickle, sys
from datetime import UTC, datetime
from pathlib import Path
from regdeploy.errors import HostError
from regdeploy.tls.internal import InternalAuthority
authority, now = InternalAuthority(Path(sys.argv[1]) / "ca"), datetime.now(UTC)
trusted = {authority.ensure(pickle.load(sys.stdin.buffer), now)}
try:
    for number in range(100):
        trusted.add(authority.ensure((f"{number}.internal",), now))
except HostError as error:
    print(error.code)
print(trusted == {authority.root_pem(), *authority.former_roots()})
"""


@pytest.mark.parametrize("size", ["12k", "16k", "20k"])
def test_a_full_disk_is_said_and_no_trusted_root_is_forgotten(size: str, tmp_path: Path) -> None:
    assert on_tiny_disk(tmp_path, size, _FILL, (NAME,)).splitlines() == ["host.full", "True"]
