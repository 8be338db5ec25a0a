"""The virtual loop: time that costs nothing, schedules that are data, lives that can be held."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import loop as module
from harness.errors import NeedsLiveMode
from harness.loop import LIFE, Life, VirtualLoop
from harness.model import Schedule, Strategy

T = TypeVar("T")
Log = list[tuple[int, int]]
STRATEGIES: tuple[Strategy, ...] = ("fifo", "permute", "pct")
SCHEDULES = st.builds(Schedule, strategy=st.sampled_from(STRATEGIES), seed=st.integers(0, 999), depth=st.integers(0, 5))


@contextmanager
def virtual(schedule: Schedule, start_s: float = 0.0) -> Iterator[VirtualLoop]:
    """A loop that leaves nothing behind."""
    loop = VirtualLoop(schedule, start_s)
    try:
        yield loop
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def run(act: Callable[[VirtualLoop], Coroutine[Any, Any, T]], schedule: Schedule | None = None) -> T:
    """One coroutine on a loop of its own."""
    with virtual(schedule or Schedule()) as loop:
        return loop.run_until_complete(act(loop))


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_timers_fire_at_their_time_and_in_its_order(strategy: Strategy) -> None:
    async def act(loop: VirtualLoop) -> list[float]:
        fired: list[float] = []

        async def at(seconds: float) -> None:
            await asyncio.sleep(seconds)
            assert loop.time() == seconds
            fired.append(seconds)

        await asyncio.gather(*(at(s) for s in (3600.0, 0.5, 86_400.0, 7.25)))
        return fired

    began = time.perf_counter()
    assert run(act, Schedule(strategy=strategy)) == [0.5, 7.25, 3600.0, 86_400.0]
    assert time.perf_counter() - began < 5


def test_time_begins_where_it_is_told_to() -> None:
    with virtual(Schedule(), start_s=12.5) as loop:
        assert loop.time() == 12.5
        loop.run_until_complete(asyncio.sleep(0))
        assert loop.time() == 12.5


def test_a_timeout_is_exact() -> None:
    async def act(loop: VirtualLoop) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(30.001)
        async with asyncio.timeout(30):
            await asyncio.sleep(29.999)
        return loop.time()

    assert run(act) == pytest.approx(59.999)


def test_a_cancelled_timer_does_not_move_the_clock() -> None:
    async def act(loop: VirtualLoop) -> float:
        for _ in range(3):
            loop.call_later(1.0, print).cancel()
        loop.call_later(2.0, print).cancel()
        await asyncio.sleep(3.0)
        return loop.time()

    jumps: list[float] = []
    with virtual(Schedule()) as loop:
        loop.on_jump = jumps.append
        assert loop.run_until_complete(act(loop)) == 3.0
    assert jumps == [3.0]


def test_time_that_blocking_code_takes_is_told_and_fires_what_is_due() -> None:
    jumps: list[float] = []
    fired: list[float] = []

    async def act(loop: VirtualLoop) -> None:
        loop.on_jump = jumps.append
        loop.call_later(5.0, lambda: fired.append(loop.time()))
        loop.advance(60.0)
        await asyncio.sleep(0)

    run(act)
    assert (jumps, fired) == ([60.0], [60.0])


# ---------------------------------------------------------------- schedules


def interleaving(yields: list[int], schedule: Schedule) -> Log:
    """Who ran when: task i takes ``yields[i]`` turns more than one, each noted as (i, turn)."""
    log: Log = []

    async def worker(me: int, turns: int) -> None:
        for turn in range(turns):
            log.append((me, turn))
            await asyncio.sleep(0)
        log.append((me, turns))

    async def act(loop: VirtualLoop) -> None:
        await asyncio.gather(*(worker(i, n) for i, n in enumerate(yields)))

    run(act, schedule)
    return log


YIELDS = st.lists(st.integers(0, 6), max_size=6)


@settings(max_examples=60)
@given(YIELDS, SCHEDULES)
def test_a_schedule_runs_every_task_exactly_as_often_as_fifo_does(yields: list[int], schedule: Schedule) -> None:
    """It moves turns about, and neither loses nor invents one, nor turns a task's own order round."""
    log = interleaving(yields, schedule)
    assert sorted(log) == sorted(interleaving(yields, Schedule()))
    for me, turns in enumerate(yields):
        assert [turn for who, turn in log if who == me] == list(range(turns + 1))


@settings(max_examples=30)
@given(YIELDS, SCHEDULES)
def test_the_same_schedule_gives_the_same_order(yields: list[int], schedule: Schedule) -> None:
    assert interleaving(yields, schedule) == interleaving(yields, schedule)


def test_fifo_takes_turns() -> None:
    assert interleaving([1, 1, 1], Schedule()) == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]


@pytest.mark.parametrize("strategy", ["permute", "pct"])
def test_seeds_give_other_orders(strategy: Strategy) -> None:
    orders = {tuple(interleaving([2, 2, 2], Schedule(strategy=strategy, seed=s))) for s in range(20)}
    assert len(orders) > 5


def test_permutation_keeps_tasks_in_lockstep() -> None:
    """In one turn everyone who is ready runs once."""
    for seed in range(20):
        log = interleaving([3, 3, 3], Schedule(strategy="permute", seed=seed))
        assert [{turn for _, turn in log[i : i + 3]} for i in range(0, 12, 3)] == [{0}, {1}, {2}, {3}]


