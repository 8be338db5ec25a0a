"""An answer that trickles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.faults._sites import EVERY, USUAL
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import Pace, Reply


@dataclass(frozen=True, kw_only=True)
class SlowReply(Fault):
    """Sends the right answer slowly: the first byte late, the body in slices with pauses between them.

    A read time-out counts from slice to slice in most clients, so a trickle outlives it. Slow headers and slow bodies
    are faults of Toxiproxy (``slicer``, ``bandwidth``) and of Chaos Mesh; no evidence from a quantum provider.
    """

    name: ClassVar[str] = "slow_reply"
    operations: ClassVar[tuple[str, ...]] = EVERY
    drawn: ClassVar[tuple[str, ...]] = USUAL

    first_byte_ms: int = duration_ms(0, "time until the headers leave", 0, 2_000)
    slice_bytes: int = setting(64, "bytes of the body that leave at once; 0: all", (64, 1, 0))
    slice_ms: int = duration_ms(200, "pause between two slices", 200, 20)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Answer rightly, at this pace."""
        reply: Reply = await proceed(call)
        pace = Pace(
            first_byte_ms=self.first_byte_ms,
            slice_bytes=self.slice_bytes,
            slice_ms=self.slice_ms,
            reset=reply.pace.reset,
        )
        return replace(reply, pace=pace)
