from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regdeploy.deployment.domains import LONGEST, is_ip, parse_domain, shown, why_not_public
from regdeploy.errors import HostError, UsageError
from regdeploy.files import switch_link
from tests.unit.said import said

LONG = ".".join(["a" * 60] * 5)
SHORTER = "hint: use a shorter name"
PATTERN = "hint: a name looks like registry.example.com"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("registry.example.com", "registry.example.com"),
        ("  Registry.EXAMPLE.com\n", "registry.example.com"),
        ("registry.example.com.", "registry.example.com"),
        ("registry", "registry"),
        ("r.lan", "r.lan"),
        ("xn--fsqu00a.xn--4rr70v", "xn--fsqu00a.xn--4rr70v"),
        ("例子.广告", "xn--fsqu00a.xn--4rr70v"),
        ("例子.广告.", "xn--fsqu00a.xn--4rr70v"),
        ("例子。广告。", "xn--fsqu00a.xn--4rr70v"),
        ("\uff32egistry。Example。com", "registry.example.com"),
        ("*.例子.广告", "*.xn--fsqu00a.xn--4rr70v"),
        ("straße.de", "xn--strae-oqa.de"),
        ("*.Example.com", "*.example.com"),
        ("203.0.113.7", "203.0.113.7"),
        ("[2001:DB8::0:1]", "2001:db8::1"),
        ("2001:db8:0:0:0:0:0:1", "2001:db8::1"),
        ("a" * 63 + ".com", "a" * 63 + ".com"),
        ("1.2.3.4.com", "1.2.3.4.com"),
    ],
)
def test_a_name_becomes_what_certificates_carry(given: str, meant: str) -> None:
    assert parse_domain(given, "--domain") == meant


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("", "--domain: is empty\nhint: give the name clients will use, such as registry.example.com"),
        (" \t", "--domain: is empty\nhint: give the name clients will use, such as registry.example.com"),
        (
            "https://r.example.com",
            "--domain: 'https://r.example.com' has a scheme\nhint: write 'r.example.com': HTTPS is implied",
        ),
        (
            "http://r.example.com:5000/v2/",
            "--domain: 'http://r.example.com:5000/v2/' has a scheme\nhint: write 'r.example.com': HTTPS is implied",
        ),
        (
            "https://[2001:db8::1]:8443",
            "--domain: 'https://[2001:db8::1]:8443' has a scheme\nhint: write '2001:db8::1': HTTPS is implied",
        ),
        (
            "r.example.com/images",
            "--domain: 'r.example.com/images' has a path\nhint: write 'r.example.com': repositories are named at push",
        ),
        (
            "r.example.com:5000/v2",
            "--domain: 'r.example.com:5000/v2' has a path\nhint: write 'r.example.com': repositories are named at push",
        ),
        (
            "r.example.com:5000",
            "--domain: 'r.example.com:5000' has a port\nhint: write --domain r.example.com --port 5000",
        ),
        ("r.example.com:", "--domain: 'r.example.com:' has a port\nhint: write --domain r.example.com --port N"),
        ("10.0.0.7:5000", "--domain: '10.0.0.7:5000' has a port\nhint: write --domain 10.0.0.7 --port 5000"),
        ("[::1]:5000", "--domain: '[::1]:5000' has a port\nhint: write --domain ::1 --port 5000"),
        (
            "2001:db8::zz",
            "--domain: '2001:db8::zz' is not an IPv6 address\nhint: write it as 2001:db8::1, without a zone",
        ),
        (
            "fe80::1%eth0",
            "--domain: 'fe80::1%eth0' is not an IPv6 address\nhint: write it as 2001:db8::1, without a zone",
        ),
        (
            "a..example.com",
            f"--domain: 'a..example.com' has an empty label (two dots in a row, or a leading dot)\n{PATTERN}",
        ),
        (
            ".example.com",
            f"--domain: '.example.com' has an empty label (two dots in a row, or a leading dot)\n{PATTERN}",
        ),
        (".", f"--domain: '.' has an empty label (two dots in a row, or a leading dot)\n{PATTERN}"),
        ("a" * 64 + ".com", f"--domain: '{'a' * 64}.com' has a label of 64 characters; 63 is the most\n{PATTERN}"),
        (
            LONG,
            f"--domain: '{LONG[:40]}'… has 304 characters; 231 is the most that its files can be named by\n{SHORTER}",
        ),
        ("-a.com", f"--domain: '-a.com' has the label '-a', which begins or ends with a hyphen\n{PATTERN}"),
        ("a-.com", f"--domain: 'a-.com' has the label 'a-', which begins or ends with a hyphen\n{PATTERN}"),
        ("my_reg.com", f"--domain: 'my_reg.com' has '_', which a host name cannot have\n{PATTERN}"),
        ("r@e x.com", f"--domain: 'r@e x.com' has ' ' '@', which a host name cannot have\n{PATTERN}"),
        ("a.*.com", f"--domain: 'a.*.com' has '*', which a host name cannot have\n{PATTERN}"),
        ("*.*.com", f"--domain: '*.*.com' has '*', which a host name cannot have\n{PATTERN}"),
        ("*", f"--domain: '*' has '*', which a host name cannot have\n{PATTERN}"),
        (
            "1.2.3.400",
            "--domain: '1.2.3.400' is neither a name nor an IP address\nhint: no top-level domain is a number",
        ),
        ("5000", "--domain: '5000' is neither a name nor an IP address\nhint: no top-level domain is a number"),
        ("[1.2.3.4", f"--domain: '[1.2.3.4' has '[', which a host name cannot have\n{PATTERN}"),
        ("例" * 60 + ".com", f"--domain: '{'例' * 60}.com' is not a valid internationalized name: Label too long"),
        (
            "☃.de",
            "--domain: '☃.de' is not a valid internationalized name: Codepoint U+2603 at position 1 of '☃' not allowed",
        ),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_part_that_is_wrong(given: str, error: str) -> None:
    assert said(lambda: parse_domain(given, "--domain")) == error


