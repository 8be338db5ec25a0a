"""The simulated world: determinism, schedules, crashes, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.errors import NeedsLiveMode, TargetUnreachable, UsageProblem
from harness.facts import (
    CallAnswered,
    CallMade,
    ContractImposed,
    FaultFired,
    FaultsHealed,
    Settled,
    TargetCrashed,
    TargetRestarted,
    WorldStarted,
)
from harness.inputs.target import DoubleUse, Target
from harness.model import FaultUse, History, Plan, Schedule, Step
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


@pytest.mark.parametrize("what", ["to-thread", "executor"])
def test_a_thread_pool_of_the_target_runs_inline(what: str) -> None:
    history = play(mischief(what))
    answer = next(e.fact for e in history if isinstance(e.fact, CallAnswered))
    assert answer.seen[0].encode()["job"] == "True"


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("socket", "a socket to 127.0.0.1:9"),
        ("thread", "the thread worker-7"),
        ("host", "a connection to elsewhere.test"),
        ("udp", "a socket to 127.0.0.1:9"),
        ("look-up", "a name look-up of elsewhere.test"),
        ("process", "the process .'true'."),
        ("spin", "the target spins"),
        ("connect", "a socket to 127.0.0.1:9"),
        ("blocking-host", "a blocking request to elsewhere.test on the event loop"),
        ("pool", "the thread crew_0"),
    ],
)
def test_what_a_virtual_clock_cannot_carry_is_refused_by_name(what: str, named: str) -> None:
    with pytest.raises(NeedsLiveMode, match=named):
        play(mischief(what))


# ---------------------------------------------------------------- crashes


def ask(n: int, do: str, **params: Any) -> Step:
    return Step(id=f"s{n}", do=do, actor="ann", params=params)


def crashed(**settings: Any) -> Plan:
    """Work, a kill in the middle of a request, a call while it is down, and calls after it."""
    steps = (
        submit(1),
        ask(2, "cancel_job", job="remember"),
        ask(3, "cancel_job", job="nap"),
        ask(4, "cancel_job", job="remember"),
        Step(id="s5", do="wait", params={"ms": 10_000}),
        ask(6, "cancel_job", job="remember"),
        ask(7, "get_job", job={"from": "s1", "take": "job"}),
    )
    fault = FaultUse(fault="crash", params={"after_step": "s3", "down_ms": 5_000, **settings})
    return Plan(scenario="t", steps=steps, faults=(fault,))


def answers(history: History) -> dict[str, CallAnswered]:
    return {e.fact.step: e.fact for e in history if isinstance(e.fact, CallAnswered)}


def at_ns(history: History, kind: type[Any]) -> list[int]:
    return [e.at_ns for e in history if isinstance(e.fact, kind)]


def test_a_crash_keeps_the_store_and_loses_memory() -> None:
    heard = answers(play(crashed()))
    assert heard["s1"].outcome == "accepted"
    assert [o.encode()["job"] for o in (*heard["s2"].seen, *heard["s6"].seen)] == ["1", "1"]
    assert (heard["s7"].outcome, heard["s7"].seen[0].encode()["job"]) == (
        "accepted",
        heard["s1"].seen[0].encode()["job"],
    )


def test_a_call_in_a_crash_is_left_open_and_one_after_it_is_refused() -> None:
    """A broken connection tells nothing; a refused one tells that nothing was done."""
    heard = answers(play(crashed()))
    assert [(heard[s].outcome, heard[s].reason) for s in ("s3", "s4")] == [
        ("unknown", "broken"),
        ("refused", "unavailable"),
    ]


def test_it_is_down_as_long_as_the_fault_says() -> None:
    history = play(crashed())
    (down,), (up,), (healed,) = (at_ns(history, k) for k in (TargetCrashed, TargetRestarted, FaultsHealed))
    assert up - down == 5_000_000_000
    assert healed >= up


def test_a_crash_strikes_at_the_await_it_is_told_to() -> None:
    """Later awaits lie later; past the last one nothing happens."""
    plans = [crashed(skip=skip) for skip in (0, 1, 2)]
    with AsgiWorld(tiny.target()) as world:
        crashes = [len(at_ns(world.play(p), TargetCrashed)) for p in [*plans, crashed(skip=10_000)]]
    assert crashes == [1, 1, 1, 0]


def test_two_crashes_are_two_restarts_and_the_play_is_the_same_again() -> None:
    with AsgiWorld(tiny.target()) as world:
        history = world.play(crashed(times=2, skip=1))
        assert len(at_ns(history, TargetCrashed)) == len(at_ns(history, TargetRestarted)) == 2
        world.play(race(1, "pct"))
        assert lines(world.play(crashed(times=2, skip=1))) == lines(history)


def test_after_the_heal_nothing_strikes_and_the_target_is_up() -> None:
    history = play(crashed(times=0, skip=3))
    (healed,) = at_ns(history, FaultsHealed)
    assert all(at <= healed for at in at_ns(history, FaultFired))
    assert len(at_ns(history, TargetCrashed)) == len(at_ns(history, TargetRestarted)) >= 1
    closing = [e.fact for e in history if isinstance(e.fact, CallAnswered) and e.at_ns > healed]
    assert closing
    assert all(c.reason != "unavailable" for c in closing)


# ---------------------------------------------------------------- what is used again


@pytest.mark.parametrize(("reuse", "counts"), [(True, ["1", "2", "1"]), (False, ["1", "1", "1"])])
def test_an_app_is_used_again_where_its_factory_allows_but_never_after_a_crash(reuse: bool, counts: list[str]) -> None:
    with AsgiWorld(replace(tiny.target(), reuse_app=reuse)) as world:
        found = []
        for plan in (mischief("remember"), mischief("remember"), crashed(), mischief("remember")):
            seen = answers(world.play(plan))["s1"].seen
            found.append(seen[0].encode()["job"])
    assert [found[0], found[1], found[3]] == counts


def test_a_store_from_a_template_gives_the_same_play_as_a_fresh_start() -> None:
    """What differs is drawn: the target's identifiers come from another stream."""

    def shape(history: History) -> list[Any]:
        made = [
            (e.fact.outcome, e.fact.status, len(e.fact.seen)) if isinstance(e.fact, CallAnswered) else None
            for e in history
        ]
        return [(e.n, e.at_ns, e.phase, e.kind, e.cause, m) for e, m in zip(history, made, strict=True)]

    with_store, without = tiny.target(), replace(tiny.target(STORE=":memory:"), store=None)
    for plan in (race(5, "permute"), race(6, "pct"), mischief("nap")):
        with AsgiWorld(with_store) as one, AsgiWorld(without) as other:
            first = one.play(plan)
            assert lines(first) == lines(one.play(plan))
            assert shape(first) == shape(other.play(plan))


