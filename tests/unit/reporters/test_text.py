"""The text report: short, 80 columns, the replay line last."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model import Step
from harness.reporters import text
from harness.reporters._paint import ansi
from harness.results import RunResult, ScenarioResult
from tests.runs import clean_run, fallback_finding, race_finding, red_run, report


def finding_blocks(words: str) -> list[list[str]]:
    """The lines of each finding."""
    return [b.splitlines() for b in words.split("\n\n") if b.startswith("FINDING")]


def test_the_last_line_replays_the_first_finding() -> None:
    last = text.render(report(red_run())).splitlines()[-1]
    assert last == "qharness replay reports/20261122-224019-s7/findings/Q1-cap-1.yaml"


def test_the_last_line_of_a_clean_run_does_it_again() -> None:
    last = text.render(report(clean_run())).splitlines()[-1]
    assert last.startswith("qharness run ")
    assert "--seed 7" in last


def test_no_line_is_wider_than_a_terminal() -> None:
    long = replace(fallback_finding().violation, expected="word " * 200, observed="x" * 300)
    words = text.render(report(red_run(replace(fallback_finding(), violation=long))))
    assert max(map(len, (line for line in words.splitlines() if "qharness replay" not in line))) <= 80


@pytest.mark.parametrize("steps", [1, 3, 8, 30])
@pytest.mark.parametrize("length", [10, 90, 700])
def test_a_finding_takes_at_most_twelve_lines(steps: int, length: int) -> None:
    finding = race_finding()
    many = tuple(Step(id=f"s{i}", do="submit_job", actor="ana", params={"shots": i}) for i in range(1, steps + 1))
    finding = replace(
        finding,
        plan=replace(finding.plan, steps=many),
        violation=replace(finding.violation, expected="e " * (length // 2), observed="o " * (length // 2)),
    )
    (block,) = finding_blocks(text.render(report(red_run(finding))))
    assert len(block) <= text.LINES_A_FINDING
    assert "replay" in block[-1]
    assert any("rule" in line for line in block)
    assert any("1. ana submits" in line for line in block)


def test_a_finding_says_rule_expected_observed_steps_fault_control() -> None:
    words = "\n".join(finding_blocks(text.render(report(red_run())))[1])
    for part in (
        "F1 Fallback is labelled: A fallback result says that it is one.",
        "expected  the result says fallback",
        "observed  the result of job j-1",
        "1. ana submits a job of 100 shots",
        "2. 60 s pass",
        "truncated result on result, until healed",
        "without the fault the rule is not broken",
    ):
        assert part in words


def test_every_verdict_has_a_row_and_the_broken_ones_come_first() -> None:
    lines = text.render(report(red_run())).splitlines()
    marks = [line.strip()[0] for line in lines if line.strip()[:1] in set("✗✓?·")]
    assert marks == ["✗", "✗", "✓", "?", "·"]
    assert any("needs role:read_audit" in line for line in lines)


def test_colour_is_only_paint() -> None:
    painted, plain = text.render(report(red_run()), ansi), text.render(report(red_run()))
    assert "\x1b[" not in plain
    for code in ("\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"):
        painted = painted.replace(code, "")
    assert painted == plain


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"problems": ("nobody answers",)}, "could not test everything"),
        ({"scenarios": (ScenarioResult(name="s", plans=0, skipped="needs role decide"),)}, "could not test everything"),
        ({"interrupted": True}, "interrupted: what was found so far"),
        ({}, "clean: nothing broken"),
    ],
)
def test_the_end_says_what_it_came_to(change: dict[str, object], said: str) -> None:
    run: RunResult = replace(clean_run(), **change)  # type: ignore[arg-type]
    assert said in text.render(report(run))
