"""HTTPS to a CA over one kept connection, and what went wrong with it in words. ``requests``, and no ``acme``."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from regdeploy import __version__
from regdeploy.errors import AcmeError

#: SSL verification codes of OpenSSL for "not yet valid" and "expired": often this host's clock.
_DATES = (9, 10)


class _Adapter(HTTPAdapter):
    """An adapter that trusts what an SSL context trusts: requests would add certifi's store to it, or use that alone.

    So the operating system's store counts, as it does for Docker and curl: a company's own root is in there.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on as they come
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as in requests
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401 - as in requests
        """Add nothing: the context verifies."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as in requests
        """Send without the file of REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, which would be added to the context."""
        return super().send(request, *args, **{**kwargs, "verify": True})


def session(ca_bundle: Path | None) -> requests.Session:
    """The session for CAs whose HTTPS the bundle proves, or the system's store where it is None.

    One a process and bundle: the order goes on over the connection on which the directory was asked. The environment's
    proxies are used. Raises AcmeError when the bundle is none.
    """
    if ca_bundle is None:
        return _session(None)
    try:
        # What is not ASCII are comments: ssl refuses the text for them, and Mozilla's list has some.
        return _session(ca_bundle.read_bytes().decode("ascii", "ignore"))
    except OSError as error:
        words = error.strerror or str(error)
    except ValueError:
        words = "holds no certificate in PEM"
    raise AcmeError(
        "--acme-ca-bundle", f"{ca_bundle}: {words}", "give the PEM file of the root that proves the CA's HTTPS"
    )


@lru_cache(maxsize=8)
def _session(bundle: str | None) -> requests.Session:
    if bundle is not None and "-----BEGIN CERTIFICATE-----" not in bundle:
        raise ValueError(bundle)  # ssl takes an empty text for "the system's store"
    made = requests.Session()
    made.mount("https://", _Adapter(_context(bundle)))
    made.headers = {"User-Agent": f"regdeploy/{__version__} acme-python", "Accept-Language": "en"}
    return made


def _context(bundle: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=bundle)
    except ssl.SSLError as error:
        raise ValueError(str(error)) from error


def host_of(url: str) -> str:
    """The CA's host, with its port where one is named: what errors name it by."""
    try:
        return urlsplit(url).netloc or url
    except ValueError:  # an IPv6 address without its end
        return url


def unreachable(error: requests.RequestException, url: str, seconds: float) -> AcmeError:
    """The AcmeError for a request that got no answer within ``seconds``."""
    what, hint = _words(error, url, seconds)
    return AcmeError(host_of(url), what, hint)


def is_final(error: requests.RequestException) -> bool:
    """Whether asking again would end the same way."""
    return isinstance(error, ValueError) or any(
        isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)
    )


def _words(error: requests.RequestException, url: str, seconds: float) -> tuple[str, str]:
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy did not connect: {_innermost(error)}", "check HTTPS_PROXY and NO_PROXY in the environment"
    if isinstance(error, ValueError):  # requests: a URL that is none is a ValueError too
        return f"{url!r} is not a URL that can be asked: {error}", "give the https:// address of the CA's directory"
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted: {cause.verify_message}", _trust_hint(cause)
            case ssl.SSLError():
                return f"TLS failed: {cause.reason or cause}", "is that the port of an HTTPS server?"
            case socket.gaierror():
                return f"the name does not resolve: {cause.strerror}", "check the address, and this host's name servers"
            case ConnectionRefusedError():
                return "refused the connection", "is the CA running there, and is the port right?"
            case TimeoutError() | requests.Timeout():
                return f"no answer within {seconds:.0f} s", "check this host's way out: firewall, proxy, routes"
    return f"the connection failed: {_innermost(error)}", "check this host's way out: firewall, proxy, routes"


def _trust_hint(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _DATES:
        return "check this host's clock"
    return "a private CA needs --acme-ca-bundle FILE, with the root that proves its HTTPS"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all that led to it: requests and urllib3 wrap by attribute, argument and cause alike."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        linked = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
        waiting += [other for other in linked if isinstance(other, BaseException)]


def _innermost(error: BaseException) -> str:
    """The words of the operating system or of HTTP, without the layers above."""
    causes = list(_causes(error))
    told = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return told[-1] if told else str(causes[-1])
