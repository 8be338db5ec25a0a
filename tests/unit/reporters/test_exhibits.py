"""Plain words and lanes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.exhibits.explanation import explain
from harness.exhibits.timeline import timeline
from harness.exhibits.words import PHRASES, duration, fault_in_words, plural, schedule_in_words, steps_in_words
from harness.inputs.roles import ROLES
from harness.model import FaultUse, Plan, Schedule, Step
from tests.runs import RULES, fallback_finding, race_finding


def plan(*steps: Step) -> Plan:
    """A plan of steps."""
    return Plan(scenario="s", steps=steps)


def test_every_role_has_a_phrase_and_no_other() -> None:
    assert set(PHRASES) == set(ROLES)


@pytest.mark.parametrize("role", sorted(ROLES))
def test_every_role_reads_as_a_sentence_with_any_parameters(role: str) -> None:
    bare = steps_in_words(plan(Step(id="s1", do=role, actor="ana")))[0]
    every = {p.name: {"from": "s1", "take": p.type} if p.refers else 7 for p in ROLES[role].params}
    full = steps_in_words(plan(Step(id="s1", do="x"), Step(id="s2", do=role, actor="ana", params=every)))[1]
    for words in (bare, full):
        assert words.startswith("ana ")
        assert not set("{}_") & set(words)
    # payloads belong to the target and would fill the line
    assert all("7" in full or "step 1" in full for name in every if name != "payload")


def test_steps_in_words() -> None:
    words = steps_in_words(
        plan(
            Step(id="a", do="create_change", actor="ana", params={"shots": 100, "circuits": 4, "payload": [1.0]}),
            Step(
                id="b",
                do="decide",
                actor="ben",
                params={"change": {"from": "a", "take": "change"}, "verdict": "approve", "stage": "safety"},
                credential=1,
            ),
            Step(id="c", do="wait", params={"ms": 90_000}),
            Step(id="d", do="execute_change", actor="ana", params={"change": {"from": "a", "take": "change"}}),
            Step(
                id="e",
                do="cancel_job",
                actor="ana",
                params={"job": {"from": "d", "take": "job"}},
                together=True,
                after_ms=20,
            ),
        )
    )
    assert words == (
        "ana asks for approval of a run of 4 × 100 shots",
        "ben decides “approve” on the change of step 1 (stage safety, with credential 2)",
        "90 s pass",
        "ana executes the change of step 1",
        "at the same instant plus 20 ms, ana cancels the job of step 4",
    )


@pytest.mark.parametrize(
    ("ms", "words"),
    [(0, "0 ms"), (250, "250 ms"), (1500, "1.5 s"), (60_000, "60 s"), (600_000, "10 min"), (86_400_000, "24 h")],
)
def test_durations(ms: float, words: str) -> None:
    assert duration(ms) == words


def test_plurals() -> None:
    assert (plural(1, "plan"), plural(1204, "plan"), plural(2, "try", "tries")) == ("1 plan", "1,204 plans", "2 tries")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "rate limited, once"),
        ({"times": 0, "on": ["submit", "status"]}, "rate limited on submit, status, until healed"),
        ({"skip": 2, "times": 3, "after": "none"}, "rate limited (after none), after 2 calls let through, 3 times"),
        (
            {"after_step": "s2", "from_ms": 20, "for_ms": 5000, "where": "run == 1"},
            "rate limited where run == 1, once, armed at step 2, from 20 ms on, for 5 s",
        ),
        ({"every": 3, "times": 0}, "rate limited, one of 3 calls, until healed"),
        ({"probability": 0.25, "times": 2}, "rate limited, by chance, 25% of calls, 2 times"),
        ({"until_step": "s2"}, "rate limited, once, healed at step 2"),
    ],
)
def test_faults_in_words(params: dict[str, object], words: str) -> None:
    assert fault_in_words(FaultUse(fault="rate_limited", params=params), {"s1": 1, "s2": 2}) == words


def test_schedules_in_words() -> None:
    assert schedule_in_words(Schedule()) == ""
    assert "shuffled" in schedule_in_words(Schedule(strategy="permute", seed=3))
    assert "3 change points" in schedule_in_words(Schedule(strategy="pct", seed=3))


def test_the_control_says_what_happened_without_the_fault() -> None:
    finding, rule = fallback_finding(), RULES["F1"]
    assert explain(race_finding(), RULES["Q1"]).control.startswith("no fault is needed")
    assert explain(finding, rule).control == (
        "without the fault the rule is not broken; step 1 is then accepted 202, job ends succeeded (by qpu, said to be"
        " no fallback), not accepted 202, job ends succeeded (by classical, said to be no fallback)"
    )
    assert explain(replace(finding, survives_without_faults=True), rule).control.endswith("broken as well")
    assert explain(replace(finding, survives_without_faults=None), rule).control.startswith("the plan was not played")


def test_the_control_names_the_first_answer_that_differs() -> None:
    finding = fallback_finding()
    control = race_finding().history
    steps = (Step(id="s2", do="submit_job", actor="ben"),)
    other = replace(finding, plan=replace(finding.plan, steps=steps), control=control)
    words = explain(other, RULES["F1"]).control
    assert words.endswith("; step 1 is then accepted 202, job ends succeeded, not unanswered")


def test_lanes_of_a_race() -> None:
    finding = race_finding()
    line = timeline(finding.history, finding.violation)
    assert [(lane.group, lane.name) for lane in line.lanes] == [
        ("requests", "ana"),
        ("requests", "ben"),
        ("jobs", "job 1"),
        ("jobs", "job 2"),
        ("backend", "run 1"),
        ("backend", "run 2"),
    ]
    assert [m.label for m in line.lanes[2].marks] == ["queued", "running", "succeeded"]
    assert line.proof == (8, 9, 10, 11)
    assert [n for n, _ in line.times] == sorted({n for n, _ in line.times})
    shown = {n for n, _ in line.times}
    assert all(m.first in shown and m.last in shown for lane in line.lanes for m in lane.marks)


def test_lanes_of_a_fault_and_closing_reads_that_prove() -> None:
    finding = fallback_finding()
    line = timeline(finding.history, finding.violation)
    lanes = {lane.name: lane for lane in line.lanes}
    assert [m.label for m in lanes["truncated result"].marks] == ["backend result"]
    assert [m.label for m in lanes["world"].marks] == ["60 s pass", "faults end"]
    assert lanes["ana"].marks[-1].label == "closing: get result"
    assert "closing: get result" not in [m.label for m in timeline(finding.history).lanes[2].marks]
