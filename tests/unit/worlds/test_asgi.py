"""The simulated world: determinism, schedules, crashes, and what it refuses."""

from __future__ import annotations

import json

import pytest

from harness.errors import NeedsLiveMode
from harness.facts import CallAnswered, CallMade
from harness.model import History, Plan, Schedule, Step
from harness.worlds.asgi import AsgiWorld
from tests.unit.worlds import tiny


def submit(n: int, together: bool = False) -> Step:
    return Step(id=f"s{n}", do="submit_job", actor="ann", params={"shots": 1}, together=together)


def race(seed: int, strategy: str) -> Plan:
    schedule = Schedule(strategy=strategy, seed=seed)  # type: ignore[arg-type]
    return Plan(scenario="t", steps=(submit(1), submit(2, together=True)), schedule=schedule)


def lines(history: History) -> str:
    return "\n".join(json.dumps(e.encode(), sort_keys=True) for e in history)


def accepted(history: History) -> int:
    made = {e.n: e.fact.role for e in history if isinstance(e.fact, CallMade)}
    answers = [(e.fact, made[e.cause or 0]) for e in history if isinstance(e.fact, CallAnswered)]
    return sum(a.outcome == "accepted" for a, role in answers if role == "submit_job")


def mischief(what: str) -> Plan:
    return Plan(scenario="t", steps=(Step(id="s1", do="cancel_job", actor="ann", params={"job": what}),))


def play(plan: Plan, **settings: str) -> History:
    with AsgiWorld(tiny.target(**settings)) as world:
        return world.play(plan)


def test_one_job_over_the_limit_is_refused() -> None:
    assert accepted(play(race(0, "fifo"))) == 1


def test_the_same_plan_gives_the_same_history() -> None:
    with AsgiWorld(tiny.target()) as world:
        first = lines(world.play(race(3, "permute")))
        world.play(race(4, "pct"))
        assert lines(world.play(race(3, "permute"))) == first
    assert lines(play(race(3, "permute"))) == first


@pytest.mark.parametrize("strategy", ["permute", "pct"])
def test_a_schedule_finds_a_race_across_one_await(strategy: str) -> None:
    with AsgiWorld(tiny.target(RACY="yes")) as world:
        assert any(accepted(world.play(race(seed, strategy))) == 2 for seed in range(150))
    with AsgiWorld(tiny.target()) as world:
        assert all(accepted(world.play(race(seed, strategy))) == 1 for seed in range(150))


@pytest.mark.parametrize("strategy", ["permute", "pct"])
def test_a_race_inside_a_blocking_endpoint_is_found(strategy: str) -> None:
    with AsgiWorld(tiny.target(SYNC="yes")) as world:
        assert any(accepted(world.play(race(seed, strategy))) == 2 for seed in range(150))


def test_an_hour_costs_nothing() -> None:
    for what in ("nap", "blocking-nap"):
        history = play(mischief(what))
        answer = next(e for e in history if isinstance(e.fact, CallAnswered))
        assert answer.at_ns >= 3600 * 10**9


def test_a_thread_pool_of_the_target_runs_inline() -> None:
    history = play(mischief("to-thread"))
    answer = next(e.fact for e in history if isinstance(e.fact, CallAnswered))
    assert answer.seen[0].encode()["job"] == "True"


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("socket", "a socket to 127.0.0.1:9"),
        ("thread", "the thread worker-7"),
        ("host", "a connection to elsewhere.test"),
        ("spin", "the target spins"),
    ],
)
def test_what_a_virtual_clock_cannot_carry_is_refused_by_name(what: str, named: str) -> None:
    with pytest.raises(NeedsLiveMode, match=named):
        play(mischief(what))
