"""A line that carries crumbs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.faults._flows import DIRECTION_HELP, DIRECTIONS, DOWN, UP, WireFault, goes, lasting
from harness.flow import Flow, Pieces
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class TcpSlices(WireFault):
    """Cuts chunks into small pieces with a pause between two: the right bytes, at boundaries that nobody expects.

    Finds readers that take one ``recv`` for one message. Toxiproxy's ``slicer``.
    """

    name: ClassVar[str] = "tcp_slices"
    operations: ClassVar[tuple[str, ...]] = (UP, DOWN)

    times: int = lasting()
    slice_bytes: int = setting(1, "bytes that leave at once", (1, 7, 100), least=1)
    gap_ms: int = duration_ms(1, "pause between two slices", 1, 20, 0)
    direction: str = setting("both", DIRECTION_HELP, DIRECTIONS)

    def knows(self, call: Call) -> bool:
        """Chunks of its direction."""
        return super().knows(call) and goes(call, self.direction)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """The same bytes, cut up."""
        flow: Flow = await proceed(call)
        return replace(flow, pieces=Pieces(size_bytes=self.slice_bytes, gap_ms=self.gap_ms, pause=act.pause_ms))
