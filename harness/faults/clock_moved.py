"""The wall clock of a process is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import LONGEST_MS
from harness.faults._processes import ProcessFault
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class ClockMoved(ProcessFault):
    """The wall clock of one process jumps, runs at another rate, or stands still, until faults heal.

    Its monotonic clock goes on. ``at`` and ``on`` say when, as for process_killed. Needs a target that runs as
    processes whose clock can be moved (``faked_clock``, see docs/live.md); elsewhere nothing happens. Seen as tokens
    and leases that expire at once or never, and as entries that are older than what they answer.
    """

    name: ClassVar[str] = "clock_moved"
    needs_clock: ClassVar[bool] = True

    way: str = setting("jump", "jump: by by_ms at once; drift: at another rate; freeze", ("jump", "drift", "freeze"))
    by_ms: int = setting(
        3_600_000, "how far it jumps; back if negative", (3_600_000, -3_600_000), least=-LONGEST_MS, most=LONGEST_MS
    )
    rate: float = setting(2.0, "how many of its seconds pass in one", (2.0, 0.5), least=0.01, most=1_000)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Move it, and go on."""
        if act.controls is not None:
            way: Any = self.way
            await act.controls.move_clock(self.process, self.replica, way, by_ms=self.by_ms, rate=self.rate)
        return await proceed(call)
