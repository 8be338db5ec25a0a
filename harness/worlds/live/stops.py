"""Stop conditions at work: what was heard of a target, and whether that is enough to leave it alone.

``Tally`` is the rule, without I/O. ``Watch`` asks the probe and ends a play when the rule says so.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from harness.clock import Clock
from harness.errors import RunStopped
from harness.inputs.binding import Answer, Outgoing
from harness.inputs.stop_conditions import Probe, Stop
from harness.worlds.live.north import North, Sent

T = TypeVar("T")

_PROBE_LIMIT_BYTES = 1_000_000


class Tally:
    """What the last calls and probes say, against the conditions. Once met, a condition stays met."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self._failed: deque[bool] = deque(maxlen=stop.errors.over if stop.errors else 0)
        self._took_ms: deque[float] = deque(maxlen=stop.latency.over if stop.latency else 0)
        self._in_a_row = 0
        #: why the run must end; "" as long as it need not
        self.reason = ""

    def heard(self, sent: Sent, disturbed: bool) -> None:
        """A call of ours ended; what a fault of ours may have done to it says nothing of the target's health."""
        if disturbed:
            return
        self._failed.append(sent.status is None or sent.status >= 500)
        self._took_ms.append(sent.took_ms)
        self._meet(self._of_errors() or self._of_latency())

    def probed(self, fine: bool, disturbed: bool) -> None:
        """The probe was asked."""
        probe = self.stop.probe
        if probe is None or (disturbed and not probe.during_faults):
            return
        self._in_a_row = 0 if fine else self._in_a_row + 1
        if self._in_a_row >= probe.failures:
            self._meet(f"its probe ({probe.http or probe.command[0]}) failed {self._in_a_row} times in a row")

    def _meet(self, reason: str) -> None:
        self.reason = self.reason or reason

    def _of_errors(self) -> str:
        budget, bad = self.stop.errors, sum(self._failed)
        if budget is None or len(self._failed) < budget.over or bad <= budget.share * budget.over:
            return ""
        return f"{bad} of its last {budget.over} calls, made without a fault, were unanswered or answered with 5xx"

    def _of_latency(self) -> str:
        limit = self.stop.latency
        if limit is None or len(self._took_ms) < limit.over:
            return ""
        p95_ms = percentile(tuple(self._took_ms), 0.95)
        if p95_ms <= limit.p95_ms:
            return ""
        what = f"of the last {limit.over} calls, made without a fault, 95 % took up to {p95_ms:.0f} ms"
        return f"{what}; allowed are {limit.p95_ms:g} ms"


def percentile(values: Sequence[float], share: float) -> float:
    """By nearest rank: the least value that so large a share of all does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


class Watch:
    """Keeps a tally during a play; the same one goes from play to play.

    ``disturbed`` says whether a fault of ours may be in force right now; ``clock`` is one of real time.
    """

    def __init__(
        self, tally: Tally, ask: Callable[[], Awaitable[bool]], disturbed: Callable[[], bool], clock: Clock
    ) -> None:
        self.tally, self._probe = tally, tally.stop.probe
        self._ask, self._disturbed, self._clock = ask, disturbed, clock
        self._met = asyncio.Event()

    def heard(self, sent: Sent) -> None:
        """For North's ``on_sent``."""
        self.tally.heard(sent, self._disturbed())
        self._look()

    async def guard(self, play: Coroutine[Any, Any, T]) -> T:
        """A play until it ends; RunStopped, and the play cancelled, as soon as a condition is met."""
        playing, met = asyncio.ensure_future(play), asyncio.ensure_future(self._met.wait())
        probing = asyncio.ensure_future(self._keep_probing())
        try:
            await asyncio.wait((playing, met, probing), return_when=asyncio.FIRST_COMPLETED)
            if not playing.done() and probing.done():
                probing.result()
            if self._met.is_set():
                raise RunStopped(f"the run was stopped: {self.tally.reason}")
            return await playing
        finally:
            for task in (playing, met, probing):
                task.cancel()
            await asyncio.gather(playing, met, probing, return_exceptions=True)

    async def _keep_probing(self) -> None:
        while self._probe is not None:
            self.tally.probed(await self._ask(), self._disturbed())
            self._look()
            await self._clock.sleep_ms(self._probe.every_s * 1000)
        await self._met.wait()

    def _look(self) -> None:
        if self.tally.reason:
            self._met.set()


def asking(probe: Probe | None, north: North) -> Callable[[], Awaitable[bool]]:
    """How a probe is asked: over HTTP by a client of the target, or by a command of this machine."""

    async def ask() -> bool:
        if probe is None:
            return True
        return await (_asked(probe, north) if probe.http else _ran(probe))

    return ask


async def _asked(probe: Probe, north: North) -> bool:
    answer = await north.fetch(Outgoing("GET", probe.http, {}), probe.timeout_s * 1000, _PROBE_LIMIT_BYTES)
    return isinstance(answer, Answer) and answer.status < 400


async def _ran(probe: Probe) -> bool:
    """Its output goes nowhere: what it says may be secret."""
    null = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(*probe.command, stdin=null, stdout=null, stderr=null)
    except OSError:
        return False
    try:
        async with asyncio.timeout(probe.timeout_s):
            return await process.wait() == 0
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
