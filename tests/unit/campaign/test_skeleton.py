"""What two plays of one plan have in common, and where they first part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.campaign.skeleton import first_difference, skeleton
from harness.facts import CallAnswered, Fact, FaultFired, GateHeld, JobSeen, ServiceCalled, StepSkipped, TargetCrashed
from harness.model import Event, History, Phase
from tests.runs import fallback_history, race_history


def edited(history: History, kind: type[Fact], nth: int = 0, **changes: Any) -> History:
    """The history with one fact of a kind changed."""
    places = [i for i, e in enumerate(history.events) if isinstance(e.fact, kind)]
    at = places[nth]
    events = list(history.events)
    events[at] = replace(events[at], fact=replace(events[at].fact, **changes))
    return History(tuple(events))


def with_event(history: History, at: int, fact: Fact, phase: Phase = "ok") -> History:
    """One event more, the others numbered anew."""
    events = [*history.events[:at], Event(0, 0, phase, fact), *history.events[at:]]
    shift = {e.n: i for i, e in enumerate(events) if e in history.events}
    return History(
        tuple(replace(e, n=i, cause=shift.get(e.cause) if e.cause is not None else None) for i, e in enumerate(events))
    )


def renamed(history: History) -> History:
    """Other ids, later."""
    text = {"j-1": "k-9", "j-2": "k-8", "r-1": "x-1", "r-2": "x-2"}

    def rename(value: Any) -> Any:
        if isinstance(value, str):
            return text.get(value, value)
        if isinstance(value, tuple):
            return tuple(rename(v) for v in value)
        if isinstance(value, dict):
            return {k: rename(v) for k, v in value.items()}
        return (
            replace(value, **{n: rename(getattr(value, n)) for n in value.field_names()})
            if isinstance(value, Fact)
            else value
        )

    return History(tuple(replace(e, at_ns=e.at_ns * 3 + 7, fact=rename(e.fact)) for e in history))


def test_marks_are_in_words_without_ids_and_times() -> None:
    marks = [(m.strand, m.text) for m in skeleton(race_history())]
    assert ("step s1", "submit_job accepted") in marks
    assert ("run 1 of s2", "accepted, 600 shots") in marks
    assert ("run 1 of s2", "ended completed") in marks
    assert ("job of s1", "ends succeeded") in marks
    assert ("end", "at rest") in marks
    assert not any("j-1" in text or "r-1" in text for _, text in marks)


def test_other_ids_and_times_are_no_difference() -> None:
    assert first_difference(race_history(), renamed(race_history())) is None


def test_polls_are_no_difference() -> None:
    """A read more or less, by the target or by us, says nothing."""
    poll = ServiceCalled(service="backend", operation="status", status=200, delivered=True)
    assert first_difference(race_history(), with_event(race_history(), 9, poll)) is None


def test_an_answer_that_differs_is_the_first_difference() -> None:
    """With the number of the event, what was expected and what came."""
    other = edited(race_history(), CallAnswered, 1, outcome="refused", reason="quota", seen=())
    difference = first_difference(race_history(), other)
    assert str(difference) == "event 5 (expected step s2 submit_job accepted, came submit_job refused (quota))"


def test_what_follows_from_a_difference_is_not_the_first() -> None:
    """The lowest event of all strands that part."""
    other = edited(edited(race_history(), CallAnswered, 1, outcome="refused"), CallAnswered, -1, seen=())
    difference = first_difference(race_history(), other)
    assert difference is not None
    assert difference.n == 5


@pytest.mark.parametrize(
    ("fact", "phase", "told"),
    [
        (FaultFired(fault="latency", index=0, service="backend", operation="submit"), "invoke", "latency at backend"),
        (GateHeld(gate=1, service="p", operation="evaluate", position=0, why="lease"), "ok", "goes on: lease"),
        (TargetCrashed(index=0, process="worker.0", how="killed"), "ok", "killed"),
        (ServiceCalled(service="policy", operation="evaluate", status=503, delivered=True), "fail", "evaluate failed"),
        (StepSkipped(step="s9", why="s1 made no job"), "ok", "skipped, s1 made no job"),
    ],
)
def test_what_came_in_addition_is_a_difference(fact: Fact, phase: Phase, told: str) -> None:
    difference = first_difference(race_history(), with_event(race_history(), 8, fact, phase))
    assert difference is not None
    assert difference.expected == "nothing"
    assert told in difference.came


def test_how_a_job_ends_and_where_its_result_comes_from_counts() -> None:
    difference = first_difference(fallback_history(faulty=True), fallback_history(faulty=False))
    assert difference is not None
    assert difference.strand in ("fault 0", "result of s1")


def test_only_the_order_of_what_is_concurrent_is_told_last() -> None:
    """Where everything else is alike."""
    events = list(race_history().events)
    events[4], events[5] = replace(events[5], n=4), replace(events[4], n=5)
    difference = first_difference(race_history(), History(tuple(events)))
    assert difference is not None
    assert (difference.n, difference.strand) == (4, "step s1")
    assert difference.came == "step s2 submit_job accepted before it"


def test_a_state_with_its_reason() -> None:
    seen = (JobSeen(job="j-1", state="failed", reason="quota"),)
    other = edited(race_history(), CallAnswered, 4, seen=seen)
    difference = first_difference(race_history(), other)
    assert difference is not None
    assert "ends failed (quota)" in difference.came
