"""The envelope of faults: when, where and how often they strike; and that all let go when they are healed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageProblem
from harness.facts import FaultArmed, FaultFired
from harness.injection import Call, Fault, build, known_faults, predicate_of
from harness.model import FaultUse
from harness.providers.ionq import IonQ
from harness.wire import Reply, Request
from tests.unit.backend.scene import Scene, bell, play

FINE = Reply(200)


def call(operation: str = "submit", **request: Any) -> Call:
    """A call of the backend."""
    return Call(
        "http", "backend", operation, Request("POST", "/v0.4/jobs", **request), metadata={"job": "j1"}, state="started"
    )


async def answer(_: Call) -> Reply:
    return FINE


def use(fault: str = "noop", **params: Any) -> FaultUse:
    return FaultUse(fault=fault, params=params)


async def strikes(scene: Scene, *calls: Call) -> list[bool]:
    """Whether each call was struck."""
    struck = []
    for each in calls:
        before = len(scene.facts(FaultFired))
        assert await scene.injector.run(each, answer) == FINE
        struck.append(len(scene.facts(FaultFired)) > before)
    return struck


def struck(params: Mapping[str, Any], *calls: Call) -> list[bool]:
    async def act(scene: Scene) -> list[bool]:
        return await strikes(scene, *calls)

    return play(act, [use(**params)])


# ---------------------------------------------------------------- how often, where, when


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4), st.integers(0, 3), st.integers(0, 9))
def test_it_lets_some_pass_and_strikes_so_many(skip: int, times: int, n: int) -> None:
    wanted = [i >= skip and (times == 0 or i < skip + times) for i in range(n)]
    assert struck({"skip": skip, "times": times}, *[call()] * n) == wanted


def test_calls_that_do_not_match_are_not_counted() -> None:
    calls = [call("status"), call("submit"), call("status"), call("submit")]
    assert struck({"on": ["submit"], "skip": 1}, *calls) == [False, False, False, True]


def test_another_layer_or_service_is_not_struck() -> None:
    there = dataclasses.replace(call(), service="policy")
    stage = dataclasses.replace(call(), layer="run")
    assert struck({"times": 0}, there, stage, call()) == [False, False, True]


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("method == 'POST' && path.endsWith('/jobs')", True),
        ("body.shots > 100", True),
        ("body.shots > 1000", False),
        ("body.missing == 1", False),
        ("query.limit == '5' && headers.x == 'y'", True),
        ("metadata.job == 'j1'", True),
        ("metadata.job == 'j2'", False),
        ("operation == 'submit' && run == null", True),
        ("state == 'started'", True),
        ("state == 'completed'", False),
    ],
)
def test_a_predicate_says_which_calls_it_means(where: str, holds: bool) -> None:
    sent = call(body=b'{"shots":500}', query={"limit": "5"}, headers={"x": "y"})
    assert struck({"where": where}, sent) == [holds]


def test_a_body_that_is_no_json_matches_nothing_said_of_it() -> None:
    assert struck({"where": "body.shots > 1"}, call(body=b"{")) == [False]
    assert struck({"where": "body == null"}, call(body=b"{")) == [True]


def test_it_strikes_within_its_window_from_arming() -> None:
    async def act(scene: Scene) -> list[bool]:
        await scene.clock.sleep_ms(5_000)
        scene.injector.step_begins("s2")
        found = []
        for wait_ms in (0, 999, 1, 999, 1, 60_000):
            await scene.clock.sleep_ms(wait_ms)
            found += await strikes(scene, call())
        return found

    uses = [use(after_step="s2", times=0, from_ms=1_000, for_ms=2_000)]
    assert play(act, uses) == [False, False, True, True, False, False]


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 9))
def test_it_strikes_every_so_many(every: int, skip: int, n: int) -> None:
    wanted = [i >= skip and (i - skip) % every == 0 for i in range(n)]
    assert struck({"skip": skip, "every": every, "times": 0}, *[call()] * n) == wanted


def test_times_count_strikes_not_calls() -> None:
    assert struck({"every": 2, "times": 2}, *[call()] * 7) == [True, False, True, False, False, False, False]


def test_chance_is_the_seeds() -> None:
    """About as often as asked, always or never at the ends, and the same ones for the same seed."""
    by_chance = struck({"probability": 0.3, "times": 0}, *[call()] * 300)
    assert 60 < sum(by_chance) < 120
    assert struck({"probability": 0.3, "times": 0}, *[call()] * 300) == by_chance
    assert struck({"probability": 1, "times": 0}, call(), call()) == [True, True]
    assert struck({"probability": 0, "times": 0}, call(), call()) == [False, False]


def test_chance_does_not_use_up_times() -> None:
    assert sum(struck({"probability": 0.5, "times": 3}, *[call()] * 50)) == 3


def test_chance_leaves_the_faults_own_draws_alone() -> None:
    """What a fault draws does not depend on how often it was let pass."""
    assert draws([use(probability=0.5)]) == draws([use()])


def test_it_is_healed_by_its_step() -> None:
    async def act(scene: Scene) -> list[bool]:
        found = await strikes(scene, call())
        for step in ("s1", "s2", "s3"):
            scene.injector.step_begins(step)
            found += await strikes(scene, call())
        return found

    uses = [use(after_step="s1", until_step="s3", times=0)]
    assert play(act, uses) == [False, True, True, False]


def test_it_is_armed_by_its_step_and_once() -> None:
    async def act(scene: Scene) -> tuple[list[bool], list[FaultArmed]]:
        found = await strikes(scene, call())
        for step in ("s1", "s2", "s2"):
            scene.injector.step_begins(step)
            found += await strikes(scene, call())
        return found, scene.facts(FaultArmed)

    found, armed = play(act, [use(after_step="s2", times=0)])
    assert found == [False, False, True, True]
    assert [(a.fault, a.index, a.params) for a in armed] == [("noop", 0, {"after_step": "s2", "times": 0})]


# ---------------------------------------------------------------- through several, and after


def test_faults_are_passed_through_in_plan_order_and_recorded_on_both_sides() -> None:
    async def act(scene: Scene) -> list[tuple[int, str, int | None]]:
        assert await scene.injector.run(call(), answer) == FINE
        events = [e for e in scene.recorder.history() if isinstance(e.fact, FaultFired)]
        return [(e.fact.index, e.phase, e.cause) for e in events if isinstance(e.fact, FaultFired)]

    assert play(act, [use(), use(on=["status"]), use()]) == [
        (0, "invoke", None),
        (2, "invoke", None),
        (2, "ok", 4),
        (0, "ok", 3),
    ]


def test_a_fault_that_answers_itself_lets_nothing_through() -> None:
    reached: list[Call] = []

    async def act(scene: Scene) -> Reply:
        async def handler(each: Call) -> Reply:
            reached.append(each)
            return FINE

        reply: Reply = await scene.injector.run(call(), handler)
        return reply

    assert play(act, [use("submit_error", status=503), use()]).status == 503
    assert reached == []


def test_healed_is_for_good_and_frees_what_hangs() -> None:
    async def act(scene: Scene) -> tuple[int, list[bool]]:
        import asyncio

        asyncio.get_running_loop().call_later(2.0, scene.injector.heal)
        await scene.injector.run(call(), answer)
        freed_ms = scene.clock.now_ns() // 1_000_000
        scene.injector.step_begins("s1")
        return freed_ms, await strikes(scene, call(), call())

    uses = [use("latency", ms=3_600_000, times=0), use(after_step="s1", times=0)]
    assert play(act, uses) == (2_000, [False, False])


def test_what_hangs_is_released_when_its_time_is_over() -> None:
    async def act(scene: Scene) -> int:
        await scene.injector.run(call(), answer)
        return scene.clock.now_ns() // 1_000_000

    assert play(act, [use("latency", ms=5_000)]) == 5_000


def test_an_end_is_recorded_when_the_call_breaks() -> None:
    async def act(scene: Scene) -> list[str]:
        async def broken(_: Call) -> Reply:
            raise ConnectionError("gone")

        with pytest.raises(ConnectionError):
            await scene.injector.run(call(), broken)
        return [e.phase for e in scene.recorder.history() if isinstance(e.fact, FaultFired)]

    assert play(act, [use()]) == ["invoke", "ok"]


# ---------------------------------------------------------------- process faults


def test_awaits_of_the_target_are_counted_only_for_process_faults() -> None:
    hit: list[tuple[int, str, int]] = []

    async def act(scene: Scene) -> bool:
        scene.injector.on_process_fault = lambda i, fault: hit.append((i, fault.name, counted))
        for counted in range(10):  # noqa: B007 - the lambda above reads it
            scene.injector.count_await()
        return scene.injector.has_process_faults

    assert play(act, [use(times=0)]) is False
    assert play(act, [use(times=0), use("crash", skip=3, times=2)]) is True
    assert hit == [(1, "crash", 3), (1, "crash", 4)]


def test_a_world_that_cannot_crash_says_so() -> None:
    async def act(scene: Scene) -> None:
        scene.injector.count_await()

    with pytest.raises(UsageProblem, match="fault crash needs a world that can crash its target"):
        play(act, [use("crash")])


# ---------------------------------------------------------------- building


def test_a_fault_has_the_envelope_and_its_own_parameters() -> None:
    fault = build(use("latency", ms=7, on=["submit", "status"]))
    assert (fault.name, fault.on, getattr(fault, "ms", None)) == ("latency", ("submit", "status"), 7)
    envelope = {f.name for f in dataclasses.fields(Fault)}
    assert envelope < set(type(fault).settings())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (use("gremlin"), "no fault is called 'gremlin'; known: .*noop"),
        (use("noop", volume=3), "fault noop has no parameter 'volume'"),
    ],
)
def test_what_nobody_knows_is_refused(wrong: FaultUse, words: str) -> None:
    with pytest.raises(UsageProblem, match=words):
        build(wrong)


def test_a_wrong_predicate_is_refused_before_the_play() -> None:
    async def act(scene: Scene) -> None:
        raise AssertionError("it must not begin")

    with pytest.raises(UsageProblem, match="not a CEL expression"):
        play(act, [use(where="body.(")])


def test_two_uses_of_one_fault_have_their_own_chance() -> None:
    assert set(known_faults()) >= {"noop", "latency", "crash"}
    with_one, with_two = draws([use()]), draws([use(), use()])
    assert with_two[0] == with_one[0]
    assert with_two[0] != with_two[1]


def draws(uses: list[FaultUse]) -> list[float]:
    async def act(scene: Scene) -> list[float]:
        return [armed.act.rng.random() for armed in scene.injector._all]

    return play(act, uses)


# ---------------------------------------------------------------- adding and removing while it runs


def test_faults_come_and_go() -> None:
    async def act(scene: Scene) -> None:
        inject = scene.injector
        first, second = inject.add(use(times=0)), inject.add(use("http_error", times=0, status=500))
        assert [(a.index, a.use.fault) for a in inject.uses] == [(first, "noop"), (second, "http_error")]
        reply = await inject.run(call(), answer)
        assert reply.status == 500
        assert [a.fired for a in inject.uses] == [1, 1]
        assert (inject.remove(second), inject.remove(second)) == (True, False)
        assert await inject.run(call(), answer) == FINE
        inject.clear()
        assert inject.uses == ()
        assert inject.add(use()) == second + 1, "an index is never used again"

    play(act)


def test_a_removed_fault_lets_go_of_what_it_holds() -> None:
    async def act(scene: Scene) -> None:
        index = scene.injector.add(use("latency", ms=600_000))
        other = scene.injector.add(use("latency", ms=5_000, on=["status"]))
        held = asyncio.create_task(scene.injector.run(call(), answer))
        await scene.clock.sleep_ms(1_000)
        assert not held.done()
        scene.injector.remove(index)
        assert await held == FINE
        assert scene.clock.now_ns() == 1_000_000_000
        assert [a.index for a in scene.injector.uses] == [other]

    play(act)


def test_a_fault_remembers_from_call_to_call_for_itself_alone() -> None:
    async def act(scene: Scene) -> None:
        one, two = (scene.injector._all[i].act.memory for i in (0, 1))
        one["seen"] = 1
        assert two == {}

    play(act, [use(), use()])


def test_what_is_added_wrong_is_refused() -> None:
    async def act(scene: Scene) -> None:
        with pytest.raises(UsageProblem, match="no fault is called"):
            scene.injector.add(use("gremlin"))
        assert scene.injector.uses == ()

    play(act)


# ---------------------------------------------------------------- predicates that could never strike


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("nope > 3", "nothing is called 'nope'; there are method, path, query, headers"),
        ("method == 'GET' && stat == 'ready'", "nothing is called 'stat'"),
        ("path.foo()", "nothing is called 'foo'"),
        ("1 + 1", "is neither true nor false"),
        ("[1].exists(z, z == 1) && y", "nothing is called 'y'"),
    ],
)
def test_a_predicate_that_says_nothing_is_refused(where: str, words: str) -> None:
    with pytest.raises(UsageProblem, match=words):
        predicate_of(where)


@pytest.mark.parametrize(
    "where", ["true", "path.contains('x') || size(body.input) > 3", "[1, 2].all(n, n > 0)", "has(query.limit)"]
)
def test_a_predicate_that_says_something_is_taken(where: str) -> None:
    assert predicate_of(where).source == where


def test_what_is_neither_true_nor_false_strikes_nothing() -> None:
    assert struck({"where": "body.shots", "times": 0}, call(body=b'{"shots": 3}')) == [False]


def test_a_request_about_a_run_knows_its_metadata_and_state() -> None:
    async def act(scene: Scene) -> list[int]:
        ionq = IonQ.make(scene.south, {})
        jobs = []
        for user in ("ann", "bob"):
            reply = await scene.send(ionq, "POST", "/v0.4/jobs", bell(10, "simulator", metadata={"user": user}))
            jobs.append(json.loads(reply.body)["id"])
        states = [(await scene.send(ionq, "GET", f"/v0.4/jobs/{job}")).status for job in jobs]
        await scene.clock.sleep_ms(5_000)
        states += [(await scene.send(ionq, "GET", f"/v0.4/jobs/{job}")).status for job in jobs]
        await ionq.aclose()
        return states

    params = {"on": ["status"], "times": 0, "status": 500}
    about_bob = {**params, "where": "metadata.user == 'bob'"}
    once_done = {**params, "where": "state == 'completed'"}
    assert play(act, [use("http_error", **about_bob)]) == [200, 500, 200, 500]
    assert play(act, [use("http_error", **once_done)]) == [200, 200, 500, 500]