def slipped_in(schedule: Schedule) -> bool:
    """Whether a rival of four awaits came and went between its victim's check and act, one await apart."""
    log: list[str] = []

    async def victim() -> None:
        log.append("check")
        await asyncio.sleep(0)
        log.append("act")

    async def rival() -> None:
        log.append("begin")
        for _ in range(4):
            await asyncio.sleep(0)
        log.append("end")

    async def act(loop: VirtualLoop) -> None:
        await asyncio.gather(victim(), rival())

    run(act, schedule)
    return log == ["check", "begin", "end", "act"]


def test_priorities_find_an_order_that_permutation_cannot() -> None:
    assert any(slipped_in(Schedule(strategy="pct", seed=seed)) for seed in range(300))
    assert not any(slipped_in(Schedule(strategy="permute", seed=seed)) for seed in range(300))
    assert not slipped_in(Schedule())


def test_priorities_without_change_points_run_one_task_after_the_other() -> None:
    for seed in range(20):
        log = interleaving([3, 3, 3], Schedule(strategy="pct", seed=seed, depth=1))
        assert [who for who, _ in log] == sorted((who for who, _ in log), key=[who for who, _ in log].index)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_plain_callbacks_stay_first_in_first_out(strategy: Strategy) -> None:
    """Transports and futures rely on it."""

    async def act(loop: VirtualLoop) -> list[int]:
        order: list[int] = []
        idle = [asyncio.create_task(asyncio.sleep(0)) for _ in range(5)]
        for n in range(20):
            loop.call_soon(order.append, n)
        await asyncio.gather(*idle)
        return order

    for seed in range(10):
        assert run(act, Schedule(strategy=strategy, seed=seed)) == list(range(20))


# ---------------------------------------------------------------- what cannot go on


def test_a_deadlock_is_named() -> None:
    async def act(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(NeedsLiveMode, match="deadlock"):
        run(act)


def test_spinning_is_named_and_long_work_over_time_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURNS_PER_INSTANT", 100)

    async def spin(loop: VirtualLoop) -> None:
        for _ in range(10**6):
            await asyncio.sleep(0)

    async def work(loop: VirtualLoop) -> None:
        for turn in range(500):
            await asyncio.sleep(0.001 if turn % 50 == 0 else 0)

    run(work)
    with pytest.raises(NeedsLiveMode, match="the target spins: 100 turns"):
        run(spin)


def test_the_clock_is_held_while_a_thread_works() -> None:
    def slow() -> str:
        time.sleep(0.03)
        return "done"

    async def act(loop: VirtualLoop) -> str:
        async with asyncio.timeout(0.001):
            answer: str = await loop.run_in_executor(None, slow)
        assert (loop.time(), loop.foreign) == (0.0, [])
        assert [name for name in loop.foreign_seen if name.startswith("thread:") and "slow" in name]
        await asyncio.sleep(5)
        assert loop.time() == 5.0
        return answer

    assert run(act) == "done"


def test_a_thread_that_never_ends_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOREIGN_LIMIT_S", 0.02)
    release = threading.Event()

    def stuck() -> None:
        release.wait(10)

    async def act() -> None:
        await asyncio.get_running_loop().run_in_executor(None, stuck)

    with virtual(Schedule()) as loop:
        task = loop.create_task(act())
        with pytest.raises(NeedsLiveMode, match=r"waits for thread:.*stuck outside the virtual clock"):
            loop.run_until_complete(task)
        release.set()
        monkeypatch.setattr(module, "FOREIGN_LIMIT_S", 10.0)
        loop.run_until_complete(task)


def test_the_clock_is_held_while_a_socket_is_open() -> None:
    async def act(loop: VirtualLoop) -> float:
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            late = threading.Timer(0.03, there.send, [b"x"])
            late.start()
            async with asyncio.timeout(0.001):
                assert await loop.sock_recv(here, 1) == b"x"
            late.join()
        return loop.time()

    assert run(act) == 0.0


# ---------------------------------------------------------------- lives


def living(loop: VirtualLoop, work: Coroutine[Any, Any, T], life: Life) -> asyncio.Task[T]:
    """A task of a life."""
    context = contextvars.copy_context()
    context.run(LIFE.set, life)
    return loop.create_task(work, context=context)


async def count(log: list[int], until: int) -> None:
    for n in range(until):
        log.append(n)
        await asyncio.sleep(1)


def test_a_dead_lifes_tasks_stop_where_they_are_and_can_be_resumed() -> None:
    life, log, other = Life(0), list[int](), list[int]()

    async def act(loop: VirtualLoop) -> None:
        task, outsider = living(loop, count(log, 4), life), loop.create_task(count(other, 4))
        await asyncio.sleep(1.5)
        life.dead = True
        await outsider
        await asyncio.sleep(10)
        assert (log, other) == ([0, 1], [0, 1, 2, 3])
        assert not task.done()
        loop.resurrect(life)
        await task
        assert log == [0, 1, 2, 3]

    run(act)


def test_tasks_of_a_life_and_their_children_are_known_and_no_others() -> None:
    life = Life(0)

    async def parent() -> asyncio.Task[None]:
        return asyncio.create_task(asyncio.sleep(0))

    async def act(loop: VirtualLoop) -> None:
        first = living(loop, parent(), life)
        outsider = loop.create_task(asyncio.sleep(0))
        child = await first
        assert set(life.tasks) == {first, child}
        await asyncio.gather(child, outsider)

    run(act)


def test_a_life_counts_its_own_steps_and_may_end_before_one() -> None:
    life, log, steps = Life(0), list[int](), list[int]()

    def on_step() -> None:
        steps.append(len(log))
        life.dead = len(steps) == 3

    async def act(loop: VirtualLoop) -> None:
        life.on_step = on_step
        living(loop, count(log, 9), life)
        outsider = loop.create_task(count([], 9))
        await outsider

    run(act)
    assert (steps, log) == ([0, 1, 2], [0, 1])
