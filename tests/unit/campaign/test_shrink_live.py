"""Shrinking with few plays that may miss: small all the same, and never longer than it may."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest

from harness.campaign.playing import Player
from harness.campaign.reducing import reduce
from harness.campaign.shrink_live import MOST_PLAYS, Gating, Witness, is_race, plainest, shrink_live, touched_steps
from harness.clock import RealClock
from harness.facts import CallMade, ContractImposed, WorldStarted
from harness.model import FaultUse, GateUse, History, Plan, Signature, Step, Violation
from harness.recording import Recorder
from tests.unit.campaign.coins import GATE, CoinWorld, held
from tests.unit.campaign.fakes import CONTRACT, RULES, fake_target

SEEDS = range(60)
CAP = Signature("Q1", "cap")


def submit(n: int, together: bool = False) -> Step:
    return Step(id=f"s{n}", do="submit_job", actor="al", params={"shots": 1}, together=together)


def plan_of(steps: int, faults: int) -> Plan:
    """Steps of which the last two start together."""
    return Plan(
        scenario="x",
        steps=tuple(submit(n, together=n == steps) for n in range(1, steps + 1)),
        faults=tuple(FaultUse(fault="latency") for _ in range(faults)),
    )


def witness(plan: Plan, evidence: Iterable[str]) -> Witness:
    """A play in which each step called once; the evidence is of some of them."""
    recorder = Recorder(RealClock())
    recorder.record(
        WorldStarted(
            target="x",
            roles=(),
            observes={},
            doubles=(),
            faults=(),
            correlation=(),
            concurrency="",
            persons={},
            lifecycle={},
        )
    )
    recorder.record(ContractImposed(values={}))
    numbers = {
        s.id: recorder.record(CallMade(step=s.id, role=s.do, actor="al", person="al", tenant="a", params={}), "invoke")
        for s in plan.steps
    }
    shown = tuple(numbers[s] for s in evidence)
    return Witness(plan, recorder.history(), Violation(clause="c", expected="", observed="", evidence=shown))


def shrunk_sizes(odds: float, core: set[str], gated: Gating, evidence: Iterable[str]) -> list[int]:
    """Steps and faults left of 16 and 3 under many seeds, where a core of steps races by a coin unless gated."""
    plan, sizes = plan_of(16, 3), []
    for seed in SEEDS:
        coin, plays = Random(seed), []

        def shows(candidate: Plan, coin: Random = coin, plays: list[Plan] = plays) -> bool:
            plays.append(candidate)
            hits = any(g.at == GATE.at for g in candidate.gates) or coin.random() < odds
            return core <= {s.id for s in candidate.steps} and hits

        shrunk = shrink_live(witness(plan, evidence), shows, gated=gated)
        assert len(plays) == shrunk.plays <= MOST_PLAYS
        assert core <= {s.id for s in shrunk.plan.steps}
        sizes.append(len(shrunk.plan.steps) + len(shrunk.plan.faults))
    return sizes


def no_gate(plan: Plan, history: History, most: int) -> Iterable[Plan]:
    return ()


CORE = {"s3", "s15", "s16"}


@pytest.mark.parametrize("odds", [1.0, 0.5, 0.25])
def test_a_race_that_can_be_held_ends_within_twice_the_smallest(odds: float) -> None:
    """Nineteen things down to three, within thirty plays, under every seed; the evidence names two of the three."""
    assert max(shrunk_sizes(odds, CORE, held, ["s15", "s16"])) <= 2 * len(CORE)


@pytest.mark.parametrize("odds", [1.0, 0.5])
def test_a_race_that_cannot_be_held_ends_within_twice_the_smallest_too(odds: float) -> None:
    """If one play in two shows it: nearly always, as chance has no bounds."""
    sizes = shrunk_sizes(odds, CORE, no_gate, ["s15", "s16"])
    assert sum(n <= 2 * len(CORE) for n in sizes) >= 0.95 * len(sizes)


def test_evidence_that_names_nothing_costs_plays_not_size() -> None:
    """Without a hint, and without a race."""
    assert max(shrunk_sizes(1.0, CORE, no_gate, [])) <= 2 * len(CORE)


def test_a_race_of_the_fake_pipeline_is_gated_first() -> None:
    """From a plan as agents draw it to two submits that are held where it matters."""
    steps = tuple(
        Step(id=f"s{n}", do="submit_job", actor="al", params={"shots": 600, "key": f"k{n}"}, together=n > 1)
        for n in range(1, 6)
    )
    plan, plain = Plan(scenario="x", steps=steps, contract=CONTRACT), 0
    for seed in range(8):
        player = Player(CoinWorld(fake_target(), "defect:quota_race", seed=seed), tuple(RULES.values()))
        played = next(p for _ in range(99) if CAP in (p := player.play(plan)).judged.violations)
        found = Witness(plan, played.history, played.judged.violations[CAP])
        shrunk = shrink_live(found, lambda c, p=player: p.shows(c, CAP, anew=True), gated=held).plan  # type: ignore[misc]
        assert len(shrunk.steps) <= 4
        plain += all("key" not in s.params for s in shrunk.steps) and len(shrunk.steps) == 2
    assert plain >= 6


def test_time_that_is_over_ends_it() -> None:
    """With the plan as it was."""
    plan = plan_of(5, 1)
    shrunk = shrink_live(witness(plan, ["s1"]), lambda p: True, expired=lambda: True)
    assert (shrunk.plan, shrunk.plays, shrunk.complete) == (plan, 0, False)


def test_a_gate_that_stays_is_not_lost_with_its_neighbour() -> None:
    """Several gates become those that are needed."""
    plan = Plan(scenario="x", steps=(submit(1), submit(2, together=True)), gates=(GateUse(at="a"), GateUse(at="b")))
    shrunk = shrink_live(witness(plan, ["s1", "s2"]), lambda p: any(g.at == "b" for g in p.gates) and len(p.steps) > 1)
    assert [g.at for g in shrunk.plan.gates] == ["b"]


def test_reducing_counts_on_misses() -> None:
    """An element is tried again after a miss; one that is surely needed is not."""
    tests: list[frozenset[int]] = []

    def test(gone: frozenset[int]) -> bool:
        tests.append(gone)
        return 7 not in gone and len(tests) > 1

    assert reduce(range(8), dict.fromkeys(range(8), 0.1), test, rate=0.5) == (7,)
    assert len(tests) < 25
    assert reduce([1], {1: 0.5}, lambda gone: False) == (1,)


def test_what_the_evidence_touches_includes_what_it_refers_to() -> None:
    """A step's maker is needed with it."""
    cancel = Step(id="s3", do="cancel_job", actor="al", params={"job": {"from": "s1", "take": "job"}})
    plan = Plan(scenario="x", steps=(submit(1), submit(2), cancel))
    assert touched_steps(plan, witness(plan, ["s3"])) == {"s1", "s3"}


def test_plain_is_without_what_may_be_left_out() -> None:
    steps = (Step(id="s1", do="submit_job", actor="al", params={"shots": 3, "key": "k"}, after_ms=5, credential=1),)
    plan = plainest(Plan(scenario="x", steps=steps, contract={"a": 5, "b": 1}), {"a": 2})
    assert plan.steps == (Step(id="s1", do="submit_job", actor="al", params={"shots": 3}),)
    assert plan.contract == {"a": 2, "b": 1}
    assert not is_race(plan)
