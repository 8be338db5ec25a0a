"""A connection that ends late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.faults._flows import CLOSE, DIRECTION_HELP, DIRECTIONS, WireFault, goes, lasting
from harness.flow import Flow
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class TcpSlowClose(WireFault):
    """Passes all bytes at once, but the end of a connection (FIN) late: readers to the end wait, pools fill up.

    Toxiproxy's ``slow_close``.
    """

    name: ClassVar[str] = "tcp_slow_close"
    operations: ClassVar[tuple[str, ...]] = (CLOSE,)

    times: int = lasting()
    ms: int = duration_ms(5_000, "how late", 5_000, 60_000)
    direction: str = setting("both", DIRECTION_HELP, DIRECTIONS)

    def knows(self, call: Call) -> bool:
        """An end of its direction."""
        return super().knows(call) and goes(call, self.direction)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """The end, later."""
        flow: Flow = await proceed(call)
        return flow.later(self.ms, act.pause_ms)
