"""No oracle cries wolf: what holds is counted, what is uncertain is said to be, decoys are left alone."""

from __future__ import annotations

import pytest

from harness.judging import judge, known_invariants
from harness.model import Status, Verdict
from tests.histories import Story
from tests.unit.oracles.calm import (
    DECOYS,
    HELD,
    UNCERTAIN,
    UNTESTED,
    excused_by_a_stated_reason,
    rejected_though_all_approved,
)
from tests.unit.oracles.canaries import Tale


def _verdicts(story: Story) -> dict[str, Verdict]:
    return {v.invariant: v for v in judge(story.history(), known_invariants().values())}


@pytest.mark.parametrize("rule", HELD)
def test_a_rule_that_was_tested_is_held(rule: str) -> None:
    """With a count, and no alarm from any other."""
    verdicts = _verdicts(HELD[rule]())
    assert verdicts[rule].status is Status.HELD, verdicts[rule]
    assert verdicts[rule].checks > 0
    assert not [v for v in verdicts.values() if v.status is Status.VIOLATED]


@pytest.mark.parametrize("rule", UNCERTAIN)
def test_overlapping_bounds_are_inconclusive(rule: str) -> None:
    """The uncertain check counts as neither an alarm nor a pass, and has a reason."""
    verdicts = _verdicts(UNCERTAIN[rule]())
    assert verdicts[rule].inconclusive > 0, verdicts[rule]
    assert verdicts[rule].reason
    assert not [v for v in verdicts.values() if v.status is Status.VIOLATED]


_UNTESTED = [(rule, tale) for rule, tales in UNTESTED.items() for tale in tales]


@pytest.mark.parametrize(("rule", "tale"), _UNTESTED, ids=[f"{r}-{t.__name__}" for r, t in _UNTESTED])
def test_what_could_not_fail_is_not_counted(rule: str, tale: Tale) -> None:
    """Held is for a rule that was put to the test."""
    verdicts = _verdicts(tale())
    assert verdicts[rule].status is Status.NOT_EXERCISED, verdicts[rule]
    assert not [v for v in verdicts.values() if v.status is Status.VIOLATED]


def test_a_rejection_that_alone_stood_against_an_execution_is_counted() -> None:
    """All other approvals were there."""
    assert _verdicts(rejected_though_all_approved())["A5"].status is Status.HELD


def test_a_stated_reason_excuses_but_is_no_pass() -> None:
    """A pipeline that always gives one is never counted as resolving faults."""
    assert _verdicts(excused_by_a_stated_reason())["F1"].status is Status.INCONCLUSIVE


@pytest.mark.parametrize("tale", DECOYS, ids=[t.__name__ for t in DECOYS])
def test_unusual_but_right_targets_raise_no_alarm(tale: Tale) -> None:
    """An oracle judges the promise, never the habit of one build."""
    assert [v for v in _verdicts(tale()).values() if v.status is Status.VIOLATED] == []


@pytest.mark.parametrize("durable", [False, None])
def test_what_a_crash_made_it_forget_is_no_alarm(durable: bool | None) -> None:
    """A target that keeps everything in memory, and says so or says nothing, may lose jobs and use ids again."""
    story = Story({"jobs.durable": durable}).submit("j1").crash().refused("get_job", "ann", "not_found", job="j1")
    assert {v.status for v in _verdicts(story).values()} == {Status.INCONCLUSIVE}


def test_every_rule_has_a_held_story() -> None:
    """A rule that nothing can hold is no rule."""
    assert set(HELD) == set(known_invariants())
