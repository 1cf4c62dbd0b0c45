"""Mail as a server on loopback gets it, and what is said where it does not."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest

from regdeploy.deployment.mail import Mail
from regdeploy.deployment.notify import Notification
from tests.certs import make_leaf, make_root
from tests.smtp import Mailbox, mail_server

MESSAGE = Notification(subject="仓库: renewal\n failed", text="Größe\n.\nend\n", facts={})


@pytest.fixture
def password(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text("s3cret\n")
    return tmp_path / "password"


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    """A server for localhost; ``root.pem`` beside the test's files is what proves it."""
    root = make_root()
    made = make_leaf(root, "localhost")
    (tmp_path / "pair.pem").write_bytes(made.pem + made.key_pem)
    (tmp_path / "root.pem").write_bytes(root.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    return context


@pytest.fixture
def trusted(tmp_path: Path, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))


def mail(box: Mailbox, password: Path | None = None, *, implicit: bool = False, plain: bool = False) -> Mail:
    return Mail(
        host="localhost",
        port=box.port,
        sender="regdeploy@example.com",
        recipients=("ops@example.com", "me@example.com"),
        implicit=implicit,
        plain=plain,
        user="ops" if password else "",
        password_file=password,
        limit=5,
    )


def parsed(box: Mailbox) -> EmailMessage:
    message = email.message_from_bytes(box.mails[0][2], policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_mail_goes_over_starttls_and_the_password_never_before(
    context: ssl.SSLContext, trusted: None, password: Path
) -> None:
    with mail_server(context) as box:
        assert mail(box, password).send(MESSAGE) == ""
    assert box.commands == [
        ("EHLO", False),
        ("STARTTLS", False),
        *((verb, True) for verb in ("EHLO", "AUTH", "MAIL", "RCPT", "RCPT", "DATA", "QUIT")),
    ]
    assert box.logins == [("ops", "s3cret")]
    assert box.mails[0][:2] == ("regdeploy@example.com", ("ops@example.com", "me@example.com"))


def test_a_mail_goes_over_tls_from_the_first_byte(context: ssl.SSLContext, trusted: None, password: Path) -> None:
    with mail_server(context, implicit=True) as box:
        assert mail(box, password, implicit=True).send(MESSAGE) == ""
    assert ("AUTH", True) in box.commands
    assert all(secured for _, secured in box.commands)


def test_a_mail_is_what_a_person_can_read_and_a_program_will_not_answer() -> None:
    with mail_server() as box:
        assert mail(box, plain=True).send(MESSAGE) == ""
    message = parsed(box)
    assert box.mails[0][2].isascii()
    assert message["Subject"] == "仓库: renewal failed"
    assert message.get_content().splitlines() == ["Größe", ".", "end"]
    assert (message["From"], message["To"]) == ("regdeploy@example.com", "ops@example.com, me@example.com")
    assert message["Date"].datetime.tzinfo is not None
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Auto-Submitted"] == "auto-generated"


def test_a_server_without_tls_gets_neither_password_nor_mail(password: Path) -> None:
    with mail_server() as box:
        said = mail(box, password).send(MESSAGE)
    assert said == f"mail by localhost:{box.port}: STARTTLS extension not supported by server."
    assert (box.logins, box.mails) == ([], [])


def test_a_server_that_cannot_prove_its_name_gets_nothing(
    context: ssl.SSLContext, trusted: None, password: Path
) -> None:
    with mail_server(context) as box:
        said = replace(mail(box, password), host="127.0.0.1").send(MESSAGE)
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in said
    assert (box.logins, box.mails) == ([], [])


def test_a_server_that_nobody_vouches_for_gets_nothing(context: ssl.SSLContext, password: Path) -> None:
    with mail_server(context) as box:
        said = mail(box, password).send(MESSAGE)
    assert said == f"mail by localhost:{box.port}: unable to get local issuer certificate"
    assert box.logins == []


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ({"": "554 go away"}, "554 go away"),
        ({"AUTH": "535 5.7.8 wrong password"}, "535 5.7.8 wrong password"),
        ({"MAIL": "553 who are you"}, "553 who are you"),
        ({"RCPT TO:<me": "550 no such user"}, "me@example.com is refused: 550 no such user"),
        (
            {"RCPT": "550 no such user"},
            "ops@example.com is refused: 550 no such user; me@example.com is refused: 550 no such user",
        ),
        ({"DATA": "451 later"}, "451 later"),
        ({".": "552 too \x1b[31mbig"}, "552 too [31mbig"),
        ({"MAIL": ""}, "Connection unexpectedly closed"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(
    context: ssl.SSLContext, trusted: None, password: Path, replies: dict[str, str], words: str
) -> None:
    with mail_server(context, replies=replies) as box:
        said = mail(box, password).send(MESSAGE)
    assert said == f"mail by localhost:{box.port}: {words}"
    assert "s3cret" not in said


def test_one_recipient_who_is_refused_does_not_keep_the_mail_from_the_other() -> None:
    with mail_server(replies={"RCPT TO:<me": "550 no such user"}) as box:
        mail(box, plain=True).send(MESSAGE)
    assert len(box.mails) == 1


def test_a_server_that_is_not_there_or_says_nothing_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        box = Mailbox(silent.getsockname()[1])
        said = replace(mail(box, plain=True), limit=0.2).send(MESSAGE)
        assert said == f"mail by localhost:{box.port}: does not answer within 0.2 s"
    assert mail(box, plain=True).send(MESSAGE) == f"mail by localhost:{box.port}: Connection refused"


def test_without_its_password_nothing_is_sent(tmp_path: Path) -> None:
    with mail_server() as box:
        said = mail(box, tmp_path / "none", plain=True).send(MESSAGE)
    assert said == f"mail by localhost:{box.port}: {tmp_path}/none: No such file or directory"
    assert box.commands == []
