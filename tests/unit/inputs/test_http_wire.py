"""What an HTTP wire is told in target.yaml."""

from __future__ import annotations

import pytest

from harness.errors import FileProblem
from harness.inputs.documents import parse
from harness.inputs.http_wire import Operation, http_options, read_http_options


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("/jobs/{run}", "/jobs/7", {"run": "7"}),
        ("/jobs/{run}", "/jobs/7/x", None),
        ("/jobs/{run}", "/jobs/", None),
        ("/v0.4/jobs", "/v0x4/jobs", None),
        ("/a/{run}/b/{part}", "/a/1%2F2/b/c", {"run": "1%2F2", "part": "c"}),
    ],
)
def test_a_template_matches_whole_segments(template: str, path: str, values: dict[str, str] | None) -> None:
    """Nothing in it is a pattern but its placeholders."""
    operation = Operation(name="o", method="GET", template=template)
    assert operation.matches("GET", path) == values
    assert operation.matches("POST", path) is None


def test_an_operation_may_have_several_places() -> None:
    """The same name for two paths."""
    options = http_options({"operations": {"status": ["GET /a/{run}", "GET /b/{run}"]}}, "w")
    assert [o.template for o in options.operations] == ["/a/{run}", "/b/{run}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("servce: x", "t.yaml:1:1: .*servce"),
        ("operations: {a: GET}", "t.yaml:1:17: .*is no operation"),
        ('operations: {a: "GET /x/{b}/{b}"}', "two placeholders of one name"),
        ("operations: {a: GET /x}\nread: {b: {}}", "t.yaml:2:8: .*operation of this wire"),
        ("operations: {a: GET /x}\nread: {a: {JobSeen: {}}}", "fact of the south side"),
        ("operations: {a: GET /x}\nread: {a: {RunAccepted: {run: $.id}}}", "lacks 'backend'"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, problem: str) -> None:
    """Line and column, and what to write."""
    with pytest.raises(FileProblem, match=problem):
        read_http_options(parse(text, "t.yaml"))
