"""What an order is asked with, and what a bad binding's key file gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from regdeploy.deployment.obtain import acme_settings
from regdeploy.errors import UsageError
from tests.builders import acme


def test_an_order_is_asked_with_what_the_spec_says(tmp_path: Path) -> None:
    key = tmp_path / "eab.key"
    key.write_text("c2VjcmV0\n")

    asked = acme(**{"eab-kid": "kid-1", "eab-hmac-key-file": str(key), "email": "ops@example.com", "profile": "short"})
    settings = acme_settings(asked.spec)

    assert settings.eab_hmac_key is not None
    assert settings.eab_hmac_key.reveal() == "c2VjcmV0"
    assert (settings.eab_kid, settings.email, settings.profile) == ("kid-1", "ops@example.com", "short")
    assert (settings.names, settings.directory) == (asked.spec.domains, asked.spec.acme_directory)
    assert acme_settings(acme().spec).eab_hmac_key is None


@pytest.mark.parametrize(("content", "words"), [(None, "No such file or directory"), (b"\xff\xfe", "is not text")])
def test_a_key_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    key = tmp_path / "eab.key"
    if content is not None:
        key.write_bytes(content)

    with pytest.raises(UsageError) as caught:
        acme_settings(acme(**{"eab-kid": "kid-1", "eab-hmac-key-file": str(key)}).spec)

    assert str(caught.value) == f"--eab-hmac-key-file: {key}: {words}"
