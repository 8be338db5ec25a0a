"""A slow statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import DISTRIBUTION_HELP, DISTRIBUTIONS, LONGEST_MS, draw_ms, duration_ms
from harness.faults._statements import STATEMENTS, WHEN_HELP, SqlFault
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class SqlDelay(SqlFault):
    """Holds a statement at its boundary, or its answer: other connections go on, locks of its transaction are kept.

    Delays by statement widen the window between a check and its act, which tools that delay bytes can't do by name
    (Toxiproxy's users ask for faults that know the protocol).
    """

    name: ClassVar[str] = "sql_delay"
    operations: ClassVar[tuple[str, ...]] = STATEMENTS
    drawn: ClassVar[tuple[str, ...]] = ("select", "insert", "update", "commit")

    ms: int = duration_ms(1_000, "how long", 1_000, 5_000, 30_000)
    when: str = setting("before", WHEN_HELP, ("before", "after"))
    distribution: str = setting("fixed", DISTRIBUTION_HELP, DISTRIBUTIONS)
    spread: float = setting(0.5, "width of the distribution, relative to ms", (0.5, 1.0), most=10)
    samples_ms: tuple[float, ...] = setting(
        (), "delays of an empirical distribution, each as likely as any other", items=float, most=LONGEST_MS
    )

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Wait on one side of the effect."""
        delay_ms = draw_ms(self.distribution, self.ms, self.spread, self.samples_ms, act.rng)
        if self.when == "before":
            await act.pause_ms(delay_ms)
            return await proceed(call)
        answer = await proceed(call)
        await act.pause_ms(delay_ms)
        return answer
