"""YAML in, one line out, and nothing means anything else by that."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regdeploy.errors import RegdeployError
from regdeploy.registry.yamltext import Plain, flow, line, read

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
VALUES = st.recursive(
    st.none() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("text", ["true", "y", "0123", "1e3", "1:30", "2001-12-14", "500ms", "0x1F", "-1", ".5", "a b"])
def test_a_scalar_without_quotes_stays_the_text_that_it_was(text: str) -> None:
    value = read(text, "x")
    assert (value, type(value)) == (text, Plain)
    assert line(value) == text
    assert read(f"a: {text}", "x") == {"a": text}
    assert type(read(f"a: '{text}'", "x")["a"]) is str  # type: ignore[index]


@pytest.mark.parametrize("text", ["true", "y", "0123", "1e3", "-1", "500ms", ".5"])
def test_what_may_be_no_string_has_no_quotes_within_a_larger_value_either(text: str) -> None:
    assert flow([Plain(text)]) == f"[{text}]"


@pytest.mark.parametrize("text", ["a, b", "a]", "a b", "a: b", "*", "us-east-1, us-east-2", "#a"])
def test_within_a_larger_value_quotes_keep_what_is_a_string_anyway(text: str) -> None:
    assert flow([Plain(text)]) == f'["{text}"]'


@pytest.mark.parametrize("text", ["true", "Yes", "null", "0123", "1e5", "", " a", "a: b", "a #b", "*a", "[a]", "a\nb"])
def test_a_string_gets_quotes_where_it_would_be_something_else_without(text: str) -> None:
    assert line(text)[0] == '"'
    assert read(line(text), "x") == text


@pytest.mark.parametrize("text", ["https://registry-1.docker.io", "mail:25", "us-east-1", "/etc/x.pem", "A.b_c@d"])
def test_a_string_that_is_one_anyway_reads_as_one_would_type_it(text: str) -> None:
    assert line(text) == text
    assert read(text, "x") == text


@given(VALUES)
def test_every_value_comes_back(value: object) -> None:
    assert "\n" not in flow(value)
    assert read(flow(value), "x") == value
    assert read(line(value), "x") == value


def test_nothing_is_null_and_anchors_are_resolved() -> None:
    assert read("a:\nb: ~\nc: 'null'", "x") == {"a": None, "b": None, "c": "null"}
    assert read("a: &x {k: 1}\nb: {<<: *x, l: 2}", "x") == {"a": {"k": "1"}, "b": {"k": "1", "l": "2"}}


@pytest.mark.parametrize(
    "text", ["password: hunter2: x", "password: hunter2\n\tx", "!!python/name:os.system hunter2", "*hunter"]
)
def test_what_is_no_yaml_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(RegdeployError) as caught:
        read(text, "config.yml")
    assert str(caught.value).startswith("config.yml: is not YAML")
    assert "hunter2" not in str(caught.value)
    assert caught.value.code == "registry.config"
    assert caught.value.__cause__ is None


def test_writing_loads_no_yaml() -> None:
    code = (
        "import sys; from regdeploy.registry.carried import storage_driver, translate; sys.exit('yaml' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
