"""A notification as a POST of its facts. The URL is a secret itself, for many services: only its host is ever shown."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from regdeploy import __version__
from regdeploy.deployment.delivery import is_loopback, one_line, read_secret, within, words
from regdeploy.deployment.notify import Notification
from regdeploy.errors import HostError
from regdeploy.frozen import frozen
from regdeploy.secret import Secret

if TYPE_CHECKING:
    from urllib.request import OpenerDirector, Request

#: The header with the shared secret.
SECRET_HEADER = "X-Regdeploy-Secret"  # noqa: S105 - its name

_LIMIT = 10.0  # seconds for one request, from the look-up of the name to the answer
_PAUSE = 1.0  # seconds before the second request
_LONGEST = 400  # bytes read of an answer
_TOO_MANY, _SERVER_ERROR = 429, 500


@frozen
class Webhook:
    """A POST of the facts, as one JSON object, to an https URL, or to http on loopback. 2xx means taken.

    The operating system's store says which certificate is trusted, and the environment which proxy is used. Redirects
    are not followed. What a second try may mend (no connection, no answer in time, 429, 5xx) is tried once more.
    ``secret_file`` holds what goes into :data:`SECRET_HEADER`. Times are in seconds.
    """

    url: Secret
    secret_file: Path | None = None
    limit: float = _LIMIT
    pause: float = _PAUSE

    def send(self, notification: Notification) -> str:
        """See :class:`~regdeploy.deployment.notify.Channel`."""
        where = f"webhook {urlsplit(self.url.reveal()).hostname}"
        headers = {"Content-Type": "application/json", "User-Agent": f"regdeploy/{__version__}"}
        try:
            if self.secret_file:
                headers[SECRET_HEADER] = read_secret(self.secret_file).reveal()
        except HostError as error:
            return f"{where}: {error}"
        data = json.dumps(dict(notification.facts), ensure_ascii=False).encode()
        problem, again = self._post(data, headers)
        if again:
            time.sleep(self.pause)
            problem, _ = self._post(data, headers)
        return f"{where}: {problem}" if problem else ""

    def _post(self, data: bytes, headers: dict[str, str]) -> tuple[str, bool]:
        """What went wrong, and whether another try may help."""
        from http.client import HTTPException  # noqa: PLC0415 - 20 ms that only a message costs
        from urllib.error import URLError  # noqa: PLC0415 - the same
        from urllib.request import Request  # noqa: PLC0415 - the same

        request = Request(self.url.reveal(), data=data, headers=headers, method="POST")  # noqa: S310 - checked before
        try:
            status, said = within(self.limit, lambda: self._answer(request))
        except TimeoutError:
            return f"does not answer within {self.limit:g} s", True
        except URLError as error:
            return words(error.reason), True
        except (OSError, HTTPException) as error:
            return words(error), True
        if not status:
            return "", False
        return f"answered {status}" + (f": {said}" if said else ""), status == _TOO_MANY or status >= _SERVER_ERROR

    def _answer(self, request: Request) -> tuple[int, str]:
        """The status, 0 for success, and the begin of what came with it."""
        from urllib.error import HTTPError  # noqa: PLC0415 - see _post

        try:
            with _opener(self.url).open(request, timeout=self.limit):
                return 0, ""
        except HTTPError as error:
            with error:
                if "Location" in error.headers:
                    return error.code, "leads elsewhere, which is not followed"
                return error.code, one_line(error.read(_LONGEST))


def _opener(url: Secret) -> OpenerDirector:
    from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener  # noqa: PLC0415 - see _post

    class Straight(HTTPRedirectHandler):
        """A redirect is an answer like any other: the facts, and the secret, are for the URL that was given."""

        def redirect_request(self, *_: object) -> None:
            """Nowhere."""

    loopback = is_loopback(urlsplit(url.reveal()).hostname or "")
    return build_opener(Straight(), *([ProxyHandler({})] if loopback else []))
