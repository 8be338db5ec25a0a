"""The exception tree, and what a file problem says."""

from __future__ import annotations

import pytest

from harness import errors
from harness.errors import FileProblem, Place, QHarnessError


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        ("UserError", "QHarnessError"),
        ("FileProblem", "UserError"),
        ("UsageProblem", "UserError"),
        ("TargetError", "QHarnessError"),
        ("TargetUnreachable", "TargetError"),
        ("NeedsLiveMode", "TargetError"),
        ("RunStopped", "TargetError"),
        ("PlayCut", "QHarnessError"),
        ("ContractBroken", "QHarnessError"),
    ],
)
def test_the_tree_is_as_drawn(kind: str, parent: str) -> None:
    assert getattr(errors, kind).__bases__ == (getattr(errors, parent),)


def test_a_bug_of_ours_is_no_fault_of_user_or_target() -> None:
    assert issubclass(errors.ContractBroken, QHarnessError)
    assert not issubclass(errors.ContractBroken, errors.UserError | errors.TargetError)


@pytest.mark.parametrize(
    ("place", "text"),
    [(Place("t.yaml", 3, 7), "t.yaml:3:7"), (Place("t.yaml", 3), "t.yaml:3:0"), (Place("t.yaml"), "t.yaml")],
)
def test_a_place_is_named_as_far_as_it_is_known(place: Place, text: str) -> None:
    assert str(place) == text


def test_a_file_problem_says_where_what_and_what_instead() -> None:
    problem = FileProblem(Place("t.yaml", 3, 7), "no role is called 'x'", "Write get_job.")
    assert str(problem) == "t.yaml:3:7: no role is called 'x'\n  Write get_job."
    assert (problem.place.line, problem.what, problem.instead) == (3, "no role is called 'x'", "Write get_job.")
    assert str(FileProblem(Place("t.yaml"), "empty")) == "t.yaml: empty"
