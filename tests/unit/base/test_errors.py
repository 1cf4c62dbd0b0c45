from __future__ import annotations

import pickle

import pytest

from regdeploy import errors
from regdeploy.errors import AcmeError, ImageError, RegdeployError, UsageError, VerifyFailed


def _classes(kind: type[RegdeployError] = RegdeployError) -> list[type[RegdeployError]]:
    """``kind`` and all below it; what a package or a test derives for itself has its parent's code."""
    below = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [kind, *(found for child in below for found in _classes(child))]


def test_an_error_reads_where_then_what() -> None:
    error = UsageError("--port", "'x' is not a number", "give a number")

    assert str(error) == "--port: 'x' is not a number"
    assert (error.where, error.what, error.hint, error.code) == (
        "--port",
        "'x' is not a number",
        "give a number",
        "usage",
    )


def test_without_a_place_an_error_is_its_sentence() -> None:
    assert str(RegdeployError("", "interrupted")) == "interrupted"


def test_a_code_of_its_own_is_kept() -> None:
    assert ImageError("--image", "is no registry", code="image.not-a-registry").code == "image.not-a-registry"


@pytest.mark.parametrize(("problem", "code"), [("", "acme"), ("rateLimited", "acme.rateLimited")])
def test_a_refusal_of_the_ca_carries_its_problem_type_in_the_code(problem: str, code: str) -> None:
    error = AcmeError("registry.example.com", "too many certificates", problem=problem, retry_after=3600.0)

    assert (error.code, error.problem, error.retry_after) == (code, problem, 3600.0)


def test_a_failed_verification_carries_the_registrys_last_words() -> None:
    assert VerifyFailed("registry", "does not answer").log == ()
    assert VerifyFailed("registry", "does not answer", log=("panic",)).log == ("panic",)


def test_every_class_has_a_code_of_its_own() -> None:
    classes = _classes()

    codes = [kind.default_code for kind in classes]
    assert len(set(codes)) == len(codes)


def test_exit_statuses_are_the_documented_ones() -> None:
    assert {kind.__name__: kind.exit_status for kind in _classes() if kind.exit_status != 1} == {
        "UsageError": 2,
        "NeedsConfirmation": 2,
        "CheckFailed": 2,
        "NotDeployed": 3,
    }


@pytest.mark.parametrize(
    "error",
    [
        AcmeError("ca.example", "too many", "wait", problem="rateLimited", retry_after=7.0),
        UsageError("--port", "'x' is not a number", "give one", code="usage.port"),
        VerifyFailed("container registry", "does not answer", log=("a", "b")),
    ],
)
def test_an_error_arrives_whole_from_another_process(error: RegdeployError) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))
