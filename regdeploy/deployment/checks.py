"""What would stop ``up`` here, judged from facts: each check is ok, a warning or a stop, with a hint. Pure.

``doctor`` shows them all; ``up`` runs those that its plan depends on and stops on a stop. A new check is a function
that yields :class:`Check` and a place in :func:`checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from regdeploy.deployment.authorities import LETS_ENCRYPT, LETS_ENCRYPT_STAGING
from regdeploy.deployment.caa import caa_checks
from regdeploy.deployment.certificates import waiting
from regdeploy.deployment.check import Check, Verdict, ok, stop, warning
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import HostFacts, Observed
from regdeploy.deployment.ports import port_checks
from regdeploy.deployment.reaching import reach_words
from regdeploy.deployment.settings import Tls
from regdeploy.deployment.spec import Spec
from regdeploy.engine.model import EngineFacts
from regdeploy.host.folders import unsafe
from regdeploy.host.names import Resolution
from regdeploy.registry import users

__all__ = ["Check", "Verdict", "checks", "human_bytes"]

_GIGABYTE = 10**9
_LEAST_FREE = 100 * 10**6
_CLOCK_WARNING = 60.0
_CLOCK_STOP = 86400.0
_LEAST_INODES = 1000


def checks(spec: Spec, observed: Observed, host: HostFacts, *, renewing: bool = False) -> tuple[Check, ...]:
    """Judge everything that ``host`` has facts on, in the order in which it would bite.

    ``renewing`` says that nothing but a certificate is to be kept: a disk too full for images must not let one end.
    """
    return (
        *_engine(spec, observed.engine, host),
        *_folders(spec, observed, host),
        *_disk(spec, host, stop if not renewing else warning),
        *port_checks(spec, observed, host),
        *_challenge(spec, observed, host),
        *_rate_limit(spec, observed, host),
        *_selinux(spec, observed.engine, host),
        *_users(spec, observed),
        *_names(spec, host),
        *_reach(host),
        *_authority(spec, host),
        *caa_checks(spec, observed, host),
    )


def _engine(spec: Spec, engine: EngineFacts, host: HostFacts) -> Iterator[Check]:
    name = f"{engine.runtime_name} {engine.version}"
    if engine.remote:
        yield stop(
            "engine",
            f"{engine.url} is another machine: the folders below {spec.root} would lie there, not here",
            "run regdeploy on that machine",
        )
    elif engine.runtime_name == "podman":
        yield stop(
            "engine", f"{name} is not Docker, and says other things of a container than it was asked for", "use Docker"
        )
    elif engine.os != "linux":
        yield stop("engine", f"{name} runs {engine.os} containers", "a registry needs an engine for Linux containers")
    elif engine.rootless and spec.port < host.unprivileged_port_start:
        other = max(host.unprivileged_port_start, 8443)
        yield stop(
            "engine",
            f"{name} is rootless and may not publish port {spec.port}",
            f"sysctl net.ipv4.ip_unprivileged_port_start={spec.port}, or choose --port {other}",
        )
    elif engine.userns_remap:
        yield ok("engine", f"{name}, userns-remap (the registry runs in the host's user namespace to read its key)")
    else:
        yield ok("engine", f"{name}{', rootless' if engine.rootless else ''}")


def _folders(spec: Spec, observed: Observed, host: HostFacts) -> Iterator[Check]:
    for path, facts in observed.folders.items():
        reason = unsafe(facts, host.uid)
        if reason:
            yield stop("folders", f"{path} {reason}", "mend that, or choose another folder with --root")
            return
    if not host.root_writable:
        yield stop(
            "folders",
            f"{spec.root}, or its certs folder, cannot be written by this user",
            "run regdeploy as root, or choose a folder of your own with --root",
        )
        return
    if host.uid and not observed.engine.rootless and not observed.engine.remote:
        yield stop(
            "folders",
            f"what regdeploy makes below {spec.root} would be uid {host.uid}'s, and the registry runs as root without"
            " power over the files of others: it could not write there",
            "run regdeploy as root; with a rootless engine it works as a user",
        )
        return
    yield ok("folders", f"{spec.root} is safe")


def _disk(spec: Spec, host: HostFacts, judge: Callable[[str, str, str], Check]) -> Iterator[Check]:
    free = human_bytes(host.disk.free_bytes)
    if host.disk.free_bytes < _LEAST_FREE:
        yield judge("disk", f"{free} free for {spec.root}", "free some space: images would not fit")
    elif host.disk.free_inodes is not None and host.disk.free_inodes < _LEAST_INODES:
        yield judge("disk", f"{host.disk.free_inodes} inodes free for {spec.root}", "remove small files on that disk")
    elif host.disk.free_bytes < _GIGABYTE:
        yield warning("disk", f"{free} free for {spec.root}", "images fill that soon")
    else:
        yield ok("disk", f"{free} free")


def human_bytes(count: int) -> str:
    """Bytes for a person, powers of 1000, two digits at least: ``18 MB``, ``1.2 GB``."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if round(size) < 1000:  # noqa: PLR2004 - the step between units
            whole = unit == "B" or round(size, 1) >= 10  # noqa: PLR2004 - digits
            return f"{size:.0f} {unit}" if whole else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _challenge(spec: Spec, observed: Observed, host: HostFacts) -> Iterator[Check]:
    """Which kind is taken where nobody asked for one."""
    if spec.challenge == "auto" and observed.challenges and host.directory is not None:
        first, *rest = observed.challenges
        then = f", then {rest[0].kind}" if rest else ""
        yield ok("challenge", f"{first.kind}{then}: {first.why}")


