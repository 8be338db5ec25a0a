"""A queue that does not move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.injection import Act, Call, Fault, Proceed


@dataclass(frozen=True, kw_only=True)
class QueueStall(Fault):
    """Keeps a run queued, and with it all that stand behind it on the same device; then it goes on normally.

    Seen as over-limit instances that queue silently, queues so long that inputs are evicted, and queued jobs that
    can't be got rid of.
    """

    name: ClassVar[str] = "queue_stall"
    layer = "run"
    operations: ClassVar[tuple[str, ...]] = ("queue",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#2453",
        "Qiskit/qiskit-ibm-provider#517",
        "rigetti/pyquil#1728",
    )

    ms: int = duration_ms(60_000, "how long the run is held", 60_000, 600_000, 5_000)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Hold the run, which keeps its place in the line."""
        await act.pause_ms(self.ms)
        return await proceed(call)
