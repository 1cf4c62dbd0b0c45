"""One connection to the engine's API, made at the first use and kept."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from regdeploy.engine.connect import Endpoint
from regdeploy.engine.translation import translated
from regdeploy.errors import EngineError

if TYPE_CHECKING:
    from docker import APIClient
    from docker.tls import TLSConfig

#: Engine 20.10; and the newest API whose answers were read with this code. An engine that speaks only newer ones
#: is spoken to in its oldest.
OLDEST = (1, 41)
NEWEST = (1, 47)
_PATIENCE = 600


class Client:
    """The API of the engine at ``endpoint``; ``timeout`` is for one answer, in seconds.

    The SDK (0.1 s to import) is loaded when ``api`` is first asked for.
    """

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self.endpoint = endpoint
        self._timeout = timeout
        #: Something that the engine was asked for and need not be waited for until it is asked for the next thing.
        self.unfinished: Future[None] | None = None

    def speaking(self, where: str = "") -> AbstractContextManager[None]:
        """Everything said to the engine is said inside this: what fails is EngineError about ``where``.

        What is unfinished is waited for first, and its error raised.
        """
        if self.unfinished is not None:
            try:
                self.unfinished.result()
            finally:
                self.unfinished = None
        return translated(where or self.endpoint.url, self.endpoint.url)

    @contextmanager
    def patient(self, where: str) -> Iterator[APIClient]:
        """The API for something that may keep the engine busy for minutes before it says a word."""
        api = self.api
        with self.speaking(where):
            api.timeout = _PATIENCE
            try:
                yield api
            finally:
                api.timeout = self._timeout  # type: ignore[assignment]  # a float is fine

    @cached_property
    def version(self) -> dict[str, Any]:
        """What ``GET /version`` said. Raises EngineError, also with code ``engine.too-old``."""
        with self.speaking():
            answer: dict[str, Any] = self._client.version(api_version=False)
            api = _numbers(answer["ApiVersion"])
        if api < OLDEST:
            words = f"Docker Engine {answer.get('Version')} is too old (its API is {answer['ApiVersion']})"
            raise EngineError(self.endpoint.url, words, "20.10 or newer is needed", code="engine.too-old")
        return answer

    @cached_property
    def api(self) -> APIClient:
        """The SDK's client, speaking the newest API version that the engine and this code know."""
        newest, oldest = _numbers(self.version["ApiVersion"]), _numbers(self.version.get("MinAPIVersion") or "1.24")
        chosen = min(newest, max(NEWEST, oldest))
        self._client._version = f"{chosen[0]}.{chosen[1]}"  # type: ignore[attr-defined]  # noqa: SLF001 - the SDK asks for it only when made, and forgets the answer
        return self._client

    @cached_property
    def _client(self) -> APIClient:
        with self.speaking():
            from docker import APIClient  # noqa: PLC0415 - heavy

            url = self.endpoint.url
            base = "unix:///ssh" if url.startswith("ssh://") else url
            client = APIClient(base_url=base, version=_text(OLDEST), timeout=self._timeout, tls=self._tls())  # type: ignore[arg-type]  # a float is fine
            client.trust_env = False  # a proxy or CA bundle of the environment is not for the engine
            if url.startswith("ssh://"):
                from regdeploy.engine.ssh import SshAdapter  # noqa: PLC0415 - rare

                client.mount("http+docker://", SshAdapter(url))
            return client

    def _tls(self) -> TLSConfig | bool:
        tls = self.endpoint.tls
        if tls is None:
            return self.endpoint.url.startswith("https://")
        from docker.tls import TLSConfig  # noqa: PLC0415 - heavy

        certificate, key = tls.file("cert.pem"), tls.file("key.pem")
        pair = (certificate, key) if certificate and key else None
        return TLSConfig(client_cert=pair, ca_cert=tls.file("ca.pem"), verify=tls.verify)


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
