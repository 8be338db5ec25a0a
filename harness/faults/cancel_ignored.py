"""A cancel that is answered and not done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, RunOutcome, setting


@dataclass(frozen=True, kw_only=True)
class CancelIgnored(Fault):
    """Answers a cancel and does nothing: the run goes on, completes, and costs.

    ``accepted`` says that it is cancelled, as when the cancel and the end of the run cross; ``refused`` says that it
    has ended already. Seen as stop requests that are ignored while a job is queued, and as jobs that can't be
    cancelled and are charged.
    """

    name: ClassVar[str] = "cancel_ignored"
    layer = "run"
    operations: ClassVar[tuple[str, ...]] = ("cancel",)
    evidence: ClassVar[tuple[str, ...]] = (
        "rigetti/pyquil#1728",
        "Qiskit/qiskit-serverless#872",
    )

    told: str = setting("accepted", "what the client is told", ("accepted", "refused"))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Say so, and leave the run alone."""
        return RunOutcome("canceled" if self.told == "accepted" else "completed")