def test_one_play_leaves_nothing_in_the_store_of_the_next() -> None:
    with AsgiWorld(tiny.target()) as world:
        assert [accepted(world.play(race(0, "fifo"))) for _ in range(3)] == [1, 1, 1]


# ---------------------------------------------------------------- the frame


def test_a_history_tells_what_could_be_seen_and_how_it_ended() -> None:
    history = play(race(0, "fifo"))
    kinds = [e.kind for e in history]
    assert kinds[:2] == ["WorldStarted", "ContractImposed"]
    (world,) = [e.fact for e in history if isinstance(e.fact, WorldStarted)]
    assert world.roles == ("cancel_job", "get_job", "submit_job")
    assert world.observes == {"JobSeen": ("digest", "job", "state")}
    assert (world.persons, world.doubles) == ({"ann": ("submit",)}, ())
    (settled,) = [e.fact for e in history if isinstance(e.fact, Settled)]
    assert settled.quiet
    assert kinds.index("FaultsHealed") < kinds.index("Settled")


def test_a_plans_contract_reaches_the_target() -> None:
    with AsgiWorld(tiny.target()) as world:
        for limit in (0, 1, 2):
            history = world.play(replace(race(0, "fifo"), contract={"quota.jobs.limit": limit}))
            (imposed,) = [e.fact for e in history if isinstance(e.fact, ContractImposed)]
            assert (accepted(history), imposed.values) == (limit, {"quota.jobs.limit": limit})


def test_a_variants_settings_win() -> None:
    target = replace(tiny.target(), variants={"racy": {"RACY": "slow"}})
    with AsgiWorld(target, "racy") as world:
        assert accepted(world.play(race(0, "fifo"))) == 2


def test_an_endpoint_that_raises_is_no_end_of_the_play() -> None:
    heard = answers(play(mischief("raise")))["s1"]
    assert (heard.outcome, heard.status) == ("unknown", 500)


def broken(factory: str) -> Target:
    return replace(tiny.target(), factory=f"tests.unit.worlds.test_asgi:{factory}", reuse_app=False)


def refuses_to_start(settings: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("no licence")

    return app


def test_a_target_that_does_not_start_is_unreachable() -> None:
    with (
        pytest.raises(TargetUnreachable, match="failed to start: RuntimeError: no licence"),
        AsgiWorld(broken("refuses_to_start")) as world,
    ):
        world.play(mischief("nap"))


def test_a_double_that_nobody_knows_is_refused() -> None:
    double = DoubleUse(double="oracle", setting="X", url="http://x.test")
    target = replace(tiny.target(), doubles=(double,))
    with pytest.raises(UsageProblem, match="no double is called 'oracle'; known: "), AsgiWorld(target) as world:
        world.play(mischief("nap"))


def test_a_closed_world_leaves_no_files() -> None:
    world = AsgiWorld(tiny.target())
    world.play(race(0, "fifo"))
    path = world.store_path(0)
    assert path.exists()
    world.close()
    assert not path.parent.exists()


def test_the_factory_is_watched_as_well() -> None:
    with pytest.raises(NeedsLiveMode, match="the thread eager-1"):
        play(race(0, "fifo"), FACTORY="thread")


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("raise", r"the target's factory failed: RuntimeError: no licence \(tiny\.py:\d+\)"),
        ("exit", r"the target's factory failed: SystemExit: 0"),
        ("none", "the target's factory must return an ASGI app, not None"),
    ],
)
def test_a_factory_that_fails_is_a_target_that_cannot_be_tested(failing: str, said: str) -> None:
    with pytest.raises(TargetUnreachable, match=said):
        play(race(0, "fifo"), FACTORY=failing)
