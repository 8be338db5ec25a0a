"""Gates: what they hold, when and in which order they let go, and that nothing ever hangs at one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clock import NS_PER_MS, LoopClock
from harness.facts import GateHeld
from harness.gating import Gates
from harness.injection import Call, Injector
from harness.loop import VirtualLoop
from harness.model import FaultUse, GateUse, Schedule
from harness.recording import Recorder
from harness.wire import Reply, Request

T = TypeVar("T")
FIFO = Schedule()


class Scene:
    """Gates under a virtual clock, and calls that note when they take effect and when they are answered."""

    def __init__(self, loop: VirtualLoop, uses: Sequence[GateUse]) -> None:
        self.clock = LoopClock(loop)
        self.recorder = Recorder(self.clock)
        self.gates = Gates(uses, self.clock, self.recorder)
        self.log: list[tuple[str, int]] = []

    def now_ms(self) -> int:
        return self.clock.now_ns() // NS_PER_MS

    async def call(
        self, name: str, at_ms: float = 0, *, service: str = "policy", operation: str = "check", takes_ms: float = 0
    ) -> str:
        """One call that begins so late and takes so long."""
        await self.clock.sleep_ms(at_ms)
        body = b'{"name": "%b"}' % name.encode()
        call = Call("http", service, operation, Request("POST", f"/{name}", body=body))

        async def proceed(_: Call) -> str:
            self.log.append((f"{name} begins", self.now_ms()))
            await self.clock.sleep_ms(takes_ms)
            return name

        answer: str = await self.gates.around(call, proceed)
        self.log.append((f"{name} ends", self.now_ms()))
        return answer

    async def at(self, ms: float, act: Callable[[], object]) -> None:
        await self.clock.sleep_ms(ms)
        act()

    def begins(self) -> dict[str, int]:
        """Call → when it took effect."""
        return {what.split()[0]: ms for what, ms in self.log if what.endswith("begins")}

    def whys(self) -> list[tuple[int, int, str | None]]:
        """Gate, position and reason of everything that was let go."""
        events = [e for e in self.recorder.history() if isinstance(e.fact, GateHeld) and e.phase == "ok"]
        return [(e.fact.gate, e.fact.position, e.fact.why) for e in events]  # type: ignore[attr-defined]


def play(act: Callable[[Scene], Awaitable[T]], *uses: GateUse, schedule: Schedule = FIFO) -> tuple[Scene, T]:
    loop = VirtualLoop(schedule)

    async def whole() -> tuple[Scene, T]:
        scene = Scene(loop, uses)
        return scene, await act(scene)

    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()


def calls(*at_ms: float, **more: Any) -> Callable[[Scene], Awaitable[list[str]]]:
    """Calls a, b, … at these times."""

    async def act(scene: Scene) -> list[str]:
        return await asyncio.gather(*(scene.call(chr(97 + i), ms, **more) for i, ms in enumerate(at_ms)))

    return act


# ---------------------------------------------------------------- a rendezvous


def test_calls_wait_for_each_other() -> None:
    scene, answers = play(calls(0, 70, 100), GateUse(at="policy", calls=3))
    assert answers == ["a", "b", "c"]
    assert scene.begins() == {"a": 100, "b": 100, "c": 100}
    assert scene.whys() == [(0, 0, "met"), (0, 1, "met"), (0, 2, "met")]
    assert scene.gates.idle


def test_a_gate_opens_once() -> None:
    scene, _ = play(calls(0, 10, 20, 500), GateUse(at="policy"))
    assert scene.begins() == {"a": 10, "b": 10, "c": 20, "d": 500}


@pytest.mark.parametrize("strategy", ["fifo", "permute", "pct"])
@pytest.mark.parametrize("order", [(), (0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_they_go_on_in_the_order_of_the_gate_under_any_schedule(order: tuple[int, ...], strategy: Any) -> None:
    for seed in range(5):
        use = GateUse(at="policy", calls=3, order=order)
        scene, _ = play(calls(0, 1, 2), use, schedule=Schedule(strategy=strategy, seed=seed))
        assert list(scene.begins()) == [chr(97 + i) for i in order or (0, 1, 2)]


def test_one_by_one_each_when_the_one_before_was_answered() -> None:
    use = GateUse(at="policy", order=(1, 0), one_by_one=True)
    scene, _ = play(calls(0, 10, takes_ms=30), use)
    assert scene.log == [("b begins", 10), ("b ends", 40), ("a begins", 40), ("a ends", 70)]


def test_one_by_one_goes_on_when_the_one_ahead_fails() -> None:
    async def act(scene: Scene) -> list[Any]:
        async def broken(_: Call) -> str:
            raise ConnectionError

        first = scene.gates.around(Call("http", "policy", "check"), broken)
        return await asyncio.gather(first, scene.call("b", 5), return_exceptions=True)

    scene, answers = play(act, GateUse(at="policy", one_by_one=True))
    assert isinstance(answers[0], ConnectionError)
    assert scene.begins() == {"b": 5}


def test_the_lease_ends_a_queue_that_is_stuck() -> None:
    """The first one can't be answered before the second has gone on: a lock, say."""

    async def act(scene: Scene) -> object:
        lock = asyncio.Event()

        async def blocked(_: Call) -> str:
            await lock.wait()
            return "a"

        first = scene.gates.around(Call("http", "policy", "check"), blocked)

        async def second() -> None:
            await scene.call("b", 10)
            lock.set()

        return await asyncio.gather(first, second())

    scene, _ = play(act, GateUse(at="policy", one_by_one=True, most_ms=300))
    assert scene.begins() == {"b": 310}
    assert scene.whys() == [(0, 0, "met"), (0, 1, "lease")]


