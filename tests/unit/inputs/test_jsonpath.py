"""Our quick walk and the library agree."""

from __future__ import annotations

from typing import Any

import jsonpath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageProblem
from harness.inputs.jsonpath import path

STEPS = st.sampled_from([".a", ".b", "['a']", '["b"]', "[0]", "[1]", "[*]", ".*", ".å"])
DATA: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from(["ab", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abå"), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(STEPS, max_size=4).map("".join), DATA.filter(lambda d: isinstance(d, dict | list)))
def test_agrees_with_the_library(steps: str, data: Any) -> None:
    """On everything that is walked here."""
    assert path(f"${steps}")(data) == jsonpath.JSONPathEnvironment(strict=True).findall(f"${steps}", data)


@pytest.mark.parametrize("data", [None, "text", 3])
def test_no_document(data: Any) -> None:
    """A body that is no JSON object has nothing in it, but is itself."""
    assert path("$.a")(data) == []
    assert path("$..a")(data) == []
    assert path("$")(data) == [data]


def test_filters_slices_descents() -> None:
    """The library's part."""
    data = {"a": [{"n": 1}, {"n": 2}, {"n": 3}]}
    assert path("$.a[?@.n > 1].n")(data) == [2, 3]
    assert path("$.a[-1].n")(data) == [3]
    assert path("$..n")(data) == [1, 2, 3]


@pytest.mark.parametrize("text", ["", "a", "$.", "$[", "$.a[?", "$a"])
def test_no_path(text: str) -> None:
    """A message in our words."""
    with pytest.raises(UsageProblem, match="JSONPath"):
        path(text)
