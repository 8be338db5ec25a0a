"""Clocks: virtual under a virtual loop, else real."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from harness.clock import EPOCH_S, NS_PER_S, Clock, LoopClock, RealClock, date_at
from harness.loop import VirtualLoop
from harness.model import Schedule


def test_a_play_begins_with_the_year() -> None:
    assert date_at(0) == datetime(2026, 1, 1, tzinfo=UTC) == datetime.fromtimestamp(EPOCH_S, UTC)
    assert date_at(NS_PER_S + 1_500) == datetime(2026, 1, 1, 0, 0, 1, 1, tzinfo=UTC)


@given(st.integers(0, 10**17), st.integers(0, 10**17))
def test_dates_are_in_the_order_of_time(one: int, other: int) -> None:
    assert date_at(min(one, other)) <= date_at(max(one, other))


def elapsed_ns(loop: asyncio.AbstractEventLoop, clock: Clock, ms: float) -> int:
    async def act() -> int:
        begin = clock.now_ns()
        await clock.sleep_ms(ms)
        return clock.now_ns() - begin

    try:
        return loop.run_until_complete(act())
    finally:
        loop.close()


def test_a_loops_clock_counts_from_its_start_in_virtual_time() -> None:
    loop = VirtualLoop(Schedule(), start_s=100.0)
    clock = LoopClock(loop)
    assert clock.now_ns() == 0
    assert LoopClock(loop, start_s=0.0).now_ns() == 100 * NS_PER_S
    assert elapsed_ns(loop, clock, 3_600_000.5) == 3_600_000_500_000


def test_a_real_clock_takes_real_time() -> None:
    assert 2_000_000 <= elapsed_ns(asyncio.new_event_loop(), RealClock(), 2.1) < 5 * NS_PER_S


def test_a_pace_makes_time_pass_faster_and_a_skip_makes_it_pass_at_once() -> None:
    async def act() -> tuple[float, float, float]:
        loop = asyncio.get_running_loop()
        clock, began_s = LoopClock(loop, pace=20), loop.time()
        await clock.sleep_ms(400)
        slept_ns, took_s = clock.now_ns(), loop.time() - began_s
        clock.skip(3_600_000)
        return slept_ns, took_s, clock.now_ns() - slept_ns

    slept_ns, took_s, skipped_ns = asyncio.run(act())
    assert 0.02 <= took_s < 0.4 <= slept_ns / 1e9
    assert 3_600e9 <= skipped_ns < 3_601e9


def test_waiting_for_something_ends_with_it_or_with_the_time() -> None:
    async def act() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        clock, event = LoopClock(loop, pace=10), asyncio.Event()
        await clock.wait_ms(event, 300)
        timed_s = clock.now_ns() / 1e9
        loop.call_later(0.01, event.set)
        await clock.wait_ms(event, 1e9)
        return timed_s, clock.now_ns() / 1e9 - timed_s

    timed_s, told_s = asyncio.run(act())
    assert timed_s >= 0.3
    assert told_s < 100
