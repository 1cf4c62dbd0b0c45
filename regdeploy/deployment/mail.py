"""A notification as mail (SMTP, RFC 5321)."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from regdeploy.deployment.delivery import one_line, read_secret, within, words
from regdeploy.deployment.notify import Notification
from regdeploy.errors import HostError
from regdeploy.frozen import frozen
from regdeploy.secret import Secret

if TYPE_CHECKING:
    import smtplib
    from email.message import EmailMessage

_LIMIT = 30.0  # seconds for one mail; servers make strangers wait


@frozen
class Mail:
    """A mail to ``recipients`` over TLS: ``implicit`` from the first byte (RFC 8314), otherwise by STARTTLS (RFC 3207).

    The operating system's store says which certificate is trusted. ``plain`` is without TLS, on loopback only. A
    ``user`` logs in with what ``password_file`` holds. ``limit`` is in seconds.
    """

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    implicit: bool = False
    plain: bool = False
    user: str = ""
    password_file: Path | None = None
    limit: float = _LIMIT

    def send(self, notification: Notification) -> str:
        """See :class:`~regdeploy.deployment.notify.Channel`."""
        import smtplib  # noqa: PLC0415 - 30 ms that only a message costs

        where = f"mail by {self.host}:{self.port}"
        try:
            password = read_secret(self.password_file) if self.password_file else Secret("")
        except HostError as error:
            return f"{where}: {error}"
        try:
            message = _message(notification, self.sender, self.recipients)
            refused = within(self.limit, lambda: self._deliver(message, password))
        except TimeoutError:
            return f"{where}: does not answer within {self.limit:g} s"
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPResponseException as error:
            return f"{where}: {_reply(error.smtp_code, error.smtp_error)}"
        except (OSError, ValueError) as error:  # SMTPException is an OSError
            return f"{where}: {words(error)}"
        problems = [f"{address} is refused: {_reply(*reply)}" for address, reply in refused.items()]
        return f"{where}: {'; '.join(problems)}" if problems else ""

    def _deliver(self, message: EmailMessage, password: Secret) -> dict[str, tuple[int, bytes]]:
        with self._connect() as client:
            if self.user:
                client.login(self.user, password.reveal())
            return client.send_message(message, self.sender, list(self.recipients))

    def _connect(self) -> smtplib.SMTP:
        import smtplib  # noqa: PLC0415 - see send
        import ssl  # noqa: PLC0415 - the same

        name = socket.gethostname()
        us = name if "." in name and name.isascii() else "[127.0.0.1]"  # smtplib would ask the name servers
        context = ssl.create_default_context()
        if self.implicit:
            return smtplib.SMTP_SSL(self.host, self.port, us, timeout=self.limit, context=context)
        client = smtplib.SMTP(self.host, self.port, us, timeout=self.limit)
        try:
            if not self.plain:
                client.starttls(context=context)
        except BaseException:
            client.close()
            raise
        return client


def _message(notification: Notification, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """RFC 5322, with what is not ASCII as RFC 2047 and MIME write it."""
    from email.message import EmailMessage  # noqa: PLC0415 - 30 ms that only a message costs
    from email.policy import SMTP  # noqa: PLC0415 - the same
    from email.utils import localtime, make_msgid  # noqa: PLC0415 - the same

    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))  # not every server offers 8BITMIME
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = " ".join(notification.subject.split())
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid("regdeploy", sender.rpartition("@")[2].encode("idna").decode())
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody on holiday answers
    message.set_content(notification.text)
    return message


def _reply(code: int, said: bytes | str) -> str:
    """What the server answered, in its own words."""
    return f"{code} {one_line(said if isinstance(said, bytes) else said.encode())}"