def test_answers_are_held_after_the_call() -> None:
    scene, _ = play(calls(0, 50, takes_ms=5), GateUse(at="policy", point="after"))
    assert scene.log == [("a begins", 0), ("b begins", 50), ("a ends", 55), ("b ends", 55)]


def test_nobody_comes_and_the_lease_ends() -> None:
    scene, _ = play(calls(0, 1000), GateUse(at="policy", most_ms=400))
    assert scene.begins() == {"a": 400, "b": 1000}
    assert scene.whys() == [(0, 0, "lease")]
    assert scene.gates.idle


def test_who_hangs_up_is_not_there_any_more() -> None:
    async def act(scene: Scene) -> object:
        gone = asyncio.create_task(scene.call("a"))
        rest = asyncio.gather(scene.call("b", 200), scene.call("c", 300))
        await scene.at(100, gone.cancel)
        return await rest

    scene, _ = play(act, GateUse(at="policy"))
    assert scene.begins() == {"b": 300, "c": 300}
    assert scene.whys() == [(0, 0, "gone"), (0, 1, "met"), (0, 2, "met")]


def test_the_one_ahead_hangs_up_at_the_gate() -> None:
    async def act(scene: Scene) -> object:
        first = asyncio.create_task(scene.call("a"))
        rest = asyncio.gather(scene.call("b", 50), scene.call("c", 50))
        await scene.at(50, first.cancel)
        return await rest

    for seed in range(8):
        use = GateUse(at="policy", calls=3, one_by_one=True, most_ms=1000)
        scene, _ = play(act, use, schedule=Schedule(strategy="permute", seed=seed))
        assert set(scene.begins()) >= {"b", "c"}


# ---------------------------------------------------------------- which calls


def test_only_what_it_is_about_is_held() -> None:
    async def act(scene: Scene) -> object:
        return await asyncio.gather(
            scene.call("other-service", service="backend"),
            scene.call("other-operation", operation="register"),
            scene.call("other-body"),
            scene.call("a"),
        )

    scene, _ = play(act, GateUse(at="policy", on=("check",), where="body.name == 'a'", most_ms=100))
    assert scene.begins() == {"other-service": 0, "other-operation": 0, "other-body": 0, "a": 100}


def test_some_pass_first() -> None:
    scene, _ = play(calls(0, 1, 2, 30), GateUse(at="policy", skip=2))
    assert scene.begins() == {"a": 0, "b": 1, "c": 30, "d": 30}


def test_two_gates_align_the_second_call_of_each() -> None:
    """Each of two requests checks twice: the first rendezvous puts both first checks before both second ones."""

    async def act(scene: Scene) -> object:
        async def request(name: str, at_ms: float) -> None:
            await scene.call(f"{name}1", at_ms)
            await scene.call(f"{name}2")

        return await asyncio.gather(request("a", 0), request("b", 40))

    scene, _ = play(act, GateUse(at="policy"), GateUse(at="policy", skip=2, order=(1, 0)))
    assert [what for what, _ in scene.log if what.endswith("begins")][2:] == ["b2 begins", "a2 begins"]
    assert {why for _, _, why in scene.whys()} == {"met"}


def test_it_counts_only_from_a_step_on() -> None:
    async def act(scene: Scene) -> object:
        return await asyncio.gather(calls(0, 10, 100, 120)(scene), scene.at(50, lambda: scene.gates.step_begins("s2")))

    scene, _ = play(act, GateUse(at="policy", after_step="s2"))
    assert scene.begins() == {"a": 0, "b": 10, "c": 120, "d": 120}


# ---------------------------------------------------------------- until a step was answered; heal


def test_procrastination() -> None:
    """One call is held until the step is answered; calls of others pass meanwhile."""

    async def act(scene: Scene) -> object:
        return await asyncio.gather(calls(0, 10)(scene), scene.at(60, lambda: scene.gates.step_ends("s3")))

    scene, _ = play(act, GateUse(at="policy", until_step="s3"))
    assert scene.begins() == {"b": 10, "a": 60}
    assert scene.whys() == [(0, 0, "step")]


def test_a_step_that_is_over_holds_nothing() -> None:
    async def act(scene: Scene) -> object:
        scene.gates.step_ends("s3")
        scene.gates.step_ends("")
        return await calls(0)(scene)

    scene, _ = play(act, GateUse(at="policy", until_step="s3"), GateUse(at="policy", calls=1))
    assert scene.begins() == {"a": 0}


