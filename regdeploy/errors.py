"""The error tree: where it happened, what is wrong, what to do, and the exit status.

Every failure that a user can meet is a :class:`RegdeployError`. One handler, in ``cli``, prints it as at most three
lines (``where: what`` and ``hint: ...``) or as ``{"error": {"code", "message", "hint"}}``. The words of the CA and of
the engine are kept, never paraphrased. A secret never enters an error.
"""

from __future__ import annotations

from typing import ClassVar


class RegdeployError(Exception):
    """A failure the user can act on.

    ``where`` names the value or the thing (``--domain``, a path, ``container registry``); ``what`` is one sentence,
    with the value as given; ``hint`` says what to do and may be empty; ``code`` is stable, for scripts.
    """

    exit_status: ClassVar[int] = 1
    default_code: ClassVar[str] = "failed"

    def __init__(self, where: str, what: str, hint: str = "", *, code: str | None = None) -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.where = where
        self.what = what
        self.hint = hint
        self.code = code or self.default_code

    def __reduce__(self) -> tuple[object, ...]:
        """As any error, but without calling ``__init__`` again: what it made of its arguments is kept."""
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[RegdeployError], arguments: tuple[object, ...]) -> RegdeployError:
    return kind.__new__(kind, *arguments)


class UsageError(RegdeployError):
    """Bad usage or input: nothing was touched."""

    exit_status = 2
    default_code = "usage"


class NeedsConfirmation(UsageError):
    """A step interrupts or destroys, and there is nobody to ask: nothing was touched."""

    default_code = "needs-confirmation"


class CheckFailed(UsageError):
    """A check before the work says stop (``doctor`` shows the same): nothing was touched."""

    default_code = "check"


class NotDeployed(RegdeployError):
    """There is no deployment here under that name."""

    exit_status = 3
    default_code = "not-deployed"


class Busy(RegdeployError):
    """Another regdeploy holds the lock of this root."""

    default_code = "busy"


class HostError(RegdeployError):
    """The host refused: a file, a folder, the disk, a port."""

    default_code = "host"


class EngineError(RegdeployError):
    """The Docker engine is absent, refused, or failed; its own words are in ``what``."""

    default_code = "engine"


class ImageError(EngineError):
    """An image could not be had, or is not a registry."""

    default_code = "image"


class CertificateError(RegdeployError):
    """A certificate, key or chain is not fit to be served."""

    default_code = "certificate"


class AcmeError(CertificateError):
    """The CA refused or failed; its own words are in ``what``.

    ``problem`` is the ACME problem type without the urn prefix (``rateLimited``; RFC 8555 section 6.7) or empty;
    ``retry_after`` is in seconds, or None where the CA named no time.
    """

    default_code = "acme"

    def __init__(
        self, where: str, what: str, hint: str = "", *, problem: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(where, what, hint, code=f"acme.{problem}" if problem else None)
        self.problem = problem
        self.retry_after = retry_after


class VerifyFailed(RegdeployError):
    """What was started does not serve what it should; the one before it is back.

    ``log`` holds the last lines of the container's log.
    """

    default_code = "verify"

    def __init__(self, where: str, what: str, hint: str = "", *, log: tuple[str, ...] = ()) -> None:
        super().__init__(where, what, hint)
        self.log = log
