"""A connection that breaks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._flows import DOWN, UP, WireFault
from harness.flow import Flow
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class TcpReset(WireFault):
    """Breaks a connection under a request or its answer, so that a client can't tell whether it took effect.

    ``before``: what the target sends does not arrive; ``after``: it does, but nothing comes back; ``half``: half of
    what came back first passes. Connections that were open before break as others do. Toxiproxy's ``reset_peer``.
    """

    name: ClassVar[str] = "tcp_reset"
    operations: ClassVar[tuple[str, ...]] = (UP, DOWN)

    when: str = setting(
        "before", "before: what is sent is lost; after, half: (half of) the answer is", ("before", "after", "half")
    )
    way: str = setting("reset", "reset: RST; close: an orderly end, FIN", ("reset", "close"))

    def knows(self, call: Call) -> bool:
        """What is sent, or what comes back."""
        return super().knows(call) and call.operation == (UP if self.when == "before" else DOWN)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Half of it or nothing, then the end."""
        flow: Flow = await proceed(call)
        size = len(flow.data) // 2 if self.when == "half" else 0
        return replace(flow, data=flow.data[:size], end="reset" if self.way == "reset" else "close")
