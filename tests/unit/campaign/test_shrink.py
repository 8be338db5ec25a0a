"""Property-based tests of the shrinker: it never grows, keeps what it must, and has nothing left to do when done."""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.agents._brief import Brief, known_agents
from harness.campaign._edits import renumbered, simpler_numbers, size, without_steps
from harness.campaign.shrink import shrink
from harness.model import FaultUse, GateUse, Plan, Schedule, Step
from tests.unit.campaign.fakes import fake_scenario, fake_target

BRIEF = Brief(target=fake_target(), scenario=fake_scenario())
plans = st.one_of([kind().plans(BRIEF) for _, kind in sorted(known_agents().items())]).filter(lambda p: p.steps)
FEW = settings(max_examples=40, deadline=None)


def has(plan: Plan, features: set[tuple[str, str]]) -> bool:
    """Whether a plan calls these roles as these actors."""
    return features <= {(s.do, s.actor) for s in plan.steps}


@st.composite
def problems(draw: st.DrawFn) -> tuple[Plan, Callable[[Plan], bool]]:
    """A plan and something arbitrary about it."""
    plan = draw(plans)
    steps = draw(st.lists(st.sampled_from(plan.steps), min_size=1, max_size=3))
    wanted = {(s.do, s.actor) for s in steps}
    salt = draw(st.integers(0, 3))

    def holds(candidate: Plan) -> bool:
        # Neither monotonic nor smooth: some candidates fail for no reason at all.
        noise = crc32(repr((salt, candidate.steps, candidate.faults)).encode()) % 4
        return candidate == plan or (has(candidate, wanted) and noise != 0)

    return plan, holds


@FEW
@given(problems())
def test_it_keeps_the_property_and_never_grows(problem: tuple[Plan, Callable[[Plan], bool]]) -> None:
    """Whatever the predicate."""
    plan, holds = problem
    shrunk = shrink(plan, holds)
    assert holds(shrunk.plan)
    assert size(shrunk.plan) <= size(plan)
    assert shrunk.plays <= 400


@FEW
@given(plans, st.data())
def test_it_is_idempotent(plan: Plan, data: st.DataObject) -> None:
    """What is shrunk is as small as it gets."""
    step = data.draw(st.sampled_from(plan.steps))
    once = shrink(plan, lambda p: has(p, {(step.do, step.actor)}), most_plays=5000)
    again = shrink(once.plan, lambda p: has(p, {(step.do, step.actor)}), most_plays=5000)
    assert once.complete
    assert again.plan == once.plan


@FEW
@given(plans)
def test_references_always_resolve_backwards(plan: Plan) -> None:
    """Every plan that is tried is playable."""

    def holds(candidate: Plan) -> bool:
        before: set[str] = set()
        for step in candidate.steps:
            assert before.issuperset(step.references())
            before.add(step.id)
        assert not candidate.steps[0].together
        armed = {f.params["after_step"] for f in candidate.faults if f.params.get("after_step")}
        assert armed <= before
        return len(candidate.steps) % 2 == len(plan.steps) % 2

    shrink(plan, holds, most_plays=150)


@FEW
@given(plans)
def test_the_cap_holds(plan: Plan) -> None:
    """Plays are counted, not seconds."""
    plays: list[Plan] = []

    def holds(candidate: Plan) -> bool:
        plays.append(candidate)
        return len(plays) % 3 == 0

    shrunk = shrink(plan, holds, most_plays=10)
    assert len(plays) == shrunk.plays <= 10


def submit(n: int, shots: int, **more: object) -> Step:
    """A submit."""
    return Step(id=f"s{n}", do="submit_job", actor="al", params={"shots": shots}, **more)  # type: ignore[arg-type]


def test_one_step_less_while_another_changes() -> None:
    """Three thirds become two halves: no single deletion and no single change would do."""
    plan = Plan(scenario="x", steps=tuple(submit(i, 400) for i in range(3)), contract={"quota.shots.limit": 1000})
    shrunk = shrink(plan, lambda p: sum(s.params.get("shots", 0) for s in p.steps) > 1000 and len(p.steps) > 1)
    assert len(shrunk.plan.steps) == 2


def test_followers_move_to_another_maker() -> None:
    """A maker that is only there for its follower goes."""
    reference = {"from": "s1", "take": "job"}
    steps = (
        submit(1, 1),
        submit(2, 7),
        Step(id="s3", do="cancel_job", actor="al", params={"job": reference}),
    )
    plan = Plan(scenario="x", steps=steps)

    def holds(candidate: Plan) -> bool:
        return any(s.params.get("shots") == 7 for s in candidate.steps) and has(candidate, {("cancel_job", "al")})

    assert [s.do for s in shrink(plan, holds).plan.steps] == ["submit_job", "cancel_job"]


