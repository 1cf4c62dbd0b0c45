"""From what the Docker SDK and the network raise to EngineError, in the engine's own words. One place for all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from regdeploy.errors import EngineError, ImageError

_TAKEN = ("port is already allocated", "address already in use")
_ABSENT = (errno.ENOENT, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)


@contextmanager
def translated(where: str, url: str) -> Iterator[None]:
    """Turn whatever the SDK, requests or a socket raises inside into EngineError about ``where``.

    ``url`` is the engine's, for when it is not there at all. What is a RegdeployError already goes through.
    """
    # requests and docker were imported by whatever raises here; importing them costs nothing then
    import docker.errors  # noqa: PLC0415 - heavy
    import requests  # noqa: PLC0415 - heavy
    import urllib3  # noqa: PLC0415 - heavy

    try:
        yield
    except docker.errors.APIError as error:
        raise _from_answer(where, error.explanation or str(error), error.status_code) from error
    except (ValueError, KeyError) as error:  # before requests' own, whose JSON error is a ValueError as well
        what = f"the engine answered something that is not its API: {error}"
        raise EngineError(url, what, "is that URL a Docker engine's?") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _from_network(where, url, error) from error
    except docker.errors.DockerException as error:
        raise EngineError(where, str(error)) from error


def _from_answer(where: str, words: str, status: int | None) -> EngineError:
    words = str(words).strip()
    if any(taken in words for taken in _TAKEN):
        hint = (
            "`ss -ltnp` shows who has that port: stop it, or choose another one with --port; "
            "where nobody has it, or docker-proxy for no container, restart the engine"
        )
        return EngineError(where, words, hint, code="engine.port")
    if status == HTTPStatus.NOT_FOUND and "no such image" in words.lower():
        return ImageError(where, words, "`regdeploy up` fetches it", code="image.not-found")
    if status == HTTPStatus.NOT_FOUND:
        return EngineError(where, words, code="engine.not-found")
    if status == HTTPStatus.CONFLICT:
        return EngineError(where, words, "something else changed it meanwhile: run the same command again")
    if "no space left on device" in words:
        return EngineError(
            where, words, "free some space on the engine's disk (`docker system df`)", code="engine.full"
        )
    return EngineError(where, words)


def _from_network(where: str, url: str, error: Exception) -> EngineError:
    import requests  # noqa: PLC0415 - heavy
    import urllib3  # noqa: PLC0415 - heavy

    inner = _inner(error)
    cause = next((item for item in inner if isinstance(item, OSError) and isinstance(item.errno, int)), None)
    number = cause.errno if cause is not None else None
    words = cause.strerror if cause is not None and cause.strerror else str(inner[-1])
    if isinstance(error, requests.exceptions.SSLError):
        hint = "check DOCKER_CERT_PATH, or the certificates of the Docker context"
        return EngineError(url, f"TLS with the engine failed: {error}", hint, code="engine.tls")
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)) or isinstance(inner[-1], TimeoutError):
        return EngineError(
            where, "the engine does not answer", f"is {url} overloaded or hanging?", code="engine.timeout"
        )
    if number in (errno.EACCES, errno.EPERM):
        hint = "run regdeploy as root, or as a user of the group docker"
        return EngineError(url, f"the engine cannot be reached: {words}", hint, code="engine.permission")
    if number in _ABSENT or isinstance(error, requests.ConnectionError):
        hint = "start it (`systemctl start docker`), or install Docker: https://docs.docker.com/engine/install/"
        if not url.startswith("unix://"):
            hint = "is an engine listening there, and may this host reach it?"
        return EngineError(url, f"the engine cannot be reached: {words}", hint, code="engine.absent")
    return EngineError(where, f"the connection to the engine broke: {words}", f"is {url} still up?")


def _inner(error: BaseException) -> list[BaseException]:
    """``error`` and what requests and urllib3 have wrapped in it, the innermost last."""
    found = [error]
    for item in found:  # grows while it is walked
        parts = (*item.args, getattr(item, "reason", None))
        found.extend(part for part in parts if isinstance(part, BaseException) and part not in found)
    return found
