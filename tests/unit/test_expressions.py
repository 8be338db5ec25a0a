"""CEL in scenario and target files."""

from __future__ import annotations

import pytest

from harness.errors import UsageProblem
from harness.expressions import Expression


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("status == 200 && body.state in ['done', 'failed']", True),
        ("size(body.items)", 2),
        ("body.items.exists(i, i > 1)", True),
        ("has(body.error)", False),
        ("headers['retry-after']", "3"),
        ("body.state + '!'", "done!"),
    ],
)
def test_it_computes_over_what_it_is_given(source: str, value: object) -> None:
    variables = {"status": 200, "body": {"state": "done", "items": [1, 2]}, "headers": {"retry-after": "3"}}
    assert Expression(source).evaluate(variables) == value


@pytest.mark.parametrize(
    "source", ["body.missing", "nobody", "body.n + 'text'", "1 / 0 == 1", "body.n.deeper", "[1][5] == 1"]
)
def test_an_expression_that_fails_on_its_variables_is_none(source: str) -> None:
    assert Expression(source).evaluate({"body": {"n": 1}}) is None


@pytest.mark.parametrize(
    ("source", "place"), [("a == ", "column 6"), ("a\n== )", "line 2, column"), ("a b", "column 3")]
)
def test_what_is_no_expression_is_refused_with_its_place(source: str, place: str) -> None:
    with pytest.raises(UsageProblem, match="not a CEL expression") as problem:
        Expression(source)
    assert place in str(problem.value)
    assert "expecting" not in str(problem.value)


def test_it_is_no_python() -> None:
    for source in ("__import__('os').getpid()", "(lambda: 1)()", "().__class__.__bases__"):
        try:
            value = Expression(source).evaluate({})
        except UsageProblem:
            continue
        assert value is None


def test_variables_are_not_changed() -> None:
    variables = {"a": [1]}
    Expression("a.map(x, x + 1)").evaluate(variables)
    assert variables == {"a": [1]}
