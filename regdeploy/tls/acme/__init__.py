"""ACME (RFC 8555). The only package that imports ``acme`` and ``josepy``, and only when something here is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from regdeploy.secret import Secret
from regdeploy.tls.acme.settings import DirectoryFacts, Errand, Issued, RenewalInfo

if TYPE_CHECKING:
    from regdeploy.tls.acme.worker import Worker


class AcmeAuthority:
    """The CA over the network (see ``regdeploy.deployment.world.Authority``): asked by a worker where one is ready."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    @contextmanager
    def ready(self, url: str, ca_bundle: Path | None) -> Iterator[None]:
        """While the block runs, have a process that is ready for an order. Never raises."""
        from regdeploy.tls.acme.worker import Worker  # noqa: PLC0415 - pickle, only where a certificate is obtained

        with suppress(OSError):  # no process to be had: then it is done here
            self._worker = Worker(url, ca_bundle)
        try:
            yield
        finally:
            worker, self._worker = self._worker, None
            if worker is not None:
                worker.close()

    def directory(self, url: str, ca_bundle: Path | None) -> DirectoryFacts:
        """See :func:`regdeploy.tls.acme.directory.directory_facts`."""
        if self._worker is not None:
            from regdeploy.tls.acme.worker import WorkerLost  # noqa: PLC0415 - loaded with the worker

            with suppress(WorkerLost):
                return self._worker.directory()
        from regdeploy.tls.acme.directory import directory_facts  # noqa: PLC0415 - requests, only where a CA is asked

        return directory_facts(url, ca_bundle)

    def issue(self, errand: Errand, directory: DirectoryFacts | None) -> Issued:
        """See :func:`regdeploy.tls.acme.order.issue`."""
        if self._worker is not None:
            from regdeploy.tls.acme.worker import WorkerLost  # noqa: PLC0415 - loaded with the worker

            with suppress(WorkerLost):
                return self._worker.issue(errand, directory)
        from regdeploy.tls.acme.order import issue  # noqa: PLC0415 - acme and josepy, only where a CA is asked

        return issue(errand, directory)

    def renewal_info(self, directory: DirectoryFacts, ca_bundle: Path | None, pem: bytes) -> RenewalInfo | None:
        """See :func:`regdeploy.tls.acme.renewal_info.renewal_info`."""
        from regdeploy.tls.acme.renewal_info import renewal_info  # noqa: PLC0415 - cryptography, as above

        return renewal_info(directory, ca_bundle, pem)

    def revoke(self, errand: Errand, certificate: bytes, *, key: Secret | None, reason: str) -> bool:
        """See :func:`regdeploy.tls.acme.revoke.revoke`."""
        from regdeploy.tls.acme.revoke import revoke  # noqa: PLC0415 - as above

        return revoke(errand, certificate, key=key, reason=reason)

    def change_account(self, errand: Errand, act: str) -> None:
        """See :func:`regdeploy.tls.acme.account_life.change_account`."""
        from regdeploy.tls.acme.account_life import change_account  # noqa: PLC0415 - as above

        change_account(errand, act)


def saved_account(state: Path, directory: str) -> Mapping[str, object] | None:
    """What ``state`` keeps of the account at a CA; see :func:`regdeploy.tls.acme.account.saved_account`."""
    from regdeploy.tls.acme import account  # noqa: PLC0415 - acme and josepy, only where an account is looked at

    return account.saved_account(state, directory)


__all__ = ["AcmeAuthority", "saved_account"]
