"""Where notifications go, as users write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from regdeploy.deployment.channels import channel
from regdeploy.deployment.mail import Mail
from regdeploy.deployment.webhook import Webhook
from regdeploy.secret import Secret
from tests.unit.said import said

FILE = Path("/etc/regdeploy/password")
FORMS = "\nhint: use https://HOST/PATH or smtp://USER@HOST:587?from=ADDRESS&to=ADDRESS"


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/T0/B1?x=y", "http://localhost:8080/", "http://127.0.0.2/", "http://[::1]:9/x"]
)
def test_a_webhook_is_kept_as_it_is(url: str) -> None:
    assert channel(url, FILE, "--notify") == Webhook(url=Secret(url), secret_file=FILE)


def test_mail_has_ports_users_and_addresses_as_written() -> None:
    assert channel(
        "smtp://ops%40example.com@mail.example.com?from=a+b@example.com&to=c@example.com,d@例子.com&to=e@example.com",
        FILE,
        "--notify",
    ) == Mail(
        host="mail.example.com",
        port=587,
        sender="a+b@example.com",
        recipients=("c@example.com", "d@例子.com", "e@example.com"),
        user="ops@example.com",
        password_file=FILE,
    )
    assert channel("smtps://me%40example.com@mail.example.com?to=c@example.com", FILE, "--notify") == Mail(
        host="mail.example.com",
        port=465,
        sender="me@example.com",
        recipients=("c@example.com",),
        implicit=True,
        user="me@example.com",
        password_file=FILE,
    )
    assert channel("smtp://localhost?tls=off&from=a@b&to=root@localhost", None, "--notify") == Mail(
        host="localhost", port=25, sender="a@b", recipients=("root@localhost",), plain=True
    )
    ported = channel("smtp://[2001:db8::1]:2525?from=a@b&to=c@d", None, "--notify")
    assert isinstance(ported, Mail)
    assert (ported.host, ported.port) == ("2001:db8::1", 2525)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("hooks.example.com", f"is not a URL{FORMS}"),
        ("https://", f"is https:...{FORMS}"),
        ("ftp://example.com/", f"is ftp:...{FORMS}"),
        ("https://h:port/", f"is not a URL{FORMS}"),
        ("https://[::1/", f"is not a URL{FORMS}"),
        ("http://example.com/t0ken", "sends to example.com in plain text\nhint: use https://"),
        ("http://localhost.example.com/", "sends to localhost.example.com in plain text\nhint: use https://"),
        (
            "smtp://u:t0ken@h?to=a@b",
            "has a password in it, which others would see\nhint: put it alone into a file",
        ),
        ("https://t0ken@h/", "has a user in it, which a webhook has no use for\nhint: leave it out"),
        ("smtp://h?from=a@b", f"has '' as to=, which is no address of mail{FORMS}"),
        ("smtp://h?to=a@b", f"has '' as from=, which is no address of mail{FORMS}"),
        ("smtp://h?from=a@b&to=c@d,x", f"has 'x' as to=, which is no address of mail{FORMS}"),
        ("smtp://h?from=a@b&to=c@d%0d%0aBcc:x@y", f"has 'c@d\\r\\nBcc:x@y' as to=, which is no address of mail{FORMS}"),
        ("smtp://h?from=a@b&to=c@d&cc=e@f", f"has 'cc' in it, which mail has no use for{FORMS}"),
        ("smtp://h?from=a@b&to=c@d&tls=no", "has a tls= that is not off\nhint: leave it out: TLS is on"),
        (
            "smtp://h?from=a@b&to=c@d&tls=off",
            "has tls=off, which is for smtp:// to this very host only\nhint: leave it out",
        ),
        (
            "smtps://localhost?from=a@b&to=c@d&tls=off",
            "has tls=off, which is for smtp:// to this very host only\nhint: leave it out",
        ),
        ("smtp://ops@h?from=a@b&to=c@d", "logs in as 'ops' without a password\nhint: name the file that holds it"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_showing_what_may_be_secret(url: str, words: str) -> None:
    text = said(lambda: channel(url, None, "--notify"))
    assert text == f"--notify: {words}"
    assert "t0ken" not in text
