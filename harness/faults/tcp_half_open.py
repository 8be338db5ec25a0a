"""One side is gone, and the other doesn't know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.faults._flows import DOWN, UP, WireFault
from harness.flow import Flow, Hold
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class TcpHalfOpen(WireFault):
    """Ends a connection on the dependency's side only: the target's side stays open, takes all and answers nothing.

    After a time, or when the fault is healed, the target is told by a reset, as by a machine that is up again. Seen
    when a host loses power, or an address moves: without a keepalive or a time-out of its own a client waits for ever.
    """

    name: ClassVar[str] = "tcp_half_open"
    operations: ClassVar[tuple[str, ...]] = (UP, DOWN)

    when: str = setting(
        "before", "before: what the target sends is lost; after: it arrives, the answer is lost", ("before", "after")
    )
    ms: int = duration_ms(600_000, "how long the target isn't told", 600_000, 5_000)

    def knows(self, call: Call) -> bool:
        """What is sent, or what comes back."""
        return super().knows(call) and call.operation == (UP if self.when == "before" else DOWN)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Nothing, and nobody."""
        flow: Flow = await proceed(call)
        return replace(flow, data=b"", end="vanish", until=Hold(ms=self.ms, pause=act.pause_ms))