@given(st.text(max_size=40) | st.from_regex(r"[a-z0-9.*:\[\]/%-]{1,30}", fullmatch=True))
@example("[]")
@example("\ud800.com")
def test_whatever_is_given_it_is_a_name_that_stays_the_same_or_an_error(text: str) -> None:
    try:
        name = parse_domain(text, "--domain")
    except UsageError:
        return
    assert name.isascii()
    assert parse_domain(name, "--domain") == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("registry", "is a single label"),
        ("*.registry", "is a single label"),
        ("registry.lan", "ends in .lan, which is not a public domain"),
        ("registry.corp.internal", "ends in .internal, which is not a public domain"),
        ("registry.local", "ends in .local, which is not a public domain"),
        ("registry.home.arpa", "ends in .home.arpa, which is not a public domain"),
        ("*.registry.test", "ends in .test, which is not a public domain"),
        ("10.0.0.7", "is a private address"),
        ("127.0.0.1", "is a private address"),
        ("fd00::7", "is a private address"),
        ("8.8.8.8", ""),
        ("2606:4700::1111", ""),
        ("registry.example.com", ""),
        ("lan.example.com", ""),
        ("xn--fsqu00a.xn--4rr70v", ""),
    ],
)
def test_names_that_no_public_ca_knows_are_told_apart(name: str, why: str) -> None:
    assert why_not_public(name) == why


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("registry.example.com", "registry.example.com"),
        ("xn--fsqu00a.xn--4rr70v", "例子.广告 (xn--fsqu00a.xn--4rr70v)"),
        ("*.xn--fsqu00a.xn--4rr70v", "*.例子.广告 (*.xn--fsqu00a.xn--4rr70v)"),
        ("xn--a.com", "xn--a.com"),
    ],
)
def test_an_internationalized_name_is_shown_both_ways(name: str, words: str) -> None:
    assert shown(name) == words


@pytest.mark.parametrize(("text", "answer"), [("::1", True), ("[::1]", True), ("1.2.3", False), ("a.b", False)])
def test_addresses_are_told_from_names(text: str, answer: bool) -> None:
    assert is_ip(text) is answer


def test_the_longest_name_is_the_longest_that_a_link_can_be_called_by(tmp_path: Path) -> None:
    name = parse_domain(".".join(["a" * 45] * 5) + ".b", "--domain").ljust(LONGEST, "c")
    assert parse_domain(name, "--domain") == name

    switch_link(tmp_path / f"{name}.crt", "current/fullchain.pem")

    with pytest.raises(HostError, match="File name too long"):
        switch_link(tmp_path / f"{name}c.crt", "current/fullchain.pem")
    with pytest.raises(UsageError, match="has 232 characters"):
        parse_domain(f"{name}c", "--domain")
