"""One request that arrives twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.injection import Act, Call, Fault, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class DuplicateDelivery(Fault):
    """Delivers a request twice, as proxies and retrying gateways do; the client sees one of the two answers.

    Without an idempotency key a submission becomes two runs that both cost, and no pipeline can know of it: agents draw
    it at cancels only, and what is found under ``on: [submit]`` is the wire's doing, not the pipeline's. Measured
    with vendors' own clients: two lost answers made three accepted jobs.
    """

    name: ClassVar[str] = "duplicate_delivery"
    operations: ClassVar[tuple[str, ...]] = ("submit", "cancel", "session", "upload", "other")
    drawn: ClassVar[tuple[str, ...]] = ("cancel",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#1114",
        "iqm-finland/QDMI-on-IQM#213",
    )

    gap_ms: int = duration_ms(0, "between the two", 0, 2_000)
    answer: str = setting("first", "which of the two answers reaches the client", ("first", "second"))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Proceed twice."""
        first = await proceed(call)
        if self.gap_ms:
            await act.pause_ms(self.gap_ms)
        second = await proceed(call)
        return first if self.answer == "first" else second