def test_everything_needless_goes() -> None:
    """Faults, waits, people, delays, keys, credentials, schedules, seeds: none is left without need."""
    steps = (
        Step(id="a", do="wait", params={"ms": 500}),
        submit(2, 737, credential=1, after_ms=20),
        Step(id="b", do="submit_job", actor="bo", params={"shots": 3, "key": "k1"}, together=True),
    )
    plan = Plan(
        scenario="x",
        steps=steps,
        faults=(FaultUse(fault="crash", params={"skip": 4, "after_step": "a"}), FaultUse(fault="noop")),
        schedule=Schedule(strategy="pct", seed=9, depth=3),
        contract={"quota.shots.limit": 500},
        seed=3,
    )
    small = shrink(
        plan,
        lambda p: any(f.fault == "crash" for f in p.faults) and has(p, {("submit_job", "bo")}),
        first_contract={"quota.shots.limit": 1000},
    ).plan
    assert small.steps == (Step(id="s1", do="submit_job", actor="bo", params={"shots": 1}),)
    assert small.faults == (FaultUse(fault="crash"),)
    assert (small.schedule, small.seed, small.contract) == (Schedule(), 0, {"quota.shots.limit": 1000})


@pytest.mark.parametrize(
    ("value", "expected"), [(1, []), (2, [1]), (8, [1, 4, 6, 7]), (501, [1, 10, 100, 251, 376, 439, 470, 486])]
)
def test_simpler_numbers_are_round_first_then_closer(value: int, expected: list[int]) -> None:
    """They end just below the value, so that a fixed point is a minimum."""
    assert simpler_numbers(value)[: len(expected)] == expected
    assert value == 1 or simpler_numbers(value)[-1] == value - 1


def test_dependants_go_with_their_maker_and_faults_lose_their_anchor() -> None:
    """Dropping a step never leaves something dangling."""
    steps = (submit(1, 1), Step(id="s2", do="cancel_job", actor="al", params={"job": {"from": "s1", "take": "job"}}))
    plan = Plan(
        scenario="x", steps=(*steps, submit(3, 1)), faults=(FaultUse(fault="crash", params={"after_step": "s2"}),)
    )
    left = without_steps(plan, ["s1"])
    assert [s.id for s in left.steps] == ["s3"]
    assert left.faults == (FaultUse(fault="crash", params={}),)
    assert [s.id for s in renumbered(left).steps] == ["s1"]


def test_time_that_is_over_ends_it_with_the_best_so_far() -> None:
    """Nothing more is tried, nothing is lost."""
    plan = Plan(scenario="x", steps=tuple(submit(i, 400) for i in range(6)))
    smaller: list[Plan] = []

    def holds(candidate: Plan) -> bool:
        return len(candidate.steps) > 1

    shrunk = shrink(plan, holds, seen=lambda p, plays: smaller.append(p), expired=lambda: bool(smaller))
    assert (shrunk.plan, shrunk.complete) == (smaller[0], False)
    assert shrink(plan, holds, expired=lambda: True).plan == plan


def gated(*gates: GateUse) -> Plan:
    """Three submits, the last two at once, under gates."""
    return Plan(scenario="x", steps=(submit(1, 1), submit(2, 1), submit(3, 1, together=True)), gates=gates)


def test_gates_that_are_not_needed_go() -> None:
    gates = (GateUse(at="policy"), GateUse(at="backend", on=("submit",), until_step="s3"), GateUse(at="store"))
    shrunk = shrink(gated(*gates), lambda p: any(g.at == "backend" for g in p.gates) and len(p.steps) > 1)
    assert shrunk.plan.gates == (GateUse(at="backend"),)
    assert len(shrunk.plan.steps) == 2


def test_gates_get_simpler() -> None:
    """Operations, predicate, order and numbers go unless they matter."""
    gate = GateUse(
        at="store",
        on=("insert", "update"),
        where="operation != ''",
        point="after",
        skip=4,
        calls=3,
        order=(2, 0, 1),
        one_by_one=True,
        after_step="s2",
        most_ms=7_000,
    )
    shrunk = shrink(gated(gate), lambda p: [g.skip >= 2 and "update" in g.on and bool(g.order) for g in p.gates] == [1])
    assert shrunk.plan.gates == (GateUse(at="store", on=("update",), skip=2, calls=3, order=(2, 0, 1)),)


def test_an_order_names_as_many_calls_as_are_held() -> None:
    """A plan file with another would be refused."""

    def holds(candidate: Plan) -> bool:
        assert all(not g.order or sorted(g.order) == list(range(g.calls)) for g in candidate.gates)
        return len(candidate.gates) == 1 and candidate.gates[0].calls != 2

    gate = GateUse(at="store", calls=4, order=(3, 2, 1, 0), most_ms=100)
    assert shrink(gated(gate), holds).plan.gates == (GateUse(at="store", calls=1),)


def test_a_gate_goes_with_the_step_it_waits_for() -> None:
    plan = gated(GateUse(at="policy", until_step="s3", after_step="s2"), GateUse(at="store", after_step="s3"))
    assert without_steps(plan, ["s3"]).gates == (GateUse(at="store"),)
    assert without_steps(plan, ["s2"]).gates == (GateUse(at="policy", until_step="s3"), plan.gates[1])
    assert renumbered(without_steps(plan, ["s1"])).gates[0] == GateUse(at="policy", until_step="s2", after_step="s1")


def test_fewer_calls_pass_a_gate_when_a_step_is_gone() -> None:
    """One step less and one call less to let pass: neither alone would do."""
    plan = gated(GateUse(at="policy", skip=2))
    shrunk = shrink(plan, lambda p: len(p.gates) == 1 and p.gates[0].skip == len(p.steps) - 1)
    assert (len(shrunk.plan.steps), shrunk.plan.gates) == (1, (GateUse(at="policy"),))
