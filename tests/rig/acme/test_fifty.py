"""Fifty of fifty: nothing is left to luck where a CA refuses good nonces, as they do under load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from regdeploy.secret import Secret
from tests.rig.acme.conftest import Client
from tests.rig.parts.flaky import Flaky
from tests.rig.parts.pebble import Pebble


def test_fifty_of_fifty_orders_succeed_where_three_in_ten_good_nonces_are_refused_and_accounts_are_bound(
    start_pebble: Callable[..., Pebble], tmp_path: Path
) -> None:
    authority = start_pebble(nonce_reject=30, eab=True)
    binding: dict[str, Any] = {"eab_kid": authority.eab_kid, "eab_hmac_key": Secret(authority.eab_hmac_key)}
    names = [f"n{number}.example.com" for number in range(50)]
    proxy = Flaky(tmp_path, authority.directory, authority.ca_bundle).start()
    try:
        client = Client(proxy, tmp_path / "state")
        issued = [client.issue(name, **binding).bundle.leaf for name in names]
    finally:
        proxy.stop()
    assert [leaf.names for leaf in issued] == [(name,) for name in names]
    assert len({leaf.serial for leaf in issued}) == 50
    assert len(client.accounts) == 1
    assert proxy.count("POST /order-plz") > 50  # nonces were refused indeed
