"""The steps of a plan that write files, but for the certificate's. Decides nothing, as ``apply``."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import assert_never

from regdeploy.deployment.layout import Layout
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.request import read_text
from regdeploy.deployment.saved import changed_text, fresh_text
from regdeploy.deployment.spec import Resolved, to_saved
from regdeploy.deployment.steps import MakeFolders, MakeSecret, SaveSpec, SetPassword, WriteConfig
from regdeploy.files import make_folder, write_whole
from regdeploy.registry import users
from regdeploy.secret import Secret


class Writing:
    """The files of one plan that is being carried out.

    ``password`` is what came with the command; what is to be done where a later step fails is added to ``undo``.
    """

    def __init__(
        self, resolved: Resolved, observed: Observed, *, password: Secret | None, undo: list[Callable[[], None]]
    ) -> None:
        self._resolved = resolved
        self._observed = observed
        self._password = password
        self._undo = undo
        self._layout = Layout(resolved.spec.root)
        self._config_text = observed.config_text

    @property
    def config_text(self) -> str:
        """The config.yml that is there now."""
        return self._config_text

    def write(self, step: MakeFolders | MakeSecret | WriteConfig | SetPassword | SaveSpec) -> None:
        """Do ``step``. Raises HostError."""
        match step:
            case MakeFolders():
                for path, mode in step.folders:
                    make_folder(path, mode)
            case MakeSecret():
                secret = step.given.reveal() if step.given is not None else secrets.token_hex(32)
                write_whole(self._layout.http_secret, secret.encode(), 0o600)
            case WriteConfig():
                self._write_config(step)
            case SetPassword():
                self._set_password(step)
            case SaveSpec():
                self._save()
            case _:
                assert_never(step)

    def _write_config(self, step: WriteConfig) -> None:
        before, unread = self._config_text, self._observed.config_unread_by
        if before:
            self._undo.append(lambda: write_whole(self._layout.unread, f"{unread}\n".encode(), 0o644))
            self._undo.append(lambda: write_whole(self._layout.config_file, before.encode(), 0o644))
        if step.unread_by:  # first: once the file is right, nothing else tells that the registry has read another one
            write_whole(self._layout.unread, f"{step.unread_by}\n".encode(), 0o644)
        write_whole(self._layout.config_file, step.text.encode(), 0o644)
        self._config_text = step.text

    def _set_password(self, step: SetPassword) -> None:
        password = self._password
        if step.generated or password is None:
            password = users.generate_password()
            # Written first: a kill between the two must not leave a password that nobody ever saw.
            write_whole(self._layout.first_password, f"{step.user}:{password.reveal()}".encode(), 0o600)
        users.set_password(self._layout.htpasswd, step.user, password)

    def _save(self) -> None:
        values = to_saved(self._resolved.spec, self._resolved.sources)
        before = read_text(self._layout.saved)
        text = fresh_text(values, where="saved") if before is None else changed_text(before, values)
        write_whole(self._layout.saved, text.encode(), 0o600)
