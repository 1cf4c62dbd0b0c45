"""Names, addresses of this host, and CAA records as a name server on loopback gives them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from regdeploy.host.names import CaaFacts, Resolution, caa, own_addresses, resolve


class NameServer:
    """Answers CAA questions over UDP: records by name, NXDOMAIN otherwise; it fails or is silent on request."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        self.aliases: dict[str, str] = {}
        self.empty: set[str] = set()
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._worker = threading.Thread(target=self._serve)
        self._worker.start()

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"", ("127.0.0.1", self.port))
        self._worker.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            packet, client = self._socket.recvfrom(4096)
            if not packet:
                return
            question = dns.message.from_wire(packet)
            name = question.question[0].name.to_text(omit_final_dot=True)
            self.asked.append(name)
            if name not in self.silent:
                self._socket.sendto(self._answer(question, name).to_wire(), client)

    def _answer(self, question: dns.message.Message, name: str) -> dns.message.Message:
        answer = dns.message.make_response(question, recursion_available=True)
        if name in self.failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif name in self.aliases:
            target = self.aliases[name]
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", f"{target}."))
            answer.answer.append(dns.rrset.from_text(f"{target}.", 60, "IN", "CAA", *self.records[target]))
        elif name in self.records:
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CAA", *self.records[name]))
        elif name not in self.empty:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


@pytest.fixture
def server() -> Iterator[NameServer]:
    running = NameServer()
    yield running
    running.stop()


def ask(server: NameServer, name: str, timeout: float = 5) -> CaaFacts:
    return caa(name, timeout, nameservers=("127.0.0.1",), port=server.port)


def test_the_names_own_records_govern_it(server: NameServer) -> None:
    server.records["registry.example.com"] = ['0 issue "letsencrypt.org"', '128 IssueWild ";"']
    server.records["example.com"] = ['0 issue "other.example"']
    assert ask(server, "registry.example.com") == CaaFacts(
        records=((0, "issue", "letsencrypt.org"), (128, "issuewild", ";")), found_at="registry.example.com"
    )
    assert server.asked == ["registry.example.com"]


def test_a_byte_that_no_record_may_have_is_kept_for_who_judges_it(server: NameServer) -> None:
    server.records["example.com"] = [r'0 issue "ca.example; note=\195\169"']
    assert ask(server, "example.com").records == ((0, "issue", "ca.example; note=\xc3\xa9"),)


def test_without_any_the_nearest_domain_above_does(server: NameServer) -> None:
    server.empty.add("registry.team.example.com")
    server.records["example.com"] = ['0 issue "letsencrypt.org"']
    facts = ask(server, "*.registry.team.example.com.")
    assert (facts.records, facts.found_at) == (((0, "issue", "letsencrypt.org"),), "example.com")
    assert server.asked == ["registry.team.example.com", "team.example.com", "example.com"]


def test_up_to_the_top_domain_and_then_nobody_is_excluded(server: NameServer) -> None:
    assert ask(server, "registry.example.com") == CaaFacts()
    assert server.asked == ["registry.example.com", "example.com", "com"]


def test_an_alias_is_followed_before_the_parent_is_asked(server: NameServer) -> None:
    server.aliases["registry.example.com"] = "host.example.net"
    server.records["host.example.net"] = ['0 issue "ca.example"']
    assert ask(server, "registry.example.com").records == ((0, "issue", "ca.example"),)


def test_a_name_server_that_fails_leaves_it_unknown(server: NameServer) -> None:
    server.failing.add("registry.example.com")
    server.records["example.com"] = ['0 issue "letsencrypt.org"']
    facts = ask(server, "registry.example.com")
    assert (facts.records, facts.found_at) == ((), "")
    assert facts.error.startswith("the name servers did not answer about CAA: ")
    assert "SERVFAIL" in facts.error


def test_all_questions_together_stay_within_the_time(server: NameServer) -> None:
    server.silent.add("example.com")
    began = time.monotonic()
    facts = ask(server, "registry.example.com", timeout=0.5)
    assert facts.error.startswith("the name servers did not answer about CAA: ")
    assert time.monotonic() - began < 3


def test_a_name_that_dns_cannot_carry_is_an_error_and_no_exception(server: NameServer) -> None:
    assert "did not answer about CAA" in ask(server, "a" * 64 + ".com").error
    assert server.asked == []


def test_addresses_resolve_to_themselves_and_a_bad_name_is_a_sentence() -> None:
    assert resolve("127.0.0.1", 5) == Resolution(a=("127.0.0.1",))
    assert resolve("::1", 5) == Resolution(aaaa=("::1",))
    assert "127.0.0.1" in resolve("localhost", 5).a
    assert resolve("fe80::1%nowhere", 5) == Resolution(error="has no address")
    assert "label" in resolve("a" * 64 + ".com", 5).error


def test_an_address_is_no_domain_and_nobody_is_asked(server: NameServer) -> None:
    assert ask(server, "192.0.2.7") == CaaFacts()
    assert ask(server, "2001:db8::1") == CaaFacts()
    assert server.asked == []


def test_own_addresses_are_read_from_the_kernels_tables(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/fib_trie").write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
        "     +-- 192.0.2.0/24 2 0 2\n        |-- 192.0.2.0\n           /24 link UNICAST\n"
        "        |-- 192.0.2.7\n           /32 host LOCAL\n        |-- 192.0.2.255\n           /32 link BROADCAST\n"
    )
    (tmp_path / "net/if_inet6").write_text(
        "00000000000000000000000000000001 01 80 10 80       lo\n20010db8000000000000000000000007 02 40 00 80     eth0\n"
    )
    assert own_addresses(tmp_path) == {"192.0.2.7", "::1", "2001:db8::7"}
    assert own_addresses(tmp_path / "absent") == frozenset()
    assert "127.0.0.1" in own_addresses()
