"""A cancel that gets no answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import LOST


@dataclass(frozen=True, kw_only=True)
class CancelHang(Fault):
    """Leaves a cancel request without an answer; whether it took effect is up to ``effect``.

    Seen as stop requests that are ignored while a job is queued, and queued jobs that can't be cancelled and cost.
    """

    name: ClassVar[str] = "cancel_hang"
    operations: ClassVar[tuple[str, ...]] = ("cancel",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-serverless#872",
        "rigetti/pyquil#1728",
    )

    effect: str = setting("none", "none: it never arrived; done: the run is cancelled", ("none", "done"))
    ms: int = duration_ms(600_000, "how long silence lasts", 600_000, 60_000)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Do it or don't, say nothing, then break."""
        if self.effect == "done":
            await proceed(call)
        await act.pause_ms(self.ms)
        return LOST
