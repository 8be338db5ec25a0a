"""A line that is slow to carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import DISTRIBUTION_HELP, DISTRIBUTIONS, LONGEST_MS, draw_ms, duration_ms
from harness.faults._flows import DIRECTION_HELP, DIRECTIONS, DOWN, UP, WireFault, goes, lasting
from harness.flow import Flow
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class TcpLatency(WireFault):
    """Delays every chunk on a wire by a time drawn anew; order stays, and what is on the way waits at the same time.

    The delay counts from a chunk's arrival, so a long answer in many chunks is late once, not once a chunk: Toxiproxy's
    ``latency`` (its ``jitter`` is a uniform distribution), Chaos Mesh's and ``tc netem``'s ``delay``.
    """

    name: ClassVar[str] = "tcp_latency"
    operations: ClassVar[tuple[str, ...]] = (UP, DOWN)

    times: int = lasting()
    ms: int = duration_ms(200, "how long", 200, 1_000, 5_000)
    direction: str = setting("both", DIRECTION_HELP, DIRECTIONS)
    distribution: str = setting("fixed", DISTRIBUTION_HELP, DISTRIBUTIONS)
    spread: float = setting(0.5, "width of the distribution, relative to ms", (0.5, 1.0), most=10)
    samples_ms: tuple[float, ...] = setting(
        (), "delays of an empirical distribution, each as likely as any other", items=float, most=LONGEST_MS
    )

    def knows(self, call: Call) -> bool:
        """Chunks of its direction."""
        return super().knows(call) and goes(call, self.direction)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """The same bytes, later."""
        flow: Flow = await proceed(call)
        ms = draw_ms(self.distribution, self.ms, self.spread, self.samples_ms, act.rng)
        return flow.later(ms, act.pause_ms)
