"""What a run comes to as an exit code, and when a defect counts as found."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from harness.model import Finding, History, Plan, Signature, Status, Verdict, Violation
from harness.results import DefectResult, Exit, RunResult, ScenarioResult

FINDING = Finding(
    id="f",
    signature=Signature("A", "a"),
    scenario="s",
    target="t",
    plan=Plan(scenario="s", steps=()),
    violation=Violation(clause="a", expected="", observed="", evidence=()),
    history=History(()),
)
PLAYED = ScenarioResult(name="s", plans=3)
SKIPPED = ScenarioResult(name="k", plans=0, skipped="lacks roles")
UNMET = replace(PLAYED, unmet=("QUO-01 was not exercised",))
CLEAN = RunResult(
    id="r",
    target="t",
    variant="",
    seed=0,
    scenarios=(PLAYED,),
    verdicts=(Verdict(invariant="A", status=Status.HELD, checks=1),),
    faults=(),
    findings=(),
    requests=1,
    plans=3,
    seconds=1.0,
)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, Exit.CLEAN),
        ({"scenarios": (PLAYED, SKIPPED)}, Exit.CLEAN),
        ({"scenarios": (SKIPPED,)}, Exit.NOT_TESTED),
        ({"scenarios": ()}, Exit.NOT_TESTED),
        ({"scenarios": (PLAYED, UNMET)}, Exit.NOT_TESTED),
        ({"scenarios": (PLAYED, replace(SKIPPED, unmet=("x",)))}, Exit.CLEAN),
        # 500 to everything, say: no rule had anything to judge
        ({"verdicts": ()}, Exit.NOT_TESTED),
        ({"verdicts": (Verdict(invariant="A", status=Status.NOT_EXERCISED),)}, Exit.NOT_TESTED),
        ({"problems": ("a fault never fired",)}, Exit.NOT_TESTED),
        ({"interrupted": True}, Exit.INTERRUPTED),
        ({"findings": (FINDING,)}, Exit.FINDINGS),
    ],
)
def test_the_exit_code_says_what_the_run_came_to(changes: dict[str, Any], code: Exit) -> None:
    assert replace(CLEAN, **changes).exit_code is code


def test_findings_go_before_an_interrupt_and_an_interrupt_before_what_was_not_tested() -> None:
    for found, stopped, untested in product([True, False], repeat=3):
        result = replace(
            CLEAN,
            findings=(FINDING,) if found else (),
            interrupted=stopped,
            problems=("no",) if untested else (),
        )
        wanted = [(found, Exit.FINDINGS), (stopped, Exit.INTERRUPTED), (untested, Exit.NOT_TESTED), (True, Exit.CLEAN)]
        assert result.exit_code is next(code for holds, code in wanted if holds)


def test_the_codes_are_what_a_shell_expects() -> None:
    assert [int(code) for code in Exit] == [0, 1, 2, 130]


@pytest.mark.parametrize(
    ("seeds", "found_on", "found"), [((1, 2), (1, 2), True), ((1, 2), (2,), False), ((), (), False)]
)
def test_a_defect_is_found_only_if_every_seed_finds_it(
    seeds: tuple[int, ...], found_on: tuple[int, ...], found: bool
) -> None:
    defect = DefectResult(id="d", area="a", title="t", invariant="A", seeds_found=found_on, seeds=seeds)
    assert defect.found is found
