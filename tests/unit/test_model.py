"""Plans, events and verdicts as values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fact import Fact
from harness.facts import CallAnswered, JobSeen, Waited
from harness.model import Event, FaultUse, History, Plan, Schedule, Signature, Status, Step, is_reference

FACTS: st.SearchStrategy[Fact] = st.sampled_from(
    [
        Waited(step="s1", ms=5),
        CallAnswered(step="s1", role="get_job", outcome="accepted", seen=(JobSeen(job="j1", state="queued"),)),
    ]
)
EVENTS = st.builds(
    Event,
    st.integers(0),
    st.integers(0),
    st.sampled_from(["invoke", "ok", "fail", "info"]),
    FACTS,
    st.none() | st.integers(0),
)
STEPS = st.lists(st.booleans(), max_size=6).map(
    lambda flags: tuple(Step(id=f"s{i}", do="wait", together=t) for i, t in enumerate(flags))
)


@given(EVENTS)
def test_an_event_survives_its_line(event: Event) -> None:
    assert Event.decode(json.loads(json.dumps(event.encode()))) == event


def test_the_first_event_may_be_a_cause() -> None:
    event = Event(1, 0, "ok", Waited(step="s", ms=1), cause=0)
    assert event.encode()["cause"] == 0


@given(STEPS)
def test_the_first_step_never_starts_together_with_none(steps: tuple[Step, ...]) -> None:
    plan = Plan(scenario="t", steps=()).with_steps(steps)
    assert [s.id for s in plan.steps] == [s.id for s in steps]
    assert not any(s.together for s in plan.steps[:1])
    assert plan.steps[1:] == steps[1:]


def test_a_plan_without_faults_is_otherwise_the_same() -> None:
    plan = Plan(
        scenario="t",
        steps=(Step(id="s1", do="wait"),),
        faults=(FaultUse(fault="noop"),),
        schedule=Schedule(strategy="pct", seed=4),
        contract={"quota.jobs.limit": 1},
        seed=9,
        agent="legal",
    )
    control = plan.without_faults()
    assert control.faults == ()
    assert Plan(**{**vars(control), "faults": plan.faults}) == plan


def test_a_step_is_found_by_its_id() -> None:
    plan = Plan(scenario="t", steps=(Step(id="s1", do="wait"), Step(id="s2", do="get_job")))
    assert plan.step("s2") is plan.steps[1]
    assert plan.step("s3") is None


@pytest.mark.parametrize(
    ("value", "refers"),
    [
        ({"from": "s1", "take": "job"}, True),
        ({"from": "s1"}, False),
        ({"from": "s1", "take": "job", "more": 1}, False),
        ("s1", False),
        (["from", "take"], False),
        (None, False),
    ],
)
def test_a_reference_is_told_by_its_two_keys(value: object, refers: bool) -> None:
    assert is_reference(value) is refers
    step = Step(id="s2", do="get_job", params={"job": value, "shots": 3})
    assert step.references() == (("s1",) if refers else ())


def test_a_violation_is_the_strongest_word_and_blindness_the_weakest() -> None:
    ranked = sorted(Status, key=lambda s: s.rank)
    assert [s.value for s in ranked] == ["violated", "held", "inconclusive", "not exercised", "not observable"]


def test_a_signature_is_what_makes_findings_the_same() -> None:
    assert str(Signature("QUO-01", "over")) == "QUO-01/over"
    assert len({Signature("A", "x"), Signature("A", "x"), Signature("A", "y")}) == 2
    assert sorted([Signature("B", "a"), Signature("A", "z")])[0].invariant == "A"


def test_a_history_is_its_events_in_order() -> None:
    events = tuple(Event(n, n, "ok", Waited(step="s", ms=n)) for n in range(3))
    assert (tuple(History(events)), len(History(events))) == (events, 3)
