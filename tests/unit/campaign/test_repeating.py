"""Repeats with fresh noise: counted as they are, compared where they part."""

from __future__ import annotations

import pytest

from harness.campaign.following import MOST, FollowUps, shape
from harness.campaign.playing import Player
from harness.campaign.repeating import fresh_noise, repeat, shuffled
from harness.errors import RunStopped, TargetError
from harness.model import GateUse, History, Plan, Repeats, Signature, Step
from tests.unit.campaign.coins import CoinWorld
from tests.unit.campaign.fakes import CONTRACT, RULES, FakeWorld, fake_target

CAP = Signature("Q1", "cap")


def submits(count: int, shots: int = 600) -> Plan:
    steps = tuple(
        Step(id=f"s{n}", do="submit_job", actor="al", params={"shots": shots}, together=n > 1)
        for n in range(1, count + 1)
    )
    return Plan(scenario="all", steps=steps, contract=CONTRACT)


def player(world: FakeWorld) -> Player:
    return Player(world, tuple(RULES.values()))


def test_each_repeat_has_other_noise() -> None:
    """The same seed would confirm noise every time; the steps are the same."""
    plans = [fresh_noise(submits(2), n) for n in range(1, 6)]
    assert len({p.seed for p in plans}) == 5
    assert all(p.steps == submits(2).steps for p in plans)
    assert plans == [fresh_noise(submits(2), n) for n in range(1, 6)]


def test_what_shows_every_time_says_so() -> None:
    world = CoinWorld(fake_target(), "defect:quota_race", odds=1.0)
    repeated = repeat(player(world), submits(2), CAP)
    assert str(repeated.repeats) == "5/5"
    assert repeated.shown is not None
    assert world.plays == 5


def test_what_shows_sometimes_says_where_it_went_another_way() -> None:
    world = CoinWorld(fake_target(), "defect:quota_race", odds=0.5, seed=3)
    repeated = repeat(player(world), submits(2), CAP)
    assert repeated.repeats == Repeats(
        plays=5,
        shown=repeated.repeats.shown,
        difference="first differs at event 7 (expected run 1 of s2 accepted, 600 shots, came nothing)",
    )
    assert 0 < repeated.repeats.shown < 5


def test_what_never_shows_is_compared_with_what_was_found() -> None:
    found = CoinWorld(fake_target(), "defect:quota_race", odds=1.0).play(submits(2))
    repeated = repeat(player(CoinWorld(fake_target(), odds=0.0)), submits(2), CAP, found)
    assert repeated.repeats.shown == 0
    assert str(repeated.repeats).startswith("0/5, first differs at event ")
    assert repeated.last is not None


def test_a_play_that_cannot_be_is_one_that_did_not_show() -> None:
    """And says why; a stop condition ends more than that."""

    class Dying(FakeWorld):
        error: Exception = TargetError("it died")

        def play(self, plan: Plan) -> History:
            raise self.error

    world = Dying(fake_target())
    assert str(repeat(player(world), submits(2), CAP).repeats) == "0/5, could not be played: it died"
    world.error = RunStopped("enough")
    with pytest.raises(RunStopped):
        repeat(player(world), submits(2), CAP)


def test_time_that_is_over_leaves_a_few_plays() -> None:
    world = CoinWorld(fake_target(), "defect:quota_race", odds=1.0)
    assert str(repeat(player(world), submits(2), CAP, over=lambda: True).repeats) == "3/3"


def test_a_simulated_repeat_varies_the_order_of_tasks() -> None:
    """Its noise is the schedule; the first is the plan's own."""
    plans = [shuffled(submits(2), n) for n in range(1, 6)]
    assert plans[0] == submits(2)
    assert {p.schedule.strategy for p in plans[1:]} == {"permute", "pct"}
    assert repeat(player(FakeWorld(fake_target())), submits(2), CAP, vary=shuffled).repeats.mode == "simulated"


# ---------------------------------------------------------------- held plans


def ways(plan: Plan, history: History, most: int) -> list[Plan]:
    gates = (GateUse(at="a"), GateUse(at="b"), GateUse(at="c"), GateUse(at="d"))
    return [Plan(scenario="x", steps=plan.steps, gates=(g,)) for g in gates][:most]


def test_held_plans_are_half_of_all() -> None:
    """So that a search for what needs no race does not starve."""
    follow_ups = FollowUps(ways)
    counts = [len(list(follow_ups.after(submits(2), History(())))) for _ in range(10)]
    assert counts == [1] * 10
    for _ in range(9):
        list(follow_ups.after(submits(1), History(())))
    assert len(list(follow_ups.after(submits(2), History(())))) == MOST


def test_what_was_held_in_the_same_way_often_goes_last() -> None:
    follow_ups = FollowUps(ways)
    held = [next(iter(follow_ups.after(submits(2, shots=n), History(())))).gates[0].at for n in range(8)]
    assert held == ["a", "b", "c", "d"] * 2


def test_reads_alone_do_not_race() -> None:
    reads = (Step(id="s1", do="read_quota", actor="al"), Step(id="s2", do="submit_job", actor="al"))
    assert list(FollowUps(ways).after(Plan(scenario="x", steps=reads), History(()))) == []


def test_a_shape_is_roles_and_gates_not_ids_and_leases() -> None:
    def held(step: str, lease: int) -> Plan:
        steps = (Step(id=step, do="decide"), Step(id="x", do="execute_change", together=True))
        return Plan(scenario="s", steps=steps, gates=(GateUse(at="policy", until_step=step, most_ms=lease),))

    assert shape(held("s1", 5)) == shape(held("s7", 9))
    assert shape(held("s1", 5)) != shape(Plan(scenario="s", steps=held("s1", 5).steps))