def _rate_limit(spec: Spec, observed: Observed, host: HostFacts) -> Iterator[Check]:
    """What the CA has said before: it is not asked what it would refuse, which would only make it worse."""
    if host.directory is None and not host.directory_problem:
        return
    wait = waiting(spec, observed.attempts, host.now, patient=False)
    if wait is not None:
        yield stop(
            wait.limit,
            f"{wait.why}: not before {wait.until:%Y-%m-%d %H:%M} UTC",
            f"--ignore {wait.limit} asks all the same",
        )


def _selinux(spec: Spec, engine: EngineFacts, host: HostFacts) -> Iterator[Check]:
    if host.selinux_enforcing and engine.selinux and not spec.selinux_relabel:
        yield stop(
            "SELinux",
            f"is enforcing, and the container may not read below {spec.root}",
            "add --selinux-relabel to let Docker label that folder for containers",
        )


def _users(spec: Spec, observed: Observed) -> Iterator[Check]:
    if spec.auth and observed.users_problem not in ("", users.ABSENT, users.NOBODY):  # the first user mends these two
        path = Layout(spec.root).htpasswd
        yield stop("access", f"{path}: {observed.users_problem}", "mend or remove that line: nobody can log in")


def _names(spec: Spec, host: HostFacts) -> Iterator[Check]:
    public = spec.tls is Tls.ACME and spec.acme_directory in (LETS_ENCRYPT, LETS_ENCRYPT_STAGING)
    for name, found in host.resolutions.items():
        yield _name(name, found, host.own_addresses, public=public)


def _name(name: str, found: Resolution, own: frozenset[str], *, public: bool) -> Check:
    addresses = (*found.a, *found.aaaa)
    if not addresses:
        message, hint = f"{name} {found.error or 'has no address'}", "make an A record for it that points to this host"
        return stop("DNS", message, hint) if public else warning("DNS", message, hint)
    elsewhere = [address for address in addresses if address not in own]
    if not elsewhere:
        return ok("DNS", f"{name} → {', '.join(addresses)}, this host")
    if len(elsewhere) < len(addresses):
        kind = "AAAA" if ":" in elsewhere[0] else "A"
        return warning(
            "DNS",
            f"{name} → {elsewhere[0]} ({kind}) is not an address of this host, the others are",
            "remove that record if it does not lead here: a CA asks any of them, IPv6 first",
        )
    return warning(
        "DNS",
        f"{name} → {', '.join(elsewhere)} is not an address of this host",
        "fine behind NAT or a load balancer that forwards to it; otherwise correct the record",
    )


def _reach(host: HostFacts) -> Iterator[Check]:
    """Who answers where a CA will ask. Never a stop: a CA sees from outside, we do not."""
    for found in host.reached:
        words, hint = reach_words(found)
        yield warning("reach", words, hint) if hint else ok("reach", words)


def _authority(spec: Spec, host: HostFacts) -> Iterator[Check]:
    if host.directory_problem:
        judge = warning if spec.acme_fallback else stop
        yield judge("CA", host.directory_problem, host.directory_hint)
        return
    directory = host.directory
    if directory is None:
        return
    if directory.eab_required and not spec.eab_kid:
        yield stop("CA", f"{spec.acme_directory} wants an account binding", "add --eab-kid and --eab-hmac-key-file")
    elif spec.profile and spec.profile not in directory.profiles:
        offered = ", ".join(directory.profiles) or "none"
        yield stop("CA", f"it has no profile {spec.profile!r}", f"it offers: {offered}")
    else:
        yield ok("CA", f"{spec.acme_directory} answers")
    offset = host.clock_offset
    if offset is None:
        return
    message = f"this host's clock is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} the CA's"
    if abs(offset) > _CLOCK_STOP:
        yield stop("clock", message, "set the clock (chrony or systemd-timesyncd): no certificate would be valid")
    elif abs(offset) > _CLOCK_WARNING:
        yield warning("clock", message, "set the clock (chrony or systemd-timesyncd)")
    else:
        yield ok("clock", "agrees with the CA's")
