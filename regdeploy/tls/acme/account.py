"""The ACME account: its key, kept for good, and its URL, which can be asked for with the key (RFC 8555 section 7.3)."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from acme import jws, messages
from josepy.jwa import ES256

from regdeploy.errors import AcmeError, UsageError
from regdeploy.files import make_folder, refusal, write_whole
from regdeploy.tls.acme.account_key import AccountKey
from regdeploy.tls.acme.connection import host_of
from regdeploy.tls.acme.network import Network, Refusal
from regdeploy.tls.acme.settings import AcmeSettings, Errand

_CREATED = 201
#: What CAs say to a key that they have no account for, or none that is alive.
_UNKNOWN_KEY = ("accountDoesNotExist", "externalAccountRequired", "unauthorized")
_FACTS = "account.json"
_OPTIONS = "--eab-kid and --eab-hmac-key-file"


def open_account(ca: Network, errand: Errand) -> Account:
    """The account at the CA that the errand is for, registered if there is none, its e-mail address up to date.

    Sets ``key`` and ``account`` of ``ca``. A known account costs no request. The key is on disk before the CA has seen
    it: after a crash in between, the same key leads to the same account. Raises AcmeError, UsageError, HostError.
    """
    account = Account(ca, errand)
    known = account.load()
    try:
        if not known:
            account.register()
        elif account.contact != _contact(errand.settings):
            account.update()
    except Refusal as no:
        if not account.is_lost(no):
            raise
        account.replace()
    return account


def existing_account(ca: Network, errand: Errand) -> Account | None:
    """The account at that CA, its URL asked for where it is not known; None where there is none, and none is made.

    Sets ``key`` and ``account`` of ``ca``. Raises AcmeError, also where the CA does not know the key, and HostError.
    """
    if not AccountKey(folder_of(errand.state, errand.settings.directory)).path.exists():
        return None
    account = Account(ca, errand)
    if not account.load():
        account.find()
    return account


def saved_account(state: Path, directory: str) -> dict[str, object] | None:
    """What is noted of the account, None without one.

    The keys are ``directory``, ``url``, ``contact``, ``terms_agreed`` and ``eab_kid``. Raises HostError where it cannot
    be read. A file that is broken is none: the next order asks the CA.
    """
    try:
        facts = json.loads(_read(folder_of(state, directory) / _FACTS) or b"")
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None


def folder_of(state: Path, directory: str) -> Path:
    """Where the account at ``directory`` lies: readable by its host, kept apart by its whole URL."""
    host = re.sub(r"[^a-z0-9.-]", "_", host_of(directory).lower())
    return state / "accounts" / f"{host}-{hashlib.sha256(directory.encode()).hexdigest()[:12]}"


class Account:
    """One account at one CA, in a folder of its own: its key (see AccountKey) and ``account.json``, 0600."""

    def __init__(self, ca: Network, errand: Errand) -> None:
        self.contact: tuple[str, ...] = ()
        self._new_key = False
        self._ca = ca
        self._settings = errand.settings
        self._report = errand.report
        self._folder = folder_of(errand.state, errand.settings.directory)
        self._key = AccountKey(self._folder)
        self._facts_path = self._folder / _FACTS
        for folder in (errand.state, self._folder.parent, self._folder):
            make_folder(folder, 0o700)

    def load(self) -> bool:
        """Read the key, or make one; whether the account's URL is known as well.

        A change of keys that was cut off costs a request: the CA is asked which of the two keys is the account's.
        """
        key = self._key.read()
        if key is None:
            self._make_key()
            return False
        self._ca.key = key
        known = self._load_facts()
        if self._key.staged() is not None:
            self._settle()
        return known

    def _load_facts(self) -> bool:
        try:
            facts = json.loads(_read(self._facts_path) or b"")
            self.contact = tuple(facts["contact"])
            self._ca.account = str(facts["url"])
        except (ValueError, LookupError, TypeError):
            return False  # lost or damaged: the CA tells the URL again
        return True

    def register(self) -> None:
        """Ask for the key's account, made if there is none, and keep its URL."""
        self._ca.account = ""
        contact = _contact(self._settings)
        terms = self._ca.directory.terms
        given = {"contact": contact} if contact else {}  # a contact that is passed is sent, be it empty
        message = messages.NewRegistration(
            **given, terms_of_service_agreed=True, external_account_binding=self._binding()
        )
        try:
            response = self._ca.post(self._ca.endpoint("newAccount"), message)
        except Refusal as no:
            if self._settings.eab_kid:
                no.hint = f"check {_OPTIONS}: a binding holds for one CA, and at some for one account"
            raise
        self._ca.account = self._url(response.headers.get("Location", ""))
        made = response.status_code == _CREATED
        self.contact = contact if made else tuple(self._ca.read(messages.Registration, response).contact or ())
        self._save()
        agreed = f", its terms agreed to: {terms}" if terms else ""
        self._report(f"account registered{agreed}" if made else "account found")
        if self.contact != contact:
            self.update()

    def find(self) -> None:
        """Ask for the URL of the key's account, and make none (RFC 8555 section 7.3.1). Raises Refusal."""
        self._ca.account = ""
        response = self._ca.post(self._ca.endpoint("newAccount"), messages.NewRegistration(only_return_existing=True))
        self._ca.account = self._url(response.headers.get("Location", ""))
        self.contact = tuple(self._ca.read(messages.Registration, response).contact or ())
        self._save()

    def update(self) -> None:
        """Tell the CA the e-mail address as it is now (RFC 8555 section 7.3.2)."""
        contact = _contact(self._settings)
        self._ca.post(self._ca.account, messages.UpdateRegistration(contact=contact))
        self.contact = contact
        self._save()
        self._report("account's e-mail address updated")

    def is_lost(self, no: Refusal) -> bool:
        """Whether ``no`` means that the CA does not know the account, or does not accept it any more."""
        if no.problem != "unauthorized":
            return no.problem == "accountDoesNotExist"
        if not self._ca.account:  # said of the key: a new one is no use where it was made now, or the binding is wrong
            return not self._new_key and not self._settings.eab_kid
        try:  # the account, or only what it asked for?
            response = self._ca.post(self._ca.account)
        except Refusal:
            return True
        account = self._ca.read(messages.Registration, response).to_partial_json()
        return account.get("status") not in (None, "valid")  # a str: acme declares a Status, and decodes none here

    def replace(self) -> None:
        """Register a new key in place of a lost account's, which stays beside it as ``account.key.old-N``."""
        self._retire()
        self._report("the CA does not know the account any more: registering another")
        self._make_key()
        self.register()

    def roll_over(self) -> None:
        """Give the account a new key (RFC 8555 section 7.3.5), which is on disk before the CA has seen it.

        After a crash, or an answer that was lost, :meth:`load` finds out which of the two the CA knows. Raises
        AcmeError, HostError.
        """
        url, old, new = self._ca.endpoint("keyChange"), self._ca.key, self._key.stage()
        about = json.dumps({"account": self._ca.account, "oldKey": old.public_key().to_partial_json()}).encode()
        try:
            self._ca.post(url, jws.JWS.sign(about, key=new, alg=ES256, nonce=None, url=url))
        except Refusal as no:
            if no.resent and self._settle():
                return
            if not no.resent:
                self._key.unstage()
            raise
        self._key.promote()
        self._ca.key = new
        self._report("the account has a new key")

    def deactivate(self) -> None:
        """End the account for good (RFC 8555 section 7.3.6); its key is put away. One that has ended is fine."""
        try:
            self._ca.post(self._ca.account, messages.UpdateRegistration(status=messages.STATUS_DEACTIVATED))
        except Refusal as no:
            if not self.is_lost(no):
                raise
            self._report("the CA does not know the account any more")
        else:
            self._report("account deactivated")
        self._retire()

    def _settle(self) -> bool:
        """End a change of keys that was cut off, as the CA knows it; whether the new key is the account's."""
        before, new = (self._ca.key, self._ca.account), self._key.staged()
        assert new is not None, "called where a key is staged"
        self._ca.key, self._ca.account = new, ""
        try:
            self._ca.post(self._ca.endpoint("newAccount"), messages.NewRegistration(only_return_existing=True))
        except Refusal as no:
            self._ca.key, self._ca.account = before
            if no.problem not in _UNKNOWN_KEY:
                raise
            self._key.unstage()
            self._report("the account keeps its key: the CA does not know the new one")
            return False
        self._ca.account = before[1]
        self._key.promote()
        self._report("the account has a new key")
        return True

    def _retire(self) -> None:
        try:
            self._facts_path.unlink(missing_ok=True)  # first: it must never lie beside another account's key
        except OSError as error:
            raise refusal(self._facts_path, error) from error
        self._key.put_away()

    def _make_key(self) -> None:
        self._ca.key = self._key.make()
        self._new_key = True

    def _save(self) -> None:
        facts = {
            "directory": self._settings.directory,
            "url": self._ca.account,
            "contact": list(self.contact),
            "terms_agreed": self._ca.directory.terms,
            "eab_kid": self._settings.eab_kid,
        }
        write_whole(self._facts_path, json.dumps(facts, indent=2).encode() + b"\n", 0o600)

    def _url(self, location: str) -> str:
        if not location:
            raise AcmeError(self._ca.host, "registered an account and did not say where", "run the same command again")
        return location

    def _binding(self) -> dict[str, object] | None:
        """The external account binding (RFC 8555 section 7.3.4), HS256."""
        settings = self._settings
        if not settings.eab_kid or settings.eab_hmac_key is None:
            if settings.eab_kid or settings.eab_hmac_key is not None:
                raise UsageError(_OPTIONS, "one was given without the other", "give both, as the CA gave them to you")
            if self._ca.directory.eab_required:
                raise AcmeError(
                    self._ca.host,
                    "wants an external account binding, and none was given",
                    f"add {_OPTIONS}, as the CA gave them to you",
                    problem="externalAccountRequired",
                )
            return None
        text = settings.eab_hmac_key.reveal().strip().rstrip("=")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", text) or len(text) % 4 == 1:
            # Not the text itself: it is a secret. Python's decoder would skip what it does not know, and go on.
            raise UsageError(
                "--eab-hmac-key-file", "is not base64url", "the file holds the HMAC key's text alone, as the CA gave it"
            )
        return messages.ExternalAccountBinding.from_data(
            self._ca.key.public_key(), settings.eab_kid, text, messages.Directory(self._ca.directory.endpoints)
        )


def _contact(settings: AcmeSettings) -> tuple[str, ...]:
    return (f"mailto:{settings.email}",) if settings.email else ()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal(path, error) from error
