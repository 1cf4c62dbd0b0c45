"""Each check by a table: what it says of which facts. Whole messages; what is not asked for is not judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from regdeploy.deployment.authorities import LETS_ENCRYPT, LETS_ENCRYPT_STAGING
from regdeploy.deployment.challenge import Challenge
from regdeploy.deployment.checks import Check, Verdict, checks, human_bytes
from regdeploy.deployment.spec import Resolved
from regdeploy.engine.model import ObservedWorkload
from regdeploy.host.disk import DiskFacts
from regdeploy.host.folders import FolderFacts
from regdeploy.host.names import CaaFacts, Resolution
from regdeploy.host.ports import PortHolder
from regdeploy.host.reach import Outcome, Reached
from regdeploy.registry import users
from regdeploy.tls.acme.settings import DirectoryFacts
from tests.builders import DOMAIN, ENGINE, acme, bare, container, deployed, files, host, internal, resolved

OK, WARNING, STOP = Verdict.OK, Verdict.WARNING, Verdict.STOP
DIRECTORY = DirectoryFacts(
    url=LETS_ENCRYPT, caa_identities=("letsencrypt.org",), date=datetime(2026, 11, 24, tzinfo=UTC)
)


def _found(asked: Resolved, *items: str, observed: dict[str, Any] | None = None, **facts: Any) -> tuple[Check, ...]:
    every = checks(asked.spec, deployed(asked, **(observed or {})), host(**facts))
    return tuple(check for check in every if check.item in items)


def test_what_was_not_looked_at_is_not_judged() -> None:
    asked = acme()

    assert checks(asked.spec, deployed(asked), host()) == (
        Check("engine", OK, "docker 28.2.2"),
        Check("folders", OK, "/var/lib/registry is safe"),
        Check("disk", OK, "41 GB free"),
    )


def test_everything_that_is_well_is_told_in_the_order_in_which_it_would_bite() -> None:
    asked = acme()
    facts = host(
        ports=frozenset({443, 80}),
        resolutions={DOMAIN: Resolution(a=("203.0.113.7",))},
        own_addresses=frozenset({"203.0.113.7"}),
        directory=DIRECTORY,
        caa={DOMAIN: CaaFacts()},
        clock_offset=0.4,
    )

    assert checks(asked.spec, deployed(asked), facts) == (
        Check("engine", OK, "docker 28.2.2"),
        Check("folders", OK, "/var/lib/registry is safe"),
        Check("disk", OK, "41 GB free"),
        Check("ports", OK, "80 is free"),
        Check("ports", OK, "443 is free"),
        Check("DNS", OK, "registry.example.com → 203.0.113.7, this host"),
        Check("CA", OK, f"{LETS_ENCRYPT} answers"),
        Check("clock", OK, "agrees with the CA's"),
        Check("CAA", OK, "registry.example.com may be issued by acme-v02.api.letsencrypt.org"),
    )


@pytest.mark.parametrize(
    ("engine", "check"),
    [
        ({}, Check("engine", OK, "docker 28.2.2")),
        ({"rootless": True}, Check("engine", OK, "docker 28.2.2, rootless")),
        (
            {"userns_remap": True},
            Check(
                "engine",
                OK,
                "docker 28.2.2, userns-remap (the registry runs in the host's user namespace to read its key)",
            ),
        ),
        (
            {"remote": True, "url": "tcp://build.example:2376", "os": "windows"},
            Check(
                "engine",
                STOP,
                "tcp://build.example:2376 is another machine: "
                "the folders below /var/lib/registry would lie there, not here",
                "run regdeploy on that machine",
            ),
        ),
        (
            {"runtime_name": "podman"},
            Check(
                "engine",
                STOP,
                "podman 28.2.2 is not Docker, and says other things of a container than it was asked for",
                "use Docker",
            ),
        ),
        (
            {"os": "windows"},
            Check(
                "engine",
                STOP,
                "docker 28.2.2 runs windows containers",
                "a registry needs an engine for Linux containers",
            ),
        ),
    ],
)
def test_the_engine(engine: dict[str, Any], check: Check) -> None:
    start = 0 if engine.get("rootless") else 1024
    facts = replace(ENGINE, **engine)

    assert _found(acme(), "engine", observed={"engine": facts}, unprivileged_port_start=start) == (check,)


@pytest.mark.parametrize(
    ("port", "start", "check"),
    [
        (
            443,
            1024,
            Check(
                "engine",
                STOP,
                "docker 28.2.2 is rootless and may not publish port 443",
                "sysctl net.ipv4.ip_unprivileged_port_start=443, or choose --port 8443",
            ),
        ),
        (
            8800,
            9000,
            Check(
                "engine",
                STOP,
                "docker 28.2.2 is rootless and may not publish port 8800",
                "sysctl net.ipv4.ip_unprivileged_port_start=8800, or choose --port 9000",
            ),
        ),
        (1024, 1024, Check("engine", OK, "docker 28.2.2, rootless")),
        (443, 443, Check("engine", OK, "docker 28.2.2, rootless")),
        (8443, 1024, Check("engine", OK, "docker 28.2.2, rootless")),
    ],
)
def test_a_rootless_engine_and_its_ports(port: int, start: int, check: Check) -> None:
    rootless = replace(ENGINE, rootless=True)

    assert _found(acme(port=port), "engine", observed={"engine": rootless}, unprivileged_port_start=start) == (check,)


def _folder(**facts: Any) -> dict[Path, FolderFacts]:
    root = Path("/var/lib/registry")
    safe = {"path": root, "exists": True, "is_folder": True, "owner_uid": 0, "mode": 0o711}
    return {root: FolderFacts(**{**safe, **facts})}


MEND = "mend that, or choose another folder with --root"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (
            {"is_link": True, "is_folder": False},
            "/var/lib/registry is a symbolic link: use the real path, so that nobody can point it elsewhere",
        ),
        ({"is_folder": False}, "/var/lib/registry is a file, not a folder"),
        (
            {"owner_uid": 4_000_000},
            "/var/lib/registry belongs to uid 4000000, not to root who runs regdeploy",
        ),
        (
            {"others_can_write": True, "mode": 0o777},
            "/var/lib/registry can be written by other users (mode 0777): `chmod go-w /var/lib/registry` closes it",
        ),
        (
            {"exists": False, "loose_parent": Path("/var/lib")},
            "/var/lib/registry lies in /var/lib, where other users could replace it",
        ),
    ],
)
def test_a_folder_in_which_others_could_meddle_is_a_stop(facts: dict[str, Any], message: str) -> None:
    found = _found(acme(), "folders", observed={"folders": _folder(**facts)})

    assert found == (Check("folders", STOP, message, MEND),)


def test_one_unsafe_folder_is_enough_to_tell() -> None:
    every = {**_folder(is_link=True), Path("/other"): FolderFacts(path=Path("/other"), exists=True, is_link=True)}

    assert len(_found(acme(), "folders", observed={"folders": every})) == 1


def test_a_root_that_this_user_may_not_write_is_a_stop() -> None:
    assert _found(acme(), "folders", root_writable=False) == (
        Check(
            "folders",
            STOP,
            "/var/lib/registry, or its certs folder, cannot be written by this user",
            "run regdeploy as root, or choose a folder of your own with --root",
        ),
    )


FREE = "free some space: images would not fit"


@pytest.mark.parametrize(
    ("free", "inodes", "check"),
    [
        (0, 10**6, Check("disk", STOP, "0 B free for /var/lib/registry", FREE)),
        (99_000_000, None, Check("disk", STOP, "99 MB free for /var/lib/registry", FREE)),
        (
            100_000_000,
            None,
            Check("disk", WARNING, "100 MB free for /var/lib/registry", "images fill that soon"),
        ),
        (
            10**9 - 10**7,
            999,
            Check("disk", STOP, "999 inodes free for /var/lib/registry", "remove small files on that disk"),
        ),
        (10**12, 1000, Check("disk", OK, "1.0 TB free")),
        (10**9, None, Check("disk", OK, "1.0 GB free")),
    ],
)
def test_the_disk(free: int, inodes: int | None, check: Check) -> None:
    disk = DiskFacts(total_bytes=2 * 10**12, free_bytes=free, free_inodes=inodes)

    assert _found(acme(), "disk", disk=disk) == (check,)
    renewing = checks(acme().spec, deployed(acme()), host(disk=disk), renewing=True)
    milder = check._replace(verdict=WARNING) if check.verdict is STOP else check
    assert [found for found in renewing if found.item == "disk"] == [milder]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_900, "9.9 kB"),
        (9_960, "10 kB"),
        (999_400, "999 kB"),
        (999_999, "1.0 MB"),
        (999_960_000_000, "1.0 TB"),
        (10_000, "10 kB"),
        (18_000_000, "18 MB"),
        (1_234_000_000, "1.2 GB"),
        (41 * 10**9, "41 GB"),
        (5 * 10**12, "5.0 TB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_bytes_for_a_person(count: int, words: str) -> None:
    assert human_bytes(count) == words


SERVES = "stop it, or choose another port with --port"
PROVES = "stop it for the moment, or forward the CA's question to another port with --http-01-port"
NGINX = PortHolder(port=443, address="0.0.0.0", pid=712, command="nginx")


@pytest.mark.parametrize(
    ("facts", "check"),
    [
        ({}, Check("ports", OK, "443 is free")),
        ({"holders": {443: NGINX}}, Check("ports", STOP, "443 is held by nginx (pid 712)", SERVES)),
        (
            {"holders": {443: replace(NGINX, command="docker-proxy")}},
            Check(
                "ports",
                STOP,
                "443 is held by docker-proxy (pid 712) for no container",
                "restart the engine (`systemctl restart docker`): it kept the port for a container that never started",
            ),
        ),
        (
            {"holders": {443: replace(NGINX, pid=None, command="")}},
            Check("ports", STOP, "443 is held by another user's program", SERVES),
        ),
        (
            {"holders": {443: NGINX}, "publishers": {443: ("registry",)}, "bind_problems": {443: "port 443 is in use"}},
            Check("ports", OK, "443 is held by registry, which is this deployment's"),
        ),
        (
            {"publishers": {443: ("registry-previous",)}},
            Check("ports", OK, "443 is held by registry-previous, which is this deployment's"),
        ),
        (
            {"holders": {443: NGINX}, "publishers": {443: ("gitlab",)}},
            Check("ports", STOP, "443 is held by the container gitlab", SERVES),
        ),
        (
            {"publishers": {443: ("registry", "gitlab")}},
            Check("ports", STOP, "443 is held by the container gitlab", SERVES),
        ),
        (
            {"bind_problems": {443: "198.51.100.1 is not an address of this host"}},
            Check("ports", STOP, "198.51.100.1 is not an address of this host", SERVES),
        ),
        ({"bind_problems": {443: ""}}, Check("ports", OK, "443 is free")),
    ],
)
def test_the_port_that_is_served_on(facts: dict[str, Any], check: Check) -> None:
    asked = acme()
    there = ObservedWorkload(
        current=container(asked), previous=container(asked, name="registry-previous", state="exited")
    )

    assert _found(asked, "ports", observed={"workload": there}, ports=frozenset({443}), **facts) == (check,)


NEEDS_ROOT = "port {} needs root: this host lets others listen from 1024 upwards"
ALPN = Challenge(kind="tls-alpn-01", port=443, why="port 443 is free")
HTTP = Challenge(kind="http-01", port=80, why="port 80 is free")


def _bound(challenge: Challenge, *ports: int, rootless: bool = False, **facts: Any) -> tuple[Check, ...]:
    """The checks of ports for somebody who may use the engine, and is not root."""
    observed = {"challenges": (challenge,), "engine": replace(ENGINE, rootless=rootless)}
    problems = {port: NEEDS_ROOT.format(port) for port in ports}
    facts = {"ports": frozenset(ports), "bind_problems": problems, "uid": 1000, **facts}
    return _found(acme(), "ports", observed=observed, **facts)


def test_the_registrys_port_is_bound_by_the_engine_and_needs_no_privilege_of_ours() -> None:
    assert _bound(HTTP, 443) == (Check("ports", OK, "443 is free"),)
    assert _bound(ALPN, 443) == (Check("ports", OK, "443 is free"),), "no certificate is ordered now"
    held = {443: replace(NGINX, pid=None, command="")}
    assert _bound(HTTP, 443, holders=held) == (Check("ports", STOP, "443 is held by another user's program", SERVES),)


def test_the_port_of_the_challenge_is_bound_by_us() -> None:
    other = "run regdeploy as root, or forward the CA's question to another port with"

    assert _bound(HTTP, 80, 443, directory=DIRECTORY) == (
        Check("ports", STOP, NEEDS_ROOT.format(80), f"{other} --http-01-port"),
        Check("ports", OK, "443 is free"),
    )
    for ca in ({"directory": DIRECTORY}, {"directory_problem": "ca.example: does not answer"}):
        assert _bound(ALPN, 443, **ca) == (Check("ports", STOP, NEEDS_ROOT.format(443), f"{other} --tls-alpn-01-port"),)


def test_an_engine_without_root_binds_no_better_than_we() -> None:
    assert _bound(HTTP, 443, rootless=True) == (
        Check("ports", STOP, NEEDS_ROOT.format(443), "choose another port with --port"),
    )


def test_the_port_of_the_challenge_has_a_hint_of_its_own() -> None:
    apache = PortHolder(port=80, address="::", pid=3, command="apache2")

    assert _found(acme(), "ports", ports=frozenset({80, 443}), holders={80: apache}) == (
        Check("ports", STOP, "80 is held by apache2 (pid 3)", PROVES),
        Check("ports", OK, "443 is free"),
    )


def test_a_first_up_finds_no_container_of_its_own() -> None:
    nothing = ObservedWorkload()

    found = _found(
        acme(), "ports", observed={"workload": nothing}, ports=frozenset({443}), publishers={443: ("registry",)}
    )

    assert found == (Check("ports", STOP, "443 is held by the container registry", SERVES),)


@pytest.mark.parametrize(
    ("enforcing", "engine", "relabel", "stops"),
    [(True, True, False, True), (True, True, True, False), (True, False, False, False), (False, True, False, False)],
)
def test_selinux_is_in_the_way_only_where_host_and_engine_enforce_it(
    enforcing: bool, engine: bool, relabel: bool, stops: bool
) -> None:
    found = _found(
        acme(selinux_relabel=relabel),
        "SELinux",
        observed={"engine": replace(ENGINE, selinux=engine)},
        selinux_enforcing=enforcing,
    )

    stop = Check(
        "SELinux",
        STOP,
        "is enforcing, and the container may not read below /var/lib/registry",
        "add --selinux-relabel to let Docker label that folder for containers",
    )
    assert found == ((stop,) if stops else ())


@pytest.mark.parametrize("problem", ["", users.ABSENT, users.NOBODY])
def test_users_who_are_yet_to_come_are_no_problem(problem: str) -> None:
    assert _found(acme(), "access", observed={"users_problem": problem}) == ()


def test_a_broken_htpasswd_is_a_stop_where_a_login_is_asked_for() -> None:
    problem = {"users_problem": "line 2 is not NAME:HASH: the registry answers 400 to everybody"}

    assert _found(acme(), "access", observed=problem) == (
        Check(
            "access",
            STOP,
            "/var/lib/registry/auth/htpasswd: line 2 is not NAME:HASH: the registry answers 400 to everybody",
            "mend or remove that line: nobody can log in",
        ),
    )
    assert _found(acme(auth=False), "access", observed=problem) == ()


RECORD = "make an A record for it that points to this host"
FORWARDED = "fine behind NAT or a load balancer that forwards to it; otherwise correct the record"
STALE = "remove that record if it does not lead here: a CA asks any of them, IPv6 first"
OWN = frozenset({"203.0.113.7", "2001:db8::7"})


@pytest.mark.parametrize(
    ("found", "check"),
    [
        (
            Resolution(a=("203.0.113.7",), aaaa=("2001:db8::7",)),
            Check("DNS", OK, f"{DOMAIN} → 203.0.113.7, 2001:db8::7, this host"),
        ),
        (Resolution(error="has no address"), Check("DNS", STOP, f"{DOMAIN} has no address", RECORD)),
        (Resolution(), Check("DNS", STOP, f"{DOMAIN} has no address", RECORD)),
        (
            Resolution(a=("203.0.113.7",), aaaa=("2001:db8::bad",)),
            Check(
                "DNS",
                WARNING,
                f"{DOMAIN} → 2001:db8::bad (AAAA) is not an address of this host, the others are",
                STALE,
            ),
        ),
        (
            Resolution(a=("198.51.100.1",), aaaa=("2001:db8::7",)),
            Check("DNS", WARNING, f"{DOMAIN} → 198.51.100.1 (A) is not an address of this host, the others are", STALE),
        ),
        (
            Resolution(a=("198.51.100.1", "198.51.100.2")),
            Check("DNS", WARNING, f"{DOMAIN} → 198.51.100.1, 198.51.100.2 is not an address of this host", FORWARDED),
        ),
    ],
)
def test_where_the_name_leads(found: Resolution, check: Check) -> None:
    assert _found(acme(), "DNS", resolutions={DOMAIN: found}, own_addresses=OWN) == (check,)


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        (acme(), STOP),
        (acme(acme_directory="letsencrypt-staging"), STOP),
        (acme(acme_directory="https://ca.internal.example/dir"), WARNING),
        (internal(), WARNING),
        (files(), WARNING),
    ],
)
def test_a_name_without_an_address_stops_only_a_public_ca(asked: Resolved, verdict: Verdict) -> None:
    assert _found(asked, "DNS", resolutions={DOMAIN: Resolution()}) == (
        Check("DNS", verdict, f"{DOMAIN} has no address", RECORD),
    )


def test_the_ca_that_does_not_answer_is_a_stop_in_its_own_words() -> None:
    found = _found(acme(), "CA", "clock", directory_problem=f"{LETS_ENCRYPT}: timed out", directory_hint="try later")

    assert found == (Check("CA", STOP, f"{LETS_ENCRYPT}: timed out", "try later"),)


@pytest.mark.parametrize(
    ("flags", "facts", "check"),
    [
        ({}, {}, Check("CA", OK, f"{LETS_ENCRYPT} answers")),
        (
            {},
            {"eab_required": True},
            Check("CA", STOP, f"{LETS_ENCRYPT} wants an account binding", "add --eab-kid and --eab-hmac-key-file"),
        ),
        (
            {"eab_kid": "kid-1", "eab_hmac_key_file": "/etc/eab.key"},
            {"eab_required": True},
            Check("CA", OK, f"{LETS_ENCRYPT} answers"),
        ),
        ({"profile": "tlsserver"}, {"profiles": ("tlsserver",)}, Check("CA", OK, f"{LETS_ENCRYPT} answers")),
        (
            {"profile": "long"},
            {"profiles": ("classic", "tlsserver")},
            Check("CA", STOP, "it has no profile 'long'", "it offers: classic, tlsserver"),
        ),
        ({"profile": "long"}, {}, Check("CA", STOP, "it has no profile 'long'", "it offers: none")),
    ],
)
def test_what_the_ca_wants(flags: dict[str, Any], facts: dict[str, Any], check: Check) -> None:
    assert _found(acme(**flags), "CA", directory=replace(DIRECTORY, **facts)) == (check,)


CLOCK = "set the clock (chrony or systemd-timesyncd)"


@pytest.mark.parametrize(
    ("offset", "found"),
    [
        (None, ()),
        (0.0, (Check("clock", OK, "agrees with the CA's"),)),
        (-60.0, (Check("clock", OK, "agrees with the CA's"),)),
        (61.0, (Check("clock", WARNING, "this host's clock is 61 s ahead of the CA's", CLOCK),)),
        (-86400.0, (Check("clock", WARNING, "this host's clock is 86400 s behind the CA's", CLOCK),)),
        (
            -86401.0,
            (
                Check(
                    "clock",
                    STOP,
                    "this host's clock is 86401 s behind the CA's",
                    f"{CLOCK}: no certificate would be valid",
                ),
            ),
        ),
    ],
)
def test_the_clock(offset: float | None, found: tuple[Check, ...]) -> None:
    assert _found(acme(), "clock", directory=DIRECTORY, clock_offset=offset) == found


@pytest.mark.parametrize(
    ("facts", "check"),
    [
        (
            CaaFacts(records=((0, "issue", "digicert.com"),), found_at="example.com"),
            Check(
                "CAA",
                STOP,
                f"example.com does not allow this CA to issue for {DOMAIN}",
                'add the record: example.com. CAA 0 issue "letsencrypt.org"',
            ),
        ),
        (
            CaaFacts(records=((0, "issue", "letsencrypt.org"),), found_at="example.com"),
            Check("CAA", OK, f"{DOMAIN} may be issued by acme-staging-v02.api.letsencrypt.org"),
        ),
        (
            CaaFacts(error="the name servers did not answer about CAA: SERVFAIL"),
            Check(
                "CAA",
                WARNING,
                f"{DOMAIN}: the name servers did not answer about CAA: SERVFAIL",
                "a CA that gets no answer either does not issue",
            ),
        ),
    ],
)
def test_what_the_owner_of_the_name_allows(facts: CaaFacts, check: Check) -> None:
    asked = acme(acme_directory=LETS_ENCRYPT_STAGING)

    assert _found(asked, "CAA", directory=DIRECTORY, caa={DOMAIN: facts}) == (check,)


def test_where_another_ca_is_asked_too_what_forbids_the_first_is_a_warning() -> None:
    facts = CaaFacts(records=((0, "issue", "digicert.com"),), found_at="example.com")
    asked = acme(acme_fallback=["https://other.example/dir"])

    assert _found(asked, "CAA", directory=DIRECTORY, caa={DOMAIN: facts}) == (
        Check(
            "CAA",
            WARNING,
            f"example.com does not allow this CA to issue for {DOMAIN}; another CA is asked",
            'add the record: example.com. CAA 0 issue "letsencrypt.org"',
        ),
    )


def test_a_ca_that_goes_by_no_name_cannot_be_forbidden() -> None:
    facts = CaaFacts(records=((0, "issue", ";"),), found_at="example.com")
    nameless = replace(DIRECTORY, caa_identities=())

    assert [check.verdict for check in _found(acme(), "CAA", directory=nameless, caa={DOMAIN: facts})] == [OK]


def test_wildcards_are_judged_as_wildcards() -> None:
    facts = CaaFacts(records=((0, "issue", "letsencrypt.org"), (0, "issuewild", ";")), found_at="example.com")
    asked = resolved(domain=[DOMAIN], tls="internal")

    found = _found(asked, "CAA", directory=DIRECTORY, caa={"*.example.com": facts, DOMAIN: facts})

    assert [check.verdict for check in found] == [STOP, OK]


ONE_ACCOUNT = CaaFacts(
    records=((0, "issue", "letsencrypt.org; accounturi=https://ca.example/1"),), found_at="example.com"
)


@pytest.mark.parametrize(
    ("account", "check"),
    [
        (
            "",
            Check(
                "CAA",
                WARNING,
                f"example.com has this CA issue for {DOMAIN} only to the account https://ca.example/1",
                "none is registered here yet: after the first try `regdeploy account show` says which to put there",
            ),
        ),
        ("https://ca.example/1", Check("CAA", OK, f"{DOMAIN} may be issued by acme-v02.api.letsencrypt.org")),
        (
            "https://ca.example/2",
            Check(
                "CAA",
                STOP,
                f"example.com does not allow this CA to issue for {DOMAIN} to this account: "
                'the record is issue "letsencrypt.org; accounturi=https://ca.example/1"',
                "make its accounturi https://ca.example/2",
            ),
        ),
    ],
)
def test_a_record_for_one_account_stops_another_and_warns_who_has_none(account: str, check: Check) -> None:
    assert _found(acme(), "CAA", directory=DIRECTORY, caa={DOMAIN: ONE_ACCOUNT}, account=account) == (check,)


def test_the_method_that_is_judged_is_the_one_that_is_tried_first() -> None:
    facts = CaaFacts(records=((0, "issue", "letsencrypt.org; validationmethods=dns-01"),), found_at="example.com")
    first = Challenge(kind="tls-alpn-01", port=443, why="port 443 is free")
    second = Challenge(kind="dns-01", port=0, why="")

    def found(*challenges: Challenge) -> tuple[Check, ...]:
        return _found(acme(), "CAA", observed={"challenges": challenges}, directory=DIRECTORY, caa={DOMAIN: facts})

    assert found(first, second) == (
        Check(
            "CAA",
            STOP,
            f"example.com does not allow this CA to issue for {DOMAIN} by tls-alpn-01: "
            'the record is issue "letsencrypt.org; validationmethods=dns-01"',
            "add tls-alpn-01 to its validationmethods, or use --challenge dns-01",
        ),
    )
    assert [check.verdict for check in found(second)] == [OK]


_WHERE = "http://registry.example.com (203.0.113.7, IPv4)"


@pytest.mark.parametrize(
    ("reached", "check"),
    [
        ({"outcome": Outcome.HERE}, Check("reach", OK, f"{_WHERE} leads here")),
        (
            {"outcome": Outcome.OTHER, "server": "nginx"},
            Check(
                "reach",
                WARNING,
                f"{_WHERE} is answered by another server (Server: nginx)",
                "a CA would ask that one: correct the A record, or what the router forwards",
            ),
        ),
        (
            {"outcome": Outcome.OTHER, "port": 443, "address": "2001:db8::7"},
            Check(
                "reach",
                WARNING,
                "https://registry.example.com (2001:db8::7, IPv6) is answered by another server",
                "a CA would ask that one: correct the AAAA record, or what the router forwards",
            ),
        ),
        (
            {"outcome": Outcome.REFUSED},
            Check(
                "reach",
                WARNING,
                f"{_WHERE} refuses connections",
                "open port 80 in the firewall, forward it in the router, or correct the A record",
            ),
        ),
        (
            {"outcome": Outcome.SILENT},
            Check(
                "reach",
                WARNING,
                f"{_WHERE} does not answer us within a second, which a host behind NAT may see of itself",
                "fine if others get through, otherwise see to firewall, router (port 80), A record",
            ),
        ),
    ],
)
def test_who_answers_where_the_ca_will_ask_is_never_a_stop(reached: dict[str, Any], check: Check) -> None:
    facts = Reached(**{"name": DOMAIN, "address": "203.0.113.7", "port": 80, **reached})

    assert _found(acme(), "reach", reached=(facts,)) == (check,)


@pytest.mark.parametrize(("uid", "rootless", "stops"), [(0, False, False), (1000, True, False), (1000, False, True)])
def test_a_user_needs_an_engine_of_their_own(uid: int, rootless: bool, stops: bool) -> None:
    engine = replace(ENGINE, rootless=rootless)
    found = checks(acme().spec, bare(acme(), engine=engine), host(uid=uid))
    assert any(check.verdict is STOP and "uid 1000's" in check.message for check in found) is stops
