"""A slow answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class Latency(Fault):
    """Delays a request (before its effect) or its answer (after it); the answer itself is the right one.

    Seen as polls that crawl or stick, and as gateways that give up on a backend which works on.
    """

    name: ClassVar[str] = "latency"
    operations: ClassVar[tuple[str, ...]] = ("submit", "status", "result", "cancel", "list", "device")
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#317",
        "Qiskit/qiskit-metapackage#685",
    )

    ms: int = setting(1_000, "how long", (1_000, 5_000, 30_000, 120_000))
    when: str = setting("before", "before: the effect comes late; after: only the answer", ("before", "after"))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Wait on one side of the effect."""
        if self.when == "before":
            await act.pause_ms(self.ms)
            return await proceed(call)
        reply = await proceed(call)
        await act.pause_ms(self.ms)
        return reply
