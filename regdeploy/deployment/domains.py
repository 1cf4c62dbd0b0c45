"""Domain names as the user writes them, turned into the A-labels that certificates and Docker references carry."""

from __future__ import annotations

import ipaddress
import re

from regdeploy.errors import UsageError

#: Names under these never get a certificate from a public CA (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476,
#: ICANN's reservation of .internal, and the private names that SSAC 062 lists as in wide use).
PRIVATE_SUFFIXES = frozenset(
    (
        "alt",
        "corp",
        "example",
        "home",
        "home.arpa",
        "internal",
        "intranet",
        "invalid",
        "lan",
        "local",
        "localdomain",
        "localhost",
        "mail",
        "onion",
        "private",
        "test",
    )
)

#: DNS knows names of 253 characters (RFC 1035 section 2.3.4, less the length octets). But ``NAME.crt`` is a file, and
#: ``files.switch_link`` makes it under a temporary name first, which adds 24 to NAME; a file's name has 255 bytes.
LONGEST = 231

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def parse_domain(text: str, where: str) -> str:
    """The A-label form of one domain name, lower case, without a trailing dot.

    Takes IDN in any script (IDNA 2008 with UTS 46 mapping), a leading ``*.``, and IPv4 or IPv6 literals (normalized).
    Raises UsageError that says which part is wrong.
    """
    name = text.strip()
    if not name:
        raise UsageError(where, "is empty", "give the name clients will use, such as registry.example.com")
    address = _ip(name)
    if address:
        return address
    _refuse_url(name, where)
    name = name.removesuffix(".")
    star = "*." if name.startswith("*.") else ""
    ascii_name = _to_ascii(name.removeprefix(star), where, text)
    for label in ascii_name.split("."):
        if not _LABEL.fullmatch(label):
            raise UsageError(where, f"{text!r} {_label_problem(label)}", "a name looks like registry.example.com")
    if ascii_name.rpartition(".")[2].isdecimal():
        raise UsageError(where, f"{text!r} is neither a name nor an IP address", "no top-level domain is a number")
    found = star + ascii_name
    if len(found) > LONGEST:
        what = f"{text[:40]!r}… has {len(found)} characters; {LONGEST} is the most that its files can be named by"
        raise UsageError(where, what, "use a shorter name")
    return found


def _refuse_url(name: str, where: str) -> None:
    host, port = _split_port(name)
    if "://" in name:
        raise UsageError(where, f"{name!r} has a scheme", f"write {host!r}: HTTPS is implied")
    if "/" in name:
        raise UsageError(where, f"{name!r} has a path", f"write {host!r}: repositories are named at push")
    if ":" in name and host != name:
        raise UsageError(where, f"{name!r} has a port", f"write --domain {host} --port {port or 'N'}")
    if ":" in name:
        raise UsageError(where, f"{name!r} is not an IPv6 address", "write it as 2001:db8::1, without a zone")


def _split_port(text: str) -> tuple[str, str]:
    """Host and port of what was meant as a URL; an IPv6 address without brackets is all host."""
    rest = text.rpartition("://")[2].partition("/")[0]
    if rest.startswith("["):
        host, _, port = rest[1:].partition("]")
        return host, port.removeprefix(":")
    if rest.count(":") > 1:
        return rest, ""
    host, _, port = rest.partition(":")
    return host, port


def _to_ascii(name: str, where: str, text: str) -> str:
    if name.isascii():
        return name.lower()
    import idna  # noqa: PLC0415 - its tables load only for names that need them

    try:
        return idna.encode(name, uts46=True).decode().removesuffix(".")  # "。" at the end is a dot only now
    except idna.IDNAError as error:
        raise UsageError(where, f"{text!r} is not a valid internationalized name: {error}") from error


def _label_problem(label: str) -> str:
    if not label:
        return "has an empty label (two dots in a row, or a leading dot)"
    if len(label) > 63:  # noqa: PLR2004 - RFC 1035 section 2.3.4
        return f"has a label of {len(label)} characters; 63 is the most"
    if label.startswith("-") or label.endswith("-"):
        return f"has the label {label!r}, which begins or ends with a hyphen"
    bad = sorted(set(re.sub(r"[a-z0-9-]", "", label)))
    return f"has {' '.join(map(repr, bad))}, which a host name cannot have"


def _ip(text: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        return "" if "%" in text else str(ipaddress.ip_address(text))  # a zone is this host's own affair (RFC 4007)
    except ValueError:
        return ""


def is_ip(name: str) -> bool:
    """Whether ``name`` is an IP address and not a domain name."""
    return bool(_ip(name))


def why_not_public(name: str) -> str:
    """Why no public CA issues for ``name``; empty when one may."""
    bare = name.removeprefix("*.")
    if is_ip(bare):
        return "" if ipaddress.ip_address(bare).is_global else "is a private address"
    labels = bare.split(".")
    if len(labels) == 1:
        return "is a single label"
    for size in (1, 2):
        suffix = ".".join(labels[-size:])
        if suffix in PRIVATE_SUFFIXES:
            return f"ends in .{suffix}, which is not a public domain"
    return ""


def shown(name: str) -> str:
    """``name`` for a person: an IDN both ways (``名字.example (xn--…)``), anything else as it is."""
    if "xn--" not in name:
        return name
    import idna  # noqa: PLC0415 - its tables load only for names that need them

    try:
        star = "*." if name.startswith("*.") else ""
        return f"{star}{idna.decode(name.removeprefix('*.'))} ({name})"
    except idna.IDNAError:
        return name
