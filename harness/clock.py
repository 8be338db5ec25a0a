"""Time: a clock to read and to wait on. The virtual one belongs to the loop of harness.loop."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
#: 2026-01-01T00:00:00Z: the wall-clock second at which every play begins
EPOCH_S = 1_767_225_600


def date_at(at_ns: int) -> datetime:
    """The date that a play's clock shows so long after its beginning."""
    return datetime.fromtimestamp(EPOCH_S, UTC) + timedelta(microseconds=at_ns // 1000)


class Clock(Protocol):
    """Nobody sleeps below the edge: values carry dates, only the edge waits, through a clock."""

    def now_ns(self) -> int:
        """Nanoseconds since the play began."""

    async def sleep_ms(self, ms: float) -> None:
        """Wait; 0 yields once."""

    async def wait_ms(self, event: asyncio.Event, ms: float) -> None:
        """Wait until something has happened, but no longer."""


class LoopClock:
    """A loop's own time: virtual under a VirtualLoop, else real. Counted from ``start_s`` of the loop (None: now).

    ``pace``: so many of this clock's seconds pass in one of the loop's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, start_s: float | None = None, pace: float = 1.0) -> None:
        self._loop, self._start, self._pace = loop, loop.time() if start_s is None else start_s, pace

    def now_ns(self) -> int:
        """Nanoseconds since the clock's start."""
        return round((self._loop.time() - self._start) * self._pace * NS_PER_S)

    def skip(self, ms: float) -> None:
        """Let so much time have passed at once; who sleeps sleeps on."""
        self._start -= ms / self._pace / 1000

    async def sleep_ms(self, ms: float) -> None:
        """Wait on the loop."""
        await asyncio.sleep(ms / self._pace / 1000)

    async def wait_ms(self, event: asyncio.Event, ms: float) -> None:
        """Wait on the loop until something has happened, but no longer."""
        await _wait(event, ms / self._pace)


def wall_clock(loop: asyncio.AbstractEventLoop, pace: float = 1.0) -> LoopClock:
    """Counts from the epoch of all plays, so that the dates it gives are today's: clients compare them with theirs."""
    return LoopClock(loop, start_s=loop.time() - (time.time() - EPOCH_S) / pace, pace=pace)


class RealClock:
    """Wall time for use outside a loop (budgets, reports)."""

    def __init__(self) -> None:
        self._start = time.monotonic_ns()

    def now_ns(self) -> int:
        """Nanoseconds since this clock was made."""
        return time.monotonic_ns() - self._start

    async def sleep_ms(self, ms: float) -> None:
        """Wait."""
        await asyncio.sleep(ms / 1000)

    async def wait_ms(self, event: asyncio.Event, ms: float) -> None:
        """Wait until something has happened, but no longer."""
        await _wait(event, ms)


async def _wait(event: asyncio.Event, ms: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(ms / 1000):
            await event.wait()
