"""What is said of an address that was asked where a CA will ask. Pure."""

from __future__ import annotations

from regdeploy.host.reach import CA_PORTS, Outcome, Reached


def reach_words(found: Reached) -> tuple[str, str]:
    """The message, and the hint, which is empty where the address leads here."""
    family, record = ("IPv6", "AAAA") if ":" in found.address else ("IPv4", "A")
    scheme = "https" if found.port == CA_PORTS["tls-alpn-01"] else "http"
    where = f"{scheme}://{found.name} ({found.address}, {family})"
    match found.outcome:
        case Outcome.HERE:
            return f"{where} leads here", ""
        case Outcome.OTHER:
            who = f" (Server: {found.server})" if found.server else ""
            return (
                f"{where} is answered by another server{who}",
                f"a CA would ask that one: correct the {record} record, or what the router forwards",
            )
        case Outcome.REFUSED:
            return (
                f"{where} refuses connections",
                f"open port {found.port} in the firewall, forward it in the router, or correct the {record} record",
            )
        case Outcome.SILENT:
            return (
                f"{where} does not answer us within a second, which a host behind NAT may see of itself",
                f"fine if others get through, otherwise see to firewall, router (port {found.port}), {record} record",
            )
