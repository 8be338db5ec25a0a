"""What the target's reference functions say, for jobs whose inputs are certain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.case import Case
from harness.facts import ChangeSeen, JobSeen, ReferenceValue
from harness.model import History
from harness.recording import Recorder
from harness.worlds.reference import ReferenceRecorder, payload_of
from tests.histories import Story
from tests.unit.worlds import tiny

HERE = "tests.unit.worlds.test_reference"
BOTH = {"primary": f"{HERE}:primary", "classical": f"{HERE}:classical"}


class NoClock:
    """Reference values are dated like everything else; here all at the start."""

    def now_ns(self) -> int:
        return 0

    async def sleep_ms(self, ms: float) -> None:
        raise AssertionError("nothing to wait for")


def primary(payload: Any, probabilities: Any) -> Any:
    """Says what it was asked."""
    assert type(probabilities[0]) is dict
    return ["primary", payload, probabilities]


def classical(payload: Any, probabilities: Any) -> Any:
    """The same, of the payload alone."""
    return ["classical", payload, probabilities]


def recorded(story: Story, functions: Mapping[str, str] = BOTH) -> list[ReferenceValue]:
    recorder = Recorder(NoClock(), story.history().events)
    ReferenceRecorder(replace(tiny.target(), reference=functions), recorder).record_all()
    return [e.fact for e in recorder.history() if isinstance(e.fact, ReferenceValue)]


def job_of_change(*contents: Mapping[str, Any]) -> Story:
    """A change, revised as often as wanted, and its execution."""
    first, *later = contents
    story = Story().call("create_change", "ann", ChangeSeen(change="c1"), shots=5, **first)
    for content in later:
        story.call("revise_change", "ann", change="c1", shots=5, **content)
    return story.call("execute_change", "ann", JobSeen(job="j1"), change="c1")


def test_every_job_has_a_classical_value_and_a_primary_one_for_each_delivery() -> None:
    story = Story().submit("j1", payload="p").run("r1", "j1").run("r2", "j1").submit("j2", payload="q")
    assert recorded(story) == [
        ReferenceValue(job="j1", path="classical", value=["classical", "p", None]),
        ReferenceValue(job="j1", path="primary", run="r1", value=["primary", "p", [{"0": 1.0}]]),
        ReferenceValue(job="j1", path="primary", run="r2", value=["primary", "p", [{"0": 1.0}]]),
        ReferenceValue(job="j2", path="classical", value=["classical", "q", None]),
    ]


def test_a_broken_delivery_and_a_run_of_nobody_have_no_value() -> None:
    story = Story().submit("j1", payload="p").accept("r1", "j1").start("r1").deliver("r1", intact=False)
    story.run("r2", None)
    assert [v.path for v in recorded(story)] == ["classical"]


def test_only_what_the_target_declares_is_asked() -> None:
    story = Story().submit("j1", payload="p").run("r1", "j1")
    assert [v.path for v in recorded(story, {"primary": BOTH["primary"]})] == ["primary"]
    assert recorded(story, {}) == []


def test_a_job_without_a_known_payload_has_no_value() -> None:
    assert recorded(Story().submit("j1").run("r1", "j1")) == []


def payload(history: History, job: str) -> Any:
    case = Case(history)
    maker = case.maker(job)
    assert maker is not None
    return payload_of(case, maker)


def test_a_copy_has_the_payload_of_its_origin() -> None:
    story = Story().submit("j1", payload="p")
    story.call("clone_job", "ann", JobSeen(job="j2"), job="j1").call("clone_job", "ann", JobSeen(job="j3"), job="j2")
    assert payload(story.history(), "j3") == "p"
    foreign = Story().call("clone_job", "ann", JobSeen(job="j2"), job="j9")
    assert payload(foreign.history(), "j2") is None


@pytest.mark.parametrize(
    ("contents", "known"),
    [
        ([{"payload": "p"}], "p"),
        ([{"payload": "p"}, {"payload": "p"}], "p"),
        ([{"payload": "p"}, {}], "p"),
        ([{"payload": "p"}, {"payload": "q"}], None),
        ([{}], None),
    ],
)
def test_a_changes_payload_is_known_if_all_its_contents_agree(contents: list[dict[str, Any]], known: Any) -> None:
    assert payload(job_of_change(*contents).history(), "j1") == known


def test_a_revision_that_was_refused_changes_nothing_and_one_that_was_lost_may() -> None:
    def revised(outcome: str) -> Any:
        story = Story().call("create_change", "ann", ChangeSeen(change="c1"), payload="p")
        if outcome == "refused":
            story.refused("revise_change", "bob", "forbidden", change="c1", payload="q")
        else:
            story.lost("revise_change", "bob", change="c1", payload="q")
        story.call("execute_change", "ann", JobSeen(job="j1"), change="c1")
        return payload(story.history(), "j1")

    assert (revised("refused"), revised("lost")) == ("p", None)
