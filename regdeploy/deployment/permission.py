"""What a CA may be asked for where there are several: each is judged by the names that it goes by in CAA records.

The CA that the spec names is judged before the work too (``checks``); one to fall back on only when its turn comes, so
that nobody depends on a CA that is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from regdeploy.deployment.caa import caa_objection
from regdeploy.deployment.challenge import Challenge
from regdeploy.deployment.layout import Layout
from regdeploy.deployment.spec import Spec
from regdeploy.deployment.world import World
from regdeploy.errors import AcmeError, HostError
from regdeploy.host.names import CaaFacts
from regdeploy.tls.acme import saved_account
from regdeploy.tls.acme.settings import DirectoryFacts

#: What such a refusal is called: the CA was not asked, and so counts nothing.
FORBIDDEN = "forbidden"


class Permission:
    """The CAA records of the spec's names, looked up once, when the first CA is judged by them."""

    def __init__(self, spec: Spec, world: World) -> None:
        self._spec = spec
        self._world = world

    def kinds(self, url: str, directory: DirectoryFacts, kinds: Sequence[Challenge]) -> tuple[Challenge, ...]:
        """Those of ``kinds`` by which the CA at ``url``, with that ``directory``, may issue for all names.

        Raises AcmeError where there is none, with the words of what forbids the first. A CA that names no identity,
        and records that could not be had, forbid nothing: the CA looks for itself.
        """
        if not directory.caa_identities:
            return tuple(kinds)
        account = self._account(url)
        refusals = [self._refusal(url, directory.caa_identities, kind, account) for kind in kinds]
        allowed = tuple(kind for kind, refusal in zip(kinds, refusals, strict=True) if refusal is None)
        if not allowed and refusals[0] is not None:
            raise refusals[0]
        return allowed

    def _refusal(self, url: str, identities: tuple[str, ...], kind: Challenge, account: str) -> AcmeError | None:
        for name, facts in self._records.items():
            wildcard = name.startswith("*.")
            found = caa_objection(facts, identities, wildcard=wildcard, method=kind.kind, account=account)
            if found is not None and not facts.error:
                words = f"CAA: {facts.found_at} does not allow {identities[0]} to issue for {name}"
                return AcmeError(url, f"{words}{found.why}", found.hint, problem=FORBIDDEN)
        return None

    @cached_property
    def _records(self) -> Mapping[str, CaaFacts]:
        with ThreadPoolExecutor(max_workers=8) as pool:
            found = pool.map(self._world.names.caa, self._spec.domains)
            return dict(zip(self._spec.domains, found, strict=True))

    def _account(self, url: str) -> str:
        """The account's URL at that CA, where a record names any: reading it loads the ACME libraries."""
        if not any("accounturi" in value.lower() for facts in self._records.values() for _, _, value in facts.records):
            return ""
        try:
            return str((saved_account(Layout(self._spec.root).acme, url) or {}).get("url", ""))
        except HostError:  # a folder that only root may read: not known, and so not in the way
            return ""
