"""Views over a history: what surely came before what, who made which job, which run belongs to whom."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.case import Case, total_shots
from harness.errors import ContractBroken
from harness.facts import (
    AttemptSeen,
    ContractImposed,
    JobSeen,
    ReferenceValue,
    ResultSeen,
    TargetCrashed,
    TargetRestarted,
)
from harness.intervals import Span, before, overlap
from harness.model import History
from tests.histories import Story


@st.composite
def spans(draw: Any) -> Span:
    """Intervals of events whose times are in the order of their numbers."""
    at_ns = sorted(draw(st.lists(st.integers(0, 20), min_size=12, max_size=12)))
    begin = draw(st.integers(0, 10))
    end = draw(st.none() | st.integers(begin + 1, 11))
    return Span(begin, at_ns[begin], end, None if end is None else at_ns[end])


def case(story: Story) -> Case:
    return Case(story.history())


# ---------------------------------------------------------------- order


@given(spans(), spans(), st.integers(0, 5))
def test_before_is_never_said_both_ways_and_never_of_what_overlaps(a: Span, b: Span, slack_ns: int) -> None:
    assert not (before(a, b) and before(b, a))
    assert not before(a, a)
    assert overlap(a, b) == overlap(b, a) == (not before(a, b) and not before(b, a))
    assert not before(a, b, slack_ns) or before(a, b)


def test_an_open_interval_is_before_nothing() -> None:
    assert not before(Span(0, 0), Span(9, 900))
    assert overlap(Span(0, 0), Span(9, 900))
    assert before(Span(9, 900, 10, 1000), Span(11, 1000))


def test_order_is_told_by_numbers_and_length_by_time() -> None:
    """Much happens at one instant of virtual time."""
    first, second = Span(0, 5, 1, 5), Span(2, 5, 3, 5)
    assert before(first, second)
    assert not before(second, first)
    assert not before(first, second, slack_ns=1)
    assert before(first, Span(2, 6), slack_ns=1)


# ---------------------------------------------------------------- the frame


def test_a_history_without_a_frame_is_a_bug_of_ours() -> None:
    with pytest.raises(ContractBroken, match="without WorldStarted"):
        _ = Case(History(())).world
    assert Case(History(())).end_ns == 0


def test_later_promises_win_and_durations_are_in_nanoseconds() -> None:
    story = Story({"timing.settle_s": 1.5, "timing.cancel_s": None})
    assert case(story).seconds_ns("timing.settle_s") == 1_500_000_000
    story.note(ContractImposed(values={"timing.settle_s": 0}))
    assert case(story).seconds_ns("timing.settle_s") == 0
    assert case(story).seconds_ns("timing.cancel_s") is None


def test_it_knows_when_the_target_was_down() -> None:
    story = Story().crash(seconds=2)
    story.note(TargetCrashed(index=0))
    (first, (begin, end)) = case(story).crashes
    assert first[1] is not None
    assert first[1] - first[0] == 2_001_000_000
    assert (begin > first[1], end) == (True, None)


def test_it_knows_from_when_on_no_fault_acts() -> None:
    assert (case(Story()).healed_n, case(Story()).settled) == (None, None)
    story = Story().heal().settle(quiet=False)
    whole = case(story)
    assert (whole.healed_n, whole.healed_ns) == (2, 2_000_000)
    assert whole.settled is not None
    assert not whole.settled.quiet


def test_a_strike_lasts_until_it_lets_go() -> None:
    story = Story().strike("latency", run="r1", ms=5)
    (strike,) = case(story).strikes
    assert (strike.from_n, strike.to_n, strike.fact.run) == (3, 4, "r1")
    assert case(story).armed[0].params == {"ms": 5}
    (still,) = Case(History(story.history().events[:-1])).strikes
    assert (still.from_n, still.to_n) == (3, None)


# ---------------------------------------------------------------- north


def test_a_call_without_an_answer_may_have_happened() -> None:
    story = Story()
    story.ask("submit_job", shots=5)
    (call,) = case(story).all_calls
    assert (call.outcome, call.surely_happened, call.maybe_happened) == ("unknown", False, True)
    assert (call.to_n, call.evidence, call.param("shots"), call.param("key")) == (None, (2,), 5, None)


@pytest.mark.parametrize(
    ("outcome", "surely", "maybe"),
    [("accepted", True, True), ("replayed", True, True), ("unknown", False, True), ("refused", False, False)],
)
def test_an_outcome_says_what_may_have_happened(outcome: str, surely: bool, maybe: bool) -> None:
    story = Story()
    story.answer(story.ask("submit_job"), JobSeen(job="j1"), outcome=outcome)
    (call,) = case(story).calls("submit_job")
    assert (call.surely_happened, call.maybe_happened, call.evidence) == (surely, maybe, (2, 3))
    assert case(story).job_ids == (("j1",) if surely else ())


def test_answers_belong_to_their_calls_whatever_the_order() -> None:
    story = Story()
    first, second = story.ask("get_job", job="j1"), story.ask("get_job", "bob", job="j2")
    story.answer(second, JobSeen(job="j2"))
    story.answer(first, JobSeen(job="j1"))
    seen = case(story).seen(JobSeen)
    assert [(s.what.job, s.call.person, s.from_n, s.to_n) for s in seen] == [("j1", "ann", 2, 5), ("j2", "bob", 3, 4)]
    assert [s.what.job for s in case(story).job_sightings("j2")] == ["j2"]
    assert case(story).seen(ResultSeen) == []


def test_the_maker_of_a_job_is_its_first_accepted_call() -> None:
    story = Story().submit("j1", actor="eve")
    story.answer(story.ask("submit_job", "ann"), JobSeen(job="j1"), outcome="replayed")
    story.answer(story.ask("submit_job", "ann"), JobSeen(job="j2"), outcome="replayed")
    whole = case(story.state("j9", "queued"))
    maker = whole.maker("j1")
    assert maker is not None
    assert (maker.person, whole.tenant_of("j1")) == ("eve", "south")
    assert (whole.maker("j2"), whole.tenant_of("j2")) == (None, None)
    assert whole.job_ids == ("j1", "j2")


# ---------------------------------------------------------------- south


def test_a_run_has_its_stages() -> None:
    story = Story().accept("r1", "j1").start("r1").accept("r2", "j1").end("r1", shots=70)
    first, second = case(story).runs.values()
    assert (first.id, first.evidence, first.ended_n) == ("r1", (2, 3, 5), 5)
    assert first.ended is not None
    assert first.ended.shots == 70
    assert (second.evidence, second.to_n) == ((4,), None)


def test_a_delivery_counts_if_something_in_it_can_be_served() -> None:
    story = Story().accept("r1", "j1").deliver("r1").deliver("r1", intact=False)
    assert [(d.n, d.run) for d in case(story).deliveries] == [(3, "r1")]
    assert len(case(story).delivered["r1"]) == 2


def test_a_run_is_told_by_its_metadata_if_the_job_is_known() -> None:
    story = Story(correlation=("metadata:job",)).submit("j1").accept("r1", "j1").accept("r2", "j9").accept("r3", None)
    assert case(story).correlated == {"r1": ("j1", "metadata:job")}
    assert [r.id for r in case(story).runs_of("j1")] == ["r1"]
    assert (case(story).job_of("r1"), case(story).job_of("r2")) == ("j1", None)


def test_a_run_is_told_by_what_the_target_says_of_its_attempts() -> None:
    story = Story(correlation=("attempt",)).submit("j1").accept("r1", None).accept("r2", None)
    story.call("list_attempts", "ann", AttemptSeen(job="j1", attempt="a1", backend_job="r1"), job="j1")
    story.call("get_result", "ann", ResultSeen(job="j1", backend_job="r9"), job="j1")
    assert case(story).correlated == {"r1": ("j1", "attempt")}


def test_a_run_is_told_by_a_total_of_shots_that_only_one_call_asked_for() -> None:
    def story() -> Story:
        return Story(correlation=("watermark",)).submit("j1", shots=101, circuits=2).submit("j2", shots=7)

    assert case(story().accept("r1", None, shots=202)).correlated == {"r1": ("j1", "watermark")}
    assert case(story().submit("j3", shots=7).accept("r1", None, shots=7)).correlated == {}
    assert case(story().lost("submit_job", shots=7).accept("r1", None, shots=7)).correlated == {}
    assert case(story().refused("submit_job", "ann", "quota", shots=7).accept("r1", None, shots=7)).job_of("r1") == "j2"
    cloned = story().call("clone_job", "ann", JobSeen(job="j4"), job="j2").accept("r1", None, shots=7)
    assert case(cloned).correlated == {}


def test_a_run_is_told_by_order_only_if_there_is_a_single_job() -> None:
    def story() -> Story:
        return Story(correlation=("serial",)).submit("j1").accept("r1", None)

    assert case(story()).correlated == {"r1": ("j1", "serial")}
    assert case(story().refused("submit_job", "ann", "quota")).job_of("r1") == "j1"
    assert case(story().lost("submit_job")).correlated == {}
    assert case(story().submit("j2")).correlated == {}


def test_the_strongest_way_to_tell_wins() -> None:
    story = Story(correlation=("attempt", "metadata:job")).submit("j1").submit("j2").accept("r1", "j1")
    story.call("list_attempts", "ann", AttemptSeen(job="j2", attempt="a1", backend_job="r1"), job="j2")
    assert case(story).correlated == {"r1": ("j2", "attempt")}


@given(st.integers(1, 9), st.none() | st.integers(1, 9), st.none() | st.integers(1, 9))
def test_the_total_of_shots(shots: int, circuits: int | None, repeats: int | None) -> None:
    params = {"shots": shots, "circuits": circuits, "repeats": repeats}
    assert total_shots(params) == shots * (circuits or 1) * (repeats or 1)
    assert total_shots({}) == 0


def test_kinds_are_found_in_order() -> None:
    story = Story().submit("j1").heal()
    story.note(ReferenceValue(job="j1", path="classical", value=1))
    assert [e.n for e in case(story).of(ReferenceValue, ContractImposed)] == [1, 5]
    assert case(story).of(TargetCrashed) == []


def test_each_process_is_down_until_it_runs_again_itself() -> None:
    story = Story()
    for fact in (
        TargetCrashed(index=0, process="api.0"),
        TargetCrashed(index=0, process="worker.0"),
        TargetRestarted(index=0, process="api.0"),
    ):
        story.note(fact)
        story.wait(1)
    (api, worker) = case(story).crashes
    assert api[1] is not None
    assert worker[1] is None
