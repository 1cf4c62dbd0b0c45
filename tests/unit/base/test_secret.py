from __future__ import annotations

import json
import logging
import pickle
import traceback
from dataclasses import dataclass

import pytest

from regdeploy.secret import Secret

TEXT = "6c3q-x7kq"


@dataclass(frozen=True)
class _Holder:
    password: Secret


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret(TEXT)),
        repr(Secret(TEXT)),
        f"{Secret(TEXT)}",
        f"{Secret(TEXT)!r}",
        f"{Secret(TEXT)!s:>20}",
        "%s" % Secret(TEXT),  # noqa: UP031 - this very form is tried
        repr(_Holder(Secret(TEXT))),
        repr([Secret(TEXT)]),
        json.dumps({"password": Secret(TEXT)}, default=str),
    ],
)
def test_a_secret_prints_as_stars(shown: str) -> None:
    assert TEXT not in shown
    assert "***" in shown


def test_a_secret_is_revealed_on_request_only() -> None:
    assert Secret(TEXT).reveal() == TEXT


def test_a_secret_stays_out_of_a_log(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("regdeploy").warning("password %s of %r", Secret(TEXT), _Holder(Secret(TEXT)))

    assert TEXT not in caplog.text


def _fail(secret: Secret) -> None:
    raise ValueError(secret)


def test_a_secret_stays_out_of_a_traceback_even_with_the_values_of_variables() -> None:
    with pytest.raises(ValueError, match=r"\*\*\*") as failed:
        _fail(Secret(TEXT))

    shown = "".join(traceback.TracebackException.from_exception(failed.value, capture_locals=True).format())
    assert "secret = Secret('***')" in shown
    assert TEXT not in shown


def test_secrets_are_equal_by_their_text_and_to_nothing_else() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT
    assert len({Secret(TEXT), Secret(TEXT), Secret("other")}) == 2


def test_a_secret_has_no_attribute_dictionary_to_dump() -> None:
    with pytest.raises(TypeError):
        vars(Secret(TEXT))


def test_a_secret_can_go_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(Secret(TEXT))) == Secret(TEXT)
