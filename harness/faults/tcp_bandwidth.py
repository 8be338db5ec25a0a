"""A line that carries little."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._flows import DIRECTION_HELP, DIRECTIONS, DOWN, UP, WireFault, goes, lasting
from harness.flow import Flow, Pieces
from harness.injection import Act, Call, Proceed, setting

#: so many pieces a second: small enough to look like a flow, large enough to cost nothing
_PIECES_PER_S = 20


@dataclass(frozen=True, kw_only=True)
class TcpBandwidth(WireFault):
    """Lets so many bytes a second pass, on each connection and in each direction for itself.

    Toxiproxy's ``bandwidth``, Chaos Mesh's ``rate``, ``tc netem``'s. Small answers hardly show it; large ones run into
    time-outs that count from the first byte.
    """

    name: ClassVar[str] = "tcp_bandwidth"
    operations: ClassVar[tuple[str, ...]] = (UP, DOWN)

    times: int = lasting()
    bytes_per_s: int = setting(10_000, "the most that passes", (10_000, 1_000, 100), least=1, most=10**12)
    direction: str = setting("both", DIRECTION_HELP, DIRECTIONS)

    def knows(self, call: Call) -> bool:
        """Chunks of its direction."""
        return super().knows(call) and goes(call, self.direction)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """The same bytes, little by little."""
        flow: Flow = await proceed(call)
        size_bytes = max(self.bytes_per_s // _PIECES_PER_S, 1)
        return replace(flow, pieces=Pieces(size_bytes=size_bytes, byte_ms=1_000 / self.bytes_per_s, pause=act.pause_ms))
