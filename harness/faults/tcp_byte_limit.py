"""A connection that ends after so many bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._flows import DOWN, UP, WireFault, direction_of
from harness.flow import Flow
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class TcpByteLimit(WireFault):
    """Ends a connection once so many bytes went one way, in the midst of a message if need be.

    Bytes count from the connection's beginning, so one from a pool that has carried more ends at its next chunk.
    Toxiproxy's ``limit_data``; proxies and load balancers with limits do it.
    """

    name: ClassVar[str] = "tcp_byte_limit"
    operations: ClassVar[tuple[str, ...]] = (UP, DOWN)

    limit_bytes: int = setting(1_000, "how many pass", (1_000, 100, 10, 0), most=10**15)
    direction: str = setting("down", "down: towards the target; up: from it", ("down", "up"))
    way: str = setting("close", "close: an orderly end, FIN; reset: RST", ("close", "reset"))

    def knows(self, call: Call) -> bool:
        """The chunk that goes beyond it."""
        beyond = int(call.metadata.get("passed", "0")) + int(call.metadata.get("bytes", "0")) > self.limit_bytes
        return super().knows(call) and direction_of(call) == self.direction and beyond

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """What there is room for, then the end."""
        flow: Flow = await proceed(call)
        room = max(self.limit_bytes - int(call.metadata["passed"]), 0)
        return replace(flow, data=flow.data[:room], end="close" if self.way == "close" else "reset")
