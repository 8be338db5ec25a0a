"""A slow answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import DISTRIBUTION_HELP, DISTRIBUTIONS, LONGEST_MS, draw_ms, duration_ms
from harness.faults._sites import EVERY, USUAL
from harness.injection import Act, Call, Fault, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class Latency(Fault):
    """Delays a request (before its effect) or its answer (after it); the answer itself is the right one.

    Seen as polls that crawl or stick, and as gateways that give up on a backend which works on.
    """

    name: ClassVar[str] = "latency"
    operations: ClassVar[tuple[str, ...]] = EVERY
    drawn: ClassVar[tuple[str, ...]] = USUAL
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#317",
        "Qiskit/qiskit-metapackage#685",
    )

    ms: int = duration_ms(1_000, "how long", 1_000, 5_000, 30_000, 120_000)
    when: str = setting("before", "before: the effect comes late; after: only the answer", ("before", "after"))
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
        reply = await proceed(call)
        await act.pause_ms(delay_ms)
        return reply