def test_heal_opens_everything_for_good() -> None:
    async def act(scene: Scene) -> object:
        heal = scene.at(25, scene.gates.open_all)
        return await asyncio.gather(calls(0, 100)(scene), scene.call("z", 0, service="backend"), heal)

    scene, _ = play(act, GateUse(at="policy"), GateUse(at="backend", until_step="s9"))
    assert scene.begins() == {"a": 25, "z": 25, "b": 100}
    assert {why for _, _, why in scene.whys()} == {"healed"}


def test_gates_are_outside_of_faults_and_heal_with_them() -> None:
    loop = VirtualLoop(Schedule())

    async def whole() -> list[int]:
        clock = LoopClock(loop)
        recorder = Recorder(clock)
        gates = Gates([GateUse(at="backend")], clock, recorder)
        fault = FaultUse(fault="latency", params={"ms": 10, "times": 0})
        injector = Injector([fault], clock, recorder, 1, gates=gates)
        injector.begin()
        assert not injector.idle
        ended: list[int] = []

        async def one(at_ms: float) -> None:
            await clock.sleep_ms(at_ms)
            await injector.run(Call("http", "backend", "submit", Request("POST", "/")), answer)
            ended.append(clock.now_ns() // NS_PER_MS)

        async def answer(_: Call) -> Reply:
            return Reply(200)

        await asyncio.gather(one(0), one(50))
        injector.heal()
        assert gates.idle
        assert injector.idle
        return ended

    try:
        assert loop.run_until_complete(whole()) == [60, 60]
    finally:
        loop.close()


# ---------------------------------------------------------------- whatever is asked

uses = st.builds(
    GateUse,
    at=st.sampled_from(["policy", "backend"]),
    on=st.sampled_from([(), ("check",), ("submit",)]),
    where=st.sampled_from(["", "path == '/c1'", "body.nothing == 1"]),
    point=st.sampled_from(["before", "after"]),
    skip=st.integers(0, 3),
    calls=st.integers(0, 4),
    order=st.lists(st.integers(0, 5), max_size=4).map(tuple),
    one_by_one=st.booleans(),
    until_step=st.sampled_from(["", "", "s1", "s9"]),
    after_step=st.sampled_from(["", "", "s1", "s9"]),
    most_ms=st.integers(1, 500),
)
moments = st.tuples(
    st.integers(0, 300),
    st.sampled_from(["policy", "backend"]),
    st.sampled_from(["check", "submit"]),
    st.integers(0, 90),
)
moved = st.tuples(st.integers(0, 400), st.sampled_from(["begin", "end", "heal", "cancel"]))
schedules = st.builds(Schedule, strategy=st.sampled_from(["fifo", "permute", "pct"]), seed=st.integers(0, 9))


@settings(max_examples=200, deadline=None)
@given(st.lists(uses, max_size=4), st.lists(moments, min_size=1, max_size=8), st.lists(moved, max_size=3), schedules)
def test_nothing_hangs(
    gates: list[GateUse],
    wanted: list[tuple[int, str, str, int]],
    moves: list[tuple[int, str]],
    schedule: Schedule,
) -> None:
    """Every call is answered, no later than the leases of all gates allow; every hold ends; the same again."""

    async def act(scene: Scene) -> list[Any]:
        tasks = [
            asyncio.create_task(scene.call(f"c{i}", at_ms, service=service, operation=operation, takes_ms=takes))
            for i, (at_ms, service, operation, takes) in enumerate(wanted)
        ]
        acts = {
            "begin": lambda: scene.gates.step_begins("s1"),
            "end": lambda: scene.gates.step_ends("s1"),
            "heal": scene.gates.open_all,
            "cancel": tasks[0].cancel,
        }
        await asyncio.gather(*(scene.at(ms, acts[what]) for ms, what in moves))
        return await asyncio.gather(*tasks, return_exceptions=True)

    scene, answers = play(act, *gates, schedule=schedule)
    cancelled = any(what == "cancel" for _, what in moves)
    for i, (answer, (at_ms, _, _, takes)) in enumerate(zip(answers, wanted, strict=True)):
        assert answer == f"c{i}" or (i == 0 and cancelled)
        ended = dict(scene.log).get(f"c{i} ends", 0)
        assert ended <= at_ms + takes + sum(g.most_ms for g in gates)
    events = [e for e in scene.recorder.history() if isinstance(e.fact, GateHeld)]
    held, gone = [e.n for e in events if e.phase == "invoke"], [e.cause for e in events if e.phase == "ok"]
    assert sorted(held) == sorted(n for n in gone if n is not None)
    for use, index in zip(gates, range(len(gates)), strict=True):
        count = sum(e.fact.gate == index for e in events if e.phase == "invoke")  # type: ignore[attr-defined]
        assert count <= max(use.calls, 1) + cancelled * len(wanted)
    again, _ = play(act, *gates, schedule=schedule)
    assert again.recorder.history() == scene.recorder.history()
    assert again.log == scene.log
