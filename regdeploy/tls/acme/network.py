"""Signed requests to one CA (RFC 8555 section 6), with their nonces, repeated where that is safe.

``acme.client.ClientNetwork`` is not used: it repeats a bad nonce once only, loses Retry-After, and takes every 409 for
an existing account. The messages and signatures are those of ``acme`` and ``josepy``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import requests
from acme import jws, messages
from josepy.errors import Error as JoseError
from josepy.interfaces import JSONDeSerializable
from josepy.json_util import decode_b64jose
from josepy.jwa import ES256, ES384, ES512, RS256, JWASignature
from josepy.jwk import JWKEC, JWKRSA

from regdeploy.errors import AcmeError
from regdeploy.tls.acme.connection import host_of, is_final, unreachable
from regdeploy.tls.acme.directory import retry_after
from regdeploy.tls.acme.patience import Patience
from regdeploy.tls.acme.problems import Problem, from_response, refused
from regdeploy.tls.acme.settings import DirectoryFacts

#: RFC 8555 section 7.1.6 knows it and ``acme`` does not: registered, it reads as any other status.
STATUS_EXPIRED = messages.Status("expired")

_REQUEST_TIMEOUT = 30.0
_ATTEMPTS = 3  # of a request that got no answer, or the answer of a broken server
_PAUSE = 0.2  # before the second attempt; doubles
_NONCE_RETRIES = 20  # cheap; where 60 % of good nonces are rejected, one request in 40 000 needs more
_SHORT_WAIT = 10.0  # the longest Retry-After that is slept on
_SERVER_FAULT = 500

Message = TypeVar("Message", bound=JSONDeSerializable)


class Refusal(AcmeError):  # noqa: N818 - a CA's no, and to some callers an answer
    """The CA's problem with a request.

    ``resent`` says that an attempt before it may have been carried out, so that this no may mean "already done".
    """

    def __init__(self, words: AcmeError, *, resent: bool) -> None:
        super().__init__(words.where, words.what, words.hint, problem=words.problem, retry_after=words.retry_after)
        self.resent = resent


@dataclass
class _Attempts:
    """How often one request was tried, and whether and when to try it again: a pause in seconds, None for no more."""

    bad_nonces: int = 0
    faults: int = 0
    resent: bool = False

    def after_silence(self) -> float | None:
        self.resent = True
        return self._again(_PAUSE * 2**self.faults)

    def after_refusal(self, problem: Problem) -> float | None:
        if problem.code == "badNonce":
            self.bad_nonces += 1
            return 0.0 if self.bad_nonces <= _NONCE_RETRIES else None
        if problem.is_busy and problem.retry_after is not None:
            return self._again(problem.retry_after) if problem.retry_after <= _SHORT_WAIT else None
        # A gateway's 502 or 504 comes as well when the server behind it did what was asked.
        return self.after_silence() if problem.status >= _SERVER_FAULT else None

    def _again(self, pause: float) -> float | None:
        self.faults += 1
        return pause if self.faults < _ATTEMPTS else None


class Network:
    """The way to one CA: ``key`` signs, for the account whose URL is ``account``, empty before it is known.

    Without an account it signs by itself: an account's key, or a certificate's own. ``names`` are those whose
    certificate is asked for. ``fault`` are the words of the last fault of the server that was passed over.
    """

    def __init__(
        self,
        connection: requests.Session,
        directory: DirectoryFacts,
        patience: Patience,
        now: Callable[[], datetime],
        names: Sequence[str],
    ) -> None:
        self.directory = directory
        self.patience = patience
        self.now = now
        self.names = names
        self.key: JWKEC | JWKRSA  # set with the account
        self.account = ""
        self.fault = ""
        self.host = host_of(directory.url)
        self._connection = connection
        self._nonce: bytes | None = None

    def endpoint(self, name: str) -> str:
        """The URL of a resource in the directory. Raises AcmeError where the CA has none."""
        url = self.directory.endpoints.get(name)
        if not isinstance(url, str):
            raise AcmeError(self.host, f"its directory has no {name}", "give an ACME directory (RFC 8555)")
        return url

    def post(self, url: str, message: JSONDeSerializable | None = None) -> requests.Response:
        """POST ``message`` signed, or POST-as-GET where it is None, and return the answer, a 2xx.

        Signed by key without an account, by the account with one. Bad nonces are answered with the nonce that came
        along; lost connections and server faults by another attempt, which ACME allows for every request that is made
        here; a Retry-After of up to 10 s by waiting. Raises Refusal for a problem, AcmeError where there is no
        answer or when cancelled.
        """
        # Not `if message`: a message without fields is falsy, and {} is not the empty payload of a POST-as-GET.
        payload = b"" if message is None else message.json_dumps().encode()
        attempts = _Attempts()
        while True:
            self.patience.check()
            timeout = max(1.0, min(_REQUEST_TIMEOUT, self.patience.left))
            try:
                response = self._attempt(url, payload, timeout)
            except requests.RequestException as error:
                pause = attempts.after_silence()
                if pause is None or pause > self.patience.left or is_final(error):
                    raise unreachable(error, url, timeout) from error
            else:
                if _is_success(response):
                    return response
                problem = from_response(response, self.now())
                pause = attempts.after_refusal(problem)
                if pause is None or pause > self.patience.left:
                    words = refused(problem, self.host, self.now(), self.names)
                    raise Refusal(words, resent=attempts.resent and problem.status < _SERVER_FAULT)
                self.fault = problem.words if problem.status >= _SERVER_FAULT else self.fault
            self.patience.sleep(pause)

    def read(self, kind: type[Message], response: requests.Response) -> Message:
        """The message that an answer holds. Raises AcmeError for anything else."""
        try:
            message: Message = kind.from_json(response.json())
        except (JoseError, ValueError, TypeError, AttributeError, LookupError) as error:
            raise AcmeError(
                self.host, f"gave no {kind.__name__.lower()} that can be read: {error}", "run the same command again"
            ) from error
        return message

    def retry_after(self, response: requests.Response) -> float | None:
        """When the CA wants to be asked again, in seconds."""
        return retry_after(response.headers, self.now())

    def sign(self, url: str, payload: bytes, nonce: bytes) -> bytes:
        """The JWS (RFC 8555 section 6.2) of a payload for ``url``, by the account or, before there is one, the key."""
        signed: str = jws.JWS.sign(
            payload, key=self.key, alg=_algorithm(self.key), nonce=nonce, url=url, kid=self.account or None
        ).json_dumps()
        return signed.encode()

    def _attempt(self, url: str, payload: bytes, timeout: float) -> requests.Response:
        if self._nonce is None:
            response = self._send("HEAD", self.endpoint("newNonce"), timeout)
            if not _is_success(response):
                return response
        nonce, self._nonce = self._nonce, None
        if nonce is None:
            raise AcmeError(self.host, "gave no nonce that can be read", "is that an ACME directory (RFC 8555)?")
        return self._send("POST", url, timeout, self.sign(url, payload, nonce))

    def _send(self, method: str, url: str, timeout: float, body: bytes | None = None) -> requests.Response:
        headers = {} if body is None else {"Content-Type": "application/jose+json"}
        response = self._connection.request(
            method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
        )
        self.patience.check()  # before anything comes of the answer
        self._keep_nonce(response.headers.get("Replay-Nonce", ""))
        return response

    def _keep_nonce(self, text: str) -> None:
        """Keep the newest; one is enough, since requests follow one another."""
        try:
            self._nonce = decode_b64jose(text) or None
        except (JoseError, ValueError):
            self._nonce = None


def _algorithm(key: JWKEC | JWKRSA) -> JWASignature:
    """The signature that goes with a key (RFC 7518 section 3.1)."""
    if isinstance(key, JWKRSA):
        return RS256
    return {256: ES256, 384: ES384, 521: ES512}[key.key.key_size]


def _is_success(response: requests.Response) -> bool:
    """Whether it is a 2xx: to ``requests`` a redirection is fine too, and no signed request may follow one."""
    return response.status_code // 100 == 2  # noqa: PLR2004 - the class of successes
