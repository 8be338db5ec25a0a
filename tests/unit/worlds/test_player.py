"""The player: groups of steps, references, outcomes, pages, and the reads at the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import NS_PER_MS, LoopClock
from harness.fact import Fact
from harness.facts import CallAnswered, CallMade, JobSeen, ListSeen, Settled, StepSkipped, Waited
from harness.inputs.binding import Answer, Outgoing
from harness.inputs.target import Actor, Binding, Outcome, Paging, Reading, Target
from harness.loop import VirtualLoop
from harness.model import Event, History, Plan, Schedule, Step
from harness.recording import Recorder
from harness.worlds.player import Failure, Player, groups
from tests.unit.worlds import tiny

Said = Answer | Failure
ENDS = (Outcome(status=(200,), outcome="accepted"), Outcome(status=(404,), outcome="refused", reason="not_found"))
LISTING = Binding(
    role="list_jobs",
    method="GET",
    path="/jobs",
    outcomes=ENDS,
    reads=(Reading(observation="ListSeen", fields={"of": {"const": "jobs"}, "ids": "$.ids"}),),
    paging=Paging(next="$.next", parameter="cursor", max_pages=4),
)


def said(status: int = 200, **body: Any) -> Answer:
    return Answer(status, {}, json.dumps(body).encode())


@dataclass
class Wire:
    """A target by hand: path → what it answers, after how many ms."""

    answers: Callable[[Outgoing], Said]
    takes_ms: Mapping[str, float] = field(default_factory=dict)
    sent: list[Outgoing] = field(default_factory=list)
    clock: LoopClock | None = None

    def align(self, calls: int) -> None:
        """Here they arrive as they come."""

    def hindrance(self, ms: float) -> str:
        """None."""
        return ""

    async def pass_time(self, ms: float) -> None:
        """Wait."""
        assert self.clock is not None
        await self.clock.sleep_ms(ms)

    async def send(self, outgoing: Outgoing, timeout_ms: float) -> Said:
        self.sent.append(outgoing)
        await asyncio.sleep(self.takes_ms.get(outgoing.target, 10) / 1000)
        return self.answers(outgoing)


def jobs_made() -> Callable[[Outgoing], Said]:
    """Makes j1, j2 …; all are done at once."""
    made: list[str] = []

    def answer(outgoing: Outgoing) -> Said:
        if outgoing.method == "POST" and outgoing.target == "/jobs":
            made.append(f"j{len(made) + 1}")
            return said(202, id=made[-1])
        return said(id=outgoing.target.rpartition("/")[2], state="done")

    return answer


@dataclass
class Told:
    step_begins: Callable[[str], object]

    def step_ends(self, step: str) -> None:
        """Nobody asks here."""


def play(
    steps: list[Step],
    answers: Callable[[Outgoing], Said] | None = None,
    act: Callable[[Player], Any] = Player.play_steps,
    *,
    target: Target | None = None,
    begins: Callable[[str], None] = lambda _: None,
    takes_ms: Mapping[str, float] | None = None,
) -> tuple[History, Wire]:
    """Steps, and what else the test wants, on a wire by hand."""
    loop = VirtualLoop(Schedule())
    clock = LoopClock(loop)
    recorder, wire = Recorder(clock), Wire(answers or jobs_made(), takes_ms or {}, clock=clock)
    plan = Plan(scenario="t", steps=tuple(steps))
    player = Player(target or tiny.target(), plan, recorder, clock, wire, Told(begins))
    try:
        loop.run_until_complete(act(player))
    finally:
        loop.close()
    return recorder.history(), wire


def step(n: int, do: str = "submit_job", **more: Any) -> Step:
    params = more.pop("params", {"shots": 1} if do == "submit_job" else {})
    return Step(**{"id": f"s{n}", "do": do, "actor": "ann", "params": params, **more})


def read(n: int, source: str, take: str = "job", **more: Any) -> Step:
    return step(n, "get_job", params={"job": {"from": source, "take": take}}, **more)


def found(history: History, kind: type[Fact]) -> list[Any]:
    return [e.fact for e in history if isinstance(e.fact, kind)]


def begun_ms(history: History) -> dict[str, int]:
    return {e.fact.step: e.at_ns // NS_PER_MS for e in history if isinstance(e.fact, CallMade | Waited)}


# ---------------------------------------------------------------- groups


@given(st.lists(st.booleans(), max_size=8))
def test_grouping_keeps_every_step_in_order(flags: list[bool]) -> None:
    steps = [step(n, together=together) for n, together in enumerate(flags)]
    grouped = groups(steps)
    assert [s for group in grouped for s in group] == steps
    assert all(not group[0].together for group in grouped[1:])
    assert all(s.together for group in grouped for s in group[1:])


def test_a_group_starts_together_and_the_next_when_all_of_it_is_answered() -> None:
    steps = [step(1), read(2, "s1"), step(3, "get_job", params={"job": "slow"}, together=True), step(4)]
    history, _ = play(steps, takes_ms={"/jobs/slow": 5_000})
    assert begun_ms(history) == {"s1": 0, "s2": 10, "s3": 10, "s4": 5_010}


def test_time_passes_before_a_step_and_in_a_wait() -> None:
    steps = [step(1, after_ms=700), step(2, "wait", params={"ms": 3_000}), step(3), step(4, together=True, after_ms=5)]
    history, _ = play(steps)
    assert begun_ms(history) == {"s1": 700, "s2": 710, "s3": 3_710, "s4": 3_715}
    assert found(history, Waited) == [Waited(step="s2", ms=3_000)]


def test_faults_hear_of_a_step_when_it_begins() -> None:
    heard: list[str] = []
    play([step(1), step(2, "wait", params={"ms": 1}), step(3, after_ms=9)], begins=heard.append)
    assert heard == ["s1", "s2", "s3"]


# ---------------------------------------------------------------- references


def test_a_reference_is_the_id_that_was_made() -> None:
    history, wire = play([step(1), step(2), read(3, "s2"), read(4, "s1", together=True)])
    assert [o.target for o in wire.sent[2:]] == ["/jobs/j2", "/jobs/j1"]
    assert [c.params for c in found(history, CallMade)[2:]] == [{"job": "j2"}, {"job": "j1"}]


def test_a_reference_within_a_group_waits_for_the_answer() -> None:
    history, _ = play([step(1), read(2, "s1", together=True)])
    assert begun_ms(history) == {"s1": 0, "s2": 10}


@pytest.mark.parametrize("answer", [said(429), said(500), "timeout", "broken", "down", said(202)])
def test_a_reference_to_what_was_not_made_is_a_recorded_skip(answer: Said) -> None:
    """And what refers to the skipped step is skipped in its turn; the play goes on."""
    history, wire = play(
        [step(1), read(2, "s1"), read(3, "s2"), step(4, "get_job", params={"job": "x"})], lambda _: answer
    )
    assert found(history, StepSkipped) == [
        StepSkipped(step="s2", why="s1 made no job"),
        StepSkipped(step="s3", why="s2 made no job"),
    ]
    assert len(wire.sent) == 2


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (read(2, "s1", take="change"), "s1 made no change"),
        (read(2, "s9"), "s9 made no job"),
        (step(2, "fly"), "the target has no role fly"),
        (step(2, actor="zoe"), "the target has no actor 'zoe'"),
    ],
)
def test_what_cannot_be_played_is_skipped_with_its_reason(wrong: Step, why: str) -> None:
    history, wire = play([step(1), wrong])
    assert found(history, StepSkipped) == [StepSkipped(step="s2", why=why)]
    assert len(wire.sent) == 1


# ---------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("answer", "phase", "outcome", "reason", "status"),
    [
        (said(202, id="j1"), "ok", "accepted", None, 202),
        (said(429), "fail", "refused", "quota", 429),
        (said(500), "info", "unknown", None, 500),
        ("timeout", "info", "unknown", "timeout", None),
        ("broken", "info", "unknown", "broken", None),
        ("down", "fail", "refused", "unavailable", None),
    ],
)
def test_an_answer_is_recorded_as_what_it_tells(
    answer: Said, phase: str, outcome: str, reason: str | None, status: int | None
) -> None:
    history, _ = play([step(1)], lambda _: answer)
    made, answered = history
    assert isinstance(answered.fact, CallAnswered)
    assert (made.phase, answered.phase, answered.cause) == ("invoke", phase, made.n)
    heard = answered.fact
    assert (heard.outcome, heard.reason, heard.status, heard.step) == (outcome, reason, status, "s1")


def test_both_ends_of_a_call_say_who_and_what() -> None:
    history, _ = play([step(1, credential=1)])
    (made,) = found(history, CallMade)
    assert made == CallMade(
        step="s1", role="submit_job", actor="ann", person="ann", tenant="acme", params={"shots": 1}, credential=1
    )


# ---------------------------------------------------------------- pages


def listed(*pages: Said) -> tuple[ListSeen | None, Wire, CallAnswered]:
    left = iter(pages)
    target = replace(tiny.target(), bindings={"list_jobs": LISTING})
    history, wire = play([step(1, "list_jobs")], lambda _: next(left), target=target)
    (answered,) = found(history, CallAnswered)
    return next((o for o in answered.seen if isinstance(o, ListSeen)), None), wire, answered


def test_a_list_is_read_to_its_end_and_is_one_call() -> None:
    seen, wire, _ = listed(said(ids=["a", "b"], next="p2"), said(ids=["c"], next="p3"), said(ids=[], next=None))
    assert seen == ListSeen(of="jobs", ids=("a", "b", "c"), complete=True)
    assert [o.target for o in wire.sent] == ["/jobs", "/jobs?cursor=p2", "/jobs?cursor=p3"]


@pytest.mark.parametrize(
    ("last", "outcome"), [(said(404), "refused"), (said(500), "unknown"), ("timeout", "unknown"), ("down", "refused")]
)
def test_a_list_with_a_failed_page_is_not_complete(last: Said, outcome: str) -> None:
    seen, _, answered = listed(said(ids=["a"], next="p2"), last)
    assert (seen, answered.outcome) == (ListSeen(of="jobs", ids=("a",), complete=False), outcome)


def test_a_list_without_end_is_left_after_its_most_pages() -> None:
    seen, wire, _ = listed(*[said(ids=["a"], next="more")] * 9)
    assert len(wire.sent) == 4
    assert seen == ListSeen(of="jobs", ids=("a",) * 4, complete=False)


# ---------------------------------------------------------------- settling


def turning_done(after_reads: int, status: int = 200) -> Callable[[Outgoing], Said]:
    """A job that is terminal, or answers with a status, from its n-th read on."""
    reads: list[str] = []

    def answer(outgoing: Outgoing) -> Said:
        if outgoing.method == "POST":
            return said(202, id="j1")
        reads.append(outgoing.target)
        if len(reads) >= after_reads:
            return said(status, id="j1", state="done")
        return said(id="j1", state="busy")

    return answer


def settled(answers: Callable[[Outgoing], Said], deadline_s: float, settle_s: float = 2.0) -> tuple[History, Settled]:
    async def act(player: Player) -> None:
        await player.play_steps()
        await player.settle(deadline_s, settle_s)

    history, _ = play([step(1)], answers, act)
    (fact,) = found(history, Settled)
    return history, fact


def closing_reads(history: History) -> list[Event]:
    return [e for e in history if isinstance(e.fact, CallMade) and e.fact.part == "closing"]


def test_jobs_are_polled_until_they_are_terminal_ever_more_seldom() -> None:
    history, fact = settled(turning_done(4), 600)
    at_ms = [e.at_ns // NS_PER_MS for e in closing_reads(history)]
    assert [b - a for a, b in pairwise([10, *at_ms])] == [1_000, 2_010, 4_010, 8_010]
    assert (fact.quiet, fact.waited_ms) == (True, 15_040)
    assert history.events[-1].at_ns // NS_PER_MS == 10 + 15_040 + 2_000


def test_a_pause_between_polls_has_a_bound() -> None:
    history, fact = settled(turning_done(10**6), 600)
    at_ms = [e.at_ns // NS_PER_MS for e in closing_reads(history)]
    assert max(b - a for a, b in pairwise(at_ms)) == 30_010
    assert not fact.quiet
    assert 600_000 <= fact.waited_ms < 600_000 + 30_010


def test_a_job_that_is_gone_is_not_waited_for() -> None:
    _, fact = settled(turning_done(1, status=404), 600)
    assert (fact.quiet, fact.waited_ms) == (True, 1_010)


def test_nothing_made_is_nothing_to_wait_for() -> None:
    history, fact = settled(lambda _: said(429), 600)
    assert (fact.quiet, fact.waited_ms, closing_reads(history)) == (True, 0, [])


def test_faults_have_a_while_to_strike_but_not_for_ever() -> None:
    async def act(player: Player) -> None:
        await player.play_steps()
        await player.linger(30.0)

    for answers, least_s, most_s in ((turning_done(10**6), 30, 62), (turning_done(1), 1, 2)):
        history, _ = play([step(1)], answers, act)
        assert least_s <= history.events[-1].at_ns / 1e9 <= most_s


# ---------------------------------------------------------------- closing reads


def person(name: str, tenant: str, *abilities: str) -> Actor:
    return Actor(name=name, person=name, tenant=tenant, abilities=abilities, credentials=())


ACTORS = {
    "ann": person("ann", "acme", "submit"),
    "rob": person("rob", "acme", "read"),
    "zed": person("zed", "zeta", "submit"),
    "root": person("root", "", "read", "audit"),
}


def closed(steps: list[Step], answers: Callable[[Outgoing], Said] | None = None) -> list[tuple[str, str, Any]]:
    bindings = dict(tiny.target().bindings)
    bindings["get_job"] = replace(bindings["get_job"], ability="read")
    bindings["list_jobs"] = replace(LISTING, ability="read", paging=None)
    bindings["read_audit"] = replace(LISTING, role="read_audit", path="/audit", ability="audit", paging=None)
    bindings["read_usage"] = replace(LISTING, role="read_usage", path="/usage", ability="books", paging=None)

    async def act(player: Player) -> None:
        await player.play_steps()
        await player.read_everything()

    target = replace(tiny.target(), actors=ACTORS, bindings=bindings)
    history, _ = play(steps, answers, act, target=target)
    calls = [e.fact for e in closing_reads(history) if isinstance(e.fact, CallMade)]
    return [(c.role, c.actor, c.params.get("job")) for c in calls]


def test_everything_touched_is_read_by_who_may_read_it() -> None:
    """By its maker if he may, else by one of his tenant, else by one of no tenant; what nobody may read is left."""
    assert closed([step(1), step(2, actor="zed")]) == [
        ("get_job", "rob", "j1"),
        ("get_job", "root", "j2"),
        ("list_jobs", "rob", None),
        ("read_audit", "root", None),
        ("list_jobs", "root", None),
        ("read_audit", "root", None),
    ]


def test_only_jobs_that_the_play_made_are_read() -> None:
    """A job that was only seen may be anybody's; a refused or lost call made none that is known."""
    reads = closed([step(1, "get_job", params={"job": "foreign"})])
    assert [r for r in reads if r[0] == "get_job"] == []
    for answer in (said(429, id="j1"), said(500, id="j1")):
        assert [r for r in closed([step(1)], lambda _, a=answer: a) if r[0] == "get_job"] == []  # type: ignore[misc]


def test_a_state_that_was_seen_in_play_counts() -> None:
    """A job that a step saw terminal needs no polling."""

    async def act(player: Player) -> None:
        await player.play_steps()
        await player.settle(600, 0)

    history, _ = play([step(1), read(2, "s1")], act=act)
    assert closing_reads(history) == []
    assert [s.state for f in found(history, CallAnswered) for s in f.seen if isinstance(s, JobSeen)] == [
        None,
        "succeeded",
    ]


def test_a_closing_read_uses_the_makers_credential_but_not_for_another_person() -> None:
    async def act(player: Player) -> None:
        await player.play_steps()
        await player.read_everything()

    bindings = dict(tiny.target().bindings)
    for ability, expected in (("", ("ann", 1)), ("read", ("rob", 0))):
        bindings["get_job"] = replace(bindings["get_job"], ability=ability)
        target = replace(tiny.target(), actors=ACTORS, bindings=bindings)
        history, _ = play([step(1, credential=1)], act=act, target=target)
        (read_back,) = [e.fact for e in closing_reads(history) if isinstance(e.fact, CallMade)]
        assert (read_back.actor, read_back.credential) == expected
